/** Where bytes go: a file that appears whole or not at all, or a device or pipe that is written into. */
import { isError } from '../errors.ts'
import { randomUUID } from 'node:crypto'
import { type BigIntStats, constants, open as openDescriptor } from 'node:fs'
import { type FileHandle, link, open, readlink, realpath, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { type Transform, Writable, finished } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { abortError } from '../streams/abort-error.ts'
import { OutputMemory } from '../streams/output-memory.ts'
import { type FileSource, folderError, pipeSocket } from './file-source.ts'

/** A target under way. Either of `commit` and `discard` ends it. */
export interface FileTarget {
  readonly sink: Writable
  /** What the sink gives written chunks back to, if it does. */
  readonly memory?: OutputMemory
  /** What is written goes through this first. */
  readonly encoder?: Transform
  /** True where what is written is seen at once, so that nothing can be taken back. */
  readonly direct: boolean
  /** To be called when all is written: makes it appear, unless the signal was aborted. */
  commit(signal?: AbortSignal): Promise<void>
  /** Takes back what can be taken back. Never fails. */
  discard(): Promise<void>
}

const SINK_BYTES = 1024 * 1024
const PIPE_POLL_MS = 20

/** How a target is opened. */
export interface FileTargetOptions {
  readonly signal?: AbortSignal | undefined
  /** Whether the target may be the source itself. */
  readonly inPlace?: boolean
  /** Whether it may not be a file that is there, not even one that comes meanwhile. */
  readonly exclusive?: boolean
}

/**
 * Opens the target for what is read from `source`.
 *
 * @throws what the file system says; `EISDIR` for a folder; `EEXIST` where it has to be new and is not (then, or when it
 *   is committed); TypeError where target and source are the same file.
 */
export async function openFileTarget(
  path: string,
  source: Pick<FileSource, 'stats'>,
  { signal, inPlace = false, exclusive = false }: FileTargetOptions = {},
): Promise<FileTarget> {
  const found = await locate(path)
  if (found.stats === undefined) {
    return AtomicTarget.open({ path: found.path, existing: undefined, mode: modeFor(source.stats), exclusive })
  }
  if (found.stats.isDirectory()) throw folderError(path)
  if (!inPlace) refuseSameFile(source.stats, found.stats)
  if (found.stats.isFile()) {
    if (exclusive) throw existsError(path)
    return AtomicTarget.open({ ...found, existing: found.stats, mode: Number(found.stats.mode) & 0o777, exclusive })
  }
  if (found.stats.isFIFO()) return openPipeTarget(path, signal)
  return openDeviceTarget(path)
}

/** @throws TypeError where both are one file, by whatever names; devices may be both. */
export function refuseSameFile(source: BigIntStats | undefined, target: BigIntStats): void {
  if (source === undefined || source.isCharacterDevice() || source.dev !== target.dev || source.ino !== target.ino)
    return
  throw new TypeError('source and target are the same file; writing it would destroy what is read')
}

/** The mode of a new file: the source's where that is a file. Others do not say who may read what comes out of them. */
function modeFor(source: BigIntStats | undefined): number {
  return source?.isFile() === true ? Number(source.mode) & 0o777 : 0o600
}

/** The file that a path leads to, through links, or the place where it is to be made. */
async function locate(path: string): Promise<{ path: string; stats?: BigIntStats }> {
  try {
    const stats = await stat(path, { bigint: true })
    return { path: stats.isFile() ? await realpath(path) : path, stats }
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
  }
  if (/[/\\]$/.test(path)) throw folderError(path)
  const folder = await realpath(dirname(path))
  const link = await linkAt(path)
  return link === undefined ? { path: join(folder, basename(path)) } : locate(resolve(folder, link))
}

/** Where a link that leads nowhere leads. */
async function linkAt(path: string): Promise<string | undefined> {
  try {
    return await readlink(path)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** The error for a file where none may be, like the file system's own. */
function existsError(path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`EEXIST: ${JSON.stringify(path)} is there already`), { code: 'EEXIST', path })
}

/** Where a file is to appear, and what is there. */
interface Place {
  readonly path: string
  readonly existing: BigIntStats | undefined
  readonly mode: number
  readonly exclusive: boolean
}

/** A temporary file beside the target, renamed over it at the end. */
class AtomicTarget implements FileTarget {
  readonly direct = false
  readonly memory = new OutputMemory()
  readonly sink: Writable
  readonly #handle: FileHandle
  readonly #temporary: string
  readonly #path: string
  readonly #existing: BigIntStats | undefined
  readonly #mode: number
  readonly #exclusive: boolean
  #renamed = false

  private constructor(handle: FileHandle, temporary: string, { path, existing, mode, exclusive }: Place) {
    this.#handle = handle
    this.#temporary = temporary
    this.#path = path
    this.#existing = existing
    this.#mode = mode
    this.#exclusive = exclusive
    this.sink = sinkOf(handle, this.memory)
  }

  static async open(place: Place): Promise<AtomicTarget> {
    const temporary = join(dirname(place.path), `.esdk-${randomUUID()}.tmp`)
    const handle = await open(temporary, 'wx', 0o600)
    return new AtomicTarget(handle, temporary, place)
  }

  async commit(signal?: AbortSignal): Promise<void> {
    await this.#handle.sync()
    await this.#handle.chmod(await this.#keptMode())
    await this.#handle.close()
    if (signal?.aborted === true) throw abortError(signal)
    if (this.#exclusive) await renameToNew(this.#temporary, this.#path)
    else await rename(this.#temporary, this.#path)
    this.#renamed = true
    await syncFolder(dirname(this.#path))
  }

  async discard(): Promise<void> {
    await this.#handle.close().catch(() => undefined)
    if (!this.#renamed) await unlink(this.#temporary).catch(() => undefined)
  }

  /** Gives the file the owner of the one that it replaces. Where the group can't be kept, the group it has gets nothing. */
  async #keptMode(): Promise<number> {
    if (this.#existing === undefined) return this.#mode
    const { uid, gid } = await this.#handle.stat({ bigint: true })
    if (uid === this.#existing.uid && gid === this.#existing.gid) return this.#mode
    try {
      await this.#handle.chown(Number(this.#existing.uid), Number(this.#existing.gid))
      return this.#mode
    } catch {
      return gid === this.#existing.gid ? this.#mode : this.#mode & 0o707
    }
  }
}

/** Renames a file, but over no other. */
async function renameToNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
    await unlink(from)
    return
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw existsError(to)
    if (!NO_LINKS.includes(codeOf(error) ?? '')) throw error
  }
  // An empty file holds the place for as long as it takes.
  const handle = await open(to, 'wx', 0o600).catch((error: unknown) => {
    throw codeOf(error) === 'EEXIST' ? existsError(to) : error
  })
  await handle.close()
  await rename(from, to).catch(async (error: unknown) => {
    await unlink(to)
    throw error
  })
}

/** What file systems say that have no links. */
const NO_LINKS: readonly string[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EACCES']

/** Makes a rename outlast a crash. Not every file system, and not every folder's mode, lets it be asked for. */
async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined
  try {
    handle = await open(folder, 'r')
    await handle.sync()
  } catch (error) {
    if (!['EACCES', 'EPERM', 'EISDIR', 'EINVAL', 'ENOTSUP', 'EBADF'].includes(codeOf(error) ?? '')) throw error
  } finally {
    await handle?.close()
  }
}

async function openDeviceTarget(path: string): Promise<FileTarget> {
  const handle = await open(path, constants.O_WRONLY)
  const memory = new OutputMemory()
  return {
    sink: sinkOf(handle, memory),
    memory,
    direct: true,
    commit: () => handle.close(),
    discard: () => handle.close().catch(() => undefined),
  }
}

/** A named pipe: see `openPipeSource`. It can be opened without waiting only when it has a reader. */
async function openPipeTarget(path: string, signal: AbortSignal | undefined): Promise<FileTarget> {
  for (;;) {
    if (signal?.aborted === true) throw abortError(signal)
    try {
      const descriptor = await promisify(openDescriptor)(path, constants.O_WRONLY | constants.O_NONBLOCK)
      const sink = pipeSocket(descriptor, 'writable')
      // Until a pipeline listens: a reader that goes away must not end the process.
      finished(sink, () => undefined)
      return {
        sink,
        direct: true,
        commit: () => Promise.resolve(),
        discard: () => Promise.resolve(void sink.destroy()),
      }
    } catch (error) {
      if (codeOf(error) !== 'ENXIO') throw error
    }
    await setTimeout(PIPE_POLL_MS)
  }
}

/** What can be written to: a `FileHandle`, or something that looks like one. */
export interface Writers {
  write(bytes: Buffer, offset: number, length: number): Promise<{ readonly bytesWritten: number }>
}

/** A stream that writes one chunk after the other, and gives it back. Closing the file is left to whoever opened it. */
export function sinkOf(handle: Writers, memory: OutputMemory): Writable {
  return new Writable({
    highWaterMark: SINK_BYTES,
    write(chunk: Buffer, _encoding, callback) {
      writeWhole(handle, chunk).then(() => {
        memory.give(chunk)
        callback()
      }, callback)
    },
  })
}

async function writeWhole(handle: Writers, bytes: Buffer): Promise<void> {
  let done = 0
  while (done < bytes.length) done += (await handle.write(bytes, done, bytes.length - done)).bytesWritten
}

function codeOf(error: unknown): string | undefined {
  return isError(error) && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
