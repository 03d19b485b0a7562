import assert from 'node:assert/strict'
import {
  type KeyObject,
  createPrivateKey,
  createPublicKey,
  createSign,
  createVerify,
  generateKeyPairSync,
  randomBytes,
} from 'node:crypto'
import { p256, p384 } from '@noble/curves/nist.js'
import { type SignatureAlgorithm, algorithmSuite } from 'esdk-streams/format'
import { MessageSigner, MessageVerifier, generateSigningKey, verificationKeyOf } from '#lib/crypto/signature'
import { engineOver } from '#lib/crypto/engine'
import type { NativeAddon } from '#lib/crypto/native-addon'
import { ecdsaOfLength } from '#lib/crypto/ecdsa-length'
import { craftingSigningKey, hashOf, publicKeyText } from '../message-recipe.ts'
import { useAddon } from './addon.ts'

const P256 = algorithmSuite(0x0214).signature!
const P384 = algorithmSuite(0x0578).signature!
const CURVES = { 'P-256': p256, 'P-384': p384 } as const
const MESSAGE = Buffer.from('header, body')

function verifies(algorithm: SignatureAlgorithm, key: KeyObject, signature: Buffer, message = MESSAGE): boolean {
  const verifier = new MessageVerifier(algorithm, key)
  verifier.update(message)
  return verifier.verifies(signature)
}

function derInteger(value: bigint): Buffer {
  const hex = value.toString(16)
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex')
  const positive = bytes[0]! < 0x80 ? bytes : Buffer.concat([Buffer.alloc(1), bytes])
  return Buffer.concat([Buffer.from([2, positive.length]), positive])
}

function derSequence(...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([0x30, content.length]), content])
}

/** A key whose signature over MESSAGE with nonce 1 has this s. */
function keyWithSignature(algorithm: SignatureAlgorithm, s: bigint): { key: KeyObject; r: bigint } {
  const curve = CURVES[algorithm.curve]
  const { Fn, BASE } = curve.Point
  const size = algorithm.compressedPointBytes - 1
  const r = BASE.toAffine().x
  const z = BigInt(`0x${hashOf(algorithm, MESSAGE).toString('hex')}`)
  const d = Fn.mul(Fn.sub(s, Fn.create(z)), Fn.inv(Fn.create(r)))
  const secret = Buffer.from(d.toString(16).padStart(size * 2, '0'), 'hex')
  const point = Buffer.from(curve.getPublicKey(secret, false))
  const coordinates = { x: point.toString('base64url', 1, 1 + size), y: point.toString('base64url', 1 + size) }
  const jwk = { kty: 'EC', crv: algorithm.curve, d: secret.toString('base64url'), ...coordinates }
  return { key: createPublicKey(createPrivateKey({ format: 'jwk', key: jwk })), r: Fn.create(r) }
}

