import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { AuthenticationError } from 'esdk-streams'
import { type FrameCipher, SequenceCounter } from '#lib/crypto/frame-cipher'
import { NativeFrameCipher } from '#lib/crypto/frame-cipher-native'
import { NodeFrameCipher } from '#lib/crypto/frame-cipher-node'
import type { NativeAddon, NativeHandle } from '#lib/crypto/native-addon'
import { bytes, sequence } from '../arbitraries.ts'
import { useAddon } from './addon.ts'
import { behavesAsFrameCipher } from './frame-cipher-behaviour.ts'

/** What a call throws, in words; undefined where it returns. */
function failure(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return String(error)
  }
}

describe('crypto/frame-cipher-native', () => {
  const addon = useAddon()

  behavesAsFrameCipher((parameters, counter) => new NativeFrameCipher(addon(), parameters, counter))

  describe('beside node:crypto', () => {
    interface Case {
      readonly frameLength: number
      readonly plaintext: Buffer
      readonly first: number
      readonly batches: readonly number[]
      readonly native: () => FrameCipher
      readonly node: () => FrameCipher
    }

    /** Messages of any frame length, in any batches, under keys and ids of all lengths. */
    const cases: fc.Arbitrary<Case> = fc
      .record({
        frameLength: fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 20_000 })),
        key: fc.constantFrom(16, 24, 32).chain((length) => bytes(length, length)),
        messageId: fc.constantFrom(16, 32).chain((length) => bytes(length, length)),
        first: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 0xffffffe0 })),
        batches: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 }),
        pattern: bytes(100, 1),
      })
      .map(({ frameLength, key, messageId, first, batches, pattern }) => {
        const parameters = { messageKey: createSecretKey(key), messageId, frameLength }
        const count = batches.reduce((sum, batch) => sum + batch)
        return {
          ...{ frameLength, first, batches, plaintext: Buffer.alloc(count * frameLength, pattern) },
          native: () => new NativeFrameCipher(addon(), parameters, new SequenceCounter(first)),
          node: () => new NodeFrameCipher(parameters, new SequenceCounter(first)),
        }
      })

    function inBatches(all: Buffer, sizes: readonly number[], work: (batch: Buffer) => readonly Buffer[]): Buffer {
      let at = 0
      return Buffer.concat(sizes.flatMap((size) => work(all.subarray(at, (at += size)))))
    }

    it('gives the same bytes, and each opens what the other sealed', () => {
      fc.assert(
        fc.property(cases, fc.nat(), ({ frameLength, plaintext, batches, native, node }, last) => {
          const tail = plaintext.subarray(0, last % (frameLength + 1))
          const plainSizes = batches.map((count) => count * frameLength)
          const sealedSizes = batches.map((count) => count * (frameLength + 32))
          const [sealed, expected] = [native(), node()].map((sealer) =>
            Buffer.concat([
              inBatches(plaintext, plainSizes, (batch) => sealer.sealRegular(batch)),
              sealer.sealFinal(tail),
            ]),
          )
          assert.equal(sealed!.compare(expected!), 0)
          for (const opener of [native(), node()]) {
            const opened = inBatches(sealed!, sealedSizes, (batch) => [opener.openRegular(batch)])
            assert.equal(opened.compare(plaintext), 0)
          }
        }),
      )
    })

    it('blames the same frame for any changed byte, and is dead as well', () => {
      fc.assert(
        fc.property(cases, fc.nat(), fc.integer({ min: 1, max: 255 }), ({ plaintext, native, node }, at, flip) => {
          const sealed = Buffer.concat(node().sealRegular(plaintext))
          sealed[at % sealed.length]! ^= flip
          const [one, other] = [native(), node()].map((opener) => [
            failure(() => opener.openRegular(sealed)),
            failure(() => opener.openRegular(sealed)),
            failure(() => opener.sealFinal(Buffer.alloc(0))),
          ])
          assert.deepEqual(one, other)
          assert.match(one![0]!, /^AuthenticationError: frame \d+/)
          assert.match(one![1]!, /has ended/)
        }),
      )
    })

    it('blames the same frame wherever frames are swapped, repeated or left out', () => {
      fc.assert(
        fc.property(cases, fc.array(fc.nat(), { minLength: 1, maxLength: 8 }), (what, order) => {
          const { frameLength, plaintext, first, native, node } = what
          const size = frameLength + 32
          const sealed = Buffer.concat(node().sealRegular(plaintext))
          const count = sealed.length / size
          const indexes = order.map((index) => index % count)
          const moved = Buffer.concat(indexes.map((index) => sealed.subarray(index * size, (index + 1) * size)))
          const wrong = indexes.findIndex((index, place) => index !== place)
          const [one, other] = [native(), node()].map((opener) => failure(() => opener.openRegular(moved)))
          assert.equal(one, other)
          if (wrong < 0) assert.equal(one, undefined)
          else assert.ok(one?.includes(`frame ${first + wrong} was expected and frame ${first + indexes[wrong]!} was`))
        }),
      )
    })
  })

  describe('its key schedule', () => {
    const F = 16
    const parameters = { messageKey: createSecretKey(sequence(1, 32)), messageId: sequence(0, 32), frameLength: F }

    interface Counts {
      readonly keys: Uint8Array[]
      readonly ended: NativeHandle[]
      readonly addon: NativeAddon
    }

    /** The addon, and what it was given: the keys of all handles, and the handles that ended. */
    function counting(): Counts {
      const keys: Uint8Array[] = []
      const ended: NativeHandle[] = []
      const counted: NativeAddon = {
        ...addon(),
        create: (key, aad, frameLength) => {
          keys.push(key)
          return addon().create(key, aad, frameLength)
        },
        end: (handle) => {
          ended.push(handle)
          addon().end(handle)
        },
      }
      return { keys, ended, addon: counted }
    }

    it('is made once a message, for its first regular frame, and ends with it', () => {
      const counts = counting()
      const sealer = new NativeFrameCipher(counts.addon, parameters)
      assert.equal(counts.keys.length, 0)
      for (let batch = 0; batch < 3; batch++) sealer.sealRegular(Buffer.alloc(2 * F))
      assert.deepEqual([counts.keys.length, counts.ended.length], [1, 0])
      sealer.sealFinal(Buffer.alloc(1))
      assert.deepEqual([counts.keys.length, counts.ended.length], [1, 1])
    })

    it('is not made for a message of one frame', () => {
      const counts = counting()
      new NativeFrameCipher(counts.addon, parameters).sealFinal(Buffer.alloc(1))
      assert.equal(counts.keys.length, 0)
    })

    it('ends with any failure', () => {
      for (const fail of [
        (cipher: FrameCipher) => cipher.sealRegular(Buffer.alloc(1)),
        (cipher: FrameCipher) => cipher.openRegular(Buffer.alloc(F + 31)),
        (cipher: FrameCipher) => cipher.openRegular(Buffer.alloc(F + 32)),
        (cipher: FrameCipher) => cipher.sealFinal(Buffer.alloc(F + 1)),
        (cipher: FrameCipher) =>
          cipher.openFinal(
            { sequenceNumber: 9, iv: Buffer.alloc(12), contentLength: 0 },
            Buffer.alloc(0),
            Buffer.alloc(16),
          ),
      ]) {
        const counts = counting()
        const cipher = new NativeFrameCipher(counts.addon, parameters)
        cipher.sealRegular(Buffer.alloc(F))
        assert.notEqual(
          failure(() => fail(cipher)),
          undefined,
        )
        assert.equal(counts.ended.length, 1)
      }
    })

    it('leaves no key bytes behind in JavaScript, whether it could be made or not', () => {
      const counts = counting()
      new NativeFrameCipher(counts.addon, parameters).sealRegular(Buffer.alloc(F))
      const failing: NativeAddon = {
        ...addon(),
        create: (key) => {
          counts.keys.push(key)
          throw new Error('no memory')
        },
      }
      assert.throws(() => new NativeFrameCipher(failing, parameters).sealRegular(Buffer.alloc(F)), /no memory/)
      assert.deepEqual(counts.keys, [Buffer.alloc(32), Buffer.alloc(32)])
    })

    it('is still there when the final frame is not authentic, and then no more', () => {
      const counts = counting()
      const opener = new NativeFrameCipher(counts.addon, parameters)
      opener.openRegular(Buffer.concat(new NodeFrameCipher(parameters).sealRegular(Buffer.alloc(F))))
      const start = { sequenceNumber: 2, iv: Buffer.alloc(12), contentLength: 1 }
      assert.throws(() => opener.openFinal(start, Buffer.alloc(1), Buffer.alloc(16)), AuthenticationError)
      assert.equal(counts.ended.length, 1)
    })
  })
})
