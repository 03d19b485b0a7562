/** Key namespaces and key names: framework/keyring-interface.md "Key Provider ID", "Key Provider Information". */

/** The prefix of provider ids that only keyrings of AWS KMS may bear. */
const KMS_PREFIX = 'aws-kms'

/** A key name and namespace as encrypted data keys hold them. @throws TypeError where a raw keyring may not bear them. */
export function checkKeyName(keyNamespace: unknown, keyName: unknown): void {
  for (const [option, value] of Object.entries({ keyNamespace, keyName })) {
    if (typeof value !== 'string' || value === '') throw new TypeError(`"${option}" expected a non-empty string`)
    if (!value.isWellFormed()) throw new TypeError(`"${option}" holds half of a surrogate pair`)
    if (Buffer.byteLength(value) > 0xffff) throw new TypeError(`"${option}" is longer than 65535 bytes`)
  }
  if (String(keyNamespace).startsWith(KMS_PREFIX)) {
    throw new TypeError(`"keyNamespace" may not begin with "${KMS_PREFIX}": such provider ids are AWS KMS keyrings'`)
  }
}