describe('crypto/signature', () => {
  for (const name of ['native', 'node'] as const) {
    describe(`by the engine ${name}`, () => {
      const addon = name === 'native' ? useAddon() : undefined
      const signDigest = async (algorithm: SignatureAlgorithm, key: KeyObject, digest: Buffer): Promise<Buffer> =>
        engineOver(addon?.()).signDigest(algorithm, key, digest)

      for (const [algorithm, count, bytes] of [
        [P256, 4000, 71],
        [P384, 1000, 103],
      ] as const) {
        it(`signs ${count} digests on ${algorithm.curve}, all in exactly ${bytes} bytes that node:crypto verifies`, async function () {
          this.timeout(60_000)
          assert.equal(algorithm.signatureBytes, bytes)
          const { signingKey, publicKey } = generateSigningKey(algorithm)
          const verificationKey = verificationKeyOf(algorithm, publicKey)!
          const seen = new Set<string>()
          for (let index = 0; index < count; index++) {
            const message = randomBytes(20)
            const signature = await signDigest(algorithm, signingKey, hashOf(algorithm, message))
            assert.equal(signature.length, bytes)
            assert.ok(createVerify(algorithm.hash).update(message).verify(verificationKey, signature))
            seen.add(signature.toString('hex'))
          }
          assert.equal(seen.size, count)
        })
      }

      it('signs with a private key on a curve only', async () => {
        const { publicKey } = generateSigningKey(P256)
        await assert.rejects(signDigest(P256, verificationKeyOf(P256, publicKey)!, Buffer.alloc(32)), TypeError)
      })
    })
  }

  describe('natively', () => {
    const addon = useAddon()

    it('clears the bytes of the signing key, also where it fails', () => {
      const keys: Uint8Array[] = []
      const signDigest: NativeAddon['signDigest'] = (...given) => {
        keys.push(given[0])
        return addon().signDigest(...given)
      }
      const { signDigest: sign } = engineOver({ ...addon(), signDigest })
      const { signingKey } = generateSigningKey(P256)
      void sign(P256, signingKey, Buffer.alloc(32, 1))
      assert.throws(() => void sign(P256, generateKeyPairSync('x25519').privateKey, Buffer.alloc(32)), /could not sign/)
      assert.ok(keys.length >= 2)
      for (const bytes of keys) assert.ok(bytes.length > 0 && bytes.every((byte) => byte === 0))
    })
  })

  it('turns a signature into the other valid one where that has the length, and no other', () => {
    for (const algorithm of [P256, P384]) {
      const { signingKey, publicKey } = generateSigningKey(algorithm)
      const key = verificationKeyOf(algorithm, publicKey)!
      const found = { same: 0, other: 0, none: 0 }
      for (let index = 0; index < 300; index++) {
        const signature = createSign(algorithm.hash).update(MESSAGE).sign(signingKey)
        const fitting = ecdsaOfLength(algorithm, signature)
        found[fitting === undefined ? 'none' : fitting.equals(signature) ? 'same' : 'other'] += 1
        if (fitting === undefined) continue
        assert.equal(fitting.length, algorithm.signatureBytes)
        assert.ok(createVerify(algorithm.hash).update(MESSAGE).verify(key, fitting))
      }
      assert.ok(found.same > 100 && found.other > 100 && found.none < 20, JSON.stringify(found))
    }
  })

  for (const algorithm of [P256, P384]) {
    describe(`on ${algorithm.curve}`, () => {
      it('signs a message piece by piece with the suite’s hash', async () => {
        const { signingKey, publicKey } = generateSigningKey(algorithm)
        const signer = new MessageSigner(algorithm, signingKey)
        for (const piece of [MESSAGE.subarray(0, 3), Buffer.alloc(0), MESSAGE.subarray(3)]) signer.update(piece)
        const signature = await signer.sign()
        assert.equal(signature.length, algorithm.signatureBytes)
        const key = verificationKeyOf(algorithm, publicKey)!
        const hash = algorithm.curve === 'P-256' ? 'sha256' : 'sha384'
        assert.ok(createVerify(hash).update(MESSAGE).verify(key, signature))
        assert.ok(
          !createVerify(hash === 'sha256' ? 'sha384' : 'sha256')
            .update(MESSAGE)
            .verify(key, signature),
        )
      })

      it('verifies what node:crypto signed, whatever its length', () => {
        const key = craftingSigningKey(algorithm)
        const lengths = new Set<number>()
        for (let index = 0; index < 200; index++) {
          const signature = createSign(algorithm.hash).update(MESSAGE).sign(key)
          lengths.add(signature.length)
          assert.ok(verifies(algorithm, createPublicKey(key), signature))
        }
        assert.ok(lengths.size >= 3)
        assert.ok(Math.max(...lengths) <= algorithm.maxSignatureBytes)
      })

      it('verifies signatures of every length that DER has, down to an s of 1', () => {
        const lengths = new Set<number>()
        const size = algorithm.compressedPointBytes - 1
        for (let bits = 0; bits < size * 8; bits++) {
          const s = 1n << BigInt(bits)
          if (s >= CURVES[algorithm.curve].Point.Fn.ORDER) continue
          const { key, r } = keyWithSignature(algorithm, s)
          const signature = derSequence(derInteger(r), derInteger(s))
          lengths.add(signature.length)
          assert.ok(verifies(algorithm, key, signature), `an s of ${bits + 1} bits`)
        }
        assert.equal(lengths.size, size + 1)
      })

      describe('refuses', () => {
        const { key, r } = keyWithSignature(algorithm, 0x1234n)
        const order = CURVES[algorithm.curve].Point.Fn.ORDER
        const [rBytes, sBytes] = [derInteger(r), derInteger(0x1234n)]
        const good = derSequence(rBytes, sBytes)
        const zero = Buffer.alloc(1)
        const hex = (text: string): Buffer => Buffer.from(text, 'hex')
        const WRONG: Readonly<Record<string, Buffer>> = {
          'no bytes': Buffer.alloc(0),
          'one byte': zero,
          'a byte after it': Buffer.concat([good, zero]),
          'a byte within it': derSequence(rBytes, sBytes, zero),
          'a third integer': derSequence(rBytes, sBytes, sBytes),
          'a cut one': good.subarray(0, -1),
          'a length in long form': Buffer.concat([hex('3081'), good.subarray(1)]),
          'an indefinite length': Buffer.concat([hex('3080'), good.subarray(2), hex('0000')]),
          'a set': Buffer.concat([hex('31'), good.subarray(1)]),
          'an s with a zero in front': derSequence(rBytes, hex('0203001234')),
          'a negative s': derSequence(rBytes, hex('0202ff34')),
          'an s of no bytes': derSequence(rBytes, hex('0200')),
          'an s of 0': derSequence(rBytes, derInteger(0n)),
          'an r of 0': derSequence(derInteger(0n), sBytes),
          'both 0': derSequence(derInteger(0n), derInteger(0n)),
          'an s above the order': derSequence(rBytes, derInteger(order + 0x1234n)),
          'an s of the order': derSequence(rBytes, derInteger(order)),
          'an r of the order': derSequence(derInteger(order), sBytes),
          'another s': derSequence(rBytes, derInteger(0x1235n)),
          'r and s in turn': derSequence(sBytes, rBytes),
          'two numbers without DER': Buffer.alloc((algorithm.compressedPointBytes - 1) * 2, 1),
        }

        it('nothing of the genuine one, nor its mirror', () => {
          assert.ok(verifies(algorithm, key, good))
          assert.ok(verifies(algorithm, key, derSequence(rBytes, derInteger(order - 0x1234n))))
        })

        for (const [what, signature] of Object.entries(WRONG)) {
          it(what, () => {
            assert.equal(verifies(algorithm, key, signature), false)
          })
        }

        it('another message, and another key', () => {
          assert.equal(verifies(algorithm, key, good, Buffer.from('another')), false)
          assert.equal(verifies(algorithm, createPublicKey(craftingSigningKey(algorithm)), good), false)
        })
      })

      it('stores its public key in canonical base64 of the compressed point', () => {
        const { signingKey, publicKey } = generateSigningKey(algorithm)
        assert.equal(publicKey.length, algorithm.curve === 'P-256' ? 44 : 68)
        const key = verificationKeyOf(algorithm, publicKey)
        assert.ok(key !== undefined && key.equals(createPublicKey(signingKey)))
        assert.equal(key.type, 'public')
      })

      it('takes no public key that is written otherwise', () => {
        const text = publicKeyText(algorithm)
        assert.ok(verificationKeyOf(algorithm, text))
        const url = text.replaceAll('+', '-').replaceAll('/', '_')
        const wrong = [
          '',
          ' ',
          `${text}\n`,
          ` ${text}`,
          `${text}=`,
          `${text.slice(0, 10)}\n${text.slice(10)}`,
          `${text}AAAA`,
        ]
        const others = [
          text.slice(0, -1),
          text.slice(0, -4),
          text.replace(/^./, '!'),
          `${text}!`,
          url === text ? '-' : url,
        ]
        for (const other of [...wrong, ...others]) assert.equal(verificationKeyOf(algorithm, other), undefined, other)
      })
    })
  }

  it('takes no public key of the other curve', () => {
    assert.equal(verificationKeyOf(P256, publicKeyText(P384)), undefined)
    assert.equal(verificationKeyOf(P384, publicKeyText(P256)), undefined)
  })

  it('takes no base64 whose last character has bits to spare', () => {
    // 33 bytes take all bits of 44 characters, 49 bytes leave 2 zero bits in the 66th.
    const text = publicKeyText(P384)
    assert.match(text, /[^=]==$/)
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const last = alphabet[alphabet.indexOf(text[65]!) + 1]!
    const spare = `${text.slice(0, 65)}${last}==`
    assert.deepEqual(Buffer.from(spare, 'base64'), Buffer.from(text, 'base64'))
    assert.equal(verificationKeyOf(P384, spare), undefined)
  })
})
