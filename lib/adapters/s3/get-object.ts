/** Decrypting an object: as a stream, or any range of it. */
import type { GetObjectCommandInput } from '@aws-sdk/client-s3'
import { once } from 'node:events'
import { pipeline } from 'node:stream'
import { ChangedError, asError } from '../../errors.ts'
import { abortError } from '../../streams/abort-error.ts'
import { DecryptStream, type DecryptStreamOptions } from '../../streams/decrypt-stream.ts'
import { LinkedController } from '../../streams/linked-controller.ts'
import { decryptSettings } from '../../streams/options.ts'
import { readableOf } from '../../streams/sources.ts'
import { MessageReader, checkedOptions } from '../message-reader.ts'
import type { OpenMessageOptions, RandomAccessSource } from '../open-message.ts'
import {
  ObjectBody,
  type ObjectDescription,
  checkParams,
  emptyObject,
  goneMeanwhile,
  pinnedTo,
  whatOf,
} from './object-body.ts'
import { type S3Options, statusOf, watchOf } from './s3-request.ts'

/** Which object. */
export interface ObjectSource extends S3Options {
  /** The input of the AWS SDK's own `GetObjectCommand`, without `Range` and `PartNumber`. */
  readonly params: Omit<GetObjectCommandInput, 'Range' | 'PartNumber'>
}

/** What {@link getObject} takes. */
export interface GetObjectOptions extends ObjectSource, Omit<DecryptStreamOptions, 'signal'> {}

/** What {@link openObject} takes. */
export interface OpenObjectOptions extends ObjectSource, Omit<OpenMessageOptions, 'signal'> {}

/** The plaintext of an object, as a stream. */
export class ObjectDecryptStream extends DecryptStream {
  /** What S3 says of the object. */
  readonly object: ObjectDescription

  constructor(options: DecryptStreamOptions, object: ObjectDescription) {
    super(options)
    this.object = object
  }
}

/** @throws TypeError when the parameters lack a name, or ask for some of the ciphertext. */
export function checkSourceParams(params: GetObjectCommandInput): void {
  checkParams(params, ['Range', 'PartNumber'], ': a range of a message is read with openObject')
}

/**
 * Decrypts an object of Amazon S3.
 *
 * A download that breaks off goes on at the next byte, of the same version of the object. A connection is given up when
 * nothing comes for `idleTimeoutMs` while this stream waits for it; a reader of this stream may take its time.
 *
 * @returns when the header is authenticated, the stream of the plaintext: see `DecryptStream`. `header` is the message's,
 *   `object` is what S3 says of the object.
 * @example
 * const object = await getObject({ client: new S3Client({}), params: { Bucket: 'backups', Key: 'a.tar' }, keyring })
 * await pipeline(object, createWriteStream('a.tar'))
 * @throws TypeError | RangeError when an option is unfit; TransferError when S3 fails; ChangedError when the object was
 * replaced meanwhile; UnsupportedError for an object of the Amazon S3 Encryption Client; `AbortError`; the coded errors of a
 * decryption. What happens after the header ends the stream.
 */
export async function getObject(options: GetObjectOptions): Promise<ObjectDecryptStream> {
  const { client, params, idleTimeoutMs, ...decryption } = options
  checkSourceParams(params)
  decryptSettings(decryption)
  const watch = watchOf(options)
  const body = await ObjectBody.open({ client, params, watch })
  const { signal } = options
  try {
    const stream = new ObjectDecryptStream(decryption, body.description)
    pipeline(readableOf(body), stream, () => {
      // The stream itself carries the error; whoever reads it hears of it, even later.
    })
    await once(stream, 'header')
    return stream
  } catch (error) {
    body.close(asError(error))
    throw signal?.aborted === true ? abortError(signal) : error
  }
}

/** Read at first: more than a usual header. */
const HEAD_BYTES = 64 * 1024

/**
 * Opens an object of Amazon S3 for random access: reads any range of its plaintext, from the frames that hold it and no
 * others. All requests are for the version that was there when it was opened.
 *
 * @example
 * const video = await openObject({ client, params: { Bucket: 'videos', Key: 'a.mp4' }, keyring })
 * await pipeline(video.createReadStream({ start: 1_000_000, end: 1_999_999 }), response)
 * @throws as `openMessage` and {@link getObject} do.
 */
export async function openObject(options: OpenObjectOptions): Promise<MessageReader> {
  const { client, params, idleTimeoutMs, ...opening } = options
  checkSourceParams(params)
  decryptSettings(opening)
  checkedOptions(opening)
  const watch = watchOf(options)
  const closing = new LinkedController()
  const fetch = async (params: GetObjectCommandInput, { start, end, signal }: Range): Promise<FetchedRange> => {
    const reading = new LinkedController(signal, closing.signal)
    try {
      const body = await ObjectBody.open({ client, params, watch: { ...watch, signal: reading.signal }, start, end })
      return { description: body.description, total: body.total!, bytes: await wholeOf(body) } // a range has a total
    } finally {
      reading.release()
    }
  }

  const first = await fetch(params, { start: 0, end: HEAD_BYTES, signal: options.signal }).catch((error: unknown) => {
    // There is no first byte to ask for.
    throw statusOf((error as Partial<ChangedError>).cause) === 416 ? emptyObject(params) : error
  })
  const head = first.bytes
  const pinned = pinnedTo(first.description, params)
  const source: RandomAccessSource = {
    size: first.total,
    read: async (position, length, { signal }) => {
      const end = position + length
      if (end <= head.length) return head.subarray(position, end)
      const { description, bytes } = await fetch(pinned, { start: position, end, signal }).catch((error: unknown) => {
        throw closing.signal.aborted ? closing.signal.reason : goneMeanwhile(whatOf(params), error)
      })
      if (description.ETag === first.description.ETag) return bytes
      throw new ChangedError(`${whatOf(params)}: the object changed since it was opened`)
    },
    close: () => {
      closing.abort(new TypeError('the message was closed'))
      return Promise.resolve()
    },
  }
  return MessageReader.open(source, opening)
}

interface Range {
  readonly start: number
  readonly end: number
  readonly signal: AbortSignal | undefined
}

interface FetchedRange {
  readonly description: ObjectDescription
  /** Length of the whole object. */
  readonly total: number
  readonly bytes: Buffer
}

/** All bytes of a range. */
export async function wholeOf(body: ObjectBody): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for (;;) {
    const bytes = await body.next()
    if (bytes === undefined) return Buffer.concat(parts)
    parts.push(bytes)
  }
}
