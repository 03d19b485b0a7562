/** AES-GCM with a 12-byte IV and a 16-byte tag, the only AEAD of the specification. */
import { type KeyObject, createCipheriv, createDecipheriv } from 'node:crypto'
import { IV_BYTES, TAG_BYTES } from '../format/header-authentication.ts'
import { chosenAddon } from './addon-choice.ts'
import { withKeyBytes } from './key-bytes.ts'
import type { NativeAddon } from './native-addon.ts'

/** Ciphertext and tag. */
export interface Sealed {
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

const OPTIONS = { authTagLength: TAG_BYTES }
/** From here on the addon would save nothing, and it takes no more than 1 GiB. */
const LARGE_BYTES = 64 * 1024
const CIPHERS = { 16: 'aes-128-gcm', 24: 'aes-192-gcm', 32: 'aes-256-gcm' } as const

/** A key that seals and opens. What depends on the key alone is looked up once, not for every frame. */
export class AeadKey {
  readonly #key: KeyObject
  readonly #addon: NativeAddon | undefined
  readonly #cipher: (typeof CIPHERS)[keyof typeof CIPHERS]

  /** @param addon what short plaintexts go through; node:crypto unless there is one */
  constructor(key: KeyObject, addon: NativeAddon | undefined) {
    const size = key.symmetricKeySize
    if (size !== 16 && size !== 24 && size !== 32) {
      throw new TypeError(`an AES key has 16, 24 or 32 bytes, got ${size ?? 'no secret key'}`)
    }
    this.#key = key
    this.#addon = addon
    this.#cipher = CIPHERS[size]
  }

  /** Encrypts and authenticates `plaintext`; authenticates `aad`. */
  seal(iv: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Sealed {
    if (iv.length !== IV_BYTES) throw new TypeError(`an IV has ${IV_BYTES} bytes, got ${iv.length}`)
    if (this.#addon !== undefined && plaintext.length < LARGE_BYTES)
      return this.#sealNatively(this.#addon, iv, aad, plaintext)
    const cipher = createCipheriv(this.#cipher, this.#key, iv, OPTIONS)
    cipher.setAAD(aad)
    const ciphertext = cipher.update(plaintext)
    cipher.final()
    return { ciphertext, tag: cipher.getAuthTag() }
  }

  /** The plaintext, or `undefined` where it is not authentic. Nothing that failed its tag leaves this function. */
  open(iv: Uint8Array, aad: Uint8Array, ciphertext: Uint8Array, tag: Uint8Array): Buffer | undefined {
    if (iv.length !== IV_BYTES) throw new TypeError(`an IV has ${IV_BYTES} bytes, got ${iv.length}`)
    if (tag.length !== TAG_BYTES) return undefined
    if (this.#addon !== undefined && ciphertext.length < LARGE_BYTES)
      return this.#openNatively(this.#addon, iv, aad, ciphertext, tag)
    const decipher = createDecipheriv(this.#cipher, this.#key, iv, OPTIONS)
    decipher.setAAD(aad)
    decipher.setAuthTag(tag)
    const plaintext = decipher.update(ciphertext)
    try {
      decipher.final()
      return plaintext
    } catch {
      plaintext.fill(0)
      return undefined
    }
  }

  #sealNatively(addon: NativeAddon, iv: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Sealed {
    const sealed = Buffer.allocUnsafe(plaintext.length + TAG_BYTES)
    withKeyBytes(this.#key, (key) => {
      addon.sealOnce(key, iv, aad, plaintext, sealed)
    })
    return { ciphertext: sealed.subarray(0, plaintext.length), tag: sealed.subarray(plaintext.length) }
  }

  #openNatively(
    addon: NativeAddon,
    iv: Uint8Array,
    aad: Uint8Array,
    ciphertext: Uint8Array,
    tag: Uint8Array,
  ): Buffer | undefined {
    const plaintext = Buffer.allocUnsafe(ciphertext.length)
    const authentic = withKeyBytes(this.#key, (key) => addon.openOnce(key, iv, aad, ciphertext, plaintext, tag))
    return authentic ? plaintext : undefined
  }
}

/** {@link AeadKey.seal} of a key that is used once. */
export function sealAead(
  key: KeyObject,
  iv: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  addon: NativeAddon | undefined = chosenAddon(),
): Sealed {
  return new AeadKey(key, addon).seal(iv, aad, plaintext)
}

/** {@link AeadKey.open} of a key that is used once. */
export function openAead(
  key: KeyObject,
  iv: Uint8Array,
  aad: Uint8Array,
  { ciphertext, tag }: Sealed,
  addon: NativeAddon | undefined = chosenAddon(),
): Buffer | undefined {
  return new AeadKey(key, addon).open(iv, aad, ciphertext, tag)
}
