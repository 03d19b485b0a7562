/** What a request asks of Amazon S3, as it can be read from its first line and headers. */
import type { IncomingMessage } from 'node:http'

/** What a client asked; the counts go on until the answer has ended. */
export interface AskedOfS3 {
  readonly method: string
  readonly bucket: string
  readonly key: string
  /** Name of the operation, such as PutObject, UploadPart or CompleteMultipartUpload. */
  readonly operation: string
  readonly partNumber?: number
  readonly uploadId?: string
  readonly versionId?: string
  /** The Range header. */
  readonly range?: string
  /** All of them, by lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  /** How many bytes of the request's body were forwarded so far. */
  bytesIn: number
  /** How many bytes of the answer's body the client was sent so far. */
  bytesOut: number
  /** Status that the client was answered, if it was. */
  status?: number
}

const VERBS: Readonly<Record<string, string>> = { GET: 'Get', HEAD: 'Head', PUT: 'Put', DELETE: 'Delete' }
const OF_OBJECTS = { tagging: 'Tagging', retention: 'Retention', 'legal-hold': 'LegalHold', attributes: 'Attributes' }
const OF_BUCKETS = {
  versioning: 'Versioning',
  'object-lock': 'ObjectLock',
  location: 'Location',
  lifecycle: 'Lifecycle',
}

/** Reads a request whose bucket is in the path. */
export function askedOf(request: IncomingMessage): AskedOfS3 {
  const url = new URL(request.url ?? '/', 'http://s3')
  const [, bucket = '', key = ''] = /^\/([^/]*)\/?(.*)$/s.exec(rawPath(request.url ?? '/')) ?? []
  const method = request.method ?? ''
  const query = url.searchParams
  const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
  const partNumber = query.get('partNumber')
  const uploadId = query.get('uploadId')
  const versionId = query.get('versionId')
  return {
    method,
    bucket: decodeURIComponent(bucket),
    key: decodeURIComponent(key),
    operation: operationOf(method, query, { bucket, key, copies: 'x-amz-copy-source' in headers }),
    ...(partNumber !== null && { partNumber: Number(partNumber) }),
    ...(uploadId !== null && { uploadId }),
    ...(versionId !== null && { versionId }),
    ...(headers['range'] !== undefined && { range: headers['range'] }),
    headers,
    bytesIn: 0,
    bytesOut: 0,
  }
}

/** As it was sent: a URL takes `..` for a step up, a key doesn't. */
function rawPath(target: string): string {
  return target.split('?', 1)[0]!
}

interface Place {
  readonly bucket: string
  readonly key: string
  readonly copies: boolean
}

function operationOf(method: string, query: URLSearchParams, { bucket, key, copies }: Place): string {
  const verb = VERBS[method] ?? method
  if (bucket === '') return 'ListBuckets'
  if (key !== '') return objectOperation(method, verb, query, copies)
  if (method === 'POST' && query.has('delete')) return 'DeleteObjects'
  const part = Object.entries(OF_BUCKETS).find(([name]) => query.has(name))
  if (part !== undefined) return `${verb}Bucket${part[1]}`
  if (method === 'GET' && query.has('uploads')) return 'ListMultipartUploads'
  if (method === 'GET' && query.has('versions')) return 'ListObjectVersions'
  if (method === 'GET') return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects'
  return method === 'PUT' ? 'CreateBucket' : `${verb}Bucket`
}

function objectOperation(method: string, verb: string, query: URLSearchParams, copies: boolean): string {
  if (method === 'POST') return query.has('uploads') ? 'CreateMultipartUpload' : 'CompleteMultipartUpload'
  if (query.has('uploadId')) {
    if (method === 'GET') return 'ListParts'
    if (method === 'DELETE') return 'AbortMultipartUpload'
    return copies ? 'UploadPartCopy' : 'UploadPart'
  }
  const part = Object.entries(OF_OBJECTS).find(([name]) => query.has(name))
  if (part !== undefined) return `${verb}Object${part[1]}`
  return copies ? 'CopyObject' : `${verb}Object`
}
