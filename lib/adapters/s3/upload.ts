/** One object from a stream of unknown length, whole or not at all: a PutObject, or a multipart upload of our own. */
import { asError, isError } from '../../errors.ts'
import { PutObjectCommand, type PutObjectCommandInput, type PutObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Readable } from 'node:stream'
import { abortError } from '../../streams/abort-error.ts'
import { settled } from './lost-answer.ts'
import { MultipartUpload } from './multipart-upload.ts'
import { checkParams, whatOf } from './object-body.ts'
import { PartBuffers, type PartSizes } from './part-buffers.ts'
import { type S3Options, type Watch, callS3, request, watchBody } from './s3-request.ts'

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

/** @throws TypeError when the parameters lack a name, or have what only the ciphertext can tell. */
export function checkObjectParams(params: PutObjectCommandInput): void {
  checkParams(params, ['Body', ...OF_THE_BODY], ', which would be of the ciphertext: leave it out')
}

/**
 * Sends what a stream gives. It ends only when all of it is as it should be; when it fails, nothing of it stays. After any
 * failure it is destroyed.
 *
 * @throws what the stream does; TransferError | ChangedError | LimitError | `AbortError`
 */
export async function upload(stream: Readable, options: Upload): Promise<UploadOutput> {
  const { signal } = options.watch
  const parts = new PartBuffers(stream as AsyncIterable<Buffer>, options.sizes) // no encoding is set
  try {
    const first = await parts.next()
    const second = first.length < options.sizes.of(1) ? undefined : await parts.next()
    if (second === undefined || second.length === 0) return await putWhole(first, options)
    return await new MultipartUpload(options).run(parts, [first, second])
  } catch (error) {
    stream.destroy(asError(error))
    throw signal?.aborted === true && !isAbortError(error) ? abortError(signal) : error
  }
}

function isAbortError(error: unknown): boolean {
  return isError(error) && 'code' in error && error.code === 'ABORT_ERR'
}

async function putWhole(body: Buffer, { client, params, watch, unique, onPart }: Upload): Promise<UploadOutput> {
  let output: UploadOutput
  try {
    const { $metadata, ...answer } = await request(whatOf(params), watch, (idle) => {
      const input = { ...params, Body: body, ContentLength: body.length }
      const command = new PutObjectCommand(input)
      watchBody(command, client, idle)
      return callS3('PutObject', input, idle, (options) => client.send(command, options))
    })
    output = answer
  } catch (error) {
    output = await settled({ client, params, watch, unique }, error)
  }
  onPart()
  return output
}
