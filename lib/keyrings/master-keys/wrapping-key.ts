/** Wrapping keys: framework/raw-aes-keyring.md and raw-rsa-keyring.md, in the words of the master key interface. */
import { type KeyObject, createPrivateKey, createPublicKey } from 'node:crypto'
import { types } from 'node:util'
import type { Keyring } from '../../materials/keyring.ts'
import { RawAesKeyring } from '../raw-aes-keyring.ts'
import { RawRsaKeyring } from '../raw-rsa-keyring.ts'

const AES_BYTES = {
  AES_128_GCM_IV12_TAG16_NO_PADDING: 16,
  AES_192_GCM_IV12_TAG16_NO_PADDING: 24,
  AES_256_GCM_IV12_TAG16_NO_PADDING: 32,
} as const

const RSA_PADDINGS = {
  RSA_PKCS1: 'pkcs1',
  RSA_OAEP_SHA1_MGF1: 'oaep-sha1',
  RSA_OAEP_SHA256_MGF1: 'oaep-sha256',
  RSA_OAEP_SHA384_MGF1: 'oaep-sha384',
  RSA_OAEP_SHA512_MGF1: 'oaep-sha512',
} as const

type AesWrappingAlgorithm = keyof typeof AES_BYTES
type RsaWrappingAlgorithm = keyof typeof RSA_PADDINGS

/** How a raw master key wraps data keys; the names are those of the AWS Encryption SDK for Python. */
export type WrappingAlgorithm = AesWrappingAlgorithm | RsaWrappingAlgorithm

/** Which part of a key it is. A private RSA key also encrypts, with the public key that belongs to it. */
export type WrappingKeyType = 'symmetric' | 'public' | 'private'

/** A key of one's own and how it wraps. */
export interface WrappingKeyOptions {
  readonly wrappingAlgorithm: WrappingAlgorithm
  /** Bytes of an AES key; PEM of an RSA key; or a `KeyObject` of either. */
  readonly wrappingKey: string | Uint8Array | KeyObject
  readonly wrappingKeyType: WrappingKeyType
}

/**
 * What a {@link RawMasterKeyProvider} gives for a key id.
 *
 * @example new WrappingKey({ wrappingAlgorithm: 'RSA_OAEP_SHA256_MGF1', wrappingKey: pem, wrappingKeyType: 'private' })
 * @throws TypeError when the parts do not go together.
 */
export class WrappingKey {
  readonly wrappingAlgorithm: WrappingAlgorithm
  readonly wrappingKeyType: WrappingKeyType
  readonly #makeKeyring: (keyNamespace: string, keyName: Uint8Array) => Keyring

  constructor({ wrappingAlgorithm, wrappingKey, wrappingKeyType }: WrappingKeyOptions) {
    if (isAes(wrappingAlgorithm)) this.#makeKeyring = aesKeyringOf(wrappingAlgorithm, wrappingKey, wrappingKeyType)
    else if (isRsa(wrappingAlgorithm)) this.#makeKeyring = rsaKeyringOf(wrappingAlgorithm, wrappingKey, wrappingKeyType)
    else {
      const known = [...Object.keys(AES_BYTES), ...Object.keys(RSA_PADDINGS)].join(', ')
      throw new TypeError(`"wrappingAlgorithm" expected one of ${known}`)
    }
    this.wrappingAlgorithm = wrappingAlgorithm
    this.wrappingKeyType = wrappingKeyType
  }

  /** The keyring that wraps under this key, by that name. */
  keyring(keyNamespace: string, keyName: Uint8Array): Keyring {
    return this.#makeKeyring(keyNamespace, keyName)
  }
}

function isAes(name: string): name is AesWrappingAlgorithm {
  return Object.hasOwn(AES_BYTES, name)
}

function isRsa(name: string): name is RsaWrappingAlgorithm {
  return Object.hasOwn(RSA_PADDINGS, name)
}

type MakeKeyring = (keyNamespace: string, keyName: Uint8Array) => Keyring

function aesKeyringOf(
  algorithm: AesWrappingAlgorithm,
  wrappingKey: string | Uint8Array | KeyObject,
  type: WrappingKeyType,
): MakeKeyring {
  if (type !== 'symmetric') throw new TypeError(`${algorithm} goes with "wrappingKeyType": 'symmetric'`)
  const size = types.isKeyObject(wrappingKey) ? wrappingKey.symmetricKeySize : wrappingKey.length
  if (typeof wrappingKey === 'string' || size !== AES_BYTES[algorithm]) {
    throw new TypeError(`"wrappingKey" of ${algorithm} expected ${AES_BYTES[algorithm]} bytes`)
  }
  const key = types.isKeyObject(wrappingKey) ? wrappingKey : Uint8Array.from(wrappingKey)
  return (keyNamespace, keyName) => new RawAesKeyring({ keyNamespace, keyName, wrappingKey: key })
}

function rsaKeyringOf(
  algorithm: RsaWrappingAlgorithm,
  wrappingKey: string | Uint8Array | KeyObject,
  type: WrappingKeyType,
): MakeKeyring {
  if (type !== 'public' && type !== 'private') {
    throw new TypeError(`${algorithm} goes with "wrappingKeyType": 'public' or 'private'`)
  }
  const padding = RSA_PADDINGS[algorithm]
  const keys = rsaKeys(wrappingKey, type)
  return (keyNamespace, keyName) => new RawRsaKeyring({ keyNamespace, keyName, padding, ...keys })
}

function rsaKeys(
  wrappingKey: string | Uint8Array | KeyObject,
  type: 'public' | 'private',
): { publicKey: KeyObject; privateKey?: KeyObject } {
  try {
    const pem =
      typeof wrappingKey === 'string' || types.isKeyObject(wrappingKey) ? wrappingKey : Buffer.from(wrappingKey)
    if (type === 'public') return { publicKey: types.isKeyObject(pem) ? publicOnly(pem) : createPublicKey(pem) }
    const privateKey = types.isKeyObject(pem) ? pem : createPrivateKey(pem)
    return { publicKey: createPublicKey(privateKey), privateKey }
  } catch (cause) {
    throw new TypeError(`"wrappingKey" expected a ${type} RSA key, in PEM or as a KeyObject`, { cause })
  }
}

function publicOnly(key: KeyObject): KeyObject {
  if (key.type !== 'public') throw new TypeError('not a public key')
  return key
}
