/** Re-encrypting an object: in place, or into another one. */
import { GetObjectTaggingCommand, type S3Client } from '@aws-sdk/client-s3'
import { UnsupportedError, asError } from '../../errors.ts'
import { bodyLength } from '../../format/message-size.ts'
import { type DecryptOptions, type EncryptOptions, decryptSettings, encryptSettings } from '../../streams/options.ts'
import { ReencryptStream } from '../../streams/reencrypt.ts'
import { type ObjectSource, checkSourceParams } from './get-object.ts'
import { ObjectBody, type ObjectDescription, whatOf } from './object-body.ts'
import { type UploadOptions, type UploadResult, checkedSending, send } from './put-object.ts'
import { type Watch, callS3, checkClient, request, watchOf } from './s3-request.ts'
import { type ObjectParams, checkObjectParams } from './upload.ts'

/** What {@link reencryptObject} takes. */
export interface ReencryptObjectOptions extends ObjectSource, Omit<UploadOptions, 'expectedBytes'> {
  readonly from: Omit<DecryptOptions, 'signal' | 'onProgress'>
  /** The pairs of its `encryptionContext` are added to those that the message stores, or replace them. */
  readonly to: Omit<EncryptOptions, 'signal' | 'onProgress'>
  /** Another object to write; its own parameters count more than what is carried over. In place unless said. */
  readonly target?: { readonly client?: S3Client; readonly params: ObjectParams }
}

/** What came of it. */
export interface ReencryptObjectResult extends UploadResult {
  /** The object that was read. In a versioned bucket this version is still there, under the old keys. */
  readonly previous: { readonly ETag: string | undefined; readonly VersionId: string | undefined }
}

/** What S3 says of an object and takes for a new one, under the same name. */
const CARRIED = [
  'CacheControl',
  'ContentDisposition',
  'ContentEncoding',
  'ContentLanguage',
  'ContentType',
  'Metadata',
  'ServerSideEncryption',
  'SSEKMSKeyId',
  'BucketKeyEnabled',
  'StorageClass',
  'WebsiteRedirectLocation',
  'ObjectLockMode',
  'ObjectLockRetainUntilDate',
  'ObjectLockLegalHoldStatus',
] as const satisfies readonly (keyof ObjectDescription & keyof ObjectParams)[]

const RETENTION: readonly string[] = ['ObjectLockMode', 'ObjectLockRetainUntilDate']

/** The stored context is carried over, and may be long. */
const AROUND_THE_BODY = 1024 * 1024

/**
 * Decrypts an object and encrypts it anew, as one stream in constant memory: see `reencrypt`. The new object appears only
 * when the old one has verified to its last byte. In place, it replaces just the object that was read: where another
 * writer was faster, theirs stays.
 *
 * Content type and the other headers, metadata, tags, storage class, server-side encryption and object lock (but for a
 * retention that is over) are carried over, tags and locks where the credentials may read them; access control lists are not.
 *
 * @example
 * const { previous } = await reencryptObject({ client, params: { Bucket: 'backups', Key: 'a.tar' }, from: { keyring: old }, to: { keyring: current } })
 * @throws as `getObject` and `putObject` do; ChangedError where the object was replaced meanwhile.
 */
export async function reencryptObject(options: ReencryptObjectOptions): Promise<ReencryptObjectResult> {
  const { client, params, from, to, target, partBytes, queueSize, onProgress, signal } = options
  checkSourceParams(params)
  if (target !== undefined) checkTarget(params, target.params)
  else if (params.VersionId !== undefined) {
    throw new TypeError(
      '"params" has "VersionId": in place, the current version is re-encrypted; name a "target" for others',
    )
  }
  decryptSettings(from)
  const { frameLength } = encryptSettings({ ...to, requiredEncryptionContextKeys: [] }) // they may be among the stored pairs
  const watch = watchOf(options)
  if (target?.client !== undefined) checkClient(target.client)
  checkedSending({ Bucket: '', Key: '' }, { partBytes, queueSize, expectedBytes: undefined, onProgress })

  const body = await ObjectBody.open({ client, params, watch })
  try {
    const { ETag, VersionId } = body.description
    const carried = await carriedOver(client, params, body.description, watch)
    const expectedBytes = body.total === undefined ? undefined : bodyLength(body.total, frameLength) + AROUND_THE_BODY
    const written = target === undefined ? inPlace(params, ETag) : { ...unlessChanged(options, ETag), ...target.params }
    const sending = checkedSending(
      { ...fitting(carried, written), ...written },
      { partBytes, queueSize, expectedBytes, onProgress },
    )
    const driver = { onProgress: sending.report, ...(signal !== undefined && { signal }) }
    const stream = new ReencryptStream(from, to, driver)
    const result = await send(target?.client ?? client, stream, body, watch, sending)
    return { ...result, previous: { ETag, VersionId } }
  } catch (error) {
    body.close(asError(error))
    throw error
  }
}

