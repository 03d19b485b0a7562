/** The raw RSA keyring: framework/raw-rsa-keyring.md. */
import {
  type KeyObject,
  constants,
  createPrivateKey,
  createPublicKey,
  privateDecrypt,
  publicEncrypt,
} from 'node:crypto'
import { types } from 'node:util'
import { secretKey } from '../crypto/message-keys.ts'
import { decryptPkcs1 } from '../crypto/rsa-pkcs1.ts'
import { type Attempt, UnwrapError, WrapError } from '../errors.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import type { CallOptions, Keyring } from '../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../materials/materials.ts'
import { addEncryptedDataKey } from './data-key.ts'
import { keyNameBytes } from './key-name.ts'

/** How data keys are padded: OAEP (with MGF1 of the same hash) or PKCS #1 v1.5. */
export type RsaPadding = 'pkcs1' | 'oaep-sha1' | 'oaep-sha256' | 'oaep-sha384' | 'oaep-sha512'

/** An RSA key pair, or half of one, and the name that messages know it by. */
export interface RawRsaKeyringOptions {
  /** Who manages the key: the provider id of its encrypted data keys. May not begin with `aws-kms`. */
  readonly keyNamespace: string
  /** Text; or bytes, for keys that other SDKs know by a name that is no text. */
  readonly keyName: string | Uint8Array
  /** PEM or `KeyObject`. Needed to encrypt; never derived from the private key. */
  readonly publicKey?: string | Buffer | KeyObject
  /** PEM or `KeyObject`. Needed to decrypt. */
  readonly privateKey?: string | Buffer | KeyObject
  readonly padding: RsaPadding
}

/** The same for node:crypto. */
export const RSA_PADDINGS: Readonly<Record<RsaPadding, { padding: number; oaepHash?: string }>> = {
  pkcs1: { padding: constants.RSA_PKCS1_PADDING },
  'oaep-sha1': { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
  'oaep-sha256': { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
  'oaep-sha384': { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha384' },
  'oaep-sha512': { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha512' },
}

/** The one reason for every failure: a second text would tell good PKCS #1 v1.5 padding from bad. */
export const NOT_UNWRAPPED = 'not unwrapped by this private key'

/**
 * Wraps data keys under an RSA public key. The encryption context is not bound to the wrapped key (the message header
 * binds it). With a public key alone it only encrypts, with a private key alone it only decrypts.
 *
 * @example new RawRsaKeyring({ keyNamespace: 'escrow', keyName: 'vault', publicKey: pem, padding: 'oaep-sha256' })
 * @throws TypeError when a name, a key or the padding is unfit.
 */
export class RawRsaKeyring implements Keyring {
  readonly #keyNamespace: string
  readonly #keyName: Buffer
  readonly #publicKey: KeyObject | undefined
  readonly #privateKey: KeyObject | undefined
  readonly #padding: RsaPadding

  constructor({ keyNamespace, keyName, publicKey, privateKey, padding }: RawRsaKeyringOptions) {
    if (!Object.hasOwn(RSA_PADDINGS, padding)) {
      throw new TypeError(
        `"padding" expected one of ${Object.keys(RSA_PADDINGS).join(', ')}, got ${JSON.stringify(padding)}`,
      )
    }
    if (publicKey === undefined && privateKey === undefined) {
      throw new TypeError('a raw RSA keyring needs a "publicKey", a "privateKey" or both')
    }
    this.#keyNamespace = keyNamespace
    this.#keyName = keyNameBytes(keyNamespace, keyName)
    this.#publicKey = publicKey === undefined ? undefined : rsaKey('publicKey', 'public', publicKey)
    this.#privateKey = privateKey === undefined ? undefined : rsaKey('privateKey', 'private', privateKey)
    this.#padding = padding
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- async, so that failures reject
  async onEncrypt(materials: EncryptionMaterials): Promise<EncryptionMaterials> {
    const publicKey = this.#publicKey
    if (publicKey === undefined) throw new WrapError('a raw RSA keyring without a public key cannot encrypt')
    return addEncryptedDataKey(materials, (dataKey) => {
      try {
        const ciphertext = publicEncrypt({ key: publicKey, ...RSA_PADDINGS[this.#padding] }, dataKey)
        return { keyProviderId: this.#keyNamespace, keyProviderInfo: this.#keyName, ciphertext }
      } catch (cause) {
        throw new WrapError('the RSA key could not wrap the data key: it may be too short for this padding', { cause })
      }
    })
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- async, so that failures reject
  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    { signal }: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
    const attempts: Attempt[] = []
    for (const key of encryptedDataKeys) {
      signal?.throwIfAborted()
      const skipped = this.#skips(key)
      const attempt = { key, reason: skipped ?? NOT_UNWRAPPED }
      const disproved = materials.disproved.some(
        (earlier) => earlier.unwrappedBy === this && earlier.attempt.key === key,
      )
      const dataKey = skipped !== undefined || disproved ? undefined : this.#unwrap(key, materials.suite.keyBytes)
      if (dataKey !== undefined) {
        const unwrapped = { ...materials, dataKey: secretKey(dataKey) }
        return this.#padding === 'pkcs1' ? { ...unwrapped, unconfirmed: { unwrappedBy: this, attempt } } : unwrapped
      }
      attempts.push(attempt)
    }
    throw new UnwrapError(attempts)
  }

  #skips({ keyProviderId, keyProviderInfo }: EncryptedDataKey): string | undefined {
    if (this.#privateKey === undefined) return 'this keyring has no private key'
    if (keyProviderId !== this.#keyNamespace) return 'another key namespace'
    if (!keyProviderInfo.equals(this.#keyName)) return 'another key name'
    return undefined
  }

  #unwrap({ ciphertext }: EncryptedDataKey, keyBytes: number): Buffer | undefined {
    const key = this.#privateKey!
    try {
      const dataKey =
        this.#padding === 'pkcs1'
          ? decryptPkcs1(key, ciphertext)
          : privateDecrypt({ key, ...RSA_PADDINGS[this.#padding] }, ciphertext)
      if (dataKey.length === keyBytes) return dataKey
      dataKey.fill(0)
    } catch {
      // OpenSSL's reasons are an oracle; every failure is reported as NOT_UNWRAPPED.
    }
    return undefined
  }
}

function rsaKey(option: string, type: 'public' | 'private', key: string | Buffer | KeyObject): KeyObject {
  const expected = `"${option}" expected ${type === 'public' ? 'a public' : 'a private'} RSA key, in PEM or as a KeyObject`
  if (!types.isKeyObject(key) && type === 'public' && key.toString('latin1').includes('PRIVATE KEY')) {
    throw new TypeError(`${expected}: this is a private key, from which no public key is derived`)
  }
  let known: KeyObject
  try {
    if (types.isKeyObject(key)) known = key
    else known = type === 'public' ? createPublicKey(key) : createPrivateKey(key)
  } catch (cause) {
    throw new TypeError(expected, { cause })
  }
  if (known.type !== type || known.asymmetricKeyType !== 'rsa') throw new TypeError(expected)
  return known
}
