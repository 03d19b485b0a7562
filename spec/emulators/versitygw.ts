/**
 * versitygw: an S3 server on loopback that keeps objects as files in a temporary folder; installed into the cache folder.
 *
 * Where Amazon S3 differs from versitygw v1.8.0 and moto 5.2.5, as tried with the AWS SDK:
 *
 * | Amazon S3                                             | versitygw                        | moto                         |
 * | ----------------------------------------------------- | -------------------------------- | ---------------------------- |
 * | checks signatures                                     | does                             | takes any                    |
 * | refuses a wrong checksum or Content-MD5               | does (BadDigest)                 | stores it all the same       |
 * | checks If-Match and If-None-Match on PutObject        | does                             | does                         |
 * | checks If-None-Match on CompleteMultipartUpload       | does                             | does                         |
 * | checks If-Match on CompleteMultipartUpload            | does                             | ignores it                   |
 * | If-None-Match: * writes over a delete marker          | 412                              | does                         |
 * | checks x-amz-mp-object-size                           | does (names the sizes crosswise) | ignores it                   |
 * | full-object checksum of a multipart upload            | right (CRC64NVME where none is   | none in the answer, a wrong  |
 * |                                                       | asked for)                       | one in HeadObject            |
 * | checks the part checksums in Complete                 | does; demands all of them        | ignores them                 |
 * | an upload whose Complete fails stays unfinished       | does                             | does                         |
 * | Complete once more answers 200                        | does                             | does                         |
 * | part of an ended upload: 404 NoSuchUpload             | does                             | 500 with a page of HTML      |
 * | parts out of order: InvalidPartOrder                  | EntityTooSmall                   | EntityTooSmall               |
 * | parts from 1 to 10,000, 5 MiB but for the last        | does                             | does (no. 0: NoSuchUpload)   |
 * | storage class, server-side encryption                 | accepts them, keeps none         | keeps them                   |
 * | object lock of a multipart upload                     | keeps it                         | loses it                     |
 * | GetObject says how an object is locked                | HeadObject alone does            | does                         |
 * | metadata of at most 2 KiB                             | does                             | no limit                     |
 * | keys "a" and "a/b" in one bucket                      | 409 ObjectParentIsFile           | does                         |
 * | keys "a//b", "a/./b", "x/../y"                        | are those of the paths (a/b, y)  | does                         |
 * | up to 1,024 bytes between slashes                     | 255                              | does                         |
 * | GetObjectAttributes                                   | 400 with the SDK's header        | no checksum, no size         |
 * | lifecycle rules                                       | 501                              | keeps them                   |
 * | x-amz-expected-bucket-owner                           | 403 for any but its own          | ignores it                   |
 * | unknown versionId                                     | 400 InvalidArgument              | 404 NoSuchVersion            |
 *
 * Alike in all: ranges (206, 416, several ranges: 200 and all), conditions of reads (412, 304), CRC32, CRC64NVME and
 * SHA-256 sent in a header or a trailer, metadata, content headers, tags (of locked objects too), versions,
 * ListMultipartUploads (moto: all of them were begun in 2010), ListParts and ListObjectsV2 with its pages.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { UnavailableError } from '../interop/pending.ts'
import { type Emulator, freePort } from './emulator.ts'

const VERSION = 'v1.8.0'
const PACKAGE = 'github.com/versity/versitygw/cmd/versitygw'
const INSTALL_TIMEOUT_MS = 540_000
const START_TIMEOUT_MS = 30_000

/** How long a hook that starts this server may take: the first time, it is built, of some hundred modules. */
export const BUILD_TIMEOUT_MS = 600_000

/** Who may ask this server, and anybody may ask moto. */
export const S3_CREDENTIALS = { accessKeyId: 'spec', secretAccessKey: 'spec-secret' } as const

/** The folder $1 and the server, the rest, end as soon as the input does: they can't outlive whoever started them. */
const PROGRAM = `
folder=$1
shift
exec 3<&0
(cat <&3; kill -9 $$; rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null
`

let shared: Promise<Emulator> | undefined

/**
 * The one server of all specs of this process. It does not keep the process alive, and ends with it.
 *
 * @throws UnavailableError where there is no Go or the program can't be built.
 */
export function sharedVersitygw(): Promise<Emulator> {
  shared ??= startVersitygw()
  return shared
}

/**
 * Starts a server on a free port, with buckets of its own; the first time, builds it.
 *
 * @param parent the folder in which it makes its own; that for temporary files unless said
 * @throws UnavailableError where there is no Go or the program can't be built.
 */
export async function startVersitygw(parent: string = tmpdir()): Promise<Emulator> {
  const program = await installed()
  // Metadata belongs into extended attributes, where it is replaced together with the object. Some filesystems have none.
  return (await start(program, parent, false)) ?? (await start(program, parent, true)) ?? failed()
}

function failed(): never {
  throw new Error('versitygw ends as soon as it is started')
}

/** The server, unless it ended at once. */
async function start(program: string, parent: string, sidecar: boolean): Promise<Emulator | undefined> {
  const folder = await mkdtemp(join(parent, 'esdk-versitygw-'))
  const [objects, versions, metadata] = ['objects', 'versions', 'metadata'].map((name) => join(folder, name))
  for (const path of [objects!, versions!, metadata!]) await mkdir(path)
  const port = await freePort()
  const { accessKeyId, secretAccessKey } = S3_CREDENTIALS
  const common = ['--port', `127.0.0.1:${port}`, '--access', accessKeyId, '--secret', secretAccessKey]
  const posix = ['--versioning-dir', versions!, ...(sidecar ? ['--sidecar', metadata!] : []), objects!]
  const options = [...common, '--quiet', '--keep-alive', 'posix', ...posix]
  const child = spawn('sh', ['-c', PROGRAM, 'sh', folder, program, ...options], {
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: folder,
  })
  child.on('error', () => undefined) // 'exitCode' says enough
  child.unref()
  if (child.stdin instanceof Socket) child.stdin.unref()
  const endpoint = `http://127.0.0.1:${port}`
  const stop = async (): Promise<void> => {
    await stopped(child)
    await rm(folder, { recursive: true, force: true })
  }
  const until = Date.now() + START_TIMEOUT_MS
  while (child.exitCode === null && Date.now() < until) {
    const answer = await fetch(endpoint).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer !== undefined) return { endpoint, port, stop }
    await setTimeout(20)
  }
  const ended = child.exitCode !== null
  await stop()
  if (ended) return undefined
  throw new Error('versitygw does not answer')
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, 'exit')
    child.ref()
    child.kill('SIGKILL')
    await ended
  }
  child.stdin?.destroy()
}

/** The program, built by `go install` the first time. */
async function installed(): Promise<string> {
  if (process.platform === 'win32') throw new UnavailableError('versitygw needs a POSIX system')
  const folder = fileURLToPath(new URL(`../../.cache/versitygw-${VERSION}/`, import.meta.url))
  const program = join(folder, 'versitygw')
  if (existsSync(program)) return program
  try {
    await promisify(execFile)('go', ['install', '-ldflags=-s -w', `${PACKAGE}@${VERSION}`], {
      env: { ...process.env, GOBIN: folder },
      timeout: INSTALL_TIMEOUT_MS,
    })
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim().split('\n').at(-1) : String(error)
    throw new UnavailableError(`versitygw could not be installed with Go: ${reason ?? ''}`)
  }
  return program
}
