/** The one Transform that drives every protocol: the only place that knows about Node's stream methods. */
import { asError } from '../errors.ts'
import { type EventEmitter, type Readable, Transform, type TransformCallback, addAbortSignal } from 'node:stream'
import type { MessageHeader } from '../format/message-header.ts'
import { ByteQueue, SLICE_BYTES } from './byte-queue.ts'
import type { OutputMemory } from './output-memory.ts'
import { Turns } from './turns.ts'

/** Counts of a running or finished message: bytes in, bytes out, frames. */
export interface MessageStats {
  bytesIn: number
  bytesOut: number
  frames: number
}

/** What a protocol tells, and is told, besides its bytes. */
export interface Session {
  /** Aborted when the result is no longer wanted; undefined where nothing can abort. */
  readonly signal: AbortSignal | undefined
  readonly stats: MessageStats
  /** Where output lies, if its reader gives it back. */
  readonly memory?: OutputMemory | undefined
  /** To be called once, when the header is authenticated (or, of a new message, made). */
  readonly onHeader: (header: MessageHeader) => void
}

/** An operation from its first byte to its last; what it yields is output. */
export type Protocol = (input: ByteQueue, session: Session) => AsyncGenerator<Buffer, void>

/** Options of Node's own streams that pass through. */
export interface StreamOptions {
  readonly highWaterMark?: number
  readonly readableHighWaterMark?: number
  readonly writableHighWaterMark?: number
  readonly encoding?: BufferEncoding
  readonly defaultEncoding?: BufferEncoding
  readonly emitClose?: boolean
}

/** What the driver itself takes. */
export interface DriverOptions extends StreamOptions {
  readonly signal?: AbortSignal
  /** Called with the stream's `stats`, at most ten times a second and at the end. */
  readonly onProgress?: (stats: MessageStats) => void
}

/** What a subclass knows of its use. */
export interface Driven {
  /** The text of the TypeError for a written string; without it, strings are decoded. */
  readonly refuseStrings?: string
  /** Where output lies, if whoever reads it gives it back. */
  readonly memory?: OutputMemory | undefined
}

const HIGH_WATER_MARK = 64 * 1024
const PROGRESS_INTERVAL_MS = 100

/** A chunk that its writer waits to have back. */
interface Written {
  readonly chunk: Buffer
  /** So much of it has been lent; whether the last of that is lent still. */
  offset: number
  lent: boolean
  readonly callback: TransformCallback
}

type AnyListener = Parameters<EventEmitter['on']>[1]

interface Listen<This> {
  (event: 'header', listener: (header: MessageHeader) => void): This
  (event: 'data', listener: (chunk: Buffer) => void): This
  (event: 'error', listener: (error: Error) => void): This
  (event: 'pipe' | 'unpipe', listener: (source: Readable) => void): This
  (event: 'close' | 'drain' | 'end' | 'finish' | 'pause' | 'readable' | 'resume', listener: () => void): This
  (event: string | symbol, listener: AnyListener): This
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- types of events only, no members
export interface ProtocolTransform {
  on: Listen<this>
  once: Listen<this>
  addListener: Listen<this>
  prependListener: Listen<this>
}

/**
 * Drives a protocol; subclasses only choose it. Emits `'header'` once, when the message's header is authenticated (or,
 * of a new message, made).
 */
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- see above
export abstract class ProtocolTransform extends Transform {
  /** The message's header, once it is authenticated. */
  header: MessageHeader | undefined
  readonly stats: MessageStats = { bytesIn: 0, bytesOut: 0, frames: 0 }

