/** The bytes of an object, or of a range of it: what breaks off goes on at the next byte not yet received. */
import {
  GetObjectCommand,
  type GetObjectCommandInput,
  type GetObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  ChangedError,
  TransferError,
  TruncatedMessageError,
  UnsupportedError,
  asError,
  isEncryptionSdkError,
} from '../../errors.ts'
import { abortError } from '../../streams/abort-error.ts'
import { NO_STRINGS } from '../../streams/decrypt-stream.ts'
import { LinkedController } from '../../streams/linked-controller.ts'
import { type OpenSource, openSource } from '../../streams/sources.ts'
import { ReadWatch } from './read-watch.ts'
import { type Watch, callS3, request, statusOf, transferError } from './s3-request.ts'

/** What S3 says of an object, besides its bytes. */
export type ObjectDescription = Omit<GetObjectCommandOutput, 'Body' | '$metadata'>

/** An object, and which range of it: the first byte and the one after the last. */
export interface ObjectRange {
  readonly client: S3Client
  readonly params: GetObjectCommandInput
  readonly watch: Watch
  readonly start?: number
  readonly end?: number
}

/** In a row, without receiving much in between. */
const MAX_FAILURES = 5
/** So much received says that the connection is worth more attempts. */
const PROGRESS_BYTES = 64 * 1024
const FIRST_DELAY_MS = 50

/** Metadata of the Amazon S3 Encryption Client, whose objects are no messages of the AWS Encryption SDK. */
const S3_ENCRYPTION_CLIENT = ['x-amz-key', 'x-amz-key-v2', 'x-amz-iv', 'x-amz-cek-alg', 'x-amz-3', 'x-amz-c']

/** The bytes of an object under way. */
export class ObjectBody implements OpenSource {
  readonly #range: ObjectRange
  readonly #what: string
  /** What S3 said of the object when it was first asked. */
  readonly description: ObjectDescription
  /** Length of the whole object; `undefined` where S3 did not say. */
  readonly total: number | undefined
  readonly #end: number | undefined
  #position: number
  #body: OpenSource | undefined
  #failures = 0
  #sinceFailure = 0
  /** Aborted with the caller's signal, and when this is closed. */
  readonly #closing: LinkedController
  readonly #watch: Watch
  readonly #reads: ReadWatch

  private constructor(range: ObjectRange, answer: GetObjectCommandOutput) {
    const { start = 0, end } = range
    this.#range = range
    this.#what = whatOf(range.params)
    const { signal, idleTimeoutMs } = range.watch
    this.#closing = new LinkedController(signal)
    this.#watch = { idleTimeoutMs, signal: this.#closing.signal }
    this.#reads = new ReadWatch(this.#watch)
    const { Body: body, $metadata, ...description } = answer
    this.description = description
    this.#body = openSource(body as AsyncIterable<Uint8Array>, NO_STRINGS) // a stream, of whatever kind the client makes
    const whole = start === 0 && end === undefined
    const found = whole ? undefined : contentRange(answer.ContentRange)
    if (!whole && (found?.first !== start || (end !== undefined && found.last >= end))) {
      this.close(new Error('not what was asked for'))
      throw new TransferError(`${this.#what}: a range was asked for, and S3 gave another one or all of it`)
    }
    this.total = whole ? answer.ContentLength : found?.total
    this.#position = start
    this.#end = end === undefined ? this.total : Math.min(end, this.total ?? end)
  }

  /** Asks for the object. @throws TransferError | ChangedError | UnsupportedError | `AbortError` */
  static async open(range: ObjectRange): Promise<ObjectBody> {
    const { start = 0, end } = range
    const answer = await ask(range, start === 0 && end === undefined ? range.params : ranged(range, start))
    refuseS3EncryptionClient(answer)
    return new ObjectBody(range, answer)
  }

  async next(): Promise<Uint8Array | undefined> {
    let bytes: Uint8Array | undefined
    try {
      bytes = await this.#next()
      return bytes
    } finally {
      if (bytes === undefined) this.#reads.stop()
    }
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      this.#throwIfAborted()
      try {
        this.#body ??= await this.#goOn()
        const bytes = await this.#receive(this.#body)
        if (bytes !== undefined) return bytes
        if (this.#end === undefined || this.#position === this.#end) return undefined
        throw new Error(`the answer ended at byte ${this.#position} of ${this.#end}`)
      } catch (error) {
        await this.#failed(error)
        // All of it is there, whatever became of the connection.
        if (this.#position === this.#end) return undefined
      }
    }
  }

  close(error?: Error): void {
    this.#closing.abort(error)
    this.#reads.stop()
    this.#body?.close(error)
    this.#body = undefined
  }

  #throwIfAborted(): void {
    const { signal } = this.#range.watch
    if (signal?.aborted === true) throw abortError(signal)
    this.#closing.signal.throwIfAborted()
  }

  /** The next bytes; watched only meanwhile, so that a reader may take its time. */
  async #receive(body: OpenSource): Promise<Uint8Array | undefined> {
    const bytes = await this.#reads.wait(body.next())
    const length = bytes?.length ?? 0
    this.#position += length
    this.#sinceFailure += length
    if (this.#sinceFailure >= PROGRESS_BYTES) this.#failures = 0
    if (this.#end !== undefined && this.#position > this.#end) {
      throw new ChangedError(`${this.#what}: S3 gave more than the ${this.#end} bytes that it had said`)
    }
    return bytes
  }

