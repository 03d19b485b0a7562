/** The raw AES keyring: framework/raw-aes-keyring.md. */
import { type KeyObject, createSecretKey } from 'node:crypto'
import { types } from 'node:util'
import { openAead, sealAead } from '../crypto/aead.ts'
import { secretKey } from '../crypto/message-keys.ts'
import { fewRandomBytes } from '../crypto/random.ts'
import { type Attempt, UnwrapError } from '../errors.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import { type EncryptionContext, encodeEncryptionContext, encodePairs } from '../format/encryption-context.ts'
import { IV_BYTES, TAG_BYTES } from '../format/header-authentication.ts'
import type { CallOptions, Keyring } from '../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../materials/materials.ts'
import { NOT_AUTHENTIC, encodeAesProviderInfo, ivOf, notByAesKey } from './aes-provider-info.ts'
import { addEncryptedDataKey } from './data-key.ts'
import { keyNameBytes } from './key-name.ts'

/** A local AES key and the name that messages know it by. */
export interface RawAesKeyringOptions {
  /** Who manages the key: the provider id of its encrypted data keys. May not begin with `aws-kms`. */
  readonly keyNamespace: string
  /** Text; or bytes, for keys that other SDKs know by a name that is no text. */
  readonly keyName: string | Uint8Array
  /** 16, 24 or 32 bytes, copied; or a secret `KeyObject` of that size. */
  readonly wrappingKey: Uint8Array | KeyObject
  /**
   * On decryption, also try the order of pairs of `localeCompare`, in which the AWS Encryption SDK for JavaScript
   * authenticates an encryption context unless its `utf8Sorting` is set. Off unless said; encryption is not affected.
   */
  readonly allowLocaleSortedContext?: boolean
}

/**
 * Wraps data keys with AES-GCM under a key held in memory. The encryption context is authenticated with each.
 *
 * @example new RawAesKeyring({ keyNamespace: 'my-app', keyName: 'backup-2026', wrappingKey: randomBytes(32) })
 * @throws TypeError when a name is unfit or the key is no AES key.
 */
export class RawAesKeyring implements Keyring {
  readonly #keyNamespace: string
  readonly #keyName: Buffer
  readonly #wrappingKey: KeyObject
  readonly #allowLocaleSortedContext: boolean

  constructor({ keyNamespace, keyName, wrappingKey, allowLocaleSortedContext = false }: RawAesKeyringOptions) {
    this.#keyNamespace = keyNamespace
    this.#keyName = keyNameBytes(keyNamespace, keyName)
    this.#wrappingKey = aesKey(wrappingKey)
    this.#allowLocaleSortedContext = allowLocaleSortedContext
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- async, so that failures reject
  async onEncrypt(materials: EncryptionMaterials): Promise<EncryptionMaterials> {
    const aad = encodeEncryptionContext(materials.encryptionContext)
    return addEncryptedDataKey(materials, (dataKey) => {
      const iv = fewRandomBytes(IV_BYTES)
      const { ciphertext, tag } = sealAead(this.#wrappingKey, iv, aad, dataKey)
      return {
        keyProviderId: this.#keyNamespace,
        keyProviderInfo: encodeAesProviderInfo(this.#keyName, iv),
        ciphertext: Buffer.concat([ciphertext, tag]),
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
    const aads = [encodeEncryptionContext(materials.encryptionContext)]
    if (this.#allowLocaleSortedContext) aads.push(encodeLocaleSorted(materials.encryptionContext))
    const attempts: Attempt[] = []
    for (const key of encryptedDataKeys) {
      signal?.throwIfAborted()
      const skipped = notByAesKey(key, this.#keyNamespace, this.#keyName, materials.suite.keyBytes)
      const dataKey = skipped === undefined ? this.#unwrap(key, aads) : undefined
      if (dataKey !== undefined) return { ...materials, dataKey: secretKey(dataKey) }
      attempts.push({ key, reason: skipped ?? NOT_AUTHENTIC })
    }
    throw new UnwrapError(attempts)
  }

  #unwrap(key: EncryptedDataKey, aads: readonly Buffer[]): Buffer | undefined {
    const { ciphertext } = key
    const iv = ivOf(key)
    const sealed = { ciphertext: ciphertext.subarray(0, -TAG_BYTES), tag: ciphertext.subarray(-TAG_BYTES) }
    for (const aad of aads) {
      const dataKey = openAead(this.#wrappingKey, iv, aad, sealed)
      if (dataKey !== undefined) return dataKey
    }
    return undefined
  }
}

function aesKey(key: Uint8Array | KeyObject): KeyObject {
  // createSecretKey would take a string of hex or base64 for the key itself.
  const known = types.isKeyObject(key) ? key : types.isUint8Array(key) ? createSecretKey(key) : undefined
  if (known?.type !== 'secret' || ![16, 24, 32].includes(known.symmetricKeySize ?? 0)) {
    throw new TypeError('"wrappingKey" expected 16, 24 or 32 bytes, or a secret KeyObject of that size')
  }
  return known
}

function encodeLocaleSorted(context: EncryptionContext): Buffer {
  const sorted = Object.entries(context).sort(([a], [b]) => a.localeCompare(b))
  return encodePairs(sorted.map(([name, value]) => [Buffer.from(name, 'utf8'), Buffer.from(value, 'utf8')]))
}
