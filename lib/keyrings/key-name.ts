/** Key namespaces and key names: framework/keyring-interface.md "Key Provider ID", "Key Provider Information". */
import { types } from 'node:util'

/** Provider ids that begin so are those of keyrings of AWS KMS. */
const KMS_PREFIX = 'aws-kms'

const MAX_BYTES = 0xffff

/**
 * The bytes of a key name. @throws TypeError where a raw keyring may not bear it or its namespace.
 *
 * @param keyName text; or bytes, for keys that other SDKs know by a name that is no text
 */
export function keyNameBytes(keyNamespace: unknown, keyName: unknown): Buffer {
  const namespace = bytesOf('keyNamespace', typeof keyNamespace === 'string' ? keyNamespace : undefined)
  const name = bytesOf('keyName', keyName)
  if (namespace.toString().startsWith(KMS_PREFIX)) {
    throw new TypeError(`"keyNamespace" may not begin with "${KMS_PREFIX}": such provider ids are AWS KMS keyrings'`)
  }
  return name
}

function bytesOf(option: string, value: unknown): Buffer {
  if (typeof value === 'string' && !value.isWellFormed())
    throw new TypeError(`"${option}" holds half of a surrogate pair`)
  const bytes =
    typeof value === 'string' ? Buffer.from(value, 'utf8') : types.isUint8Array(value) ? Buffer.from(value) : undefined
  if (bytes === undefined || bytes.length === 0) throw new TypeError(`"${option}" expected a non-empty string`)
  if (bytes.length > MAX_BYTES) throw new TypeError(`"${option}" is longer than ${MAX_BYTES} bytes`)
  return bytes
}
