/**
 * Walking through a message without any key: data-format/message-body.md. What is found is not authenticated: that a
 * message looks whole here says nothing of who wrote it. Memory stays the same whatever the size.
 */
import { MalformedMessageError, asError } from '../errors.ts'
import {
  FINAL_FRAME,
  FINAL_FRAME_MARK,
  NON_FRAMED_OVERHEAD,
  REGULAR_FRAME,
  readFinalFrameStart,
  readNonFramedStart,
} from '../format/frame.ts'
import { TAG_BYTES } from '../format/header-authentication.ts'
import type { MessageHeader } from '../format/message-header.ts'
import type { Reading } from '../format/reading.ts'
import type { ByteQueue } from './byte-queue.ts'
import { NO_STRINGS } from './decrypt-stream.ts'
import { type ByteSource, openSource, queueOf } from './sources.ts'
import { type WalkedHeader, walkHeader } from './walk-header.ts'

/** A part of the body or what follows it: of equal frames all that stand together. Lengths in bytes. */
export interface WalkedPart {
  readonly kind: 'frames' | 'final frame' | 'content' | 'footer' | 'cut' | 'unread' | 'trailing'
  readonly offset: number
  readonly length: number
  /** Of frames: how many. */
  readonly count?: number
  /** What should have been there. */
  readonly expectedLength?: number
}

/** Something that no whole message has. */
export interface WalkFault {
  readonly code: 'ERR_ESDK_MALFORMED' | 'ERR_ESDK_TRUNCATED'
  readonly offset: number
  readonly message: string
}

/** What was found after the header. */
export interface WalkedMessage {
  /** Bytes that were there in all. */
  readonly messageLength: number
  /** Whether nothing is missing, damaged or too much, as far as can be seen without keys. */
  readonly complete: boolean
  readonly regularFrames: number
  readonly finalFrame?: { readonly sequenceNumber: number; readonly contentLength: number }
  /** Bytes of content in all frames that are there whole. */
  readonly contentLength: number
  readonly signatureLength?: number
  readonly parts: readonly WalkedPart[]
  /** The first of them, in order; `faultCount` counts all. */
  readonly faults: readonly WalkFault[]
  readonly faultCount: number
}

const MAX_FAULTS = 20

/** A walk that has read the header. */
export class MessageWalk {
  readonly header: MessageHeader
  readonly headerBytes: Buffer
  readonly #queue: ByteQueue
  readonly #close: (error?: Error) => void
  #offset: number
  readonly #parts: WalkedPart[] = []
  readonly #faults: WalkFault[] = []
  #faultCount = 0
  #regularFrames = 0
  #contentLength = 0
  #finalFrame: WalkedMessage['finalFrame']
  #signatureLength: number | undefined

  private constructor({ header, headerBytes }: WalkedHeader, queue: ByteQueue, close: (error?: Error) => void) {
    this.header = header
    this.headerBytes = headerBytes
    this.#queue = queue
    this.#close = close
    this.#offset = headerBytes.length
  }

  /** Reads the header. @throws MalformedMessageError | TruncatedMessageError | LimitError | UnsupportedError */
  static async begin(source: ByteSource): Promise<MessageWalk> {
    const open = openSource(source, NO_STRINGS)
    const close = (error?: Error): void => {
      open.close(error)
    }
    const queue = queueOf(open)
    try {
      return new MessageWalk(await walkHeader(queue), queue, close)
    } catch (error) {
      close(asError(error))
      throw error
    }
  }

  /** Lets go of the source. */
  end(): void {
    this.#close(new Error('no more of it is wanted'))
  }

