/** Signatures over whole messages: framework/algorithm-suites.md "Signature Algorithm", data-format/message-footer.md. */
import { type Hash, type KeyObject, type Verify, createHash, createVerify, generateKeyPairSync } from 'node:crypto'
import type { SignatureAlgorithm } from '../format/algorithm-suite.ts'
import { compressPoint, decompressPoint } from './ec-point.ts'

/** A fresh key pair for one message; the public key is in the form that the encryption context stores. */
export function generateSigningKey({ curve }: SignatureAlgorithm): { signingKey: KeyObject; publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: curve })
  return { signingKey: privateKey, publicKey: compressPoint(publicKey).toString('base64') }
}

/** The verification key that a message stores, or `undefined` where the text is not exactly such a key. */
export function verificationKeyOf(algorithm: SignatureAlgorithm, publicKey: string): KeyObject | undefined {
  const point = Buffer.from(publicKey, 'base64')
  return point.toString('base64') === publicKey ? decompressPoint(algorithm, point) : undefined
}

/**
 * Signs a message piece by piece. node:crypto signs neither a finished digest nor twice, so the digest is signed in
 * JavaScript, until the signature has the one length that makes a message's size known in advance.
 */
export class MessageSigner {
  readonly #algorithm: SignatureAlgorithm
  readonly #signingKey: KeyObject
  readonly #hash: Hash

  constructor(algorithm: SignatureAlgorithm, signingKey: KeyObject) {
    this.#algorithm = algorithm
    this.#signingKey = signingKey
    this.#hash = createHash(algorithm.hash)
  }

  /** Adds bytes of the message, in order. */
  update(bytes: Uint8Array): void {
    this.#hash.update(bytes)
  }

  /** The DER signature over all bytes so far: 71 bytes on P-256, 103 on P-384. Ends the signer. */
  async sign(): Promise<Buffer> {
    return signDigest(this.#algorithm, this.#signingKey, this.#hash.digest())
  }
}

/**
 * A DER signature of exactly the algorithm's length. Of s and n - s, both valid, one usually has it; else signs again.
 * The curves are loaded when the first message is signed: most programs never need them.
 */
export async function signDigest(
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

/** Verifies a message piece by piece, over the bytes as received. */
export class MessageVerifier {
  readonly #verificationKey: KeyObject
  readonly #verify: Verify

  constructor(algorithm: SignatureAlgorithm, verificationKey: KeyObject) {
    this.#verificationKey = verificationKey
    this.#verify = createVerify(algorithm.hash)
  }

  /** Adds bytes of the message, in order. */
  update(bytes: Uint8Array): void {
    this.#verify.update(bytes)
  }

  /** Whether `signature` (DER) is one over all bytes so far. Ends the verifier. */
  verifies(signature: Buffer): boolean {
    return this.#verify.verify(this.#verificationKey, signature)
  }
}
