/** A token of SoftHSM with known keys, for the specs of this folder and the examples. */
import assert from 'node:assert/strict'
import { type KeyObject, generateKeyPairSync } from 'node:crypto'
import { type DecryptionMaterials, type Keyring, UnwrapError, WrapError } from 'esdk-streams'
import type { EncryptedDataKey } from 'esdk-streams/format'
import type { Pkcs11Attribute, Pkcs11Keyring, Pkcs11KeyringOptions } from 'esdk-streams/pkcs11'
import { sequence } from '../../arbitraries.ts'
import { type AdminModule, SoftHsm } from '../../emulators/softhsm.ts'
import { preparedOrPending } from '../../interop/pending.ts'
import { decryptionMaterials, encryptionMaterials, secret } from '../../materials/sample.ts'
import { assertLeaksNothing } from '../leaks.ts'

export const TOKEN = 'esdk spec'
export const PIN = 'a PIN of the spec'
export const OTHER_TOKEN = 'other'

export const names: { readonly keyNamespace: string; readonly keyName: string } = {
  keyNamespace: 'namespace',
  keyName: 'key1',
}

/** AES keys by their labels. */
export const AES_KEYS: Readonly<Record<'aes-128' | 'aes-192' | 'aes', Buffer>> = {
  'aes-128': sequence(1, 16),
  'aes-192': sequence(2, 24),
  aes: sequence(3, 32),
}

interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

/** RSA keys; short ones, so that what must be found by trying is found soon. */
export const pair: KeyPair = generateKeyPairSync('rsa', { modulusLength: 2048 })
export const short: KeyPair = generateKeyPairSync('rsa', { modulusLength: 1024 })

interface Flags {
  readonly encrypt?: boolean
  readonly decrypt?: boolean
}

/** Puts keys on a token. */
export class KeyImport {
  readonly #hsm: SoftHsm
  readonly #admin: AdminModule
  readonly #session: Buffer

  constructor(hsm: SoftHsm, admin: AdminModule, session: Buffer) {
    this.#hsm = hsm
    this.#admin = admin
    this.#session = session
  }

  aes(label: string, bytes: Buffer, id: number, { encrypt = true, decrypt = true }: Flags = {}): Buffer {
    return this.#create('CKO_SECRET_KEY', 'CKK_AES', label, id, {
      CKA_VALUE: bytes,
      CKA_PRIVATE: true,
      CKA_SENSITIVE: true,
      CKA_EXTRACTABLE: false,
      CKA_ENCRYPT: encrypt,
      CKA_DECRYPT: decrypt,
    })
  }

  publicKey(label: string, key: KeyObject, id: number, encrypt = true): Buffer {
    const { n, e } = key.export({ format: 'jwk' })
    return this.#create('CKO_PUBLIC_KEY', 'CKK_RSA', label, id, {
      CKA_MODULUS: decoded(n),
      CKA_PUBLIC_EXPONENT: decoded(e),
      CKA_PRIVATE: false,
      CKA_ENCRYPT: encrypt,
    })
  }

  privateKey(label: string, key: KeyObject, id: number, decrypt = true): Buffer {
    const { n, e, d, p, q, dp, dq, qi } = key.export({ format: 'jwk' })
    return this.#create('CKO_PRIVATE_KEY', 'CKK_RSA', label, id, {
      CKA_MODULUS: decoded(n),
      CKA_PUBLIC_EXPONENT: decoded(e),
      CKA_PRIVATE_EXPONENT: decoded(d),
      CKA_PRIME_1: decoded(p),
      CKA_PRIME_2: decoded(q),
      CKA_EXPONENT_1: decoded(dp),
      CKA_EXPONENT_2: decoded(dq),
      CKA_COEFFICIENT: decoded(qi),
      CKA_PRIVATE: true,
      CKA_SENSITIVE: true,
      CKA_EXTRACTABLE: false,
      CKA_DECRYPT: decrypt,
    })
  }

  rsa(label: string, { publicKey, privateKey }: KeyPair, id: number): void {
    this.publicKey(label, publicKey, id)
    this.privateKey(label, privateKey, id)
  }

  /** Removes all keys of this label. */
  destroy(label: string): void {
    this.#admin.C_FindObjectsInit(this.#session, [{ type: this.#hsm.pkcs11js['CKA_LABEL']!, value: label }])
    const found = this.#admin.C_FindObjects(this.#session, 10)
    this.#admin.C_FindObjectsFinal(this.#session)
    for (const object of found) this.#admin.C_DestroyObject(this.#session, object)
  }

  #create(
    objectClass: string,
    keyType: string,
    label: string,
    id: number,
    rest: Readonly<Record<string, Buffer | boolean>>,
  ): Buffer {
    const js = this.#hsm.pkcs11js
    const all = {
      CKA_CLASS: js[objectClass]!,
      CKA_KEY_TYPE: js[keyType]!,
      CKA_TOKEN: true,
      CKA_LABEL: label,
      CKA_ID: Buffer.from([id]),
      ...rest,
    }
    const template: Pkcs11Attribute[] = Object.entries(all).map(([name, value]) => ({ type: js[name]!, value }))
    return this.#admin.C_CreateObject(this.#session, template)
  }
}

function decoded(value: string | undefined): Buffer {
  return Buffer.from(value!, 'base64url')
}