  /** Goes on to the end of the source. @throws what the source throws */
  async finish(): Promise<WalkedMessage> {
    const isWhole = await (this.header.contentType === 'framed' ? this.#frames() : this.#content())
    if (isWhole && (await this.#footer())) await this.#rest('trailing')
    const finalFrame = this.#finalFrame
    const signatureLength = this.#signatureLength
    return {
      messageLength: this.#offset,
      complete: this.#faultCount === 0,
      regularFrames: this.#regularFrames,
      ...(finalFrame !== undefined && { finalFrame }),
      contentLength: this.#contentLength,
      ...(signatureLength !== undefined && { signatureLength }),
      parts: this.#parts,
      faults: this.#faults,
      faultCount: this.#faultCount,
    }
  }

  /** Whether the final frame was reached, and is whole. */
  async #frames(): Promise<boolean> {
    const { frameLength } = this.header
    const size = frameLength + REGULAR_FRAME.overhead
    const start = this.#offset
    let expected = 1
    let suspect: number | undefined
    const endFrames = (end = this.#offset): void => {
      const count = this.#regularFrames
      if (count > 0) this.#parts.push({ kind: 'frames', offset: start, length: end - start, count })
    }
    for (;;) {
      if (!(await this.#queue.atLeast(4))) {
        endFrames()
        const isClean = this.#queue.length === 0
        const where = isClean
          ? `before frame ${expected}: there is no final frame`
          : `in the number of frame ${expected}`
        return this.#cut(where, undefined)
      }
      const number = this.#queue.uint32At(0)
      if (number === FINAL_FRAME_MARK) {
        endFrames()
        return this.#final(expected, suspect)
      }
      if (number !== expected && !(suspect !== undefined && number === suspect + 1)) {
        const message = `frame ${expected} bears the number ${number}`
        this.#fault('ERR_ESDK_MALFORMED', this.#offset, message)
        if (suspect !== undefined) {
          endFrames()
          await this.#rest('unread')
          return false
        }
        suspect = number
      } else {
        expected = number
        suspect = undefined
      }
      const at = this.#offset
      if (!(await this.#skip(size))) {
        endFrames(at)
        const field = frameField(this.#offset - at, frameLength)
        return this.#cut(`in the ${field} of frame ${expected}`, size, at)
      }
      this.#regularFrames += 1
      this.#contentLength += frameLength
      expected += 1
    }
  }

  async #final(expected: number, suspect: number | undefined): Promise<boolean> {
    const { frameLength } = this.header
    const at = this.#offset
    const start = await this.#read(readFinalFrameStart(frameLength), at)
    if (start === 'cut') return this.#cut(`in the ${finalField(this.#offset - at)} of the final frame`, undefined, at)
    if (start === 'malformed') return false
    const { sequenceNumber, contentLength } = start
    if (sequenceNumber !== expected && !(suspect !== undefined && sequenceNumber === suspect + 1)) {
      const message = `the final frame, which is frame ${expected}, bears the number ${sequenceNumber}`
      this.#fault('ERR_ESDK_MALFORMED', at + 4, message)
    }
    const size = FINAL_FRAME.overhead + contentLength
    if (!(await this.#skip(at + size - this.#offset))) {
      const field = this.#offset - at < FINAL_FRAME.contentOffset + contentLength ? 'content' : 'tag'
      return this.#cut(`in the ${field} of the final frame`, size, at)
    }
    this.#finalFrame = { sequenceNumber, contentLength }
    this.#contentLength += contentLength
    this.#parts.push({ kind: 'final frame', offset: at, length: size })
    return true
  }

  async #content(): Promise<boolean> {
    const at = this.#offset
    const start = await this.#read(readNonFramedStart(), at)
    if (start === 'cut') return this.#cut('in what stands before the content', undefined, at)
    if (start === 'malformed') return false
    const size = NON_FRAMED_OVERHEAD + start.contentLength
    if (!(await this.#skip(at + size - this.#offset))) {
      return this.#cut(this.#offset - at < size - TAG_BYTES ? 'in the content' : 'in the tag of the content', size, at)
    }
    this.#contentLength = start.contentLength
    this.#parts.push({ kind: 'content', offset: at, length: size })
    return true
  }

  async #footer(): Promise<boolean> {
    const { signature } = this.header.suite
    if (signature === undefined) return true
    const at = this.#offset
    const hasLength = await this.#skip(2, (bytes) => {
      this.#signatureLength = bytes.readUInt16BE(0)
    })
    const length = this.#signatureLength
    if (!hasLength || length === undefined) {
      const where = this.#offset === at ? 'before the footer: there is no signature' : 'in the length of the signature'
      return this.#cut(where, undefined, at)
    }
    if (length === 0 || length > signature.maxSignatureBytes) {
      this.#fault('ERR_ESDK_MALFORMED', at, `the footer claims a signature of ${length} bytes`)
      await this.#rest('unread', at)
      return false
    }
    if (!(await this.#skip(length))) return this.#cut('in the signature', 2 + length, at)
    this.#parts.push({ kind: 'footer', offset: at, length: 2 + length })
    return true
  }

  /** Takes what is left, which is too much or can't be made sense of. */
  async #rest(kind: 'unread' | 'trailing', from = this.#offset): Promise<void> {
    const at = this.#offset
    await this.#skip(Infinity)
    if (this.#offset === from) return
    this.#parts.push({ kind, offset: from, length: this.#offset - from })
    if (kind === 'trailing') {
      this.#fault('ERR_ESDK_MALFORMED', at, `there are ${this.#offset - at} bytes after the end of the message`)
    }
  }

  /** The input ended. */
  async #cut(where: string, expectedLength: number | undefined, from = this.#offset): Promise<false> {
    await this.#skip(Infinity)
    const length = this.#offset - from
    const expected = expectedLength === undefined ? {} : { expectedLength }
    this.#parts.push({ kind: 'cut', offset: from, length, ...expected })
    const message = `the input ended inside the message, after ${this.#offset} bytes, ${where}`
    this.#fault('ERR_ESDK_TRUNCATED', this.#offset, message)
    return false
  }

  #fault(code: WalkFault['code'], offset: number, message: string): void {
    this.#faultCount += 1
    if (this.#faults.length < MAX_FAULTS) this.#faults.push({ code, offset, message })
  }

  /** What a codec reads; what is wrong with it is a fault. */
  async #read<T>(reading: Reading<T>, at: number): Promise<T | 'cut' | 'malformed'> {
    try {
      let step = reading.next()
      while (step.done !== true) {
        let bytes: Buffer = Buffer.alloc(0)
        const isThere = await this.#skip(step.value, (taken) => {
          bytes = Buffer.from(taken)
        })
        if (!isThere) return 'cut'
        step = reading.next(bytes)
      }
      return step.value
    } catch (error) {
      if (!(error instanceof MalformedMessageError)) throw error
      this.#fault('ERR_ESDK_MALFORMED', at, error.message)
      await this.#rest('unread', at)
      return 'malformed'
    }
  }

  /** Whether there were so many bytes; passes those that there were. `seen` sees what fits into one piece. */
  async #skip(count: number, seen?: (bytes: Buffer) => void): Promise<boolean> {
    let left = count
    if (seen !== undefined && (await this.#queue.atLeast(count))) seen(this.#queue.peek(count))
    while (left > 0 && (await this.#queue.atLeast(1))) {
      const length = Math.min(left, this.#queue.length)
      this.#queue.take(length)
      this.#offset += length
      left -= length
    }
    return left === 0
  }
}

function frameField(length: number, frameLength: number): string {
  if (length < REGULAR_FRAME.contentOffset) return 'IV'
  return length < REGULAR_FRAME.contentOffset + frameLength ? 'content' : 'tag'
}

function finalField(length: number): string {
  if (length < FINAL_FRAME.ivOffset) return 'number'
  return length < FINAL_FRAME.contentOffset - 4 ? 'IV' : 'content length'
}