  readonly #protocol: Protocol
  readonly #memory: OutputMemory | undefined
  readonly #refuseStrings: string | undefined
  readonly #onProgress: ((stats: MessageStats) => void) | undefined
  readonly #controller = new AbortController()
  readonly #queue: ByteQueue = new ByteQueue(() => {
    this.#feed()
  })
  #started = false
  #lastProgress = 0
  #written: Written | undefined
  #flushed: TransformCallback | undefined
  #reader: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined

  constructor(protocol: Protocol, options: DriverOptions, { refuseStrings, memory }: Driven = {}) {
    const { highWaterMark = HIGH_WATER_MARK, signal, onProgress, ...rest } = options
    super({
      // Node lets `highWaterMark` win over the halves, so it is never passed.
      readableHighWaterMark: rest.readableHighWaterMark ?? highWaterMark,
      writableHighWaterMark: rest.writableHighWaterMark ?? highWaterMark,
      ...(rest.encoding !== undefined && { encoding: rest.encoding }),
      ...(rest.defaultEncoding !== undefined && { defaultEncoding: rest.defaultEncoding }),
      ...(rest.emitClose !== undefined && { emitClose: rest.emitClose }),
      decodeStrings: refuseStrings === undefined,
    })
    this.#protocol = protocol
    this.#memory = memory
    this.#refuseStrings = refuseStrings
    this.#onProgress = onProgress
    // A moment later, so that whoever makes the stream can listen first: a pipeline refuses a stream that has failed already.
    if (signal?.aborted === true) queueMicrotask(() => addAbortSignal(signal, this))
    else if (signal !== undefined) addAbortSignal(signal, this)
  }

  /** @internal */
  override _transform(chunk: Buffer | string, _encoding: BufferEncoding, callback: TransformCallback): void {
    if (typeof chunk === 'string') {
      callback(new TypeError(this.#refuseStrings))
      return
    }
    this.stats.bytesIn += chunk.length
    this.#written = { chunk, offset: 0, lent: false, callback }
    this.#start()
    this.#feed()
  }

  /** @internal */
  override _flush(callback: TransformCallback): void {
    this.#flushed = callback
    this.#start()
    this.#queue.end()
  }

  /** @internal */
  override _read(size: number): void {
    super._read(size)
    const reader = this.#reader
    this.#reader = undefined
    reader?.resolve()
  }

  /** @internal */
  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    const reason = error ?? new Error('the stream was destroyed')
    this.#controller.abort(reason)
    this.#queue.fail(reason)
    this.#reader?.reject(reason)
    this.#reader = undefined
    const written = this.#written
    this.#written = undefined
    written?.callback(reason)
    callback(error)
  }

  /**
   * Lends what was written to the queue, as much at a time as the protocol works on, and acknowledges it when the protocol
   * is through with it or the queue has copied what is left.
   */
  #feed(): void {
    const written = this.#written
    if (written === undefined || written.lent || !this.#queue.wanting) return
    const { chunk, offset, callback } = written
    written.offset = Math.min(offset + SLICE_BYTES, chunk.length)
    written.lent = true
    this.#queue.lend(chunk.subarray(offset, written.offset), () => {
      written.lent = false
      if (written.offset < chunk.length) {
        this.#feed()
      } else if (this.#written === written) {
        this.#written = undefined
        callback()
      }
    })
  }

  #start(): void {
    if (this.#started) return
    this.#started = true
    void this.#run()
  }

  async #run(): Promise<void> {
    const turns = new Turns()
    const session: Session = {
      signal: this.#controller.signal,
      stats: this.stats,
      memory: this.#memory,
      onHeader: (header) => {
        this.header = header
        this.emit('header', header)
      },
    }
    try {
      for await (const chunk of this.#protocol(this.#queue, session)) {
        this.stats.bytesOut += chunk.length
        if (!this.push(chunk)) await this.#readAgain()
        this.#reportProgress()
        if (turns.due(chunk.length)) await turns.turn()
      }
      this.#reportProgress(true)
      this.#flushed?.()
    } catch (error) {
      this.destroy(asError(error))
    }
  }

  /** Until the reader wants more; fails when the stream is destroyed. */
  async #readAgain(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      if (this.destroyed) reject(new Error('the stream was destroyed'))
      else this.#reader = { resolve, reject }
    })
  }

  #reportProgress(last = false): void {
    if (this.#onProgress === undefined) return
    const now = performance.now()
    if (!last && now - this.#lastProgress < PROGRESS_INTERVAL_MS) return
    this.#lastProgress = now
    this.#onProgress(this.stats)
  }
}
