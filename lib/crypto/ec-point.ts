/** Compressed points of elliptic curves (SEC 1, 2.3.3): the form in which messages store public keys. */
import { ECDH, type KeyObject, createPublicKey } from 'node:crypto'

const OPENSSL_NAMES = { 'P-256': 'prime256v1', 'P-384': 'secp384r1', 'P-521': 'secp521r1' } as const

/** A curve, and how long its points are in that form. */
export interface PointFormat {
  readonly curve: keyof typeof OPENSSL_NAMES
  readonly compressedPointBytes: number
}

/** The compressed point of a public (or private) key on P-256, P-384 or P-521. */
export function compressPoint(key: KeyObject): Buffer {
  const { x, y } = key.export({ format: 'jwk' })
  if (x === undefined || y === undefined) throw new TypeError('expected a key on an elliptic curve')
  const odd = Buffer.from(y, 'base64url').at(-1)! & 1
  return Buffer.concat([Buffer.from([2 + odd]), Buffer.from(x, 'base64url')])
}

/** The public key of a compressed point, or `undefined` where the bytes are no point of that curve in that form. */
export function decompressPoint({ curve, compressedPointBytes }: PointFormat, point: Buffer): KeyObject | undefined {
  if (point.length !== compressedPointBytes || (point[0] !== 2 && point[0] !== 3)) return undefined
  try {
    const name = OPENSSL_NAMES[curve]
    // Without an encoding for its output convertKey returns a Buffer; its type also allows for the string.
    const full = ECDH.convertKey(point, name, undefined, undefined, 'uncompressed') as Buffer
    const size = compressedPointBytes - 1
    const x = full.toString('base64url', 1, 1 + size)
    const y = full.toString('base64url', 1 + size)
    return createPublicKey({ format: 'jwk', key: { kty: 'EC', crv: curve, x, y } })
  } catch {
    return undefined
  }
}