  /** Lets go of a connection that broke; throws where there is no going on. */
  async #failed(error: unknown): Promise<void> {
    this.#body?.close(asError(error))
    this.#body = undefined
    this.#throwIfAborted()
    this.#failures += 1
    this.#sinceFailure = 0
    const pinned = this.description.ETag !== undefined && this.#end !== undefined
    const isFinal = isEncryptionSdkError(error) && !(error instanceof TransferError)
    if (isFinal || !pinned || this.#failures > MAX_FAILURES) throw transferError(this.#what, error)
    if (this.#position === this.#end) return
    const delay = FIRST_DELAY_MS * 2 ** (this.#failures - 1) * (0.5 + Math.random())
    await sleep(delay, undefined, { signal: this.#watch.signal }).catch(() => undefined)
  }

  /** Asks for the rest of the same object, and insists on getting that. */
  async #goOn(): Promise<OpenSource> {
    const { ETag } = this.description
    const pinned = pinnedTo(this.description, ranged(this.#range, this.#position))
    const answer = await ask({ ...this.#range, watch: this.#watch }, pinned, 1).catch((error: unknown) => {
      throw goneMeanwhile(this.#what, error)
    })
    const found = contentRange(answer.ContentRange)
    const body = openSource(answer.Body as AsyncIterable<Uint8Array>, NO_STRINGS) // as above
    if (
      found?.first === this.#position &&
      found.last + 1 === this.#end &&
      found.total === this.total &&
      answer.ETag === ETag
    ) {
      return body
    }
    body.close(new Error('not what was asked for'))
    throw new ChangedError(`${this.#what}: the object changed while it was read`)
  }
}

/** The error to throw where what was there before can't be read. */
export function goneMeanwhile(what: string, error: unknown): unknown {
  const status = isEncryptionSdkError(error) ? statusOf(error.cause) : undefined
  if (status !== 404 && status !== 416) return error
  return new ChangedError(`${what}: the object was removed or replaced while it was read`, { cause: error })
}

/** The parameters that ask for just the object that S3 described so. */
export function pinnedTo<Params extends object>(
  { ETag, VersionId }: { readonly ETag?: string | undefined; readonly VersionId?: string | undefined },
  params: Params,
): Params & { readonly IfMatch?: string; readonly VersionId?: string } {
  return {
    ...params,
    ...(ETag !== undefined && { IfMatch: ETag }),
    ...(VersionId !== undefined && VersionId !== 'null' && { VersionId }), // of a bucket without versions it is "null"
  }
}

/** @throws TypeError when parameters lack the name of an object, or have one of the `unfit`, which `why` explains. */
export function checkParams(
  params: Pick<GetObjectCommandInput, 'Bucket' | 'Key'> | undefined,
  unfit: readonly string[],
  why: string,
): void {
  const { Bucket, Key } = params ?? {}
  if (params === undefined || typeof Bucket !== 'string' || Bucket === '' || typeof Key !== 'string' || Key === '') {
    throw new TypeError('"params" expected a "Bucket" and a "Key"')
  }
  const found = unfit.find((name) => Object.hasOwn(params, name))
  if (found !== undefined) throw new TypeError(`"params" has ${JSON.stringify(found)}${why}`)
}

/** The name of an object in messages. */
export function whatOf({ Bucket, Key }: Pick<GetObjectCommandInput, 'Bucket' | 'Key'>): string {
  return `s3://${Bucket ?? ''}/${Key ?? ''}`
}

function ask(
  { client, watch }: Omit<ObjectRange, 'params'>,
  params: GetObjectCommandInput,
  attempts?: number,
): Promise<GetObjectCommandOutput> {
  return request(
    whatOf(params),
    watch,
    (idle) => callS3('GetObject', params, idle, (options) => client.send(new GetObjectCommand(params), options)),
    attempts,
  )
}

/** The parameters that ask for what of a range is left from `start` on. */
function ranged({ params, end }: ObjectRange, start: number): GetObjectCommandInput {
  return { ...params, Range: `bytes=${start}-${end === undefined ? '' : String(end - 1)}` }
}

/** `bytes 0-9/100` */
function contentRange(text: string | undefined): { first: number; last: number; total: number } | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(text ?? '')
  return match === null ? undefined : { first: Number(match[1]), last: Number(match[2]), total: Number(match[3]) }
}

function refuseS3EncryptionClient({ Metadata = {}, Body }: GetObjectCommandOutput): void {
  const found = S3_ENCRYPTION_CLIENT.find((name) => Object.hasOwn(Metadata, name))
  if (found === undefined) return
  openSource(Body as AsyncIterable<Uint8Array>).close(new Error('not a message')) // as above
  throw new UnsupportedError(
    `the object is one of the Amazon S3 Encryption Client (its metadata has ${JSON.stringify(found)}): decrypt it with that`,
  )
}

/** The error of an object without any bytes, of which no range can be asked for. */
export function emptyObject(params: GetObjectCommandInput): TruncatedMessageError {
  return new TruncatedMessageError(`${whatOf(params)} is empty: there is no message`)
}
