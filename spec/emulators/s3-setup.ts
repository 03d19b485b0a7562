/** A bucket of its own on an S3 server behind a proxy, for the specs of a suite. */
import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  NotFound,
  PutBucketVersioningCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { preparedOrPending } from '../interop/pending.ts'
import { PREPARE_TIMEOUT_MS } from './emulator.ts'
import { sharedMoto } from './moto.ts'
import { S3FaultProxy } from './s3-fault-proxy.ts'
import { BUILD_TIMEOUT_MS, S3_CREDENTIALS, sharedVersitygw } from './versitygw.ts'

/** The header of versitygw.ts has what each does unlike Amazon S3. */
export type S3Kind = 'versitygw' | 'moto'

/** What a suite may want otherwise. */
export interface S3SetupOptions {
  /** Whether the bucket keeps versions; it doesn't. */
  readonly versioned?: boolean
  /** Whether the bucket allows object lock; it doesn't. */
  readonly locks?: boolean
}

/** An S3 server, and a bucket. */
export interface S3Server {
  readonly proxy: S3FaultProxy
  /** The proxy's. */
  readonly endpoint: string
  /** The server's own, past the proxy. */
  readonly behind: string
  readonly bucket: string
  /** Asks the proxy. */
  readonly client: S3Client
  /** Asks the server, past the proxy. */
  readonly direct: S3Client
  /** What a program needs in its environment to ask the proxy. */
  readonly environment: Readonly<Record<string, string>>
  /** Keys of the multipart uploads that are neither completed nor aborted. */
  multipartUploads(): Promise<string[]>
  objectExists(key: string): Promise<boolean>
  /** An object's bytes, asked past the proxy. */
  objectBytes(key: string): Promise<Buffer>
}

let buckets = 0

/** The AWS SDK's own client, as a user makes it for an emulator. */
export function s3ClientAt(endpoint: string, config: S3ClientConfig = {}): S3Client {
  const always = { region: 'us-east-1', endpoint, forcePathStyle: true, credentials: S3_CREDENTIALS }
  return new S3Client({ ...always, maxAttempts: 2, ...config })
}

/** A bucket and a proxy for the specs of the suite that calls this. Each spec begins without faults. */
export function useS3Server(kind: S3Kind, options: S3SetupOptions = {}): { readonly server: S3Server } {
  const shared: { server?: S3Server } = {}

  before(async function () {
    this.timeout(kind === 'moto' ? PREPARE_TIMEOUT_MS : BUILD_TIMEOUT_MS)
    const { endpoint } = await preparedOrPending(this, kind === 'moto' ? sharedMoto : sharedVersitygw)
    shared.server = await makeServer(endpoint, options)
  })

  beforeEach(() => shared.server?.proxy.faults())

  after(async () => {
    if (shared.server === undefined) return
    const { client, direct, proxy } = shared.server
    client.destroy()
    await proxy.stop()
    await empty(shared.server)
    direct.destroy()
  })

  return {
    get server() {
      return shared.server!
    },
  }
}

async function makeServer(behind: string, { versioned = false, locks = false }: S3SetupOptions): Promise<S3Server> {
  const direct = s3ClientAt(behind)
  const Bucket = `spec-${process.pid}-${++buckets}`
  await direct.send(new CreateBucketCommand({ Bucket, ...(locks && { ObjectLockEnabledForBucket: true }) }))
  if (versioned) {
    await direct.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }))
  }
  const proxy = new S3FaultProxy(behind)
  const endpoint = await proxy.start()
  return {
    proxy,
    endpoint,
    behind,
    bucket: Bucket,
    client: s3ClientAt(endpoint),
    direct,
    environment: {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: S3_CREDENTIALS.secretAccessKey,
    },
    multipartUploads: async () => (await unfinished(direct, Bucket)).map(({ Key }) => Key),
    objectExists: (key) => exists(direct, Bucket, key),
    objectBytes: async (key) => {
      const { Body } = await direct.send(new GetObjectCommand({ Bucket, Key: key }))
      return Buffer.from(await Body!.transformToByteArray())
    },
  }
}

interface Unfinished {
  readonly Key: string
  readonly UploadId: string
}

async function unfinished(client: S3Client, Bucket: string): Promise<Unfinished[]> {
  const { Uploads = [], IsTruncated = false } = await client.send(new ListMultipartUploadsCommand({ Bucket }))
  if (IsTruncated) throw new Error('more unfinished uploads than one answer lists')
  return Uploads.map(({ Key, UploadId }) => ({ Key: Key!, UploadId: UploadId! }))
}

async function exists(client: S3Client, Bucket: string, Key: string): Promise<boolean> {
  try {
    await client.send(new HeadObjectCommand({ Bucket, Key }))
    return true
  } catch (error) {
    if (error instanceof NotFound) return false
    throw error
  }
}

/** The server lives on, its disk shall not fill up. What is locked stays. */
async function empty({ direct: client, bucket: Bucket }: S3Server): Promise<void> {
  for (const { Key, UploadId } of await unfinished(client, Bucket)) {
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
  }
  let page: ListObjectVersionsCommandOutput | undefined
  do {
    const markers = page && { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }
    page = await client.send(new ListObjectVersionsCommand({ Bucket, ...markers }))
    const all = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]
    const Objects = all.map(({ Key, VersionId }) => ({ Key: Key!, VersionId }))
    if (Objects.length > 0) await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }))
  } while (page.IsTruncated === true)
}
