/** AES-GCM with a 12-byte IV and a 16-byte tag, the only AEAD of the specification. */
import { type CipherGCM, type DecipherGCM, type KeyObject, createCipheriv, createDecipheriv } from 'node:crypto'
import { IV_BYTES, TAG_BYTES } from '../format/header-authentication.ts'

/** Ciphertext and tag. */
export interface Sealed {
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

const OPTIONS = { authTagLength: TAG_BYTES }

function cipherName(key: KeyObject): 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm' {
  if (key.symmetricKeySize === 16) return 'aes-128-gcm'
  if (key.symmetricKeySize === 24) return 'aes-192-gcm'
  if (key.symmetricKeySize === 32) return 'aes-256-gcm'
  throw new TypeError(`an AES key has 16, 24 or 32 bytes, got ${key.symmetricKeySize ?? 'no secret key'}`)
}

/** Encrypts and authenticates `plaintext`; authenticates `aad`. */
export function sealAead(key: KeyObject, iv: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Sealed {
  checkIv(iv)
  const cipher: CipherGCM = createCipheriv(cipherName(key), key, iv, OPTIONS)
  cipher.setAAD(aad)
  const ciphertext = cipher.update(plaintext)
  cipher.final()
  return { ciphertext, tag: cipher.getAuthTag() }
}

/** The plaintext, or `undefined` where it is not authentic. Nothing that failed its tag leaves this function. */
export function openAead(
  key: KeyObject,
  iv: Uint8Array,
  aad: Uint8Array,
  { ciphertext, tag }: Sealed,
): Buffer | undefined {
  checkIv(iv)
  if (tag.length !== TAG_BYTES) return undefined
  const decipher: DecipherGCM = createDecipheriv(cipherName(key), key, iv, OPTIONS)
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

function checkIv(iv: Uint8Array): void {
  if (iv.length !== IV_BYTES) throw new TypeError(`an IV has ${IV_BYTES} bytes, got ${iv.length}`)
}
