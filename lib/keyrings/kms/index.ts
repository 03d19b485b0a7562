/** `esdk-streams/kms`: keyrings and master keys of AWS KMS. */
export { KmsKeyring, KmsMrkKeyring, type KmsKeyringOptions } from './kms-keyring.ts'
export {
  type KmsDiscoveryFilter,
  KmsDiscoveryKeyring,
  type KmsDiscoveryKeyringOptions,
  type KmsDiscoveryOptions,
  KmsMrkDiscoveryKeyring,
  type KmsMrkDiscoveryKeyringOptions,
} from './kms-discovery-keyring.ts'
export { type KmsRsaEncryptionAlgorithm, KmsRsaKeyring, type KmsRsaKeyringOptions } from './kms-rsa-keyring.ts'
export {
  type KmsEcdhDiscoveryOptions,
  KmsEcdhKeyring,
  type KmsEcdhKeyringOptions,
  type KmsEcdhOptions,
  type KmsEcdhStaticOptions,
} from './kms-ecdh-keyring.ts'
export {
  type KmsDiscoveryProviderOptions,
  KmsMasterKeyProvider,
  type KmsMasterKeyProviderOptions,
} from './kms-master-key-provider.ts'
export {
  type KmsClient,
  type KmsClientProvider,
  cacheClients,
  excludeRegions,
  kmsClientProvider,
  limitRegions,
} from './kms-client.ts'
