/** Encrypting into an object. */
import { randomUUID } from 'node:crypto'
import { pipeline } from 'node:stream'
import { checkInteger, asError } from '../../errors.ts'
import type { MessageHeader } from '../../format/message-header.ts'
import { EncryptStream } from '../../streams/encrypt-stream.ts'
import { lengthKnown } from '../../streams/message.ts'
import { type EncryptOptions, encryptSettings } from '../../streams/options.ts'
import type { MessageStats, ProtocolTransform } from '../../streams/protocol-transform.ts'
import { type ByteSource, openSource, readableOf } from '../../streams/sources.ts'
import { PartSizes, aboutMessageBytes } from './part-buffers.ts'
import { type S3Options, type Watch, watchOf } from './s3-request.ts'
import { type ObjectParams, type UploadOutput, checkObjectParams, upload } from './upload.ts'

/** Counts of a running or finished upload: bytes in, bytes out, frames, parts that S3 has (1 for a small object). */
export interface UploadStats extends MessageStats {
  readonly parts: number
}

/** How an object is sent. */
export interface UploadOptions {
  /** Length of the first part in bytes; 8 MiB unless said. Parts grow where 10,000 of them would not do. */
  readonly partBytes?: number
  /** How many parts are sent at once; 4 unless said. Memory: this and one more, times the length of a part. */
  readonly queueSize?: number
  /** About how many bytes it will be, where the length of the plaintext is not known. */
  readonly expectedBytes?: number
  /** Called at most ten times a second, for each part, and at the end. */
  readonly onProgress?: (stats: UploadStats) => void
}

/** What {@link putObject} takes. */
export interface PutObjectOptions extends S3Options, UploadOptions, Omit<EncryptOptions, 'signal' | 'onProgress'> {
  /** The input of the AWS SDK's own `PutObjectCommand`, without what would be of the ciphertext. */
  readonly params: ObjectParams
  /** The plaintext: text, bytes, or any iterable or stream of them. */
  readonly body: string | ByteSource
}

/** What came of it. */
export interface UploadResult {
  readonly header: MessageHeader
  readonly stats: UploadStats
  /** What S3 answered: `ETag`, `VersionId`, … */
  readonly output: UploadOutput
}

/** Metadata of what this library writes; for people and for lists, never trusted when it is read. */
export const PLAINTEXT_LENGTH = 'esdk-plaintext-length'
/** The name by which an upload knows its object again. */
export const UPLOAD_ID = 'esdk-upload-id'

const QUEUE_SIZE = 4

/**
 * Encrypts into an object of Amazon S3, in constant memory: a multipart upload, or one request where it is small.
 *
 * The object appears when the whole message is there, or not at all: after any failure (of the source, of the keys, of
 * S3, by an abort) the source is destroyed and the multipart upload removed; where that fails too, the error says which one
 * is left. (Only a process that is killed, or a lost answer to the beginning of an upload, which then has no parts, can leave
 * one behind unsaid: a lifecycle rule for incomplete multipart uploads removes it.) An abort while S3 puts the parts together is too late when
 * S3 answers within five seconds: this then succeeds.
 *
 * @example
 * await putObject({ client: new S3Client({}), params: { Bucket: 'backups', Key: 'a.tar' }, body: createReadStream('a.tar'), keyring })
 * @throws TypeError | RangeError when an option is unfit; TransferError when S3 fails; ChangedError where a condition
 * (`IfMatch`, `IfNoneMatch`) does not hold; `AbortError`; the coded errors of an encryption; what the source throws.
 */
export async function putObject(options: PutObjectOptions): Promise<UploadResult> {
  const { client, params, body, partBytes, queueSize, expectedBytes, onProgress, idleTimeoutMs, ...encryption } =
    options
  checkObjectParams(params)
  const { ContentLength } = params
  const said = ContentLength === undefined ? encryption : { plaintextLength: ContentLength, ...encryption }
  const known = { ...said, ...lengthKnown(body, said) }
  const { plaintextLength, frameLength } = encryptSettings(known)
  const whole = plaintextLength === undefined ? expectedBytes : aboutMessageBytes(plaintextLength, frameLength)
  const sending = checkedSending(params, { partBytes, queueSize, expectedBytes: whole, onProgress })
  if (plaintextLength !== undefined) sending.metadata[PLAINTEXT_LENGTH] = String(plaintextLength)
  const watch = watchOf(options)
  const stream = new EncryptStream({ ...known, onProgress: sending.report })
  return send(client, stream, openSource(body), watch, sending)
}

/** How a stream is sent, checked. */
export interface Sending {
  readonly params: ObjectParams
  readonly metadata: Record<string, string>
  readonly sizes: PartSizes
  readonly queueSize: number
  readonly report: (stats: MessageStats) => void
  parts: number
}

/** @throws RangeError when an option is unfit. */
export function checkedSending(
  params: ObjectParams,
  {
    partBytes,
    queueSize = QUEUE_SIZE,
    expectedBytes,
    onProgress,
  }: { [Name in keyof UploadOptions]: UploadOptions[Name] | undefined },
): Sending {
  const sending: Sending = {
    params,
    metadata: { ...params.Metadata, [UPLOAD_ID]: randomUUID() },
    sizes: new PartSizes(partBytes, expectedBytes),
    queueSize: checkInteger('queueSize', queueSize, 1, 1000),
    report: (stats) => onProgress?.({ ...stats, parts: sending.parts }),
    parts: 0,
  }
  return sending
}

/** Pipes a source through a stream into an object. */
export async function send(
  client: S3Options['client'],
  stream: ProtocolTransform,
  source: ReturnType<typeof openSource>,
  watch: Watch,
  sending: Sending,
): Promise<UploadResult> {
  pipeline(readableOf(source), stream, () => {
    // The stream itself carries the error.
  })
  const { params, metadata, sizes, queueSize } = sending
  const output = await upload(stream, {
    client,
    params: { ...params, Metadata: metadata },
    watch,
    sizes,
    queueSize,
    unique: UPLOAD_ID,
    onPart: () => {
      sending.parts += 1
      sending.report(stream.stats)
    },
  }).catch((error: unknown) => {
    source.close(asError(error))
    throw error
  })
  return { header: stream.header!, stats: { ...stream.stats, parts: sending.parts }, output }
}
