/** An object as a source: read from its beginning, or at any position; always the one that was there when it was opened. */
import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { TransferError, isEncryptionSdkError } from '../../errors.ts'
import { LinkedController } from '../../streams/linked-controller.ts'
import { readableOf } from '../../streams/sources.ts'
import type { FileSource } from '../file-source.ts'
import { wholeOf } from './get-object.ts'
import { ObjectBody, pinnedTo, whatOf } from './object-body.ts'
import { type S3Options, type Watch, callS3, request, statusOf, watchOf } from './s3-request.ts'

/** The name of an object. */
export interface ObjectName {
  readonly Bucket: string
  readonly Key: string
}

/** What is known of an object before it is read. */
export interface KnownObject {
  readonly ETag: string | undefined
  readonly length: number | undefined
  readonly VersionId?: string | undefined
}

/** Which object to open, and what a list said of it, if one did. */
export interface OpenObjectSource extends S3Options {
  readonly name: ObjectName
  readonly known?: KnownObject | undefined
}

/** What S3 means by an answer that has no words. */
const REASONS: Readonly<Record<number, string>> = {
  301: 'the bucket is in another region',
  403: 'access is denied',
  404: 'there is no such object',
}

/**
 * Opens an object for reading. Nothing of it is asked for before it is read.
 *
 * @throws TransferError when S3 fails; `AbortError`.
 */
export async function openObjectSource(options: OpenObjectSource): Promise<FileSource> {
  const { client, name } = options
  const watch = watchOf(options)
  const known = options.known ?? (await head(client, name, watch))
  const { length } = known
  const closing = new LinkedController(watch.signal)
  const params = pinnedTo(known, name)
  const open = (
    signal: AbortSignal,
    of: { readonly start?: number; readonly end?: number } = {},
  ): Promise<ObjectBody> => ObjectBody.open({ client, params, watch: { ...watch, signal }, ...of })
  let body: ObjectBody | undefined
  const bytes = readableOf({
    next: async () => (body ??= await open(closing.signal)).next(),
    close: (error) => body?.close(error),
  })
  return {
    bytes,
    length,
    ...(length !== undefined && {
      ranges: {
        size: length,
        read: async (position, count, { signal }) => {
          const reading = new LinkedController(closing.signal, signal)
          try {
            return await wholeOf(await open(reading.signal, { start: position, end: position + count }))
          } finally {
            reading.release()
          }
        },
      },
    }),
    close: () => {
      closing.abort(new TypeError('the object was closed'))
      bytes.destroy()
      return Promise.resolve()
    },
  }
}

/** Whether there is such an object. @throws TransferError when S3 fails; `AbortError`. */
export async function objectExists(options: OpenObjectSource): Promise<boolean> {
  try {
    await head(options.client, options.name, watchOf(options))
    return true
  } catch (error) {
    if (isEncryptionSdkError(error) && statusOf(error.cause) === 404) return false
    throw error
  }
}

async function head(client: S3Client, name: ObjectName, watch: Watch): Promise<KnownObject> {
  try {
    const { ETag, VersionId, ContentLength } = await request(whatOf(name), watch, (idle) =>
      callS3('HeadObject', name, idle, (options) => client.send(new HeadObjectCommand(name), options)),
    )
    return { ETag, VersionId, length: ContentLength }
  } catch (error) {
    const cause = isEncryptionSdkError(error) ? error.cause : undefined
    const reason = REASONS[statusOf(cause) ?? 0]
    throw reason === undefined ? error : new TransferError(`${whatOf(name)}: ${reason}`, { cause })
  }
}
