/** The frame cipher over node:crypto: one cipher a frame, as that API demands; always there. */
import type { KeyObject } from 'node:crypto'
import { type BodyContent, bodyAad, setBodyAadNumber } from '../format/body-aad.ts'
import {
  FINAL_FRAME,
  type FinalFrameStart,
  type NonFramedStart,
  REGULAR_FRAME,
  writeFinalFrameStart,
  writeRegularFrameStart,
} from '../format/frame.ts'
import { IV_BYTES } from '../format/header-authentication.ts'
import { openAead, sealAead } from './aead.ts'
import {
  type FrameCipher,
  type FrameCipherParameters,
  SequenceCounter,
  frameNotAuthentic,
  frameOutOfOrder,
} from './frame-cipher.ts'

/** A frame cipher over node:crypto. */
export class NodeFrameCipher implements FrameCipher {
  readonly #key: KeyObject
  readonly #messageId: Buffer
  readonly #frameLength: number
  readonly #regularAad: Buffer
  readonly #counter: SequenceCounter

  constructor(
    { messageKey, messageId, frameLength }: FrameCipherParameters,
    counter: SequenceCounter = new SequenceCounter(),
  ) {
    this.#key = messageKey
    this.#messageId = messageId
    this.#frameLength = frameLength
    this.#regularAad = bodyAad(messageId, 'regular', 1, frameLength)
    this.#counter = counter
  }

  sealRegular(plaintext: Buffer): Buffer {
    return this.#counter.guard(() => {
      const count = plaintext.length / this.#frameLength
      if (!Number.isInteger(count)) throw new TypeError('not a whole number of frames')
      const first = this.#counter.regular(count)
      const size = this.#frameLength + REGULAR_FRAME.overhead
      const frames = Buffer.allocUnsafe(count * size)
      for (let index = 0; index < count; index++) {
        const start = index * size
        const content = start + REGULAR_FRAME.contentOffset
        writeRegularFrameStart(frames, start, first + index)
        setBodyAadNumber(this.#regularAad, first + index)
        const iv = frames.subarray(content - IV_BYTES, content)
        const from = index * this.#frameLength
        const sealed = sealAead(this.#key, iv, this.#regularAad, plaintext.subarray(from, from + this.#frameLength))
        sealed.ciphertext.copy(frames, content)
        sealed.tag.copy(frames, content + this.#frameLength)
      }
      return frames
    })
  }

  sealFinal(plaintext: Buffer): Buffer {
    return this.#counter.guard(() => {
      if (plaintext.length > this.#frameLength) throw new TypeError('a final frame longer than the frame length')
      const number = this.#counter.final()
      const frame = Buffer.allocUnsafe(plaintext.length + FINAL_FRAME.overhead)
      writeFinalFrameStart(frame, number, plaintext.length)
      const iv = frame.subarray(FINAL_FRAME.ivOffset, FINAL_FRAME.ivOffset + IV_BYTES)
      const aad = bodyAad(this.#messageId, 'final', number, plaintext.length)
      const sealed = sealAead(this.#key, iv, aad, plaintext)
      sealed.ciphertext.copy(frame, FINAL_FRAME.contentOffset)
      sealed.tag.copy(frame, FINAL_FRAME.contentOffset + plaintext.length)
      return frame
    })
  }

  openRegular(frames: Buffer, plaintext: Buffer): void {
    this.#counter.guard(() => {
      try {
        this.#openBatch(frames, plaintext)
      } catch (error) {
        plaintext.fill(0)
        throw error
      }
    })
  }

  #openBatch(frames: Buffer, plaintext: Buffer): void {
    const size = this.#frameLength + REGULAR_FRAME.overhead
    const count = frames.length / size
    if (!Number.isInteger(count) || plaintext.length !== count * this.#frameLength) {
      throw new TypeError('not a whole number of frames')
    }
    const first = this.#counter.regular(count)
    for (let index = 0; index < count; index++) {
      const start = index * size
      const number = first + index
      const stored = frames.readUInt32BE(start)
      if (stored !== number) throw frameOutOfOrder(number, stored)
      const content = start + REGULAR_FRAME.contentOffset
      setBodyAadNumber(this.#regularAad, number)
      const opened = openAead(this.#key, frames.subarray(content - IV_BYTES, content), this.#regularAad, {
        ciphertext: frames.subarray(content, content + this.#frameLength),
        tag: frames.subarray(content + this.#frameLength, start + size),
      })
      if (opened === undefined) throw frameNotAuthentic(number)
      opened.copy(plaintext, index * this.#frameLength)
    }
  }

  openFinal({ iv, sequenceNumber, contentLength }: FinalFrameStart, ciphertext: Buffer, tag: Buffer): Buffer {
    const expected = this.#counter.final()
    if (sequenceNumber !== expected) throw frameOutOfOrder(expected, sequenceNumber)
    return this.#openContent('final', expected, iv, contentLength, ciphertext, tag)
  }

  openNonFramed({ iv, contentLength }: NonFramedStart, ciphertext: Buffer, tag: Buffer): Buffer {
    return this.#openContent('non-framed', this.#counter.final(), iv, contentLength, ciphertext, tag)
  }

  #openContent(kind: BodyContent, number: number, iv: Buffer, length: number, ciphertext: Buffer, tag: Buffer): Buffer {
    const plaintext = openAead(this.#key, iv, bodyAad(this.#messageId, kind, number, length), { ciphertext, tag })
    if (plaintext === undefined) throw frameNotAuthentic(number)
    return plaintext
  }
}
