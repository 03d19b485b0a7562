/** One object from a stream of unknown length, whole or not at all: a PutObject, or a multipart upload of our own. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  type PutObjectCommandOutput,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { LimitError, TransferError } from '../../errors.ts'
import { abortError } from '../../streams/abort-error.ts'
import { whatOf } from './object-body.ts'
import { PartBuffers, type PartSizes } from './part-buffers.ts'
import { type S3Options, type Watch, request, statusOf, watchBody } from './s3-request.ts'

/** What of `PutObject` a caller may say: all but what depends on the ciphertext, which nobody has seen yet. */
export type ObjectParams = Omit<PutObjectCommandInput, 'Body' | OfTheBody>

const OF_THE_BODY = [
  'ContentMD5',
  'ChecksumCRC32',
  'ChecksumCRC32C',
  'ChecksumCRC64NVME',
  'ChecksumSHA1',
  'ChecksumSHA256',
  'ChecksumSHA512',
  'ChecksumMD5',
  'ChecksumXXHASH64',
  'ChecksumXXHASH3',
  'ChecksumXXHASH128',
  'WriteOffsetBytes',
] as const
type OfTheBody = (typeof OF_THE_BODY)[number]

/** What came of an upload. */
export type UploadOutput = Omit<PutObjectCommandOutput, '$metadata'>

/** An upload to be done. */
export interface Upload extends Pick<S3Options, 'client'> {
  readonly params: ObjectParams & { readonly Metadata: Readonly<Record<string, string>> }
  readonly watch: Watch
  readonly sizes: PartSizes
  /** Parts that are sent at once. */
  readonly queueSize: number
  /** The pair of the metadata that no other object has: by it a lost answer is settled. */
  readonly unique: string
  /** Called for each part that S3 has. */
  readonly onPart: () => void
}

/** How long the remains of a failed upload may take to be removed. */
const CLEAN_UP_MS = 30_000
const MAX_PARTS = 10_000

/** @throws TypeError when the parameters lack a name, or have what only the ciphertext can tell. */
export function checkObjectParams(params: PutObjectCommandInput): void {
  const { Bucket, Key } = params
  if (typeof Bucket !== 'string' || Bucket === '' || typeof Key !== 'string' || Key === '') {
    throw new TypeError('"params" expected a "Bucket" and a "Key"')
  }
  const unfit = ['Body', ...OF_THE_BODY].find((name) => Object.hasOwn(params, name))
  if (unfit !== undefined) {
    throw new TypeError(`"params" has ${JSON.stringify(unfit)}, which would be of the ciphertext: leave it out`)
  }
}

/**
 * Sends what the chunks make up. They end only when all of it is as it should be; when they fail, nothing of it stays.
 *
 * @throws what the chunks do; TransferError | ChangedError | LimitError | `AbortError`
 */
export async function upload(chunks: AsyncIterable<Buffer>, options: Upload): Promise<UploadOutput> {
  const parts = new PartBuffers(chunks, options.sizes)
  try {
    const first = await parts.next()
    const second = first.length < options.sizes.of(1) ? undefined : await parts.next()
    if (second === undefined || second.length === 0) return await putWhole(first, options)
    return await new MultipartUpload(options).run(parts, [first, second])
  } catch (error) {
    await parts.close()
    throw options.watch.signal?.aborted === true ? abortError(options.watch.signal) : error
  }
}

async function putWhole(body: Buffer, { client, params, watch, unique, onPart }: Upload): Promise<UploadOutput> {
  let output: UploadOutput
  try {
    const { $metadata, ...answer } = await request(whatOf(params), watch, (idle) => {
      const command = new PutObjectCommand({ ...params, Body: body, ContentLength: body.length })
      watchBody(command, client, idle)
      return client.send(command, { abortSignal: idle.signal })
    })
    output = answer
  } catch (error) {
    output = await settled({ client, params, watch, unique }, error)
  }
  onPart()
  return output
}

/** A request whose answer was lost may have been done: the object itself says so. */
async function settled(
  { client, params, watch, unique }: Pick<Upload, 'client' | 'params' | 'watch' | 'unique'>,
  error: unknown,
): Promise<UploadOutput> {
  if (watch.signal?.aborted === true) throw error
  const { Bucket, Key, SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5, RequestPayer, ExpectedBucketOwner } =
    params
  const same = { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5, RequestPayer, ExpectedBucketOwner }
  const found = await request(whatOf(params), watch, ({ signal }) =>
    client.send(new HeadObjectCommand({ Bucket, Key, ...same }), { abortSignal: signal }),
  ).catch(() => undefined)
  if (found?.Metadata?.[unique] !== params.Metadata[unique]) throw error
  const { ETag, VersionId } = found!
  return { ETag, VersionId }
}

/** A multipart upload from its beginning to its completion, or to nothing. */
class MultipartUpload {
  readonly #options: Upload
  readonly #what: string
  readonly #sending = new Set<Promise<void>>()
  readonly #completed: CompletedPart[] = []
  /** Aborted with the upload: what is being sent stops. */
  readonly #stop = new AbortController()
  #id = ''
  /** The kind of checksum that the upload was made with, if it was. */
  #checksum: string | undefined
  #bytes = 0
  #failure: { readonly error: unknown } | undefined

  constructor(options: Upload) {
    this.#options = options
    this.#what = whatOf(options.params)
  }

