/**
 * Encrypted videos in Amazon S3, played and seeked by a browser: what it asks for with `Range` is read from the frames
 * that hold it, and each of them is authenticated before any of it is sent.
 *
 *     esdk keygen my.key
 *     esdk encrypt a.webm --key my.key --random-access -c video=a.webm -c content-type=video/webm
 *     aws s3 cp a.webm.encrypted s3://my-videos/a.webm
 *     S3_BUCKET=my-videos KEY_FILE=my.key node --import tsx examples/video-server.ts
 *
 * Then open http://127.0.0.1:8080/#a.webm. It answers whoever asks on this machine: who may see which video is for the
 * server that you make of it to decide.
 *
 * A request for several ranges is answered with all of the video, which HTTP allows; no browser makes one for a video.
 */
import { S3Client } from '@aws-sdk/client-s3'
import { createSecretKey } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { RawAesKeyring, isEncryptionSdkError } from 'esdk-streams'
import { openObject } from 'esdk-streams/s3'
import { LRUCache } from 'lru-cache'
import { parse } from 'range-parser'

const { S3_BUCKET: Bucket = 'my-videos', KEY_FILE = 'my.key', PORT = '8080' } = process.env

type Video = Awaited<ReturnType<typeof openObject>>

const jwk = JSON.parse(await readFile(KEY_FILE, 'utf8')) as { kid: string; k: string } // as `esdk keygen` writes it
const keyring = new RawAesKeyring({
  keyNamespace: 'esdk',
  keyName: jwk.kid,
  wrappingKey: createSecretKey(jwk.k, 'base64url'),
})
const client = new S3Client({})

// A browser makes many requests for one video: its keys are unwrapped, and its length is proven, once for all of them.
// A video that drops out is not closed: someone may be watching it, and no connection stays open between reads.
const videos = new LRUCache<string, Video>({
  max: 100,
  ttl: 60_000,
  // Under a name there must be the video that was encrypted for it.
  fetchMethod: (name) =>
    openObject({ client, params: { Bucket, Key: name }, keyring, encryptionContext: { video: name } }),
})

const PAGE = `<!doctype html>
<title>Video</title>
<video controls></video>
<script>document.querySelector('video').src = '/videos/' + location.hash.slice(1)</script>
`

const server = createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    console.error(`${request.url ?? ''}: ${String(error)}`)
    // What had begun was broken off (by pipeline), so that it does not look complete.
    if (!response.headersSent) end(response, isMissing(error) ? 404 : 502)
  })
})

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    end(response, 405, { allow: 'GET, HEAD' })
    return
  }
  const [pathname] = (request.url ?? '/').split('?', 1) as [string] // there is always a first
  const name = nameOf(pathname)
  if (name !== undefined) await answerVideo(name, request, response)
  else if (pathname === '/') response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(PAGE)
  else end(response, 404)
}

async function answerVideo(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  // The browser seeks or goes away: what is being fetched for it is given up.
  const gone = new AbortController()
  response.once('close', () => {
    gone.abort()
  })
  const video = (await videos.fetch(name))!
  const { messageId, encryptionContext } = video.header
  const etag = `"${messageId.toString('base64url')}"` // no two messages share theirs
  const headers = {
    etag,
    'accept-ranges': 'bytes',
    'cache-control': 'private, no-cache', // kept by the browser, and asked for again
    'content-type': encryptionContext['content-type'] ?? 'application/octet-stream',
    'x-content-type-options': 'nosniff',
  }
  if (namesTag(request.headers['if-none-match'], etag)) {
    response.writeHead(304, headers).end()
    return
  }

  const size = video.plaintextLength
  const wanted = wantedRange(request, etag, size)
  if (wanted === 'unsatisfiable') {
    end(response, 416, { ...headers, 'content-range': `bytes */${size}` })
    return
  }
  const status = wanted === undefined ? 200 : 206
  const { start, end: last } = wanted ?? { start: 0, end: size - 1 }
  const head = {
    ...headers,
    'content-length': last + 1 - start,
    ...(wanted !== undefined && { 'content-range': `bytes ${start}-${last}/${size}` }),
  }
  if (request.method === 'HEAD' || size === 0) {
    response.writeHead(status, head).end()
    return
  }

  try {
    const bytes = video.createReadStream({ start, end: last, signal: gone.signal })
    await once(bytes, 'readable') // where the very first of them is not authentic, there is still time to say so
    response.writeHead(status, head)
    await pipeline(bytes, response) // as fast as the browser takes it
  } catch (error) {
    // Replaced, perhaps: it is opened anew for the next request.
    if (isEncryptionSdkError(error)) videos.delete(name)
    else if (gone.signal.aborted) return
    throw error
  }
}

/** What is asked for, if it is not all of it. */
function wantedRange(
  { method, headers }: IncomingMessage,
  etag: string,
  size: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const { range, 'if-range': ifRange } = headers
  if (method !== 'GET' || range === undefined) return undefined
  // The browser has some of another video, or says of when it has it, which nobody here knows.
  if (ifRange !== undefined && ifRange !== etag) return undefined
  const { code, type, ranges } = parse(size, range)
  const isMalformed = (code & 1) !== 0
  if (type !== 'bytes' || isMalformed) return undefined // HTTP: to be ignored
  if (ranges.length > 1) return undefined
  return ranges[0] ?? (code === 0 ? undefined : 'unsatisfiable')
}

function namesTag(field: string | undefined, etag: string): boolean {
  const tags = field?.split(',').map((tag) => tag.trim().replace(/^W\//, '')) ?? []
  return tags.includes('*') || tags.includes(etag)
}

/** `/videos/NAME` */
function nameOf(pathname: string): string | undefined {
  const encoded = /^\/videos\/(.+)$/.exec(pathname)?.[1]
  try {
    return encoded === undefined ? undefined : decodeURIComponent(encoded)
  } catch {
    return undefined // a percent sign that begins nothing
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof Error && error.cause.name === 'NoSuchKey'
}

/** An answer without anything of a video. */
function end(response: ServerResponse, status: number, headers: OutgoingHttpHeaders = {}): void {
  response.writeHead(status, { ...headers, 'content-type': 'text/plain' }).end(`${status}\n`)
}

server.listen(Number(PORT), '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo // it listens on TCP
  console.log(`listening on http://127.0.0.1:${port}/`)
})
