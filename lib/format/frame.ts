/**
 * Frames and non-framed content: data-format/message-body.md. Regular frames are many and all alike, so they are
 * described by their offsets, for whole batches; the parts that come once a message have codecs.
 */
import { MalformedMessageError } from '../errors.ts'
import { IV_BYTES, TAG_BYTES } from './header-authentication.ts'
import { type Reading, uint32, uint64 } from './reading.ts'

/** In place of a sequence number: here the final frame begins. */
export const FINAL_FRAME_MARK = 0xffffffff

/** The number of the last frame that a message can have; only a final frame may bear it. */
export const MAX_SEQUENCE_NUMBER = 0xffffffff

/** A regular frame: sequence number (4), IV (12), content (frame length), tag (16). */
export const REGULAR_FRAME: { readonly ivOffset: number; readonly contentOffset: number; readonly overhead: number } = {
  ivOffset: 4,
  contentOffset: 4 + IV_BYTES,
  overhead: 4 + IV_BYTES + TAG_BYTES,
}

/** A final frame: end mark (4), sequence number (4), IV (12), content length (4), content, tag (16). */
export const FINAL_FRAME: { readonly ivOffset: number; readonly contentOffset: number; readonly overhead: number } = {
  ivOffset: 8,
  contentOffset: 12 + IV_BYTES,
  overhead: 12 + IV_BYTES + TAG_BYTES,
}

/** Non-framed content: IV (12), content length (8), content, tag (16). */
export const NON_FRAMED_OVERHEAD: number = IV_BYTES + 8 + TAG_BYTES

/** The longest content that the specification allows without frames, 2^36 - 32 bytes. */
export const MAX_NON_FRAMED_BYTES = 68_719_476_704n

/** Writes the sequence number and the IV made of it at the start of a regular frame. */
export function writeRegularFrameStart(bytes: Buffer, offset: number, sequenceNumber: number): void {
  bytes.writeUInt32BE(sequenceNumber, offset)
  writeFrameIv(bytes, offset + REGULAR_FRAME.ivOffset, sequenceNumber)
}

/** The IV that this library writes: eight zero bytes and the sequence number. Readers use the stored one. */
export function writeFrameIv(bytes: Buffer, offset: number, sequenceNumber: number): void {
  // Written as numbers: `fill` costs more than all the rest, and this is done for every frame.
  bytes.writeUInt32BE(0, offset)
  bytes.writeUInt32BE(0, offset + 4)
  bytes.writeUInt32BE(sequenceNumber, offset + 8)
}

/** What stands before the content of a final frame. */
export interface FinalFrameStart {
  readonly sequenceNumber: number
  readonly iv: Buffer
  readonly contentLength: number
}

/** Writes everything of a final frame before its content. */
export function writeFinalFrameStart(bytes: Buffer, sequenceNumber: number, contentLength: number): void {
  bytes.writeUInt32BE(FINAL_FRAME_MARK, 0)
  bytes.writeUInt32BE(sequenceNumber, 4)
  writeFrameIv(bytes, FINAL_FRAME.ivOffset, sequenceNumber)
  bytes.writeUInt32BE(contentLength, FINAL_FRAME.ivOffset + IV_BYTES)
}

/** Reads a final frame up to its content, whose length is checked before anyone waits for it. */
export function* readFinalFrameStart(frameLength: number): Reading<FinalFrameStart> {
  const mark = yield* uint32()
  if (mark !== FINAL_FRAME_MARK) throw new MalformedMessageError('a final frame without its mark')
  const sequenceNumber = yield* uint32()
  const iv = yield IV_BYTES
  const contentLength = yield* uint32()
  if (contentLength > frameLength) {
    throw new MalformedMessageError(`the final frame claims ${contentLength} bytes; the frame length is ${frameLength}`)
  }
  return { sequenceNumber, iv, contentLength }
}

/** What stands before non-framed content. */
export interface NonFramedStart {
  readonly iv: Buffer
  readonly contentLength: number
}

/** Reads a non-framed body up to its content. */
export function* readNonFramedStart(): Reading<NonFramedStart> {
  const iv = yield IV_BYTES
  const contentLength = yield* uint64()
  if (contentLength > MAX_NON_FRAMED_BYTES) {
    throw new MalformedMessageError(
      `the content claims ${contentLength.toString()} bytes; the format holds at most ${MAX_NON_FRAMED_BYTES.toString()}`,
    )
  }
  return { iv, contentLength: Number(contentLength) }
}
