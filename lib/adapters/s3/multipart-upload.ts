/** A multipart upload of our own: parts of the same bytes at each attempt, and nothing left after a failure. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  type PutObjectCommandInput,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { setTimeout as sleep } from 'node:timers/promises'
import { LimitError, TransferError, messageOf } from '../../errors.ts'
import { unlessAborted } from '../../materials/shared-request.ts'
import { abortError } from '../../streams/abort-error.ts'
import { LinkedController } from '../../streams/linked-controller.ts'
import { settled } from './lost-answer.ts'
import { whatOf } from './object-body.ts'
import type { PartBuffers } from './part-buffers.ts'
import { GRACE_MS, LaterSignal, callS3, request, statusOf, watchBody } from './s3-request.ts'
import type { Upload, UploadOutput } from './upload.ts'

/** How long the remains of a failed upload may take to be removed. */
const CLEAN_UP_MS = 30_000
const MAX_PARTS = 10_000

/** How often an upload is removed whose parts were on their way, and how long the server has for them before. */
const MAX_REMOVALS = 4
const REMOVAL_DELAY_MS = 50

/** For so many parts, S3 may take one more idle timeout to put the object together. */
const PARTS_PER_TIMEOUT = 100

/** A multipart upload from its beginning to its completion, or to nothing. */
export class MultipartUpload {
  readonly #options: Upload
  readonly #what: string
  readonly #sending = new Set<Promise<void>>()
  readonly #completed: CompletedPart[] = []
  /** Aborted with the upload: what is being sent stops. */
  readonly #stop = new LinkedController()
  #id = ''
  /** The kind of checksum that the upload was made with, if it was. */
  #checksum: string | undefined
  #bytes = 0
  #sent = 0
  #failure: { readonly error: unknown } | undefined

  constructor(options: Upload) {
    this.#options = options
    this.#what = whatOf(options.params)
  }

  /** @throws as `upload` does; nothing of it stays then, or the error says what. */
  async run(parts: PartBuffers, first: readonly Buffer[]): Promise<UploadOutput> {
    const { watch, queueSize } = this.#options
    this.#id = await this.#create()
    const onAbort = (): void => {
      this.#stop.abort(abortError(watch.signal))
    }
    watch.signal?.addEventListener('abort', onAbort, { once: true })
    if (watch.signal?.aborted === true) onAbort()
    try {
      const waiting = [...first]
      for (let number = 1; ; number++) {
        const part = waiting.shift() ?? (await unlessAborted(parts.next(), this.#stop.signal))
        if (part.length === 0) break
        if (number > MAX_PARTS) {
          throw new LimitError(
            `${this.#what}: more than ${MAX_PARTS} parts; say "plaintextLength" or "expectedBytes", or take a larger "partBytes"`,
          )
        }
        while (this.#sending.size >= queueSize) await Promise.race(this.#sending)
        this.#throwFailure()
        this.#send(number, part)
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
    // An upload that was begun is removed by its id: an abort does not make this miss it. Where the answer is lost, an upload
    // without parts stays: nothing in a list of uploads tells it from another writer's of the same key.
    const command = new CreateMultipartUploadCommand({ ...rest, ChecksumAlgorithm })
    const { UploadId } = await this.#heard(watch.idleTimeoutMs, (idle) =>
      callS3('CreateMultipartUpload', rest, idle, (options) => client.send(command, options)),
    )
    if (UploadId === undefined) throw new TransferError(`${this.#what}: S3 gave the upload no id`)
    return UploadId
  }

  /** The answer to a request by which S3 begins or ends something; an abort waits for it a while. */
  async #heard<T>(idleTimeoutMs: number, send: Parameters<typeof request<T>>[2]): Promise<T> {
    const later = new LaterSignal(this.#options.watch.signal, Math.min(GRACE_MS, idleTimeoutMs))
    try {
      return await request(this.#what, { idleTimeoutMs, signal: later.signal }, send)
    } finally {
      later.stop()
    }
  }

  /** Sends a part in the background. A failure is thrown by who waits for a place or for the end. */
  #send(number: number, body: Buffer): void {
    this.#bytes += body.length
    this.#sent += 1
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
      return callS3('UploadPart', input, idle, (options) => client.send(command, options))
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
    const idleTimeoutMs = watch.idleTimeoutMs * Math.ceil(Parts.length / PARTS_PER_TIMEOUT)
    if (watch.signal?.aborted === true) throw abortError(watch.signal)
    try {
      const { $metadata, ...output } = await this.#heard(idleTimeoutMs, (idle) =>
        callS3('CompleteMultipartUpload', input, idle, (options) =>
          client.send(new CompleteMultipartUploadCommand({ ...input, MultipartUpload: { Parts } }), options),
        ),
      )
      return output
    } catch (error) {
      return settled(this.#options, error)
    }
  }

  /** Removes what S3 has of the upload; gives the error to throw. The caller's signal only sets a shorter time. */
  async #removed(error: unknown): Promise<unknown> {
    const { watch } = this.#options
    const aborted = watch.signal?.aborted === true
    const idleTimeoutMs = Math.min(watch.idleTimeoutMs, aborted ? GRACE_MS : CLEAN_UP_MS)
    try {
      await this.#remove(idleTimeoutMs)
      return error
    } catch {
      const left = `and what was uploaded could not be removed: abort the multipart upload ${this.#id} of ${this.#what}`
      if (aborted) return Object.assign(abortError(watch.signal), { message: `The operation was aborted; ${left}` })
      const reason = messageOf(error)
      return new TransferError(`${reason}; ${left}`, { cause: error })
    }
  }

  /**
   * A part that was on its way may be stored even after the upload was removed, or keep it from being removed: then it is
   * removed again, until there is none.
   */
  async #remove(idleTimeoutMs: number): Promise<void> {
    const { client } = this.#options
    const isAtRest = this.#sent === this.#completed.length
    for (let attempt = 1; ; attempt++) {
      try {
        await request(this.#what, { idleTimeoutMs }, (idle) =>
          callS3('AbortMultipartUpload', this.#same, idle, (options) =>
            client.send(new AbortMultipartUploadCommand(this.#same), options),
          ),
        )
        if (isAtRest || attempt === MAX_REMOVALS) return
      } catch (cause) {
        const status = statusOf(cause instanceof TransferError ? cause.cause : cause)
        if (status === 404) return
        if (status === undefined || status === 403 || attempt === MAX_REMOVALS) throw cause
      }
      await sleep(REMOVAL_DELAY_MS * attempt)
    }
  }
}
