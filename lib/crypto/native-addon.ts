/** The addon of native/: its functions, and where its binaries lie. */
import { isError } from '../errors.ts'
import { createRequire } from 'node:module'

/** A frame cipher in the addon. Its key schedule is freed by `end`, or when this is collected. */
export interface NativeHandle {
  readonly nativeHandle: unique symbol
}

/** What the addon gives. It checks its arguments, and throws a TypeError or RangeError where they are wrong. */
export interface NativeAddon {
  /** A cipher under `key`. `aad` is that of any regular frame of the message. */
  create(key: Uint8Array, aad: Uint8Array, frameLength: number): NativeHandle
  /** Seals a whole number of frames, 1 or more, numbered from `first`, into `frames`, which must be as long as they. */
  seal(handle: NativeHandle, plaintext: Uint8Array, first: number, frames: Uint8Array): void
  /**
   * Opens a whole number of frames, 1 or more, numbered from `first`, into `plaintext`, which must be as long as theirs.
   * How many came before the first that bears another number or is not authentic: all, if none does. Else `plaintext`
   * is cleared, and the handle has ended.
   */
  open(handle: NativeHandle, frames: Uint8Array, first: number, plaintext: Uint8Array): number
  /** Clears and frees the key schedule; again is fine. */
  end(handle: NativeHandle): void
  /** Seals one message under a 12-byte IV into ciphertext and 16-byte tag, which must have just that room. */
  sealOnce(key: Uint8Array, iv: Uint8Array, aad: Uint8Array, plaintext: Uint8Array, sealed: Uint8Array): void
  /** Opens one message. Whether it is authentic; else the plaintext's memory is cleared. */
  openOnce(
    key: Uint8Array,
    iv: Uint8Array,
    aad: Uint8Array,
    ciphertext: Uint8Array,
    plaintext: Uint8Array,
    tag: Uint8Array,
  ): boolean
  /** HKDF with SHA-512: once extracted, and expanded under each label into 32 bytes of `derived`. */
  deriveTwo(
    dataKey: Uint8Array,
    salt: Uint8Array,
    firstLabel: Uint8Array,
    secondLabel: Uint8Array,
    derived: Uint8Array,
  ): void
  /** Fills 1 to 1024 bytes with random ones. */
  random(bytes: Uint8Array): void
  /** Signs a digest with a private key in DER: how long the signature is that was written into the 160 bytes for it. */
  signDigest(key: Uint8Array, digest: Uint8Array, signature: Uint8Array): number
}

/**
 * Loads the addon of this platform.
 *
 * @throws whatever Node says: it was not built, addons are not allowed, or this Node exports no OpenSSL 3.
 */
export function loadNativeAddon(): NativeAddon {
  const require = createRequire(import.meta.url)
  const platform = `${process.platform}-${process.arch}`
  let failure: unknown
  for (const name of [platform, `${platform}-musl`]) {
    try {
      // the addon's own interface
      return require(`../../native/prebuilds/${name}/frame-cipher.node`) as NativeAddon
    } catch (error) {
      // What is wrong with a file says more than that another is not there.
      if (failure === undefined || isMissing(failure)) failure = error
    }
  }
  throw isMissing(failure) ? new Error('it was not built for this platform', { cause: failure }) : failure
}

function isMissing(error: unknown): boolean {
  return isError(error) && 'code' in error && error.code === 'MODULE_NOT_FOUND'
}
