/** Data keys under a key on a token: framework/raw-aes-keyring.md and raw-rsa-keyring.md, by PKCS #11. */
import { type KeyObject, randomBytes } from 'node:crypto'
import { types } from 'node:util'
import { secretKey } from '../../crypto/message-keys.ts'
import { type Attempt, UnwrapError, WrapError } from '../../errors.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import { encodeEncryptionContext } from '../../format/encryption-context.ts'
import { IV_BYTES } from '../../format/header-authentication.ts'
import type { CallOptions, Keyring } from '../../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import { unlessAborted } from '../../materials/shared-request.ts'
import { NOT_AUTHENTIC, encodeAesProviderInfo, ivOf, notByAesKey } from '../aes-provider-info.ts'
import { addEncryptedDataKeyAsync } from '../data-key.ts'
import { keyNameBytes } from '../key-name.ts'
import { NOT_UNWRAPPED, RSA_PADDINGS, type RsaPadding } from '../raw-rsa-keyring.ts'
import type { Pkcs11Module } from './pkcs11-module.ts'
import { type Pin, Pkcs11Token } from './pkcs11-token.ts'
import type { Session, SessionWork } from './session-pool.ts'
import { TokenFailure, reasonOf } from './token-failure.ts'
import { type KeyQuery, nameOf, openOnToken, sealOnToken, unwrapOnToken, wrapForToken } from './token-key.ts'

/** A key on a token, how to reach it, and the name that messages know it by. */
export interface Pkcs11KeyringOptions {
  /** The path of the shared library that comes with the token. Either this or `module`. */
  readonly library?: string
  /** An instance of pkcs11js's class `PKCS11`, which you initialized (with `CKF_OS_LOCKING_OK`) and will finalize. */
  readonly module?: Pkcs11Module
  /** The number of the slot that the token is in. Either this or `tokenLabel`. */
  readonly slot?: number
  /** The label of the token. */
  readonly tokenLabel?: string
  /**
   * The user's PIN, or a function that is asked for it when nobody is logged in yet. A PIN that the token refused is not
   * sent again: a few wrong ones lock a token. Not needed where your program has logged in, or the key is no private object.
   */
  readonly pin?: Pin
  /** The key's `CKA_LABEL`; of an RSA key, both halves have it. This or `keyId`, or both. */
  readonly keyLabel?: string
  /** The key's `CKA_ID`. */
  readonly keyId?: Uint8Array
  /** Who manages the key: the provider id of its encrypted data keys. May not begin with `aws-kms`. */
  readonly keyNamespace: string
  /** What messages call the key; it need not be its label. Text; or bytes, for names that are no text. */
  readonly keyName: string | Uint8Array
  /** How data keys are wrapped: AES-GCM under an AES key, or under an RSA key with this padding. */
  readonly wrappingAlgorithm: Pkcs11WrappingAlgorithm
  /** With AES-GCM, for tokens that take no IV but make it themselves, such as AWS CloudHSM. Off unless said. */
  readonly tokenGeneratesIv?: boolean
}

/** As `RawAesKeyring` wraps data keys, or as `RawRsaKeyring` does with this padding. */
export type Pkcs11WrappingAlgorithm = 'aes-gcm' | RsaPadding

const ALGORITHMS: readonly string[] = ['aes-gcm', ...Object.keys(RSA_PADDINGS)]

/** What a token is given that makes the IV itself. */
const NO_IV = Buffer.alloc(IV_BYTES)

/** What is called of a module that is handed over. */
const METHODS = ['C_OpenSession', 'C_FindObjects', 'C_EncryptAsync', 'C_DecryptAsync'] as const

/**
 * Wraps data keys under an AES or RSA key that stays on a token: a hardware security module, a smart card. Needs the
 * package `pkcs11js`, which is loaded when the keyring is first used. Messages are those of `RawAesKeyring` and
 * `RawRsaKeyring` under the same key, name and namespace. RSA wraps in this process, under the public key that is on the
 * token, and unwraps on the token. It stays logged in until it is closed. Only the token's encrypting and decrypting is
 * off this thread; pkcs11js opens sessions, logs in and finds keys on it.
 *
 * @example
 * const keyring = new Pkcs11Keyring({
 *   library: '/opt/cloudhsm/lib/libcloudhsm_pkcs11.so',
 *   tokenLabel: 'hsm1',
 *   pin: () => readPin(),
 *   keyLabel: 'backup',
 *   wrappingAlgorithm: 'aes-gcm',
 *   tokenGeneratesIv: true,
 *   keyNamespace: 'my-hsm',
 *   keyName: 'backup-2026',
 * })
 * @throws TypeError | RangeError when an option is unfit.
 */
