import assert from 'node:assert/strict'
import fc from 'fast-check'
import { LimitError, TruncatedMessageError } from 'esdk-streams'
import { type Reading, lengthPrefixed, readFrom, recorded, uint16, uint32, uint64, uint8 } from '#lib/format/reading'
import { bytes } from '../arbitraries.ts'
import { assertPrefixesTruncated, feed } from './feed.ts'

function* record(): Reading<{ a: number; b: number; c: number; d: bigint; e: Buffer }> {
  return { a: yield* uint8(), b: yield* uint16(), c: yield* uint32(), d: yield* uint64(), e: yield* lengthPrefixed() }
}

const RECORD = Buffer.from('ff fffe fffffffd fffffffffffffffc 0003 616263'.replaceAll(' ', ''), 'hex')

describe('format/reading', () => {
  it('reads unsigned big-endian integers of every width without loss, and runs of bytes', () => {
    const { value, length } = readFrom(record(), RECORD)
    const expected = { a: 0xff, b: 0xfffe, c: 0xfffffffd, d: 0xfffffffffffffffcn, e: Buffer.from('abc') }
    assert.deepEqual(value, expected)
    assert.equal(length, RECORD.length)
  })

  it('refuses every true prefix as truncated', () => {
    assertPrefixesTruncated(record, RECORD)
  })

  it('tells an empty input from one that was cut', () => {
    assert.throws(() => readFrom(record(), Buffer.alloc(0)), /empty: there is no message/)
    assert.throws(() => readFrom(record(), RECORD.subarray(0, 6)), /after 6 bytes/)
    assert.throws(() => readFrom(record(), RECORD.subarray(0, 6)), TruncatedMessageError)
  })

  it('leaves bytes after the value alone, and says how many it took', () => {
    fc.assert(
      fc.property(bytes(50), bytes(50), (content, rest) => {
        const prefix = Buffer.alloc(2)
        prefix.writeUInt16BE(content.length)
        const { value, length } = readFrom(lengthPrefixed(), Buffer.concat([prefix, content, rest]))
        assert.deepEqual(value, content)
        assert.equal(length, 2 + content.length)
      }),
    )
  })

  it('reads any Uint8Array, views into larger ones too', () => {
    const large = new Uint8Array(RECORD.length + 10)
    large.set(RECORD, 5)
    const { value } = readFrom(record(), large.subarray(5, 5 + RECORD.length))
    assert.deepEqual(value.e, Buffer.from('abc'))
  })

  it('gives values memory of their own', () => {
    const input = Buffer.from(RECORD)
    const { value } = readFrom(record(), input)
    input.fill(0)
    assert.deepEqual(value.e, Buffer.from('abc'))
  })

  describe('recorded', () => {
    it('keeps all bytes as received', () => {
      const { value, length } = readFrom(recorded(record(), 100, 'record'), Buffer.concat([RECORD, RECORD]))
      assert.deepEqual(value.bytes, RECORD)
      assert.equal(value.value.b, 0xfffe)
      assert.equal(length, RECORD.length)
    })

    it('takes exactly the limit', () => {
      assert.deepEqual(readFrom(recorded(record(), RECORD.length, 'record'), RECORD).value.bytes, RECORD)
      assert.throws(() => readFrom(recorded(record(), RECORD.length - 1, 'record'), RECORD), LimitError)
    })

    it('refuses what passes its limit before the bytes are asked for', () => {
      const claim = Buffer.from('ffff', 'hex')
      assert.throws(() => feed(recorded(lengthPrefixed(), 100, 'field'), claim), {
        code: 'ERR_ESDK_LIMIT',
        message: 'the field is longer than the limit of 100 bytes',
      })
      assert.deepEqual(feed(recorded(lengthPrefixed(), 0xffff + 2, 'field'), claim), { asks: 0xffff, given: 2 })
    })
  })
})
