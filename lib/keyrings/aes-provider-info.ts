/** Encrypted data keys under an AES key: framework/raw-aes-keyring.md "Key Provider Information". */
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import { IV_BYTES, TAG_BYTES } from '../format/header-authentication.ts'

const TAG_BITS = TAG_BYTES * 8
const INFO_SUFFIX_BYTES = 8 + IV_BYTES

/** Why a data key is not unwrapped that names this key. */
export const NOT_AUTHENTIC = 'not authentic under this key and encryption context'

/** Key name, length of the tag in bits, length of the IV in bytes, IV. */
export function encodeAesProviderInfo(keyName: Buffer, iv: Buffer): Buffer {
  const lengths = Buffer.alloc(8)
  lengths.writeUInt32BE(TAG_BITS, 0)
  lengths.writeUInt32BE(IV_BYTES, 4)
  return Buffer.concat([keyName, lengths, iv])
}

/** The IV of a data key that is {@link notByAesKey | this key's}. */
export function ivOf({ keyProviderInfo }: EncryptedDataKey): Buffer {
  return keyProviderInfo.subarray(-IV_BYTES)
}

/** Why a data key of so many bytes was not wrapped by the key of this name, or `undefined` where it may have been. */
export function notByAesKey(
  { keyProviderId, keyProviderInfo, ciphertext }: EncryptedDataKey,
  keyNamespace: string,
  keyName: Buffer,
  keyBytes: number,
): string | undefined {
  const nameBytes = keyName.length
  if (keyProviderId !== keyNamespace) return 'another key namespace'
  if (keyProviderInfo.length !== nameBytes + INFO_SUFFIX_BYTES) return 'another key name'
  if (!keyProviderInfo.subarray(0, nameBytes).equals(keyName)) return 'another key name'
  if (keyProviderInfo.readUInt32BE(nameBytes) !== TAG_BITS) return `a tag of other than ${TAG_BITS} bits`
  if (keyProviderInfo.readUInt32BE(nameBytes + 4) !== IV_BYTES) return `an IV of other than ${IV_BYTES} bytes`
  if (ciphertext.length !== keyBytes + TAG_BYTES) return `not a wrapped data key of ${keyBytes} bytes`
  return undefined
}
