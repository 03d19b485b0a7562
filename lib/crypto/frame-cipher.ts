/**
 * FrameCipher: seals or opens a batch of frames in one call. One interface, so that more than one engine can stand
 * behind it; all give the same bytes.
 */
import type { KeyObject } from 'node:crypto'
import { AuthenticationError, LimitError } from '../errors.ts'
import type { FinalFrameStart, NonFramedStart } from '../format/frame.ts'
import { MAX_SEQUENCE_NUMBER } from '../format/frame.ts'

/** What both directions need to know of a message. */
export interface FrameCipherParameters {
  readonly messageKey: KeyObject
  readonly messageId: Buffer
  readonly frameLength: number
  /** Where the output of batches lies; in fresh memory, unless said. */
  readonly allocate?: ((bytes: number) => Buffer) | undefined
}

/**
 * Seals or opens the frames of one message, in order. It owns the sequence counter, handles each number at most once,
 * and is dead after any error and after the last frame.
 */
export interface FrameCipher {
  /** Seals regular frames: each part is a multiple of the frame length. The frames' bytes, in large pieces. */
  sealRegular(...parts: readonly Buffer[]): readonly Buffer[]
  /** Seals the final frame, of at most the frame length. */
  sealFinal(plaintext: Buffer): Buffer
  /** Opens regular frames, a whole number of them in each part. All are verified before any plaintext is returned. */
  openRegular(...parts: readonly Buffer[]): Buffer
  /** Opens the final frame. */
  openFinal(start: FinalFrameStart, ciphertext: Buffer, tag: Buffer): Buffer
  /** Opens non-framed content. */
  openNonFramed(start: NonFramedStart, ciphertext: Buffer, tag: Buffer): Buffer
  /** Ends it and lets go of what it holds of the key, wherever in the message it is; again is fine. */
  close(): void
}

/** The numbers of the frames of one message: each once, in order, none after the final one or after a failure. */
export class SequenceCounter {
  #next: number
  #over = false

  constructor(first = 1) {
    this.#next = first
  }

  /** Claims the numbers of `count` regular frames; returns the first of them. */
  regular(count: number): number {
    this.#checkAlive()
    const first = this.#next
    if (first + count > MAX_SEQUENCE_NUMBER) throw tooManyFrames()
    this.#next = first + count
    return first
  }

  /** Claims the number of the final frame and ends the counter. */
  final(): number {
    this.#checkAlive()
    this.#over = true
    if (this.#next > MAX_SEQUENCE_NUMBER) throw tooManyFrames()
    return this.#next
  }

  /** No more numbers. */
  end(): void {
    this.#over = true
  }

  /** Runs `work`; a failure ends the counter. */
  guard<T>(work: () => T): T {
    try {
      return work()
    } catch (error) {
      this.#over = true
      throw error
    }
  }

  #checkAlive(): void {
    if (this.#over) throw new TypeError('this frame cipher has ended')
  }
}

/** How many frames of `size` bytes the parts hold, each a whole number of them. */
export function countFrames(parts: readonly Buffer[], size: number): number {
  let count = 0
  for (const part of parts) {
    if (part.length % size !== 0) throw new TypeError('not a whole number of frames')
    count += part.length / size
  }
  return count
}

function tooManyFrames(): LimitError {
  return new LimitError(`a message has at most ${MAX_SEQUENCE_NUMBER} frames; take a larger frame length`)
}

/** The error for a frame whose stored number is not the next one. */
export function frameOutOfOrder(expected: number, found: number): AuthenticationError {
  return new AuthenticationError(
    'frame',
    `frame ${expected} was expected and frame ${found} was found: frames were moved or lost`,
  )
}

/** The error for a frame whose tag does not verify. */
export function frameNotAuthentic(sequenceNumber: number): AuthenticationError {
  return new AuthenticationError('frame', `frame ${sequenceNumber} is not authentic`)
}