export class Pkcs11Keyring implements Keyring {
  readonly #token: Pkcs11Token
  readonly #query: KeyQuery
  readonly #keyNamespace: string
  readonly #keyName: Buffer
  readonly #padding: RsaPadding | undefined
  readonly #tokenGeneratesIv: boolean

  constructor(options: Pkcs11KeyringOptions) {
    const { keyLabel, keyId, keyNamespace, keyName, wrappingAlgorithm, pin, tokenGeneratesIv = false } = options
    const module = checkedModule(options)
    const token = checkedToken(options)
    if (pin !== undefined && typeof pin !== 'string' && typeof pin !== 'function') {
      throw new TypeError('"pin" expected a string or a function')
    }
    if (!ALGORITHMS.includes(wrappingAlgorithm)) {
      const got = JSON.stringify(wrappingAlgorithm)
      throw new TypeError(`"wrappingAlgorithm" expected one of ${ALGORITHMS.join(', ')}, got ${got}`)
    }
    if (typeof tokenGeneratesIv !== 'boolean') throw new TypeError('"tokenGeneratesIv" expected a boolean')
    if (tokenGeneratesIv && wrappingAlgorithm !== 'aes-gcm') {
      throw new TypeError('"tokenGeneratesIv" goes with the wrapping algorithm aes-gcm only')
    }
    this.#query = checkedQuery(keyLabel, keyId)
    this.#keyNamespace = keyNamespace
    this.#keyName = keyNameBytes(keyNamespace, keyName)
    this.#padding = wrappingAlgorithm === 'aes-gcm' ? undefined : wrappingAlgorithm
    this.#tokenGeneratesIv = tokenGeneratesIv
    this.#token = new Pkcs11Token({ module, token, pin })
  }

  async onEncrypt(materials: EncryptionMaterials, { signal }: CallOptions = {}): Promise<EncryptionMaterials> {
    const aad = encodeEncryptionContext(materials.encryptionContext)
    const wrapped = addEncryptedDataKeyAsync(materials, (dataKey) =>
      this.#token.use((session) => this.#wrap(session, dataKey, aad), signal),
    )
    try {
      return await unlessAborted(wrapped, signal)
    } catch (cause) {
      signal?.throwIfAborted()
      throw new WrapError(`the key ${nameOf(this.#query)} could not wrap the data key: ${reasonOf(cause)}`, { cause })
    }
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    { signal }: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
    const attempts: Attempt[] = []
    for (const key of encryptedDataKeys) {
      signal?.throwIfAborted()
      const result = await this.#attempt(key, materials, signal)
      if ('reason' in result) {
        attempts.push({ key, ...result })
      } else if (this.#padding === 'pkcs1') {
        const attempt = { key, reason: NOT_UNWRAPPED }
        return { ...materials, dataKey: result, unconfirmed: { unwrappedBy: this, attempt } }
      } else {
        return { ...materials, dataKey: result }
      }
    }
    throw new UnwrapError(attempts)
  }

  /**
   * Waits for calls that are under way, closes the sessions and, when no other keyring uses a PKCS #11 module, finalizes
   * those that keyrings initialized. Afterwards the keyring neither encrypts nor decrypts.
   */
  close(): Promise<void> {
    return this.#token.close()
  }

