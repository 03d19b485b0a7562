/** ECDSA in JavaScript: node:crypto signs neither a finished digest nor twice. */
import type { KeyObject } from 'node:crypto'
import type { SignatureAlgorithm } from '../format/algorithm-suite.ts'
import { ecdsaOfLength } from './ecdsa-length.ts'

/**
 * A DER signature over a digest, of exactly the algorithm's length. The curves are loaded when the first message is signed:
 * most programs never need them.
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
      const signature = curve.Signature.fromBytes(curve.sign(digest, secret, options), 'compact')
      const fitting = ecdsaOfLength(algorithm, Buffer.from(signature.toBytes('der')))
      if (fitting !== undefined) return fitting
    }
  } finally {
    secret.fill(0)
  }
}
