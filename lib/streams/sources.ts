/** Sources of bytes: everything that a caller may hand over where a message or a plaintext is expected. */
import { asError } from '../errors.ts'
import { Readable } from 'node:stream'
import { types } from 'node:util'
import { ByteQueue, SLICE_BYTES, pulledQueue } from './byte-queue.ts'

/** Bytes in memory, or any iterable or stream of them (Node's and the web's streams are async iterables). */
export type ByteSource =
  Uint8Array | ArrayBuffer | Iterable<Uint8Array> | AsyncIterable<Uint8Array> | ReadableStreamLike

/** A web `ReadableStream`, however it is typed in the caller's project. */
export interface ReadableStreamLike {
  getReader(): { read(): Promise<{ done: boolean; value?: Uint8Array }>; cancel(reason?: unknown): Promise<void> }
}

/** A source under way. */
export interface OpenSource {
  /** All of it, where it is whole in memory. */
  readonly whole?: Uint8Array
  /** The next bytes, or `undefined` after the last. */
  next(): Promise<Uint8Array | undefined>
  /** Lets go of the source; `error` is why, where it was not read to its end. */
  close(error?: Error): void
}

/** A queue over a source: of little that is in memory a filled one, else one that pulls. */
export function queueOf(source: OpenSource): ByteQueue {
  const { whole } = source
  return whole !== undefined && whole.length <= SLICE_BYTES ? ByteQueue.of(whole) : pulledQueue(() => source.next())
}

/** A Node stream of a source; destroying it lets go of the source. */
export function readableOf(source: OpenSource): Readable {
  return new Readable({
    read() {
      source.next().then(
        (bytes) => this.push(bytes ?? null),
        (error: unknown) => this.destroy(asError(error)),
      )
    },
    destroy(error, callback) {
      source.close(error ?? (this.readableEnded ? undefined : new Error('the stream was destroyed')))
      callback(error)
    },
  })
}

/**
 * Opens a source. Strings (and strings among its chunks) are UTF-8 text where `text` is undefined, and refused with that
 * text otherwise.
 *
 * @throws TypeError when it is no source of bytes.
 */
export function openSource(source: ByteSource | string, refuseStrings?: string): OpenSource {
  if (typeof source === 'string' || isBytes(source)) {
    const whole = toBytes(source, refuseStrings)
    let left: Uint8Array | undefined = whole
    return {
      whole,
      next: () => {
        const bytes = left
        left = undefined
        return Promise.resolve(bytes)
      },
      close: () => undefined,
    }
  }
  const iterator = iteratorOf(source)
  return {
    next: async () => {
      const result: IteratorResult<unknown, unknown> = await iterator.next()
      return result.done === true ? undefined : toBytes(result.value, refuseStrings)
    },
    close: (error) => {
      if (error !== undefined && isNodeStream(source)) {
        // The error is the caller's already; before its first read a stream has nobody else to listen for it.
        source.on('error', () => undefined)
        source.destroy(error)
      }
      // A source that is stuck would never return; nobody waits for it.
      Promise.resolve(iterator.return?.()).catch(() => undefined)
    },
  }
}

type AnyIterator = Iterator<unknown, unknown> | AsyncIterator<unknown, unknown>

function iteratorOf(source: Exclude<ByteSource, Uint8Array | ArrayBuffer>): AnyIterator {
  if (typeof source === 'object' && (source as unknown) !== null) {
    // First, because the async iterator of a web stream that is stuck can't be told to let go.
    if ('getReader' in source) return readerIterator(source)
    if (Symbol.asyncIterator in source) return source[Symbol.asyncIterator]()
    if (Symbol.iterator in source) return source[Symbol.iterator]()
  }
  throw new TypeError('expected bytes, or an iterable or stream of bytes')
}

/** Web streams, by the one method that all of them have. */
function readerIterator(source: ReadableStreamLike): AsyncIterator<unknown> {
  const reader = source.getReader()
  return {
    next: async () => {
      const { done, value } = await reader.read()
      return done ? { done: true, value: undefined } : { done: false, value }
    },
    return: async () => {
      await reader.cancel()
      return { done: true, value: undefined }
    },
  }
}

function isBytes(value: unknown): value is Uint8Array | ArrayBuffer {
  return types.isArrayBuffer(value) || ArrayBuffer.isView(value)
}

interface NodeStreamLike {
  destroy(error?: Error): void
  on(event: 'error', listener: () => void): void
}

function isNodeStream(value: object): value is NodeStreamLike {
  return 'destroy' in value && typeof value.destroy === 'function' && 'on' in value && typeof value.on === 'function'
}

function toBytes(value: unknown, refuseStrings: string | undefined): Uint8Array {
  if (typeof value === 'string') {
    if (refuseStrings !== undefined) throw new TypeError(refuseStrings)
    return Buffer.from(value, 'utf8')
  }
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (types.isArrayBuffer(value)) return Buffer.from(value)
  throw new TypeError(`a source of bytes gave ${value === null ? 'null' : `a ${typeof value}`}`)
}
