/** What `encrypt`, `decrypt` and `reencrypt` do around the work itself: places, progress and records. */
import { resolve } from 'node:path'
import type { FileSource } from '../adapters/file-source.ts'
import type { FileTarget } from '../adapters/file-target.ts'
import { MAX_PART_BYTES, MIN_PART_BYTES, aboutMessageBytes } from '../adapters/s3/part-buffers.ts'
import type { KnownObject } from '../adapters/s3/object-source.ts'
import type { FileResult } from '../adapters/transfer.ts'
import { checkInteger } from '../errors.ts'
import { DEFAULT_FRAME_LENGTH } from '../streams/options.ts'
import type { MessageStats } from '../streams/protocol-transform.ts'
import { FileFailure, OutputClosed, UsageError, asUsage, codeOf } from './failure.ts'
import { type Mode, STANDARD_STREAM, checkedLocation, defaultOutput, displayName, isObject } from './location.ts'
import { say } from './log.ts'
import { MetadataFile } from './metadata-file.ts'
import type { TransferFlags } from './options.ts'
import { NotReplaced, mustBeNew } from './overwrite.ts'
import { blame, isKeyFile, isSameFile, named, openSource, openTarget, refuseKeyFiles, statOf } from './places.ts'
import { type Progress, showsProgress, startProgress } from './progress.ts'
import { type FileRecord, fileRecord } from './record.ts'

/** What the work is given besides source and target. */
export interface WorkOptions {
  readonly signal: AbortSignal
  readonly onProgress?: (stats: MessageStats) => void
}

/** From one object of Amazon S3 to another one, or to itself. */
export interface BetweenObjects extends WorkOptions {
  readonly input: string
  readonly output: string
  readonly known: KnownObject | undefined
  readonly partBytes: number | undefined
  readonly queueSize: number | undefined
  /** Whether the output may not be there, not even when it appears. */
  readonly exclusive: boolean
}

/** What there is to do, for one file or for many. */
export interface Job {
  readonly mode: Mode
  readonly flags: TransferFlags
  readonly signal: AbortSignal
  /** The work itself, which ends the target. */
  readonly work: (source: FileSource, target: FileTarget, options: WorkOptions) => Promise<FileResult>
  /** The same between two objects, where there is more to an object than its bytes. */
  readonly betweenObjects?: (options: BetweenObjects) => Promise<ObjectsResult>
}

/** What came of it, and which version of an object was there before. */
export type ObjectsResult = FileResult & Pick<Done, 'ETag'> & { readonly previousVersionId?: string }

/** One file to be worked on. */
export interface Places {
  readonly input: string
  readonly output: string
  readonly known?: KnownObject | undefined
  /** How many parts of an object are sent at once. */
  readonly queueSize?: number | undefined
}

/** What came of one file. */
export interface Done {
  readonly record: FileRecord
  /** Of an object that was made from another. */
  readonly ETag?: string | undefined
}

const NO_PROGRESS: Progress = { stop: () => undefined }

/** Runs the work for one file, and says what came of it; with `-r`, for many. */
export async function runTransfer(job: Job, input: string): Promise<void> {
  const { mode, flags } = job
  checkSuffix(flags)
  if (flags.recursive === true) {
    const { runFleet } = await import('./run-fleet.ts')
    await runFleet(job, input)
    return
  }
  checkedLocation('INPUT', input)
  const output = checkedLocation('OUTPUT', flags.output ?? defaultOutput(mode, input, flags.suffix))
  checkAlone(flags, output)
  const toStdout = output === STANDARD_STREAM
  const recordToStdout = flags.json === true || flags.metadataOutput === STANDARD_STREAM
  if (toStdout && recordToStdout) {
    throw new UsageError('stdout holds the data: give -o OUTPUT, or --metadata-output FILE for the record')
  }
  let metadata: MetadataFile | undefined
  let progress = NO_PROGRESS
  let done: Done
  try {
    done = await transferOne(job, { input, output }, async (source) => {
      metadata = await openMetadata(flags, source, output)
      if (showsProgress(flags, toStdout)) progress = await startProgress(LABELS[mode], source?.length)
      return progress.onProgress
    })
  } catch (error) {
    await metadata?.discard()
    throw error
  } finally {
    progress.stop()
  }
  const { record } = done
  sayDone(record)
  if (metadata !== undefined) await named(flags.metadataOutput!, () => metadata!.finish(record))
  if (recordToStdout) await printLine(JSON.stringify(record))
}

const LABELS: Readonly<Record<Mode, string>> = {
  encrypt: 'encrypting',
  decrypt: 'decrypting',
  reencrypt: 're-encrypting',
}

/** Options that say nothing without another one are mistakes: what was meant would not be done. */
function checkAlone(flags: TransferFlags, output: string): void {
  const { include, exclude, concurrency, report } = flags
  const lacking = Object.entries({ include, exclude, concurrency, report }).find(([, value]) => value !== undefined)
  if (lacking !== undefined) throw new UsageError(`--${lacking[0]} goes with -r`)
  checkParts(flags, output)
}

/** @throws UsageError */
function checkSuffix({ suffix = '' }: TransferFlags): void {
  if (/[/\\\0]/.test(suffix)) throw new UsageError(`--suffix ${suffix}: expected the end of a name, not of a path`)
}

