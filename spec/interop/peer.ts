/** What another implementation does for these specs. */

export const WRAPPING_ALGORITHMS = [
  'aes-128',
  'aes-192',
  'aes-256',
  'rsa-pkcs1',
  'rsa-oaep-sha1',
  'rsa-oaep-sha256',
  'rsa-oaep-sha384',
  'rsa-oaep-sha512',
] as const

export type WrappingAlgorithm = (typeof WRAPPING_ALGORITHMS)[number]

interface PeerKeyName {
  readonly keyNamespace: string
  readonly keyName: string
}

export interface AesPeerKey extends PeerKeyName {
  readonly algorithm: Extract<WrappingAlgorithm, `aes-${string}`>
  readonly wrappingKey: Buffer
}

export interface RsaPeerKey extends PeerKeyName {
  readonly algorithm: Extract<WrappingAlgorithm, `rsa-${string}`>
  /** SPKI and PKCS#8, as PEM. */
  readonly publicKey: string
  readonly privateKey: string
}

export type PeerKey = AesPeerKey | RsaPeerKey

/** Whose keys of AWS KMS a peer may discover: those of both, or any without. */
export interface DiscoveryFilter {
  readonly partition?: string
  readonly accounts?: readonly string[]
}

export interface PeerMessage<Key = PeerKey> {
  readonly suite: number
  /** Several keys: the first generates, all wrap; to decrypt, any may unwrap. */
  readonly keys: readonly Key[]
  readonly data: Buffer
}

export interface PeerPlaintext<Key = PeerKey> extends PeerMessage<Key> {
  /** 0 means non-framed, where the peer can write that. */
  readonly frameLength: number
  readonly encryptionContext: Readonly<Record<string, string>>
}

export interface PeerDecrypted {
  readonly plaintext: Buffer
  readonly encryptionContext: Readonly<Record<string, string>>
}

export interface Peer<Key = PeerKey> {
  readonly name: string
  encrypt(message: PeerPlaintext<Key>): Promise<Buffer>
  decrypt(message: PeerMessage<Key>): Promise<PeerDecrypted>
  close(): Promise<void>
}

/** Whether a suite commits to its key: message format version 2. */
export function isCommitting(suite: number): boolean {
  return suite === 0x0478 || suite === 0x0578
}

/** Whether a suite signs. */
export function isSigning(suite: number): boolean {
  return [0x0214, 0x0346, 0x0378, 0x0578].includes(suite)
}
