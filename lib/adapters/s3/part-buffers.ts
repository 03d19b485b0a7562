/** Chunks of any size, as parts of an upload. */
import { LimitError, checkInteger } from '../../errors.ts'
import { bodyLength } from '../../format/message-size.ts'

const MIB = 1024 * 1024
/** S3 takes no smaller part, but for the last. */
export const MIN_PART_BYTES: number = 5 * MIB
/** Nor a larger one. */
export const MAX_PART_BYTES: number = 5 * 1024 * MIB
const MAX_PARTS = 10_000
const DEFAULT_PART_BYTES = 8 * MIB

/** What is expected fits in so many, so that there are some left for what is more. */
const EXPECTED_PARTS = 8000

/** Beyond what is expected, parts double every so many: where nothing is, 10,000 of them hold 7.8 TiB. */
const PARTS_PER_SIZE = 1000

/** More than a usual header and footer. */
const AROUND_THE_BODY = 64 * 1024

/** About how long the message of a plaintext will be, and no shorter, unless its header is very long. */
export function aboutMessageBytes(plaintextLength: number, frameLength: number): number {
  return bodyLength(plaintextLength, frameLength) + AROUND_THE_BODY
}

/** How long each part of an upload is. */
export class PartSizes {
  readonly #first: number
  readonly #expectedParts: number

  /**
   * @param partBytes of the first part
   * @param expectedBytes of the whole, where that is known, or about
   * @throws RangeError when a size is unfit; LimitError when the whole is larger than an object can be.
   */
  constructor(partBytes: number = DEFAULT_PART_BYTES, expectedBytes: number = 0) {
    checkInteger('partBytes', partBytes, MIN_PART_BYTES, MAX_PART_BYTES)
    checkInteger('expectedBytes', expectedBytes, 0)
    if (expectedBytes > MAX_PARTS * MAX_PART_BYTES) {
      throw new LimitError(`an object of ${expectedBytes} bytes would have more than ${MAX_PARTS} parts of 5 GiB`)
    }
    const needed = Math.ceil(expectedBytes / EXPECTED_PARTS / MIB) * MIB
    this.#first = Math.min(MAX_PART_BYTES, Math.max(partBytes, needed))
    this.#expectedParts = Math.ceil(expectedBytes / this.#first)
  }

  /** The length of part `number`, from 1, in bytes. */
  of(number: number): number {
    const more = Math.max(0, number - 1 - this.#expectedParts)
    return Math.min(MAX_PART_BYTES, this.#first * 2 ** Math.floor(more / PARTS_PER_SIZE))
  }
}

/** Fills parts, each in memory of its own, which nobody else refers to. */
export class PartBuffers {
  readonly #chunks: AsyncIterator<Buffer>
  readonly #sizes: Pick<PartSizes, 'of'>
  #number = 0
  #left: Buffer = Buffer.alloc(0)

  constructor(chunks: AsyncIterable<Buffer>, sizes: Pick<PartSizes, 'of'>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
    this.#sizes = sizes
  }

  /** The next part: full, but for the last; empty after that. */
  async next(): Promise<Buffer> {
    const size = this.#sizes.of(++this.#number)
    let part = Buffer.allocUnsafeSlow(Math.min(size, DEFAULT_PART_BYTES))
    let filled = 0
    while (filled < size) {
      if (this.#left.length === 0) {
        const chunk = await this.#chunks.next()
        if (chunk.done === true) break
        this.#left = chunk.value
      }
      // A part larger than usual grows with what there is, not with what there may be.
      if (filled === part.length) part = Buffer.concat([part], Math.min(size, filled * 2))
      const copied = this.#left.copy(part, filled, 0, part.length - filled)
      this.#left = this.#left.subarray(copied)
      filled += copied
    }
    return filled === part.length ? part : part.subarray(0, filled)
  }
}