  /** {@link close}, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #wrap(session: Session, dataKey: Buffer, aad: Buffer): Promise<EncryptedDataKey> {
    const keyProviderId = this.#keyNamespace
    if (this.#padding !== undefined) {
      const ciphertext = wrapForToken(session, this.#query, this.#padding, dataKey)
      return { keyProviderId, keyProviderInfo: this.#keyName, ciphertext }
    }
    const iv = this.#tokenGeneratesIv ? Buffer.alloc(IV_BYTES) : randomBytes(IV_BYTES)
    const ciphertext = await sealOnToken(session, this.#query, { iv, aad, dataKey })
    if (iv.equals(NO_IV)) throw new TokenFailure('the token generated no IV')
    return { keyProviderId, keyProviderInfo: encodeAesProviderInfo(this.#keyName, iv), ciphertext }
  }

  /** The data key, or why there is none. */
  async #attempt(
    key: EncryptedDataKey,
    materials: DecryptionMaterials,
    signal: AbortSignal | undefined,
  ): Promise<KeyObject | Omit<Attempt, 'key'>> {
    const { suite, disproved } = materials
    const skipped = this.#skips(key, suite.keyBytes)
    if (skipped !== undefined) return { reason: skipped }
    if (disproved.some((earlier) => earlier.unwrappedBy === this && earlier.attempt.key === key)) {
      return { reason: NOT_UNWRAPPED }
    }
    try {
      const work: SessionWork<KeyObject | undefined> = (...use) => this.#unwrap(key, materials, ...use)
      const dataKey = await unlessAborted(this.#token.use(work, signal), signal)
      return dataKey ?? { reason: this.#padding === undefined ? NOT_AUTHENTIC : NOT_UNWRAPPED }
    } catch (cause) {
      signal?.throwIfAborted()
      return { reason: reasonOf(cause), cause }
    }
  }

  #skips(key: EncryptedDataKey, keyBytes: number): string | undefined {
    if (this.#padding === undefined) return notByAesKey(key, this.#keyNamespace, this.#keyName, keyBytes)
    if (key.keyProviderId !== this.#keyNamespace) return 'another key namespace'
    if (!key.keyProviderInfo.equals(this.#keyName)) return 'another key name'
    return undefined
  }

  #unwrap(
    key: EncryptedDataKey,
    { suite, encryptionContext }: DecryptionMaterials,
    session: Session,
    last: boolean,
  ): Promise<KeyObject | undefined> {
    const { ciphertext } = key
    if (this.#padding !== undefined) {
      const how = { padding: this.#padding, keyBytes: suite.keyBytes, last }
      return unwrapOnToken(session, this.#query, how, ciphertext, secretKey)
    }
    const sealed = { iv: ivOf(key), aad: encodeEncryptionContext(encryptionContext), ciphertext }
    return openOnToken(session, this.#query, sealed, secretKey)
  }
}

function checkedModule({ library, module }: Pkcs11KeyringOptions): string | Pkcs11Module {
  if ((library === undefined) === (module === undefined)) {
    throw new TypeError('expected exactly one of "library" and "module"')
  }
  if (module === undefined) {
    if (typeof library === 'string' && library !== '') return library
    throw new TypeError('"library" expected the path of a PKCS #11 module')
  }
  const fits = METHODS.every((name) => typeof (module as Partial<Pkcs11Module> | null)?.[name] === 'function')
  if (!fits) throw new TypeError('"module" expected an instance of the class PKCS11 of pkcs11js 2')
  return module
}

function checkedToken({ slot, tokenLabel }: Pkcs11KeyringOptions): number | string {
  if ((slot === undefined) === (tokenLabel === undefined)) {
    throw new TypeError('expected exactly one of "slot" and "tokenLabel"')
  }
  if (tokenLabel !== undefined) {
    if (typeof tokenLabel === 'string' && tokenLabel !== '') return tokenLabel
    throw new TypeError('"tokenLabel" expected a non-empty string')
  }
  if (slot !== undefined && Number.isSafeInteger(slot) && slot >= 0) return slot
  throw new RangeError(`"slot" expected the number of a slot, got ${String(slot)}`)
}

function checkedQuery(label: unknown, id: unknown): KeyQuery {
  if (label === undefined && id === undefined) throw new TypeError('expected a "keyLabel" or a "keyId"')
  if (label !== undefined && (typeof label !== 'string' || label === '')) {
    throw new TypeError('"keyLabel" expected a non-empty string')
  }
  if (id !== undefined && (!types.isUint8Array(id) || id.length === 0)) {
    throw new TypeError('"keyId" expected bytes, at least one')
  }
  return { label, id: id === undefined ? undefined : Buffer.from(id) }
}