/** @throws UsageError where OUTPUT has no parts. */
export function checkParts({ partSize, expectedSize }: TransferFlags, output: string): void {
  if (isObject(output)) {
    asUsage(() => checkInteger('--part-size', partSize ?? MIN_PART_BYTES, MIN_PART_BYTES, MAX_PART_BYTES))
    return
  }
  if (partSize !== undefined) throw new UsageError('--part-size goes with an OUTPUT of s3://')
  if (expectedSize !== undefined) throw new UsageError('--expected-size goes with an OUTPUT of s3://')
}

/**
 * Does the work for one file.
 *
 * @param opened called before the work begins, with the source where there is one; gives who hears of its progress
 * @throws FileFailure | UsageError | OutputClosed
 */
export async function transferOne(
  job: Job,
  places: Places,
  opened: (source: FileSource | undefined) => Promise<WorkOptions['onProgress']>,
): Promise<Done> {
  const { mode, flags, signal } = job
  const { input, output, known, queueSize } = places
  const { partSize: partBytes } = flags
  const started = performance.now()
  const recordOf = (result: FileResult): FileRecord =>
    fileRecord(result, { mode, input, output, durationMs: Math.round(performance.now() - started) })
  if (isObject(input) && input === output && mode !== 'reencrypt') {
    throw new UsageError(`${output}: INPUT and OUTPUT may not be the same object`)
  }
  const { decode, encode } = flags
  if (job.betweenObjects !== undefined && isObject(input) && isObject(output)) {
    if (decode === true || encode === true) {
      throw new UsageError(
        '--decode and --encode do not go from object to object: what belongs to an object would not fit',
      )
    }
    try {
      const exclusive = await isNewNeeded(output, flags, signal)
      const onProgress = await opened(undefined)
      const heard = { ...(onProgress !== undefined && { onProgress }) }
      const { ETag, previousVersionId, ...result } = await job.betweenObjects({
        ...{ input, output, known, partBytes, queueSize, exclusive, signal },
        ...heard,
      })
      return { record: { ...recordOf(result), ...(previousVersionId !== undefined && { previousVersionId }) }, ETag }
    } catch (error) {
      throw blame(error, input, output)
    }
  }
  const source = await named(displayName('INPUT', input), () => openSource(input, { signal, known, decode }))
  try {
    await refuseKeyFiles(output, flags)
    const exclusive = await isNewNeeded(output, flags, signal)
    const expectedBytes = expectedBytesOf(job, source)
    const inPlace = mode === 'reencrypt'
    const plaintextLength = mode === 'encrypt' ? source.length : undefined
    const parts = { partBytes, expectedBytes, plaintextLength, queueSize }
    const target = await openTarget(output, source, { signal, inPlace, exclusive, encode, ...parts })
    let onProgress: WorkOptions['onProgress']
    try {
      onProgress = await opened(source)
    } catch (error) {
      await target.discard()
      throw error
    }
    const result = await job.work(source, target, { signal, ...(onProgress !== undefined && { onProgress }) })
    return { record: recordOf(result) }
  } catch (error) {
    throw blame(error, input, output)
  } finally {
    await source.close()
  }
}

/** Whether OUTPUT has to be new. @throws FileFailure where it is there, and is not to be replaced. */
async function isNewNeeded(output: string, flags: TransferFlags, signal: AbortSignal): Promise<boolean> {
  try {
    return await mustBeNew(output, flags, signal)
  } catch (error) {
    if (!(error instanceof NotReplaced)) throw error
    throw new FileFailure(output, error, 'choose another name with -o, or let it be replaced')
  }
}

/** About how long OUTPUT will be, where that can be told. */
function expectedBytesOf({ mode, flags }: Job, { length, lengthBound }: FileSource): number | undefined {
  const { expectedSize, frameLength = DEFAULT_FRAME_LENGTH, encode } = flags
  const read = expectedSize ?? length ?? lengthBound
  const written = read === undefined || mode === 'decrypt' ? read : aboutMessageBytes(read, frameLength)
  return written === undefined || encode !== true ? written : Math.ceil(written / 3) * 4
}

/** With `-v`, what was done. */
export function sayDone({ mode, input, output, header, bytesIn, bytesOut, frames, durationMs }: FileRecord): void {
  const { id, name } = header.algorithmSuite
  const keys = header.encryptedDataKeys.map(({ keyName, keyProviderInfo }) => keyName ?? keyProviderInfo).join(', ')
  say(
    1,
    `${mode}ed ${displayName('INPUT', input)} to ${displayName('OUTPUT', output)}: ${bytesIn} bytes read, ` +
      `${bytesOut} written, ${frames} frames, ${id} ${name}, keys ${keys}, ${durationMs} ms`,
  )
}

async function openMetadata(
  flags: TransferFlags,
  source: FileSource | undefined,
  output: string,
): Promise<MetadataFile | undefined> {
  const { metadataOutput: path } = flags
  if (path === undefined || path === STANDARD_STREAM) return undefined
  const others = [source?.stats, await statOf(output)]
  const metadata = await named(path, () => MetadataFile.open(path, flags.overwriteMetadata))
  const stats = await metadata.stats()
  const isUsed = others.some((other) => isSameFile(stats, other)) || (await isKeyFile(stats, flags))
  if (resolve(path) === resolve(output) || isUsed) {
    await metadata.discard()
    throw new UsageError(`${path}: --metadata-output may not be INPUT, OUTPUT or a key file`)
  }
  return metadata
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
