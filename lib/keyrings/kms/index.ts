/**
 * `esdk-streams/kms`: keyrings and master keys of AWS KMS.
 *
 * @module esdk-streams/kms
 */
export { KmsKeyring, KmsMrkKeyring, type KmsKeyringOptions } from './kms-keyring.ts'
export {
  type KmsDiscoveryFilter,
  KmsDiscoveryKeyring,
  type KmsDiscoveryKeyringOptions,
  type KmsDiscoveryOptions,
  KmsMrkDiscoveryKeyring,
  type KmsMrkDiscoveryKeyringOptions,
} from './kms-discovery-keyring.ts'
export {
  type BranchKeyIdSupplier,
  KmsHierarchicalKeyring,
  type KmsHierarchicalKeyringOptions,
} from './kms-hierarchical-keyring.ts'
export {
  type BeaconKeyMaterials,
  BranchKeyStore,
  type BranchKeyStoreInfo,
  type BranchKeyStoreOptions,
  type CreateBranchKeyOptions,
} from './hierarchy/branch-key-store.ts'
export type { DynamoDbClient } from './hierarchy/branch-key-table.ts'
export type { KmsConfiguration } from './hierarchy/kms-configuration.ts'
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
