/** Requests to Amazon S3 that always end: in an answer, in a coded error, or when they are aborted. */
import type { PutObjectCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { Readable } from 'node:stream'
import { ChangedError, TransferError, checkInteger, isEncryptionSdkError, isError } from '../../errors.ts'
import { unlessAborted } from '../../materials/shared-request.ts'
import { type S3Trace, isTraced, traceChannel, traceRequest } from '../../materials/tracing.ts'
import { abortError } from '../../streams/abort-error.ts'

/** What every function of this subpath takes besides its own. */
export interface S3Options {
  /** The AWS SDK's own client, made and configured by the caller. */
  readonly client: S3Client
  /**
   * After so many milliseconds without a byte, in or out, a request is given up and tried again; 30,000 unless said. S3 has
   * longer to put an object of hundreds of parts together.
   */
  readonly idleTimeoutMs?: number
  readonly signal?: AbortSignal
}

/** How a request is watched. */
export interface Watch {
  readonly signal?: AbortSignal | undefined
  readonly idleTimeoutMs: number
}

const IDLE_TIMEOUT_MS = 30_000

/** A request that is stuck is made so often; errors that S3 answers with are tried again by the client itself. */
const ATTEMPTS = 3

/** Bytes of a body that are handed over at once, between which one can see that something moves. */
const SLICE_BYTES = 64 * 1024

/** @throws TypeError where there is no client; RangeError when the timeout is unfit. */
export function watchOf({ client, idleTimeoutMs = IDLE_TIMEOUT_MS, signal }: S3Options): Watch {
  checkClient(client)
  checkInteger('idleTimeoutMs', idleTimeoutMs, 1, 2 ** 31 - 1)
  return { idleTimeoutMs, signal }
}

/** @throws TypeError when it is none. */
export function checkClient(client: S3Client): void {
  if (typeof (client as Partial<S3Client> | undefined)?.send !== 'function') {
    throw new TypeError('"client" expected an S3Client of the AWS SDK')
  }
}

/** Aborts its signal when nothing was seen for a time, or the caller's signal is aborted. */
export class IdleWatch {
  readonly #controller = new AbortController()
  readonly #signal: AbortSignal | undefined
  readonly #timer: NodeJS.Timeout
  #seen = 0
  #stopped = false
  expired = false
  /** The how manieth attempt is watched. */
  readonly attempt: number

  constructor({ signal, idleTimeoutMs }: Watch, attempt = 1) {
    this.attempt = attempt
    this.#signal = signal
    this.#timer = setTimeout(() => {
      const seen = this.#seen
      // What came while this process was busy is looked at first.
      setImmediate(() => {
        if (this.#stopped || this.#seen !== seen) return
        this.expired = true
        this.#controller.abort(new Error(`nothing came for ${idleTimeoutMs} ms`))
      })
    }, idleTimeoutMs)
    if (signal?.aborted === true) this.#onAbort()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  readonly #onAbort = (): void => {
    this.#controller.abort(abortError(this.#signal))
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Something moved. */
  seen(): void {
    this.#seen += 1
    if (!this.#stopped) this.#timer.refresh()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}

/** How long S3 may take, after an abort, to say what became of what it has begun, or to remove it. */
export const GRACE_MS = 5000

/** A signal that is aborted a while after another, so that an answer that is about to come is not lost. */
export class LaterSignal {
  readonly #controller = new AbortController()
  readonly #signal: AbortSignal | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(signal: AbortSignal | undefined, delayMs: number) {
    this.#signal = signal
    this.#onAbort = () => {
      this.#timer = setTimeout(() => {
        this.#controller.abort(signal?.reason)
      }, delayMs)
    }
    if (signal?.aborted === true) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  readonly #onAbort: () => void

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}

/**
 * Makes a request; where nothing comes for too long, again.
 *
 * @param what for messages: the operation and what it is about
 * @throws TransferError | ChangedError | `AbortError`
 */
export async function request<T>(
  what: string,
  watch: Watch,
  send: (idle: IdleWatch) => Promise<T>,
  attempts: number = ATTEMPTS,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const idle = new IdleWatch(watch, attempt)
    try {
      idle.signal.throwIfAborted()
      return await unlessAborted(send(idle), idle.signal)
    } catch (error) {
      if (watch.signal?.aborted === true) throw abortError(watch.signal)
      if (idle.expired && attempt < attempts) continue
      throw transferError(what, error)
    } finally {
      idle.stop()
    }
  }
}

