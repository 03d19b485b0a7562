/** Random access: any range of a message's plaintext, from the frames that hold it and no others. */
import { checkInteger } from '../errors.ts'
import type { Readable } from 'node:stream'
import { LRUCache } from 'lru-cache'
import type { MessageHeader } from '../format/message-header.ts'
import { abortError } from '../streams/abort-error.ts'
import { LinkedController } from '../streams/linked-controller.ts'
import { readableOf } from '../streams/sources.ts'
import {
  type OpenMessageOptions,
  type OpenedFrames,
  type RandomAccessSource,
  openFrames,
  openRegularFrames,
  readExactly,
  regularFramesAt,
} from './open-message.ts'

/** A range of plaintext, both ends included, as in `fs.createReadStream` and in HTTP. */
export interface RangeOptions {
  /** The first byte; 0 unless said. */
  readonly start?: number
  /** The last byte; that of the message unless said. */
  readonly end?: number
  readonly signal?: AbortSignal
}

/** At most so many bytes of plaintext are asked for in one request (or one frame, where it is longer). */
const REQUEST_BYTES = 1024 * 1024

/** A stream fetches at most so much ahead (or one request, where that is longer). */
const AHEAD_BYTES = 4 * 1024 * 1024
const DEFAULT_CONCURRENCY = 4

/**
 * A message that is open for random access. Made by `openMessage` (files) and `openObject` (Amazon S3).
 *
 * The header and the final frame were authenticated when it was opened, so its length is known to be true; each other
 * frame is authenticated when it is read, at the place where it stands. Several reads may be under way at once.
 */
export class MessageReader implements AsyncDisposable {
  readonly #source: RandomAccessSource
  readonly #frames: OpenedFrames
  readonly #cache: LRUCache<number, Buffer> | undefined
  readonly #concurrency: number
  #closed: Promise<void> | undefined

  private constructor(
    source: RandomAccessSource,
    frames: OpenedFrames,
    options: { readonly cacheBytes: number; readonly concurrency: number },
  ) {
    const { cacheBytes, concurrency } = options
    this.#source = source
    this.#frames = frames
    this.#concurrency = concurrency
    this.#cache =
      cacheBytes === 0
        ? undefined
        : new LRUCache({
            maxSize: cacheBytes,
            sizeCalculation: (frame) => frame.length,
            dispose: (frame) => frame.fill(0),
          })
  }

  /**
   * Opens a message; closes the source where that fails.
   *
   * @throws TypeError | RangeError when an option is unfit; a coded error when the message can't be read, is not whole,
   * not framed, or signed without `allowUnverifiedSignature`; what the source throws.
   */
  static async open(source: RandomAccessSource, options: OpenMessageOptions): Promise<MessageReader> {
    const { signal } = options
    try {
      const { cacheBytes, concurrency } = checkedOptions(options)
      const frames = await openFrames(source, options)
      const room = Math.max(REQUEST_BYTES, 2 * frames.header.frameLength)
      return new MessageReader(source, frames, { cacheBytes: cacheBytes ?? room, concurrency })
    } catch (error) {
      await source.close?.().catch(() => undefined)
      throw signal?.aborted === true ? abortError(signal) : error
    }
  }

  /** The message's authenticated header. */
  get header(): MessageHeader {
    return this.#frames.header
  }

  /** Length of the whole plaintext in bytes. */
  get plaintextLength(): number {
    const { header, regular, final } = this.#frames
    return regular * header.frameLength + final.length
  }

  /**
   * Reads a range of the plaintext.
   *
   * @param position of the first byte
   * @param length at most so many bytes: fewer where the plaintext ends before
   * @example const head = await message.read(0, 1024)
   * @throws RangeError when a number is unfit; TypeError after `close`; a coded error when a frame is not authentic or the
   * message changed; `AbortError`; what the source throws. Nothing is returned then.
   */
  async read(position: number, length: number, { signal }: Pick<RangeOptions, 'signal'> = {}): Promise<Buffer> {
    checkInteger('position', position, 0)
    checkInteger('length', length, 0)
    const end = Math.min(position + length, this.plaintextLength)
    if (position >= end) return Buffer.alloc(0)
    const range = Buffer.allocUnsafe(end - position)
    try {
      await this.#fill(range, position, signal)
      return range
    } catch (error) {
      range.fill(0)
      throw signal?.aborted === true ? abortError(signal) : error
    }
  }