  async run(parts: PartBuffers, first: readonly Buffer[]): Promise<UploadOutput> {
    const { watch, queueSize } = this.#options
    this.#id = await this.#create()
    const onAbort = (): void => {
      this.#stop.abort(abortError(watch.signal))
    }
    watch.signal?.addEventListener('abort', onAbort, { once: true })
    if (watch.signal?.aborted === true) onAbort()
    try {
      let number = 0
      for (const part of first) this.#send(++number, part)
      for (;;) {
        while (this.#sending.size >= queueSize && this.#failure === undefined) await Promise.race(this.#sending)
        this.#throwFailure()
        const part = await parts.next()
        if (part.length === 0) break
        if (number === MAX_PARTS) {
          throw new LimitError(
            `${this.#what}: more than ${MAX_PARTS} parts; say "plaintextLength" or "expectedBytes", or take a larger "partBytes"`,
          )
        }
        this.#send(++number, part)
      }
      await Promise.all(this.#sending)
      this.#throwFailure()
      return await this.#complete()
    } catch (error) {
      this.#stop.abort(error)
      await Promise.allSettled(this.#sending)
      throw await this.#removed(error)
    } finally {
      watch.signal?.removeEventListener('abort', onAbort)
    }
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }

  /** What every request of the upload has to say again. */
  get #same(): Pick<PutObjectCommandInput, 'Bucket' | 'Key' | 'RequestPayer' | 'ExpectedBucketOwner'> & {
    readonly UploadId: string
  } {
    const { Bucket, Key, RequestPayer, ExpectedBucketOwner } = this.#options.params
    return { Bucket, Key, UploadId: this.#id, RequestPayer, ExpectedBucketOwner }
  }

  get #customerKey(): Pick<PutObjectCommandInput, 'SSECustomerAlgorithm' | 'SSECustomerKey' | 'SSECustomerKeyMD5'> {
    const { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 } = this.#options.params
    return { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 }
  }

  async #create(): Promise<string> {
    const { client, params, watch } = this.#options
    const { ContentLength, IfMatch, IfNoneMatch, ...rest } = params
    // The parts of an upload can have checksums only of the kind that it was made with.
    const byDefault = (await client.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED' ? 'CRC32' : undefined
    const ChecksumAlgorithm = params.ChecksumAlgorithm ?? byDefault
    this.#checksum = ChecksumAlgorithm
    const { UploadId } = await request(this.#what, watch, ({ signal }) =>
      client.send(new CreateMultipartUploadCommand({ ...rest, ChecksumAlgorithm }), { abortSignal: signal }),
    )
    if (UploadId === undefined) throw new TransferError(`${this.#what}: S3 gave the upload no id`)
    return UploadId
  }

  /** Sends a part in the background. A failure is thrown by who waits for a place or for the end. */
  #send(number: number, body: Buffer): void {
    this.#bytes += body.length
    const sending = this.#sendPart(number, body)
      .catch((error: unknown) => {
        this.#failure ??= { error }
        this.#stop.abort(error)
      })
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }

  async #sendPart(number: number, body: Buffer): Promise<void> {
    const { client, params, watch, onPart } = this.#options
    const { ChecksumAlgorithm } = params
    const input = { ...this.#same, ...this.#customerKey, PartNumber: number, Body: body, ContentLength: body.length }
    const answer = await request(`${this.#what} part ${number}`, { ...watch, signal: this.#stop.signal }, (idle) => {
      const command = new UploadPartCommand({ ...input, ...(ChecksumAlgorithm !== undefined && { ChecksumAlgorithm }) })
      watchBody(command, client, idle)
      return client.send(command, { abortSignal: idle.signal })
    })
    // S3 may give others than the one that it was asked for, and would not take those back.
    const { ETag, ...given } = answer
    const checksums = Object.fromEntries(
      Object.entries(given).filter(([name]) => name === `Checksum${this.#checksum ?? ''}`),
    )
    this.#completed.push({ ETag, PartNumber: number, ...checksums })
    onPart()
  }

  async #complete(): Promise<UploadOutput> {
    const { client, params, watch } = this.#options
    const { IfMatch, IfNoneMatch } = params
    const Parts = this.#completed.sort((a, b) => a.PartNumber! - b.PartNumber!)
    const input = { ...this.#same, ...this.#customerKey, IfMatch, IfNoneMatch, MpuObjectSize: this.#bytes }
    try {
      const { $metadata, ...output } = await request(this.#what, watch, ({ signal }) =>
        client.send(new CompleteMultipartUploadCommand({ ...input, MultipartUpload: { Parts } }), {
          abortSignal: signal,
        }),
      )
      return output
    } catch (error) {
      return settled(this.#options, error)
    }
  }

  /** Removes what S3 has of the upload; gives the error to throw. The caller's signal has no say in this. */
  async #removed(error: unknown): Promise<unknown> {
    const { client, watch } = this.#options
    const idleTimeoutMs = Math.min(watch.idleTimeoutMs, CLEAN_UP_MS)
    try {
      await request(this.#what, { idleTimeoutMs }, ({ signal }) =>
        client.send(new AbortMultipartUploadCommand(this.#same), { abortSignal: signal }),
      )
      return error
    } catch (cause) {
      if (statusOf(cause instanceof TransferError ? cause.cause : cause) === 404) return error
      const reason = error instanceof Error ? error.message : String(error)
      return new TransferError(
        `${reason}; and what was uploaded could not be removed: abort the multipart upload ${this.#id} of ${this.#what}`,
        { cause: error },
      )
    }
  }
}
