import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import { algorithmSuite } from 'esdk-streams/format'
import { deriveMessageKeys, sameCommitment, secretKey } from '#lib/crypto/message-keys'
import type { NativeAddon } from '#lib/crypto/native-addon'
import { sequence } from '../arbitraries.ts'
import { useAddon } from './addon.ts'

/** Suite, message key, message key as version 4.0.0 of the SDK for .NET derived it. */
const VERSION_1: readonly (readonly [number, string, string])[] = [
  [0x0114, 'bd5da4ca329297c6696a5727c12cdf41', '8dac2350a2308d800d3872ef5e1f4519'],
  [0x0146, 'e99f0c64dea3290fc9827322d2cfe866e6a3dad321ee6dc1', 'c0e572875d8a5e9565cfc7e39c01bf96f40811e299ad20e3'],
  [
    0x0178,
    '62bb55dc60972918873b88833852d93521b333852655887e01cfe614e2a37fee',
    '8a1bc6745d1aec86e0f92ae3192076a74a87787b737dbd38b48aa03110f6c362',
  ],
  [0x0214, '0e0920200a9d484686c7362b51ea704a', '1abbbb8624cff59cc84bb6a3bbfc2c93'],
  [0x0346, '09fb3076a90b688011bc966fa4bb7df9642c3a02a2c7a8f7', 'c22666d3867f518bf21b178ab8b3e51ca1f0d96442252274'],
  [
    0x0378,
    '15265919c3d9117fb6de783dff1b386e21ddecc0b0f7065401bfd29e0d9708dd',
    'fac54dd5bb81eccd84cbcc1ce83ef20121f102eb37c83c36247c760905f85af6',
  ],
]

const VERSION_2 = [
  [0x0478, '371fd7058a7d02303fd724d9c257c787ab372840ff64e7c22916701a08910ff6'],
  [0x0578, 'd65475519b877e94ef7a69555e0a90de76307ac45b2d852b973ec8418d935e91'],
] as const

const COMMITMENT = '8f0a89e98409b45c4215734e5b0b32f53bec97d19af9eb7807832f259dad7e87'

describe('crypto/message-keys', () => {
  for (const [id, messageKey, net400Key] of VERSION_1) {
    it(`derives the known keys of ${algorithmSuite(id).name}`, () => {
      const suite = algorithmSuite(id)
      const dataKey = createSecretKey(sequence(0, suite.keyBytes))
      const keys = deriveMessageKeys(suite, dataKey, sequence(0xa0, 16))
      assert.equal(keys.messageKey.export().toString('hex'), messageKey)
      assert.equal(keys.commitment, undefined)
      const old = deriveMessageKeys(suite, dataKey, sequence(0xa0, 16), false)
      assert.equal(old.messageKey.export().toString('hex'), net400Key)
    })
  }

  for (const engine of ['native', 'node'] as const) {
    describe(`by the engine ${engine}`, () => {
      const addon = engine === 'native' ? useAddon() : undefined

      for (const [id, messageKey] of VERSION_2) {
        it(`derives the known key and commitment of ${algorithmSuite(id).name}`, () => {
          const dataKey = createSecretKey(sequence(0, 32))
          for (const bindMessageId of [true, false]) {
            const keys = deriveMessageKeys(algorithmSuite(id), dataKey, sequence(0xa0, 32), bindMessageId, addon?.())
            assert.equal(keys.messageKey.export().toString('hex'), messageKey)
            assert.equal(keys.commitment?.toString('hex'), COMMITMENT)
          }
        })
      }

      it('commits to the data key and the message id', () => {
        const suite = algorithmSuite(0x0478)
        const others = [
          deriveMessageKeys(suite, createSecretKey(sequence(1, 32)), sequence(0xa0, 32), true, addon?.()),
          deriveMessageKeys(suite, createSecretKey(sequence(0, 32)), sequence(0xa1, 32), true, addon?.()),
        ]
        for (const { commitment } of others) assert.notEqual(commitment?.toString('hex'), COMMITMENT)
      })

      it('leaves the data key as it is, and nothing of what it makes', () => {
        const dataKey = createSecretKey(sequence(0, 32))
        const derived: Uint8Array[] = []
        const real = addon?.()
        const spying: NativeAddon | undefined = real && {
          ...real,
          deriveTwo: (...[key, salt, first, second, room]) => {
            derived.push(key, room.subarray(0, 32))
            real.deriveTwo(key, salt, first, second, room)
          },
        }
        deriveMessageKeys(algorithmSuite(0x0478), dataKey, sequence(0xa0, 32), true, spying)
        assert.deepEqual(dataKey.export(), sequence(0, 32))
        for (const bytes of derived) assert.deepEqual(Buffer.from(bytes), Buffer.alloc(32))
      })
    })
  }

  it('takes the data key itself where there is no KDF', () => {
    for (const id of [0x0014, 0x0046, 0x0078]) {
      const suite = algorithmSuite(id)
      const dataKey = createSecretKey(sequence(0, suite.keyBytes))
      for (const bindMessageId of [true, false]) {
        const keys = deriveMessageKeys(suite, dataKey, sequence(0xa0, 16), bindMessageId)
        assert.ok(keys.messageKey.equals(dataKey))
        assert.equal(keys.commitment, undefined)
      }
    }
  })

  it('clears the bytes that a key is made of', () => {
    const buffer = sequence(1, 32)
    assert.deepEqual(secretKey(buffer).export(), sequence(1, 32))
    assert.deepEqual(buffer, Buffer.alloc(32))
    const arrayBuffer = new Uint8Array(sequence(1, 16)).buffer
    assert.deepEqual(secretKey(arrayBuffer).export(), sequence(1, 16))
    assert.deepEqual(Buffer.from(arrayBuffer), Buffer.alloc(16))
  })

  it('compares commitments, and lengths first', () => {
    assert.ok(sameCommitment(sequence(1, 32), sequence(1, 32)))
    for (let at = 0; at < 32; at++) {
      const other = sequence(1, 32)
      other[at]! ^= 0x80
      assert.ok(!sameCommitment(sequence(1, 32), other))
    }
    assert.ok(!sameCommitment(sequence(1, 32), sequence(1, 31)))
    assert.ok(!sameCommitment(Buffer.alloc(0), sequence(1, 32)))
  })
})
