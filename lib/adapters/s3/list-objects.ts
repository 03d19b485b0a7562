/** Listing the objects of a bucket. */
import { ListObjectsV2Command, type S3Client } from '@aws-sdk/client-s3'
import { type S3Options, callS3, request, watchOf } from './s3-request.ts'

/** An object as a list has it. */
export interface ListedObject {
  readonly Key: string
  readonly ETag: string | undefined
  readonly length: number | undefined
}

/** Which objects. */
export interface ListObjectsOptions extends S3Options {
  readonly client: S3Client
  readonly Bucket: string
  /** What their keys begin with. */
  readonly Prefix: string
}

/**
 * All objects whose keys begin so, in the order in which S3 gives them, a page at a time.
 *
 * @throws TransferError when S3 fails; `AbortError`.
 */
export async function* listObjects(options: ListObjectsOptions): AsyncGenerator<ListedObject, void> {
  const { client, Bucket, Prefix } = options
  const watch = watchOf(options)
  let token: string | undefined
  do {
    const input = { Bucket, Prefix, ...(token !== undefined && { ContinuationToken: token }) }
    const page = await request(`s3://${Bucket}/${Prefix}`, watch, (idle) =>
      callS3('ListObjectsV2', input, idle, (options) => client.send(new ListObjectsV2Command(input), options)),
    )
    for (const { Key, ETag, Size } of page.Contents ?? []) {
      if (Key !== undefined) yield { Key, ETag, length: Size }
    }
    token = page.NextContinuationToken
  } while (token !== undefined)
}
