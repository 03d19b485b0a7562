/** What operations tell to whoever listens, by `node:diagnostics_channel`; where nobody does, nothing is made. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { type TracingChannel, tracingChannel } from 'node:diagnostics_channel'
import { unlessAborted } from './shared-request.ts'

/**
 * The names of the tracing channels, for `tracingChannel(name)` of `node:diagnostics_channel`. Each has the five channels
 * `tracing:NAME:start`, `end`, `asyncStart`, `asyncEnd` and `error`. What they publish holds facts only: never a key, a
 * plaintext, a ciphertext or an encryption context.
 *
 * @example
 * tracingChannel(TRACING_CHANNELS.kms).subscribe({ asyncEnd: ({ operation, region }) => count(operation, region), … })
 */
export const TRACING_CHANNELS = {
  /** A message being made: {@link MessageTrace}. */
  encrypt: 'esdk-streams:encrypt',
  /** A message being read: {@link MessageTrace}. */
  decrypt: 'esdk-streams:decrypt',
  /** A re-encryption, around one of each: {@link MessageTrace}. */
  reencrypt: 'esdk-streams:reencrypt',
  /** A call of AWS KMS: {@link KmsTrace}. */
  kms: 'esdk-streams:kms',
  /** A request to Amazon S3, such as a part of an upload: {@link S3Trace}. */
  s3: 'esdk-streams:s3',
} as const

/** What every context has: one object from `start` to `asyncEnd`. */
export interface Trace {
  /** What is done: `encrypt`, `decrypt` or `reencrypt`, or the operation of the service. */
  readonly operation: string
  /** Why it failed or was given up; from `error` on. */
  error?: unknown
}

/** A call of AWS KMS, with all attempts that the AWS SDK makes. */
export interface KmsTrace extends Trace {
  /** As the caller of AWS KMS named it: an ARN, or an alias or id. */
  readonly keyId: string | undefined
  readonly region: string | undefined
  /** What AWS said of it; there from `asyncStart` on, where it answered. */
  requestId?: string
  attempts?: number
  httpStatusCode?: number
}

/** A request to Amazon S3, with all attempts that the AWS SDK makes. */
export interface S3Trace extends Trace {
  readonly bucket: string | undefined
  /** The name of the object. */
  readonly key: string | undefined
  readonly partNumber: number | undefined
  /** The range that was asked for. */
  readonly range: string | undefined
  /** Bytes of the body that is sent; of one that is received, from `asyncStart` on. */
  bytes: number | undefined
  /** 1, and one more each time that nothing came for too long and the request was made again. */
  readonly attempt: number
  /** What AWS said of it; there from `asyncStart` on, where it answered. */
  requestId?: string
  attempts?: number
  httpStatusCode?: number
}

/** A channel whose contexts are of one kind. */
export type TraceChannel<Context extends Trace> = TracingChannel<unknown, Context>

/** @internal */
export function traceChannel<Context extends Trace>(name: keyof typeof TRACING_CHANNELS): TraceChannel<Context> {
  return tracingChannel<unknown, Context>(TRACING_CHANNELS[name])
}

/** Whether anybody listens to any of its channels. */
export function isTraced<Context extends Trace>({
  start,
  end,
  asyncStart,
  asyncEnd,
  error,
}: TraceChannel<Context>): boolean {
  return (
    start.hasSubscribers ||
    end.hasSubscribers ||
    asyncStart.hasSubscribers ||
    asyncEnd.hasSubscribers ||
    error.hasSubscribers
  )
}

/** Runs a function where it would have run, but in another asynchronous context. */
export type Enter = <T>(work: () => T) => T

/** The asynchronous context of here and now. */
export function enterHere(): Enter {
  return AsyncLocalStorage.snapshot() // as its documentation has it
}

/** Publishes the end of an operation. */
export function traceEnd<Context extends Trace>(channel: TraceChannel<Context>, context: Context): void {
  if ('error' in context) channel.error.publish(context)
  channel.asyncStart.publish(context)
  channel.asyncEnd.publish(context)
}

/** A service's answer, or the error that it is. */
interface Answer {
  readonly $metadata?:
    | {
        readonly requestId?: string | undefined
        readonly attempts?: number | undefined
        readonly httpStatusCode?: number | undefined
      }
    | undefined
}

/** Traces a request to a service. Unlike Node's own `tracePromise` it keeps the answer, in which keys are, to itself. */
export async function traceRequest<Context extends KmsTrace | S3Trace, T extends object>(
  channel: TraceChannel<Context>,
  context: Context,
  signal: AbortSignal | undefined,
  send: () => Promise<T>,
  { shown = (error) => error, onAnswer }: TraceRequestOptions<T> = {},
): Promise<T> {
  try {
    let sent: Promise<T>
    try {
      sent = channel.start.runStores(context, send)
    } finally {
      channel.end.publish(context)
    }
    const answer = await unlessAborted(sent, signal)
    noteMetadata(context, answer)
    onAnswer?.(answer)
    return answer
  } catch (error) {
    context.error = shown(error)
    noteMetadata(context, error)
    throw error
  } finally {
    traceEnd(channel, context)
  }
}

interface TraceRequestOptions<T> {
  /** The error as others may see it. */
  readonly shown?: (error: unknown) => unknown
  readonly onAnswer?: (answer: T) => void
}

function noteMetadata(context: KmsTrace | S3Trace, answer: unknown): void {
  const { requestId, attempts, httpStatusCode } = (answer as Answer | undefined)?.$metadata ?? {} // what the AWS SDK puts there
  if (requestId !== undefined) context.requestId = requestId
  if (attempts !== undefined) context.attempts = attempts
  if (httpStatusCode !== undefined) context.httpStatusCode = httpStatusCode
}
