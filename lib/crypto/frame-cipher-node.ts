/** The frame cipher over node:crypto: one cipher a frame, as that API demands; always there. */
import { type BodyContent, bodyAad, setBodyAadNumber } from '../format/body-aad.ts'
import {
  FINAL_FRAME,
  type FinalFrameStart,
  type NonFramedStart,
  REGULAR_FRAME,
  writeFinalFrameStart,
  writeFrameIv,
  writeRegularFrameStart,
} from '../format/frame.ts'
import { IV_BYTES } from '../format/header-authentication.ts'
import { AeadKey, type Sealed } from './aead.ts'
import {
  type FrameCipher,
  type FrameCipherParameters,
  SequenceCounter,
  countFrames,
  frameNotAuthentic,
  frameOutOfOrder,
} from './frame-cipher.ts'
import type { NativeAddon } from './native-addon.ts'

/** From this length on, sealed frames leave in pieces. */
const LARGE_FRAME_BYTES = 32 * 1024

/** No piece is smaller, so that who writes them one by one does not write tiny ones. */
const EDGE_BYTES = 8 * 1024

/** A frame cipher over node:crypto. With an addon, short contents go through that. */
export class NodeFrameCipher implements FrameCipher {
  readonly #key: AeadKey
  readonly #messageId: Buffer
  readonly #frameLength: number
  readonly #regularAad: Buffer
  readonly #iv: Buffer = Buffer.alloc(IV_BYTES)
  readonly #counter: SequenceCounter
  readonly #allocate: (bytes: number) => Buffer

  constructor(
    { messageKey, messageId, frameLength, allocate = (bytes) => Buffer.allocUnsafe(bytes) }: FrameCipherParameters,
    counter: SequenceCounter = new SequenceCounter(),
    addon?: NativeAddon,
  ) {
    this.#key = new AeadKey(messageKey, addon)
    this.#messageId = messageId
    this.#frameLength = frameLength
    this.#regularAad = bodyAad(messageId, 'regular', 1, frameLength)
    this.#counter = counter
    this.#allocate = allocate
  }

  sealRegular(...parts: readonly Buffer[]): readonly Buffer[] {
    return this.#counter.guard(() => {
      const count = countFrames(parts, this.#frameLength)
      const first = this.#counter.regular(count)
      return this.#frameLength < LARGE_FRAME_BYTES
        ? [this.#sealTogether(parts, first, count)]
        : this.#sealApart(parts, first)
    })
  }

  #sealTogether(parts: readonly Buffer[], first: number, count: number): Buffer {
    const size = this.#frameLength + REGULAR_FRAME.overhead
    const frames = this.#allocate(count * size)
    let index = 0
    for (const plaintext of this.#contents(parts)) {
      const start = index * size
      const content = start + REGULAR_FRAME.contentOffset
      writeRegularFrameStart(frames, start, first + index)
      const { ciphertext, tag } = this.#sealOne(plaintext, first + index)
      ciphertext.copy(frames, content)
      tag.copy(frames, content + this.#frameLength)
      index++
    }
    return frames
  }

  *#contents(parts: readonly Buffer[], size: number = this.#frameLength): Generator<Buffer, void> {
    for (const part of parts) {
      for (let start = 0; start < part.length; start += size) yield part.subarray(start, start + size)
    }
  }

  /** Copying a large ciphertext to join it with what stands around it would take a third of the time: only its edges are. */
  #sealApart(parts: readonly Buffer[], first: number): readonly Buffer[] {
    const { contentOffset } = REGULAR_FRAME
    const pieces: Buffer[] = []
    let number = first
    for (const plaintext of this.#contents(parts)) {
      const head = Buffer.allocUnsafe(contentOffset + EDGE_BYTES)
      writeRegularFrameStart(head, 0, number)
      const { ciphertext, tag } = this.#sealOne(plaintext, number)
      ciphertext.copy(head, contentOffset)
      const tail = Buffer.concat([ciphertext.subarray(-EDGE_BYTES), tag])
      pieces.push(head, ciphertext.subarray(EDGE_BYTES, -EDGE_BYTES), tail)
      number++
    }
    return pieces
  }

  #sealOne(plaintext: Buffer, number: number): Sealed {
    setBodyAadNumber(this.#regularAad, number)
    writeFrameIv(this.#iv, 0, number)
    return this.#key.seal(this.#iv, this.#regularAad, plaintext)
  }

  sealFinal(plaintext: Buffer): Buffer {
    return this.#counter.guard(() => {
      if (plaintext.length > this.#frameLength) throw new TypeError('a final frame longer than the frame length')
      const number = this.#counter.final()
      const frame = Buffer.allocUnsafe(plaintext.length + FINAL_FRAME.overhead)
      writeFinalFrameStart(frame, number, plaintext.length)
      const iv = frame.subarray(FINAL_FRAME.ivOffset, FINAL_FRAME.ivOffset + IV_BYTES)
      const aad = bodyAad(this.#messageId, 'final', number, plaintext.length)
      const sealed = this.#key.seal(iv, aad, plaintext)
      sealed.ciphertext.copy(frame, FINAL_FRAME.contentOffset)
      sealed.tag.copy(frame, FINAL_FRAME.contentOffset + plaintext.length)
      return frame
    })
  }

  openRegular(...parts: readonly Buffer[]): Buffer {
    return this.#counter.guard(() => {
      const size = this.#frameLength + REGULAR_FRAME.overhead
      const count = countFrames(parts, size)
      const first = this.#counter.regular(count)
      if (count === 1)
        return this.#openOne(
          parts.find((part) => part.length > 0)!,
          first,
        )
      const plaintext = this.#allocate(count * this.#frameLength)
      let index = 0
      try {
        for (const frame of this.#contents(parts, size)) {
          this.#openOne(frame, first + index).copy(plaintext, index * this.#frameLength)
          index++
        }
      } catch (error) {
        plaintext.fill(0)
        throw error
      }
      return plaintext
    })
  }

  #openOne(frame: Buffer, number: number): Buffer {
    const stored = frame.readUInt32BE(0)
    if (stored !== number) throw frameOutOfOrder(number, stored)
    const { ivOffset, contentOffset } = REGULAR_FRAME
    const end = contentOffset + this.#frameLength
    setBodyAadNumber(this.#regularAad, number)
    const plaintext = this.#key.open(
      frame.subarray(ivOffset, contentOffset),
      this.#regularAad,
      frame.subarray(contentOffset, end),
      frame.subarray(end),
    )
    if (plaintext === undefined) throw frameNotAuthentic(number)
    return plaintext
  }

  openFinal({ iv, sequenceNumber, contentLength }: FinalFrameStart, ciphertext: Buffer, tag: Buffer): Buffer {
    const expected = this.#counter.final()
    if (sequenceNumber !== expected) throw frameOutOfOrder(expected, sequenceNumber)
    return this.#openContent('final', expected, iv, contentLength, ciphertext, tag)
  }

  openNonFramed({ iv, contentLength }: NonFramedStart, ciphertext: Buffer, tag: Buffer): Buffer {
    return this.#openContent('non-framed', this.#counter.final(), iv, contentLength, ciphertext, tag)
  }

  close(): void {
    this.#counter.end()
  }

  #openContent(kind: BodyContent, number: number, iv: Buffer, length: number, ciphertext: Buffer, tag: Buffer): Buffer {
    const plaintext = this.#key.open(iv, bodyAad(this.#messageId, kind, number, length), ciphertext, tag)
    if (plaintext === undefined) throw frameNotAuthentic(number)
    return plaintext
  }
}
