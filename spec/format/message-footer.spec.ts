import assert from 'node:assert/strict'
import { encodeMessageFooter, readFrom, readMessageFooter } from 'esdk-streams/format'
import { sequence } from '../arbitraries.ts'
import { uint } from '../message-recipe.ts'
import { assertPrefixesTruncated, feed } from './feed.ts'

describe('format/message-footer', () => {
  it('comes back as it was, of every length up to the longest that a curve has', () => {
    for (let length = 1; length <= 104; length++) {
      const signature = sequence(7, length)
      const encoded = encodeMessageFooter(signature)
      assert.deepEqual(encoded, Buffer.concat([uint(length, 2), signature]))
      assert.deepEqual(readFrom(readMessageFooter(104), encoded), { value: signature, length: 2 + length })
    }
  })

  it('refuses a length that no signature can have as soon as it is read', () => {
    for (const [longest, lengths] of [
      [72, [0, 73, 104, 0xffff]],
      [104, [0, 105, 0xffff]],
    ] as const) {
      for (const length of lengths) {
        assert.throws(() => feed(readMessageFooter(longest), uint(length, 2)), {
          code: 'ERR_ESDK_MALFORMED',
          message: `the footer claims a signature of ${length} bytes; at most ${longest} are possible`,
        })
      }
      assert.deepEqual(feed(readMessageFooter(longest), uint(longest, 2)), { asks: longest, given: 2 })
    }
  })

  it('refuses every true prefix as truncated', () => {
    assertPrefixesTruncated(() => readMessageFooter(72), encodeMessageFooter(sequence(0, 71)))
  })
})
