/** The length of an ECDSA signature in DER. Of s and n - s, both valid, one usually gives the length that is wanted. */
import type { SignatureAlgorithm } from '../format/algorithm-suite.ts'

/** The order n of the curve: SEC 2, 2.4.2 and 2.5.1. */
const ORDERS: Readonly<Record<SignatureAlgorithm['curve'], bigint>> = {
  'P-256': 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  'P-384': 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
}

const INTEGER = 0x02
const HEAD_BYTES = 2 // of SEQUENCE and of INTEGER: a tag and a length below 128

/**
 * The signature, or the one with n - s, whichever has the algorithm's length; `undefined` where neither has.
 *
 * @param signature as OpenSSL writes it: strict DER
 */
export function ecdsaOfLength(algorithm: SignatureAlgorithm, signature: Buffer): Buffer | undefined {
  const { curve, signatureBytes } = algorithm
  if (signature.length === signatureBytes) return Buffer.from(signature)
  const start = HEAD_BYTES + HEAD_BYTES + signature[HEAD_BYTES + 1]! // of s
  const s = BigInt(`0x${signature.toString('hex', start + HEAD_BYTES)}`)
  const other = derInteger(ORDERS[curve] - s)
  const der = Buffer.concat([signature.subarray(0, start), other])
  der[1] = der.length - HEAD_BYTES
  return der.length === signatureBytes ? der : undefined
}

function derInteger(value: bigint): Buffer {
  const hex = value.toString(16)
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  const sign = bytes[0]! < 0x80 ? 0 : 1
  return Buffer.concat([Buffer.from([INTEGER, sign + bytes.length]), Buffer.alloc(sign), bytes])
}