/** @throws TypeError when parameters lack, or have what can't be. */
function checkTarget({ SSECustomerAlgorithm: from }: ObjectSource['params'], params: ObjectParams): void {
  checkObjectParams(params)
  const { SSECustomerAlgorithm, ServerSideEncryption } = params
  if (from !== undefined && SSECustomerAlgorithm === undefined && ServerSideEncryption === undefined) {
    throw new TypeError(
      '"target" has no "SSECustomerAlgorithm" and no "ServerSideEncryption": a customer\'s key is not carried over to another object',
    )
  }
}

/** A target that is the object itself is one in place, but for the parameters. */
function unlessChanged(
  { client, params, target }: ReencryptObjectOptions,
  ETag: string | undefined,
): Partial<ObjectParams> {
  const { Bucket, Key, IfNoneMatch } = target!.params
  const same = Bucket === params.Bucket && Key === params.Key && (target!.client ?? client) === client
  return same && params.VersionId === undefined && IfNoneMatch === undefined ? { IfMatch: ETag } : {}
}

/** Another kind of server-side encryption has other parameters. */
function fitting(carried: Partial<ObjectParams>, written: ObjectParams): Partial<ObjectParams> {
  if (written.ServerSideEncryption === undefined && written.SSECustomerAlgorithm === undefined) return carried
  const { ServerSideEncryption, SSEKMSKeyId, BucketKeyEnabled, ...rest } = carried
  return rest
}

function inPlace(params: ObjectSource['params'], ETag: string | undefined): ObjectParams {
  const { Bucket, Key, RequestPayer, ExpectedBucketOwner } = params
  const { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 } = params
  const customerKey = { SSECustomerAlgorithm, SSECustomerKey, SSECustomerKeyMD5 }
  return { Bucket, Key, RequestPayer, ExpectedBucketOwner, ...customerKey, IfMatch: ETag }
}

async function carriedOver(
  client: S3Client,
  { Bucket, Key, RequestPayer, ExpectedBucketOwner }: ObjectSource['params'],
  description: ObjectDescription,
  watch: Watch,
): Promise<Partial<ObjectParams>> {
  const { MissingMeta = 0, TagCount = 0, VersionId, ExpiresString, ObjectLockRetainUntilDate } = description
  if (MissingMeta > 0) {
    throw new UnsupportedError(
      `${whatOf({ Bucket, Key })} has metadata that S3 can't give, so it can't be carried over`,
    )
  }
  const isOver = (ObjectLockRetainUntilDate?.getTime() ?? 0) <= Date.now() // and S3 takes none that is
  const pairs = CARRIED.map((name) => [name, description[name]] as const).filter(
    ([name, value]) => value !== undefined && !(isOver && RETENTION.includes(name)),
  )
  const carried: Partial<ObjectParams> = { ...Object.fromEntries(pairs), ...expiresOf(ExpiresString) }
  if (TagCount === 0) return carried
  const asked = { Bucket, Key, RequestPayer, ExpectedBucketOwner, ...(VersionId !== undefined && { VersionId }) }
  const { TagSet = [] } = await request(`${whatOf(asked)} tags`, watch, (idle) =>
    callS3('GetObjectTagging', asked, idle, (options) => client.send(new GetObjectTaggingCommand(asked), options)),
  )
  const tags = new URLSearchParams(TagSet.map(({ Key: name = '', Value = '' }): [string, string] => [name, Value]))
  return { ...carried, Tagging: tags.toString().replaceAll('+', '%20') }
}

/** S3 gives text, which need not be a date, and takes a date. */
function expiresOf(text: string | undefined): Pick<ObjectParams, 'Expires'> {
  if (text === undefined) return {}
  const Expires = new Date(text)
  if (Number.isNaN(Expires.getTime())) {
    throw new UnsupportedError(`the object has "Expires: ${text}", which is no date and so can't be carried over`)
  }
  return { Expires }
}
