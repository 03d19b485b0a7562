/** ECDSA in JavaScript: node:crypto signs neither a finished digest nor twice. */
import type { KeyObject } from 'node:crypto'
import type { SignatureAlgorithm } from '../format/algorithm-suite.ts'

/**
 * A DER signature over a digest, of exactly the algorithm's length. Of s and n - s, both valid, one usually has it; else
 * signs again. The curves are loaded when the first message is signed: most programs never need them.
 */
export async function signDigestInJavaScript(
  algorithm: SignatureAlgorithm,
  signingKey: KeyObject,
  digest: Buffer,
): Promise<Buffer> {
  const { p256, p384 } = await import('@noble/curves/nist.js')
  const curve = algorithm.curve === 'P-256' ? p256 : p384
  const { d } = signingKey.export({ format: 'jwk' })
  if (d === undefined) throw new TypeError('expected a private key on an elliptic curve')
  const secret = Buffer.from(d, 'base64url')
  const options = { prehash: false, lowS: false, extraEntropy: true }
  try {
    for (;;) {
      const { r, s } = curve.Signature.fromBytes(curve.sign(digest, secret, options), 'compact')
      for (const candidate of [s, curve.Point.Fn.ORDER - s]) {
        const der = new curve.Signature(r, candidate).toBytes('der')
        if (der.length === algorithm.signatureBytes) return Buffer.from(der)
      }
    }
  } finally {
    secret.fill(0)
  }
}
