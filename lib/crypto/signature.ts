/** Signatures over whole messages: framework/algorithm-suites.md "Signature Algorithm", data-format/message-footer.md. */
import { type Hash, type KeyObject, type Verify, createHash, createVerify, generateKeyPairSync } from 'node:crypto'
import type { SignatureAlgorithm } from '../format/algorithm-suite.ts'
import { compressPoint, decompressPoint } from './ec-point.ts'
import { cryptoEngine } from './engine.ts'

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

/** Signs a message piece by piece: its digest, until the signature has the one length that makes a message's size known. */
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
    return cryptoEngine().signDigest(this.#algorithm, this.#signingKey, this.#hash.digest())
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
