import assert from 'node:assert/strict'
import fc from 'fast-check'
import { MalformedMessageError } from 'esdk-streams'
import { readFinalFrameStart, readFrom, readNonFramedStart } from 'esdk-streams/format'
import {
  FINAL_FRAME,
  FINAL_FRAME_MARK,
  MAX_NON_FRAMED_BYTES,
  MAX_SEQUENCE_NUMBER,
  NON_FRAMED_OVERHEAD,
  REGULAR_FRAME,
  writeFinalFrameStart,
  writeRegularFrameStart,
} from '#lib/format/frame'
import { sequence } from '../arbitraries.ts'
import { uint, uint64 } from '../message-recipe.ts'
import { assertPrefixesTruncated, feed } from './feed.ts'

function finalStart(sequenceNumber: number, contentLength: number): Buffer {
  const bytes = Buffer.alloc(FINAL_FRAME.contentOffset, 0xee)
  writeFinalFrameStart(bytes, sequenceNumber, contentLength)
  return bytes
}

const uint32s = fc.integer({ min: 0, max: 0xffffffff })

describe('format/frame', () => {
  it('has the layout of the specification', () => {
    assert.deepEqual(REGULAR_FRAME, { ivOffset: 4, contentOffset: 16, overhead: 32 })
    assert.deepEqual(FINAL_FRAME, { ivOffset: 8, contentOffset: 24, overhead: 40 })
    assert.equal(NON_FRAMED_OVERHEAD, 36)
    assert.equal(MAX_NON_FRAMED_BYTES, 2n ** 36n - 32n)
    assert.equal(FINAL_FRAME_MARK, 0xffffffff)
    assert.equal(MAX_SEQUENCE_NUMBER, 0xffffffff)
  })

  it('writes the start of a regular frame where it is told, over whatever was there', () => {
    const bytes = Buffer.alloc(20, 0xee)
    writeRegularFrameStart(bytes, 2, 0x01020304)
    assert.equal(bytes.toString('hex'), 'eeee' + '01020304' + '0000000000000000' + '01020304' + 'eeee')
  })

  it('writes the start of a final frame', () => {
    assert.equal(
      finalStart(0x01020304, 5).toString('hex'),
      'ffffffff' + '01020304' + '0000000000000000' + '01020304' + '00000005',
    )
  })

  it('reads the start of a final frame as it was written', () => {
    fc.assert(
      fc.property(uint32s, uint32s, (sequenceNumber, contentLength) => {
        const bytes = finalStart(sequenceNumber, contentLength)
        const { value, length } = readFrom(readFinalFrameStart(contentLength), bytes)
        assert.equal(length, bytes.length)
        assert.deepEqual(value, { sequenceNumber, iv: bytes.subarray(8, 20), contentLength })
      }),
    )
  })

  it('reads the IV that is stored, whatever it is', () => {
    const bytes = finalStart(3, 5)
    const iv = sequence(0x90, 12)
    iv.copy(bytes, FINAL_FRAME.ivOffset)
    assert.deepEqual(readFrom(readFinalFrameStart(16), bytes).value.iv, iv)
    const nonFramed = Buffer.concat([iv, uint64(7n)])
    assert.deepEqual(readFrom(readNonFramedStart(), nonFramed).value, { iv, contentLength: 7 })
  })

  it('refuses a final frame above the frame length as soon as the length is read', () => {
    assert.equal(readFrom(readFinalFrameStart(16), finalStart(1, 16)).value.contentLength, 16)
    assert.equal(readFrom(readFinalFrameStart(16), finalStart(1, 0)).value.contentLength, 0)
    for (const length of [17, 0xffffffff]) {
      assert.throws(() => feed(readFinalFrameStart(16), finalStart(1, length)), {
        code: 'ERR_ESDK_MALFORMED',
        message: `the final frame claims ${length} bytes; the frame length is 16`,
      })
    }
  })

  it('refuses a final frame without its mark', () => {
    assert.throws(() => feed(readFinalFrameStart(16), uint(1, 4)), MalformedMessageError)
  })

  it('reads lengths of content without frames up to 2^36 - 32, and no longer ones', () => {
    const start = (length: bigint): Buffer => Buffer.concat([Buffer.alloc(12), uint64(length)])
    for (const length of [0n, 1n, 2n ** 32n, 68_719_476_704n]) {
      assert.equal(readFrom(readNonFramedStart(), start(length)).value.contentLength, Number(length))
    }
    for (const length of [68_719_476_705n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      assert.throws(() => feed(readNonFramedStart(), start(length)), {
        code: 'ERR_ESDK_MALFORMED',
        message: `the content claims ${length.toString()} bytes; the format holds at most 68719476704`,
      })
    }
  })

  it('refuses every true prefix as truncated', () => {
    assertPrefixesTruncated(() => readFinalFrameStart(16), finalStart(1, 16))
    assertPrefixesTruncated(readNonFramedStart, Buffer.alloc(20))
  })
})
