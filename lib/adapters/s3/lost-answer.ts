/** A request whose answer was lost. */
import { HeadObjectCommand } from '@aws-sdk/client-s3'
import { ChangedError, isEncryptionSdkError, isError } from '../../errors.ts'
import { whatOf } from './object-body.ts'
import { callS3, request } from './s3-request.ts'
import type { Upload, UploadOutput } from './upload.ts'

/**
 * A request whose answer was lost may have been done: the object itself says so.
 *
 * @returns what the answer would have said
 * @throws the error, where it was not done
 */
export async function settled(
  { client, params, watch, unique }: Pick<Upload, 'client' | 'params' | 'watch' | 'unique'>,
  error: unknown,
): Promise<UploadOutput> {
  if (watch.signal?.aborted === true) throw error
  const failure = params.IfMatch === undefined ? error : removedMeanwhile(whatOf(params), error)
  const { Bucket, Key, SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5, RequestPayer, ExpectedBucketOwner } =
    params
  const same = { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5, RequestPayer, ExpectedBucketOwner }
  const command = new HeadObjectCommand({ Bucket, Key, ...same })
  const found = await request(whatOf(params), watch, (idle) =>
    callS3('HeadObject', { Bucket, Key }, idle, (options) => client.send(command, options)),
  ).catch(() => undefined)
  if (found?.Metadata?.[unique] !== params.Metadata[unique]) throw failure
  const { ETag, VersionId } = found!
  return { ETag, VersionId }
}

/** Where the object that a condition is about is gone, S3 says so by another error. */
function removedMeanwhile(what: string, error: unknown): unknown {
  const cause = isEncryptionSdkError(error) ? error.cause : undefined
  if (!isError(cause) || cause.name !== 'NoSuchKey') return error
  return new ChangedError(`${what}: the object that was expected is not there any more`, { cause })
}
