import assert from 'node:assert/strict'
import { type KeyObject, createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { p256, p384, p521 } from '@noble/curves/nist.js'
import { algorithmSuite } from 'esdk-streams/format'
import { compressPoint, decompressPoint } from '#lib/crypto/ec-point'
import { sequence } from '../arbitraries.ts'
import { sec1 } from '../keyrings/ecdh/keys.ts'

const P256 = algorithmSuite(0x0214).signature!
const P384 = algorithmSuite(0x0578).signature!
const P521 = { curve: 'P-521', compressedPointBytes: 67 } as const
const CURVES = [
  [P256, p256, 32],
  [P384, p384, 48],
  [P521, p521, 66],
] as const

function bigEndian(value: bigint, size: number): Buffer {
  return Buffer.from(value.toString(16).padStart(size * 2, '0'), 'hex')
}

describe('crypto/ec-point', () => {
  for (const [algorithm, curve, size] of CURVES) {
    describe(algorithm.curve, () => {
      it('compresses as SEC 1 says, to keys of both parities, and back', () => {
        const prefixes = new Set<number>()
        for (let index = 0; index < 40; index++) {
          const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: algorithm.curve })
          const point = compressPoint(publicKey)
          prefixes.add(point[0]!)
          assert.equal(point.length, algorithm.compressedPointBytes)
          assert.deepEqual(compressPoint(privateKey), point)
          const back = decompressPoint(algorithm, point)
          assert.ok(back !== undefined && back.equals(publicKey))
          assert.equal(back.type, 'public')
          const { x, y } = curve.Point.fromBytes(point).toAffine()
          const jwk = publicKey.export({ format: 'jwk' })
          assert.equal(bigEndian(x, size).toString('base64url'), jwk.x)
          assert.equal(bigEndian(y, size).toString('base64url'), jwk.y)
        }
        assert.deepEqual([...prefixes].sort(), [2, 3])
      })

      it('agrees with another implementation on a fixed key', () => {
        const expected = Buffer.from(curve.getPublicKey(sequence(1, size), true))
        assert.deepEqual(compressPoint(createPublicKey(fixedKey(algorithm.curve, size))), expected)
      })

      it('takes no other prefix', () => {
        const point = compressPoint(fixedKey(algorithm.curve, size))
        for (let prefix = 0; prefix < 256; prefix++) {
          const changed = Buffer.from(point)
          changed[0] = prefix
          assert.equal(decompressPoint(algorithm, changed) !== undefined, prefix === 2 || prefix === 3, `${prefix}`)
        }
      })

      it('takes no other length: not uncompressed, hybrid, cut or grown', () => {
        const { x, y } = curve.Point.BASE.toAffine()
        const [xBytes, yBytes] = [bigEndian(x, size), bigEndian(y, size)]
        assert.ok(decompressPoint(algorithm, Buffer.concat([Buffer.from([2 + (yBytes.at(-1)! & 1)]), xBytes])))
        for (const prefix of [4, 6, 7]) {
          assert.equal(decompressPoint(algorithm, Buffer.concat([Buffer.from([prefix]), xBytes, yBytes])), undefined)
        }
        const point = compressPoint(fixedKey(algorithm.curve, size))
        for (const wrong of [
          Buffer.alloc(0),
          Buffer.alloc(1),
          point.subarray(0, -1),
          Buffer.concat([point, Buffer.alloc(1)]),
        ]) {
          assert.equal(decompressPoint(algorithm, wrong), undefined)
        }
      })

      it('takes no x that is not on the curve, or not below the prime', () => {
        const prime = curve.Point.Fp.ORDER
        let off = 0
        for (let x = 0n; x < 40n; x++) {
          const point = Buffer.concat([Buffer.from([2]), bigEndian(x, size)])
          const fits = isOnCurve(() => curve.Point.fromBytes(point))
          assert.equal(decompressPoint(algorithm, point) !== undefined, fits, `x = ${x.toString()}`)
          if (!fits) off++
          else {
            // The same x, written as x + p, must not be taken where it still fits in the bytes.
            const above = bigEndian(x + prime, size)
            if (above.length === size) {
              assert.equal(decompressPoint(algorithm, Buffer.concat([Buffer.from([2]), above])), undefined)
            }
          }
        }
        assert.ok(off > 5)
        for (const x of [prime, prime + 1n]) {
          assert.equal(decompressPoint(algorithm, Buffer.concat([Buffer.from([2]), bigEndian(x, size)])), undefined)
        }
        assert.equal(decompressPoint(algorithm, Buffer.concat([Buffer.from([3]), Buffer.alloc(size, 0xff)])), undefined)
      })
    })
  }

  it('takes no point of another curve', () => {
    assert.equal(decompressPoint(P521, compressPoint(fixedKey('P-384', 48))), undefined)
    assert.equal(decompressPoint(P384, compressPoint(fixedKey('P-521', 66))), undefined)
    assert.equal(decompressPoint(P256, compressPoint(fixedKey('P-384', 48))), undefined)
    assert.equal(decompressPoint(P384, compressPoint(fixedKey('P-256', 32))), undefined)
  })

  it('compresses keys on elliptic curves only', () => {
    assert.throws(() => compressPoint(generateKeyPairSync('ed25519').publicKey), TypeError)
    assert.throws(() => compressPoint(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), TypeError)
  })
})

function fixedKey(curve: 'P-256' | 'P-384' | 'P-521', size: number): KeyObject {
  return createPrivateKey({ key: sec1(curve, sequence(1, size)), format: 'der', type: 'sec1' })
}

function isOnCurve(decode: () => unknown): boolean {
  try {
    decode()
    return true
  } catch {
    return false
  }
}
