/** What `encrypt` and `decrypt` do around the work itself: places, progress, records, and who is to blame. */
import type { BigIntStats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type FileSource, openFileSource } from '../adapters/file-source.ts'
import { type FileTarget, openFileTarget } from '../adapters/file-target.ts'
import type { FileResult } from '../adapters/transfer.ts'
import type { MessageStats } from '../streams/protocol-transform.ts'
import { FileFailure, OutputClosed, UsageError, codeOf } from './failure.ts'
import { STANDARD_STREAM, checkedLocation, defaultOutput, displayName } from './location.ts'
import { MetadataFile } from './metadata-file.ts'
import type { TransferFlags } from './options.ts'
import { type Progress, showsProgress, startProgress } from './progress.ts'
import { fileRecord } from './record.ts'
import { standardInput, standardOutput } from './standard-streams.ts'

/** What the work is given besides source and target. */
export interface WorkOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (stats: MessageStats) => void
}

/** One file to be worked on. */
export interface Transfer {
  readonly mode: 'encrypt' | 'decrypt'
  readonly input: string
  readonly flags: TransferFlags
  readonly signal: AbortSignal
  /** The work itself, which ends the target. */
  readonly work: (source: FileSource, target: FileTarget, options: WorkOptions) => Promise<FileResult>
}

const NO_PROGRESS: Progress = { stop: () => undefined }

/** Runs the work for one file, and says what came of it. */
export async function runTransfer({ mode, input, flags, signal, work }: Transfer): Promise<void> {
  checkedLocation('INPUT', input)
  const output = checkedLocation('OUTPUT', flags.output ?? defaultOutput(mode, input))
  const toStdout = output === STANDARD_STREAM
  const recordToStdout = flags.json === true || flags.metadataOutput === STANDARD_STREAM
  if (toStdout && recordToStdout) {
    throw new UsageError('stdout holds the data: give -o OUTPUT, or --metadata-output FILE for the record')
  }
  const started = performance.now()
  const source = await named(displayName('INPUT', input), () => openSource(input))
  let metadata: MetadataFile | undefined
  let progress = NO_PROGRESS
  let result: FileResult
  try {
    await refuseKeyFiles(output, flags)
    const target = await openTarget(output, source, signal)
    try {
      metadata = await openMetadata(flags, source, output)
      if (showsProgress(flags, toStdout)) progress = await startProgress(label(mode), source.length)
    } catch (error) {
      await target.discard()
      throw error
    }
    const { onProgress } = progress
    result = await work(source, target, { signal, ...(onProgress !== undefined && { onProgress }) })
  } catch (error) {
    await metadata?.discard()
    throw blame(error, input, output)
  } finally {
    progress.stop()
    await source.close()
  }
  const record = fileRecord(result, { mode, input, output, durationMs: Math.round(performance.now() - started) })
  if (metadata !== undefined) await named(flags.metadataOutput!, () => metadata.finish(record))
  if (recordToStdout) await printLine(JSON.stringify(record))
}

function label(mode: Transfer['mode']): string {
  return mode === 'encrypt' ? 'encrypting' : 'decrypting'
}

/** Opens INPUT. */
export async function openSource(input: string): Promise<FileSource> {
  return input === STANDARD_STREAM ? standardInput() : openFileSource(input)
}

async function openTarget(output: string, source: FileSource, signal: AbortSignal): Promise<FileTarget> {
  try {
    return await (output === STANDARD_STREAM ? standardOutput(source) : openFileTarget(output, source, { signal }))
  } catch (error) {
    const name = displayName('OUTPUT', output)
    if (error instanceof TypeError) throw new UsageError(`${name}: INPUT and OUTPUT may not be the same file`)
    throw signal.aborted ? error : new FileFailure(name, error)
  }
}

/** A key that is overwritten takes everything with it that it ever encrypted. */
async function refuseKeyFiles(output: string, { key: keys = [] }: TransferFlags): Promise<void> {
  if (output === STANDARD_STREAM) return
  const target = await statOf(output)
  for (const key of keys) {
    const { dev, ino } = (await statOf(key)) ?? {}
    if (target?.isFile() === true && dev === target.dev && ino === target.ino) {
      throw new UsageError(`${output}: OUTPUT may not be a key file`)
    }
  }
}

/** What the file system says of a path, if anything; who opens it says what is wrong. */
async function statOf(path: string): Promise<BigIntStats | undefined> {
  return stat(path, { bigint: true }).catch(() => undefined)
}

async function openMetadata(
  { metadataOutput: path, key: keys = [] }: TransferFlags,
  source: FileSource,
  output: string,
): Promise<MetadataFile | undefined> {
  if (path === undefined || path === STANDARD_STREAM) return undefined
  const others = [source.stats, ...(await Promise.all([output, ...keys].map(statOf)))]
  const metadata = await named(path, () => MetadataFile.open(path))
  const { dev, ino } = await metadata.stats()
  if (resolve(path) === resolve(output) || others.some((other) => other?.dev === dev && other.ino === ino)) {
    await metadata.discard()
    throw new UsageError(`${path}: --metadata-output may not be INPUT, OUTPUT or a key file`)
  }
  return metadata
}

/** Runs something that is about one file. */
export async function named<T>(file: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw isExplained(error) ? error : new FileFailure(file, error)
  }
}

const WRITING: readonly string[] = ['write', 'writev', 'fsync', 'fchmod', 'rename', 'close']

function isExplained(error: unknown): boolean {
  return error instanceof UsageError || error instanceof FileFailure || error instanceof OutputClosed
}

/** Says of a failure of the work which file it is about. */
function blame(error: unknown, input: string, output: string): unknown {
  if (isExplained(error)) return error
  // An option that is unfit for this file: its frames would be too many.
  if (error instanceof RangeError && codeOf(error) === undefined) return new UsageError(`${input}: ${error.message}`)
  const writing =
    error instanceof Error && 'syscall' in error && typeof error.syscall === 'string' && WRITING.includes(error.syscall)
  if (writing && output === STANDARD_STREAM && codeOf(error) === 'EPIPE') return new OutputClosed()
  return new FileFailure(writing ? displayName('OUTPUT', output) : displayName('INPUT', input), error)
}

/** Writes a line to stdout, and waits until it is written. */
export async function printLine(line: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(`${line}\n`, (error) => {
      if (error === undefined || error === null) resolve()
      else reject(codeOf(error) === 'EPIPE' ? new OutputClosed() : new FileFailure('standard output', error))
    })
  })
}
