/** Encrypted data keys: data-format/message-header.md "Encrypted Data Key(s)". */
import { LimitError, MalformedMessageError } from '../errors.ts'
import { decodeUtf8 } from './encryption-context.ts'
import { type Reading, lengthPrefixed, uint16 } from './reading.ts'

/** A data key wrapped under one wrapping key. */
export interface EncryptedDataKey {
  /** Who wrapped it: a key namespace, or a name such as `aws-kms`. */
  readonly keyProviderId: string
  /** Under which key: opaque bytes of the provider. */
  readonly keyProviderInfo: Buffer
  readonly ciphertext: Buffer
}

const MAX_KEYS = 0xffff
const MAX_FIELD_BYTES = 0xffff
const MIN_ENTRY_BYTES = 6

/** Count and entries. @throws LimitError where the format can't hold them. */
export function encodeEncryptedDataKeys(keys: readonly EncryptedDataKey[]): Buffer {
  if (keys.length > MAX_KEYS)
    throw new LimitError(`${keys.length} encrypted data keys; the format holds at most ${MAX_KEYS}`)
  const parts: Buffer[] = [u16(keys.length)]
  for (const key of keys) {
    for (const field of [Buffer.from(key.keyProviderId, 'utf8'), key.keyProviderInfo, key.ciphertext]) {
      if (field.length > MAX_FIELD_BYTES) {
        throw new LimitError(
          `a field of an encrypted data key takes ${field.length} bytes; the format holds at most ${MAX_FIELD_BYTES}`,
        )
      }
      parts.push(u16(field.length), field)
    }
  }
  return Buffer.concat(parts)
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}

/** Reads count and entries; refuses a count above `maxKeys`, or one whose shortest entries would pass `maxBytes`, at once. */
export function* readEncryptedDataKeys(maxKeys: number, maxBytes: number): Reading<readonly EncryptedDataKey[]> {
  const count = yield* uint16()
  if (count === 0) throw new MalformedMessageError('the header has no encrypted data key')
  if (count > maxKeys) throw new LimitError(`the header has ${count} encrypted data keys; the limit is ${maxKeys}`)
  if (count * MIN_ENTRY_BYTES > maxBytes) {
    throw new LimitError(
      `the header claims ${count} encrypted data keys, which its limit of ${maxBytes} bytes can't hold`,
    )
  }
  const keys: EncryptedDataKey[] = []
  while (keys.length < count) {
    const keyProviderId = decodeUtf8(yield* lengthPrefixed(), 'a key provider id')
    const keyProviderInfo = yield* lengthPrefixed()
    const ciphertext = yield* lengthPrefixed()
    keys.push({ keyProviderId, keyProviderInfo, ciphertext })
  }
  return keys
}

/** framework/raw-aes-keyring.md "Key Provider Information": the name, tag length 128, IV length 12, and the IV. */
const RAW_AES_LENGTHS = Buffer.from([0, 0, 0, 128, 0, 0, 0, 12])
const RAW_AES_SUFFIX_BYTES = RAW_AES_LENGTHS.length + 12

/** The name in a key provider's information, where that is text. */
export function keyNameOf(info: Buffer): string | undefined {
  const end = info.length - RAW_AES_SUFFIX_BYTES
  const isRawAes = end > 0 && info.subarray(end, end + RAW_AES_LENGTHS.length).equals(RAW_AES_LENGTHS)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(isRawAes ? info.subarray(0, end) : info)
  } catch {
    return undefined
  }
}
