/** Where bytes come from: a file, read in large blocks, or a named pipe. */
import { type BigIntStats, closeSync, constants, open as openDescriptor } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { RandomAccessSource } from './open-message.ts'

/** A source under way. */
export interface FileSource {
  readonly bytes: Readable | AsyncIterable<Buffer>
  /** What the file is; taken from the open file, not from its path. Absent where it is none. */
  readonly stats?: BigIntStats
  /** Its length in bytes, where it says one: some files (those of /proc) have content and say 0. */
  readonly length: number | undefined
  /** What it can't be longer than, where no length is known. */
  readonly lengthBound?: number
  /** The same open file, to be read at any position; absent where there are no positions. */
  readonly ranges?: RandomAccessSource
  close(): Promise<void>
}

/** At most so many bytes are read at once. */
const BLOCK_BYTES = 512 * 1024

/**
 * Opens a file, a device or a named pipe for reading.
 *
 * @throws what the file system says; `EISDIR` for a folder.
 */
export async function openFileSource(path: string): Promise<FileSource> {
  const found = await stat(path, { bigint: true })
  if (found.isDirectory()) throw folderError(path)
  if (found.isFIFO()) return openPipeSource(path, found)
  const handle = await open(path, 'r')
  try {
    const stats = await handle.stat({ bigint: true })
    if (stats.isDirectory()) throw folderError(path)
    return {
      bytes: blocksOf(handle),
      stats,
      length: await lengthOf(handle, stats),
      ...(stats.isFile() && { ranges: rangesOf(handle, Number(stats.size)) }),
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/**
 * Opens a file for reading at any position.
 *
 * @throws what the file system says; `EISDIR` for a folder; TypeError for a device or a pipe, which has no positions.
 */
export async function openFileRanges(path: string): Promise<RandomAccessSource> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK) // a pipe would wait for its writer
  try {
    const stats = await handle.stat()
    if (stats.isDirectory()) throw folderError(path)
    if (!stats.isFile()) throw new TypeError(`${path} is no file: ranges can be read of files only`)
    return { ...rangesOf(handle, stats.size), close: () => handle.close() }
  } catch (error) {
    await handle.close()
    throw error
  }
}

function rangesOf(handle: FileHandle, size: number): RandomAccessSource {
  return { size, read: (position, length) => readRange(handle, position, length) }
}

/** Shorter where the file ends before. */
async function readRange(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

/** The length that an open file says it has, or 0 where there is nothing to read. */
async function lengthOf(handle: FileHandle, stats: BigIntStats): Promise<number | undefined> {
  if (!stats.isFile()) return undefined
  if (stats.size > 0n) return Number(stats.size)
  return (await readRange(handle, 0, 1)).length === 0 ? 0 : undefined
}

/** What can be read: a `FileHandle`, or something that looks like one. */
export interface Readers {
  read(buffer: Buffer, offset: number, length: number, position: null): Promise<{ readonly bytesRead: number }>
}

/**
 * The blocks of a file. The next one is read while the last is worked on, into one of two buffers that are used again:
 * a block may not be looked at after the next was asked for.
 */
export async function* blocksOf(handle: Readers): AsyncGenerator<Buffer, void> {
  let [free, taken] = [Buffer.allocUnsafeSlow(BLOCK_BYTES), Buffer.allocUnsafeSlow(BLOCK_BYTES)]
  let reading = handle.read(taken, 0, BLOCK_BYTES, null)
  for (;;) {
    const { bytesRead } = await reading
    if (bytesRead === 0) return
    reading = handle.read(free, 0, BLOCK_BYTES, null)
    // Whoever stops reading early never looks at this one.
    reading.catch(() => undefined)
    yield taken.subarray(0, bytesRead)
    ;[free, taken] = [taken, free]
  }
}

/**
 * A named pipe. Opened without waiting for its writer and read by the event loop: a thread that waits in the kernel
 * could not be called back, and would keep the process from ending.
 */
async function openPipeSource(path: string, stats: BigIntStats): Promise<FileSource> {
  const descriptor = await promisify(openDescriptor)(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const socket = pipeSocket(descriptor, 'readable')
  return {
    bytes: socket,
    stats,
    length: undefined,
    close: () => {
      socket.destroy()
      return Promise.resolve()
    },
  }
}

/** A stream over the descriptor of a pipe, which is the stream's to close from then on. */
export function pipeSocket(descriptor: number, direction: 'readable' | 'writable'): Socket {
  try {
    return new Socket({ fd: descriptor, readable: direction === 'readable', writable: direction === 'writable' })
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

/** The error for a folder where a file is expected, like the file system's own. */
export function folderError(path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`EISDIR: ${JSON.stringify(path)} is a folder, not a file`), { code: 'EISDIR', path })
}

/** A `URL`, also of another realm, as Node's own functions take it. */
export function isUrl(value: unknown): value is URL {
  return typeof value === 'object' && value !== null && 'href' in value && 'protocol' in value
}

/** @throws TypeError when it is no path. */
export function pathOf(name: 'from' | 'to' | 'message', path: string | URL): string {
  if (isUrl(path)) return fileURLToPath(path)
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw new TypeError(`"${name}" expected a path, or the URL of a file`)
  }
  return path
}