  /**
   * A stream of a range of the plaintext, both ends included. What is ahead is fetched while the reader works.
   *
   * @example message.createReadStream({ start: 1_000_000, end: 1_999_999 }).pipe(response)
   * @throws RangeError when a number is unfit, or `end` is before `start`.
   */
  createReadStream({ start = 0, end, signal }: RangeOptions = {}): Readable {
    checkInteger('start', start, 0)
    if (end !== undefined) checkInteger('end', end, start)
    const stop = Math.min(end === undefined ? Infinity : end + 1, this.plaintextLength)
    const step = this.#framesPerRequest * this.header.frameLength
    const most = Math.max(1, Math.min(this.#concurrency, Math.floor(AHEAD_BYTES / step)))
    const reading = new LinkedController(signal)
    const ahead: Promise<Buffer>[] = []
    let position = start
    const askAhead = (): void => {
      while (ahead.length < most && position < stop) {
        // Up to where the next request begins, so that no frame is asked for twice.
        const until = Math.min(stop, (Math.floor(position / step) + 1) * step)
        const part = this.read(position, until - position, { signal: reading.signal })
        part.catch(() => undefined) // whoever takes it hears of it
        ahead.push(part)
        position = until
      }
    }
    return readableOf({
      next: async () => {
        askAhead()
        const bytes = await ahead.shift()
        askAhead()
        return bytes
      },
      close: (error) => {
        reading.abort(error)
      },
    })
  }

  /** Lets go of the source and of the keys; what is being read fails. */
  async close(): Promise<void> {
    this.#closed ??= Promise.resolve(this.#source.close?.())
    this.#cache?.clear()
    await this.#closed
  }

  /** {@link close}, at the end of an `await using` block. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  get #framesPerRequest(): number {
    return Math.max(1, Math.floor(REQUEST_BYTES / this.header.frameLength))
  }

  /** Fills a buffer with the plaintext from `position` on, by several requests at once. */
  async #fill(range: Buffer, position: number, signal: AbortSignal | undefined): Promise<void> {
    const { frameLength } = this.header
    const most = this.#framesPerRequest
    const last = Math.floor((position + range.length - 1) / frameLength)
    let next = Math.floor(position / frameLength)
    const reading = new LinkedController(signal)
    const work = async (): Promise<void> => {
      while (next <= last) {
        const first = next
        next = Math.min(last + 1, first + most)
        const plaintext = await this.#frameRun(first, next - first, reading.signal)
        reading.signal.throwIfAborted() // what was asked for is not wanted any more
        const from = first * frameLength
        plaintext.copy(range, Math.max(0, from - position), Math.max(0, position - from))
      }
    }
    const workers = Math.min(this.#concurrency, Math.ceil((last + 1 - next) / most))
    try {
      await Promise.all(Array.from({ length: workers }, work))
    } catch (error) {
      reading.abort(error)
      throw error
    } finally {
      reading.release()
    }
  }

  /** The plaintext of frames that follow each other, the first being number `first`, from 0; authenticated. */
  async #frameRun(first: number, count: number, signal: AbortSignal | undefined): Promise<Buffer> {
    const { regular, final } = this.#frames
    const parts: Buffer[] = []
    let [from, until] = [first, Math.min(first + count, regular)]
    const [front, back] = [this.#cached(from), until - 1 > from ? this.#cached(until - 1) : undefined]
    if (from < until && front !== undefined) {
      parts.push(front)
      from += 1
    }
    if (back !== undefined) until -= 1
    if (from < until) parts.push(await this.#fetch(from, until - from, signal))
    if (back !== undefined) parts.push(back)
    if (first + count > regular) parts.push(final)
    this.#checkOpen()
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  }

  async #fetch(first: number, count: number, signal: AbortSignal | undefined): Promise<Buffer> {
    this.#checkOpen()
    const [position, length] = regularFramesAt(this.#frames, first + 1, count)
    const bytes = await readExactly(this.#source, position, length, signal)
    this.#checkOpen()
    const plaintext = openRegularFrames(this.#frames, first + 1, bytes)
    // A neighbouring range begins or ends in the same frame; what lies between is not looked at twice.
    const { frameLength } = this.header
    for (const index of new Set([0, count - 1])) {
      this.#cache?.set(first + index, Buffer.from(plaintext.subarray(index * frameLength, (index + 1) * frameLength)))
    }
    return plaintext
  }

  /** A copy: an entry is overwritten when it is dropped. */
  #cached(frame: number): Buffer | undefined {
    const found = this.#cache?.get(frame)
    return found === undefined ? undefined : Buffer.from(found)
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw new TypeError('the message was closed')
  }
}

type CacheOptions = Pick<OpenMessageOptions, 'cacheBytes' | 'concurrency'>

/** @throws RangeError when an option is unfit. */
export function checkedOptions({ cacheBytes, concurrency = DEFAULT_CONCURRENCY }: CacheOptions): {
  cacheBytes: number | undefined
  concurrency: number
} {
  if (cacheBytes !== undefined) checkInteger('cacheBytes', cacheBytes, 0)
  checkInteger('concurrency', concurrency, 1)
  return { cacheBytes, concurrency }
}
