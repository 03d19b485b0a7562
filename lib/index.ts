/**
 * `esdk-streams`: the streams, whole messages, raw keyrings, materials managers and errors. Loads no AWS SDK.
 *
 * @module esdk-streams
 */
export { EncryptStream, type EncryptStreamOptions } from './streams/encrypt-stream.ts'
export { DecryptStream, type DecryptStreamOptions } from './streams/decrypt-stream.ts'
export { type DecryptResult, type EncryptResult, decrypt, encrypt } from './streams/message.ts'
export { type ReadHeaderResult, type UnverifiedMessageHeader, readHeader } from './streams/read-header.ts'
export { type ReencryptOptions, type ReencryptStream, reencrypt } from './streams/reencrypt.ts'
export type { DecryptOptions, EncryptOptions } from './streams/options.ts'
export type { MessageStats, StreamOptions } from './streams/protocol-transform.ts'
export type { ByteSource } from './streams/sources.ts'
export { RawAesKeyring, type RawAesKeyringOptions } from './keyrings/raw-aes-keyring.ts'
export { RawRsaKeyring, type RawRsaKeyringOptions, type RsaPadding } from './keyrings/raw-rsa-keyring.ts'
export type { EcdhCurveName, EcdhKeyInput } from './keyrings/ecdh/ecdh-key.ts'
export {
  type RawEcdhDiscoveryOptions,
  type RawEcdhEphemeralOptions,
  RawEcdhKeyring,
  type RawEcdhKeyringOptions,
  type RawEcdhStaticOptions,
} from './keyrings/raw-ecdh-keyring.ts'
export { MultiKeyring, type MultiKeyringOptions } from './keyrings/multi-keyring.ts'
export { MasterKeyProvider, type MasterKeyId } from './keyrings/master-keys/master-key-provider.ts'
export { RawMasterKeyProvider } from './keyrings/master-keys/raw-master-key-provider.ts'
export {
  type WrappingAlgorithm,
  WrappingKey,
  type WrappingKeyOptions,
  type WrappingKeyType,
} from './keyrings/master-keys/wrapping-key.ts'
export type { CallOptions, Keyring } from './materials/keyring.ts'
export type { DecryptionMaterials, EncryptionMaterials, UnconfirmedUnwrap } from './materials/materials.ts'
export type {
  CryptographicMaterialsManager,
  DecryptionMaterialsRequest,
  EncryptionMaterialsRequest,
} from './materials/cryptographic-materials-manager.ts'
export { DefaultCryptographicMaterialsManager } from './materials/default-cmm.ts'
export {
  RequiredEncryptionContextCryptographicMaterialsManager,
  type RequiredEncryptionContextOptions,
} from './materials/required-encryption-context-cmm.ts'
export { CachingCryptographicMaterialsManager, type CachingOptions } from './materials/caching-cmm.ts'
export type { CacheStats } from './materials/cached-requests.ts'
export { LocalCryptographicMaterialsCache, type LocalCacheOptions } from './materials/local-materials-cache.ts'
export { type Clock, StormTrackingCache, type StormTrackingOptions } from './materials/storm-tracking-cache.ts'
export type {
  BranchKeyMaterials,
  CacheEntry,
  CacheGetOptions,
  CacheUsage,
  CachedMaterials,
  CryptographicMaterialsCache,
} from './materials/cryptographic-materials-cache.ts'
export { type KmsTrace, type S3Trace, TRACING_CHANNELS, type Trace } from './materials/tracing.ts'
export type { DataKeyTrace, MessageOperation, MessageTrace } from './streams/traced.ts'
export type { CommitmentPolicy } from './materials/commitment-policy.ts'
export {
  type Attempt,
  type AuthenticatedPart,
  AuthenticationError,
  ChangedError,
  EncryptionSdkError,
  type ErrorCode,
  LengthError,
  LimitError,
  MalformedMessageError,
  PolicyError,
  TransferError,
  TruncatedMessageError,
  UnsupportedError,
  UnwrapError,
  WrapError,
  isEncryptionSdkError,
} from './errors.ts'