/** Puts keys on a token of its own while the specs run. */
export function importKeys<T>(hsm: SoftHsm, work: (keys: KeyImport) => T, token: string = TOKEN): T {
  return hsm.asUser(token, PIN, (admin, session) => work(new KeyImport(hsm, admin, session)))
}

/** A token with the keys above, and one with none. */
export async function startToken(): Promise<SoftHsm> {
  const hsm = await SoftHsm.start()
  makeTokens(hsm)
  return hsm
}

/** Makes them anew. */
export function makeTokens(hsm: SoftHsm): void {
  hsm.initToken(TOKEN, PIN)
  hsm.initToken(OTHER_TOKEN, PIN)
  importKeys(hsm, (keys) => {
    for (const [index, [label, bytes]] of Object.entries(AES_KEYS).entries()) keys.aes(label, bytes, index + 1)
    keys.aes('only encrypts', AES_KEYS.aes, 4, { decrypt: false })
    keys.aes('only decrypts', AES_KEYS.aes, 5, { encrypt: false })
    keys.aes('twice', AES_KEYS.aes, 6)
    keys.aes('twice', AES_KEYS['aes-128'], 7)
    keys.rsa('rsa', pair, 10)
    keys.rsa('short', short, 11)
    keys.publicKey('signs', pair.publicKey, 12, false)
    keys.privateKey('signs', pair.privateKey, 12, false)
    keys.publicKey('planted', short.publicKey, 13)
    keys.privateKey('planted', pair.privateKey, 13)
    keys.publicKey('public half', pair.publicKey, 14)
    keys.privateKey('private half', pair.privateKey, 15)
  })
  hsm.finalize()
}

/** The token for the specs of the suite that calls this. */
export function useToken(): {
  readonly hsm: SoftHsm
  readonly options: Pick<Pkcs11KeyringOptions, 'pin' | 'tokenLabel'> & { readonly library: string }
} {
  let hsm: SoftHsm | undefined

  before(async function () {
    this.timeout(300_000)
    hsm = await preparedOrPending(this, startToken)
  })

  after(() => hsm?.stop())

  return {
    get hsm() {
      return hsm!
    },
    get options() {
      return { library: hsm!.library, tokenLabel: TOKEN, pin: PIN }
    },
  }
}

type Method = (...args: never[]) => unknown

/** A module that calls `before` ahead of every call, for it to count, or to answer with a failure. */
export function watched(module: AdminModule, before: (name: string, args: readonly unknown[]) => unknown): AdminModule {
  return overridden(module, (name, args, call) => {
    before(name, args)
    return call()
  })
}

/** A module of which `instead` makes the calls. */
export function overridden(
  module: AdminModule,
  instead: (name: string, args: readonly unknown[], call: () => unknown) => unknown,
): AdminModule {
  return new Proxy(module, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function' || typeof name !== 'string') return value
      return (...args: unknown[]) => instead(name, args, () => Reflect.apply(value as Method, target, args)) // pkcs11js checks them
    },
  })
}

/** Options without one of them: `undefined` is none that may be given. */
export function without<T extends object, K extends keyof T>(options: T, name: K): Omit<T, K> {
  const rest = { ...options }
  Reflect.deleteProperty(rest, name)
  return rest
}

/** What pkcs11js throws. */
export function answer(name: string, number = 0): Error {
  return new Error(`${name}:${number}`)
}

/** The failure of a keyring that could not encrypt. */
export async function wrapErrorOf(keyring: Pkcs11Keyring): Promise<WrapError> {
  const error: unknown = await keyring.onEncrypt(encryptionMaterials({ dataKey: secret() })).then(
    () => assert.fail('a data key was wrapped'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof WrapError, String(error))
  assertLeaksNothing(error, secret().export(), Buffer.from(PIN))
  return error
}

/** A data key, wrapped. */
export async function wrapped(by: Keyring, encryptionContext: Record<string, string> = {}): Promise<EncryptedDataKey> {
  const { encryptedDataKeys } = await by.onEncrypt(encryptionMaterials({ dataKey: secret(), encryptionContext }), {})
  return encryptedDataKeys[0]!
}

/** That a keyring unwraps what was wrapped above. */
export async function assertUnwraps(by: Keyring, key: EncryptedDataKey, encryptionContext = {}): Promise<void> {
  const { dataKey } = await by.onDecrypt(decryptionMaterials({ encryptionContext }), [key], {})
  assert.equal(dataKey?.equals(secret()), true)
}

/** What became of data keys that could not be unwrapped. */
export async function attemptsOf(
  by: Pkcs11Keyring,
  keys: readonly EncryptedDataKey[],
  changes: Partial<DecryptionMaterials> = {},
): Promise<UnwrapError['attempts']> {
  const error: unknown = await by.onDecrypt(decryptionMaterials(changes), keys).then(
    () => assert.fail('a data key was unwrapped'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof UnwrapError, String(error))
  assertLeaksNothing(error, secret().export(), Buffer.from(PIN))
  return error.attempts
}

/** Their reasons. */
export async function reasonsOf(by: Pkcs11Keyring, ...keys: EncryptedDataKey[]): Promise<string[]> {
  return (await attemptsOf(by, keys)).map(({ reason }) => reason)
}