const CHANNEL = traceChannel<S3Trace>('s3')

/** What of a request is told to those who listen. */
interface Told {
  readonly Bucket?: string | undefined
  readonly Key?: string | undefined
  readonly PartNumber?: number | undefined
  readonly Range?: string | undefined
  readonly ContentLength?: number | undefined
}

/** The one place from which Amazon S3 is called, and told of. */
export function callS3<T extends object>(
  operation: string,
  { Bucket, Key, PartNumber, Range, ContentLength }: Told,
  { signal, attempt }: IdleWatch,
  send: (options: { readonly abortSignal: AbortSignal }) => Promise<T>,
): Promise<T> {
  const sending = (): Promise<T> => send({ abortSignal: signal })
  if (!isTraced(CHANNEL)) return sending()
  const asked = { bucket: Bucket, key: Key, partNumber: PartNumber, range: Range, bytes: ContentLength }
  const context: S3Trace = { operation, ...asked, attempt }
  return traceRequest(CHANNEL, context, signal, sending, {
    onAnswer: (answer) => {
      if ('Body' in answer && 'ContentLength' in answer) context.bytes = answer.ContentLength as number | undefined // what GetObject gives
    },
  })
}

/** The coded error of a request that failed. */
export function transferError(what: string, cause: unknown): Error {
  if (isEncryptionSdkError(cause)) return cause
  const reason = isError(cause) ? `${cause.name}: ${cause.message}` : String(cause)
  if (statusOf(cause) === 304)
    return new ChangedError(`${what}: the object is still the one that was not wanted`, { cause })
  if (isUnexpected(cause)) return new ChangedError(`${what}: the object is not the one that was expected`, { cause })
  return new TransferError(`${what}: ${reason}`, { cause })
}

/** Only a request with a condition on what the object is can fail so; the conflict is with another writer just then. */
function isUnexpected(cause: unknown): boolean {
  return statusOf(cause) === 412 || (isError(cause) && cause.name === 'ConditionalRequestConflict')
}

/** The HTTP status that S3 answered with, if it did. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('$metadata' in error)) return undefined
  return (error.$metadata as { httpStatusCode?: number } | undefined)?.httpStatusCode // what the AWS SDK puts there
}

/**
 * Shows the watch, as a body is sent, that it moves. The body is signed and summed as a whole; only on its way to the
 * socket it is handed over in slices, on each attempt anew.
 */
export function watchBody(command: PutObjectCommand | UploadPartCommand, client: S3Client, idle: IdleWatch): void {
  if (client.config.requestHandler.metadata?.handlerProtocol !== 'http/1.1') return
  // The two differ in the type of their input, at which nobody looks here.
  const stack = command.middlewareStack as UploadPartCommand['middlewareStack']
  stack.add(
    (next) => (args) => {
      const request = args.request as { readonly body?: unknown } // the HTTP request, at this step
      const { body } = request
      if (!Buffer.isBuffer(body) || body.length <= SLICE_BYTES) return next(args)
      const copy = Object.create(Object.getPrototypeOf(request) as object) as object // of its class, as handlers expect it
      return next({ ...args, request: Object.assign(copy, request, { body: slices(body, idle) }) })
    },
    { step: 'deserialize', priority: 'low', name: 'esdkStreamsWatchBody' },
  )
}

function slices(body: Buffer, idle: IdleWatch): Readable {
  let offset = 0
  return new Readable({
    highWaterMark: SLICE_BYTES,
    read() {
      idle.seen()
      this.push(offset < body.length ? body.subarray(offset, (offset += SLICE_BYTES)) : null)
    },
  })
}
