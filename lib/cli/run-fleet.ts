/** What `-r` does: list → filter → transform, several at once → report. One file that fails does not stop the others. */
import { globFilter } from '../adapters/fleet/glob-filter.ts'
import { FleetReport, type ReportLine } from '../adapters/fleet/report.ts'
import { transformEach } from '../adapters/fleet/transform-each.ts'
import { abortError } from '../streams/abort-error.ts'
import { tellFailure } from './debug.ts'
import { FileFailure, SomeFailed, UsageError, codeOf, exitCodeOf, oneLine } from './failure.ts'
import { type FleetEntry, TargetTree, absolute, liesIn, listTree, versionOf } from './fleet-places.ts'
import { humanBytes } from './human.ts'
import { STANDARD_STREAM, checkedTree, isObject } from './location.ts'
import { MetadataFile } from './metadata-file.ts'
import type { TransferFlags } from './options.ts'
import { isKeyFile, named, statOf } from './places.ts'
import { showsProgress } from './progress.ts'
import type { FileRecord } from './record.ts'
import { type Job, checkParts, printLine, sayDone, transferOne } from './run-transfer.ts'

/** What came of one file. */
type Outcome =
  | { readonly status: 'done'; readonly record: FileRecord }
  | { readonly status: 'skipped'; readonly input: string; readonly reason: string }
  | { readonly status: 'failed'; readonly error: unknown }
  /** By an earlier run, as the report says. */
  | { readonly status: 'done before' }
  | { readonly status: 'interrupted' }

/** A file of INPUT that is to be worked on. */
type File = Extract<FleetEntry, { readonly kind: 'file' }>

const DEFAULT_CONCURRENCY = 4
const MAX_CONCURRENCY = 64
/** Parts that are sent at once, of all objects together: what is held in memory. */
const PARTS_AT_ONCE = 8
const MAX_PARTS_OF_ONE = 4

/** Runs the work for all files of a folder or prefix, and says what came of each. */
export async function runFleet(job: Job, given: string): Promise<void> {
  const { mode, flags, signal } = job
  const input = checkedTree('INPUT', given)
  if (flags.output === undefined && mode !== 'reencrypt') throw new UsageError('-r needs an OUTPUT: give -o')
  const output = flags.output === undefined ? input : checkedTree('OUTPUT', flags.output)
  const { concurrency = DEFAULT_CONCURRENCY } = flags
  if (concurrency > MAX_CONCURRENCY) throw new UsageError(`--concurrency expected at most ${MAX_CONCURRENCY}`)
  checkParts(flags, output)
  const isMeant = globFilter(flags)
  const tree = await TargetTree.of({ mode, suffix: flags.suffix }, input, output)
  const log = await FleetLog.open(flags, [input, output])
  const started = performance.now()
  try {
    const worker = new FleetWorker(job, tree, log.report, concurrency)
    const entries = meant(listTree(input, signal), isMeant)
    const outcomes = transformEach(entries, (entry) => worker.work(entry), { concurrency, signal })
    for await (const outcome of outcomes) await log.tell(outcome)
  } catch (error) {
    if (signal.aborted) throw abortError(signal)
    throw error
  } finally {
    await log.close()
  }
  if (signal.aborted) throw abortError(signal)
  log.finish((performance.now() - started) / 1000)
}

/** Those that the filter lets through. */
async function* meant(
  entries: AsyncIterable<FleetEntry>,
  isMeant: (name: string) => boolean,
): AsyncGenerator<FleetEntry, void> {
  for await (const entry of entries) if (entry.kind === 'failed' || isMeant(entry.name)) yield entry
}

/** Works on one file after the other, as far as the report does not say that they are done. */
class FleetWorker {
  readonly #job: Job
  readonly #tree: TargetTree
  readonly #report: FleetReport | undefined
  readonly #queueSize: number

  constructor(job: Job, tree: TargetTree, report: FleetReport | undefined, concurrency: number) {
    this.#job = job
    this.#tree = tree
    this.#report = report
    this.#queueSize = Math.min(MAX_PARTS_OF_ONE, Math.max(1, Math.floor(PARTS_AT_ONCE / concurrency)))
  }

  /** @throws FileFailure where the report can't be written; all else is an outcome. */
  async work(entry: FleetEntry): Promise<Outcome> {
    const { input } = entry
    if (entry.kind === 'skipped') return { status: 'skipped', input, reason: entry.reason }
    if (entry.kind === 'failed') return { status: 'failed', error: new FileFailure(input, entry.error) }
    let output = ''
    try {
      output = await this.#tree.place(entry.name)
      return await this.#transfer(entry, output)
    } catch (error) {
      if (error instanceof ReportFailure) throw error.cause
      if (this.#job.signal.aborted) return { status: 'interrupted' }
      if (isKept(error)) return { status: 'skipped', input, reason: `${output} is there already` }
      const isNamed = error instanceof UsageError || error instanceof FileFailure
      const failure = isNamed ? error : new FileFailure(input, error)
      const cause = failure instanceof FileFailure ? failure.cause : failure
      const told = { message: failure.message, ...(codeOf(cause) !== undefined && { code: codeOf(cause) }) }
      await this.#note(entry, output, { status: 'failed', error: told })
      return { status: 'failed', error: failure }
    }
  }

  async #transfer(file: File, output: string): Promise<Outcome> {
    const { input, known } = file
    const version = await versionOf(input, known)
    const key = { mode: this.#job.mode, input: absolute(input), output: absolute(output) }
    if (version !== undefined && this.#report?.isDone(key, version) === true) {
      return { status: 'done before' }
    }
    await this.#tree.makeRoom(output)
    const places = { input, output, known, queueSize: this.#queueSize }
    const { record, ETag } = await transferOne(this.#job, places, () => Promise.resolve(undefined))
    // In place, what is there now is what is done.
    const isInPlace = input === output
    const now = isInPlace ? (isObject(output) ? ETag : await versionOf(output)) : version
    const { bytesIn, bytesOut, header, previousVersionId } = record
    const about = {
      bytesIn,
      bytesOut,
      messageId: header.messageId,
      ...(previousVersionId !== undefined && { previousVersionId }),
    }
    await this.#note(file, output, { status: 'done', ...(now !== undefined && { version: now }), ...about })
    return { status: 'done', record }
  }

  async #note(
    { input }: File,
    output: string,
    line: Pick<ReportLine, 'status'> & Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const { mode, flags } = this.#job
    const places = { mode, input: absolute(input), output: output === '' ? '' : absolute(output) }
    try {
      await this.#report?.add({ ...line, ...places })
    } catch (error) {
      throw new ReportFailure(new FileFailure(flags.report ?? '', error))
    }
  }
}

/** Whether OUTPUT is there and was not to be replaced. */
function isKept(error: unknown): boolean {
  return error instanceof FileFailure && codeOf(error.cause) === 'EEXIST'
}

/** Not of a file: nothing more is to be done that nobody would know of. */
class ReportFailure extends Error {
  override readonly name = 'ReportFailure'
  override readonly cause: FileFailure

  constructor(cause: FileFailure) {
    super(cause.message)
    this.cause = cause
  }
}

/** Says what came of each file, wherever that is wanted. */
class FleetLog {
  readonly report: FleetReport | undefined
  readonly #flags: TransferFlags
  readonly #metadata: MetadataFile | undefined
  readonly #codes: number[] = []
  #done = 0
  #before = 0
  #skipped = 0
  #bytes = 0

  private constructor(flags: TransferFlags, report: FleetReport | undefined, metadata: MetadataFile | undefined) {
    this.report = report
    this.#flags = flags
    this.#metadata = metadata
  }

  static async open(flags: TransferFlags, trees: readonly string[]): Promise<FleetLog> {
    const { report: path, metadataOutput } = flags
    await refuseNearby('--report', path, flags, trees)
    if (metadataOutput !== STANDARD_STREAM) await refuseNearby('--metadata-output', metadataOutput, flags, trees)
    if (path !== undefined && metadataOutput !== undefined && absolute(path) === absolute(metadataOutput)) {
      throw new UsageError(`${path}: --report and --metadata-output may not be the same file`)
    }
    const report = path === undefined ? undefined : await openReport(path)
    try {
      const isFile = metadataOutput !== undefined && metadataOutput !== STANDARD_STREAM
      const metadata = isFile
        ? await named(metadataOutput, () => MetadataFile.open(metadataOutput, flags.overwriteMetadata))
        : undefined
      return new FleetLog(flags, report, metadata)
    } catch (error) {
      await report?.close()
      throw error
    }
  }

  async tell(outcome: Outcome): Promise<void> {
    const { json, metadataOutput, quiet } = this.#flags
    if (outcome.status === 'interrupted') return
    if (outcome.status === 'failed') {
      this.#codes.push(exitCodeOf(outcome.error))
      tellFailure(outcome.error)
    } else if (outcome.status === 'done before') {
      this.#before += 1
    } else if (outcome.status === 'skipped') {
      this.#skipped += 1
      if (quiet !== true) process.stderr.write(`esdk: ${oneLine(outcome.input)}: skipped: ${outcome.reason}\n`)
    } else {
      const { record } = outcome
      sayDone(record)
      this.#done += 1
      this.#bytes += record.bytesIn
      await this.#metadata?.add(record)
      if (json === true || metadataOutput === STANDARD_STREAM) await printLine(JSON.stringify(record))
      this.#show(`${record.mode}ed ${record.input} → ${record.output} ${humanBytes(record.bytesIn)}`)
    }
  }

  /** @throws SomeFailed where some did */
  finish(seconds: number): void {
    const failed = this.#codes.length
    const all = this.#done + this.#before + this.#skipped + failed
    const parts = [`${this.#done} of ${all} files`, humanBytes(this.#bytes), `${seconds.toFixed(1)} s`]
    if (this.#before > 0) parts.push(`${this.#before} done before`)
    if (this.#skipped > 0) parts.push(`${this.#skipped} skipped`)
    this.#show(`total: ${parts.join(', ')}`)
    if (failed > 0) throw new SomeFailed(`${failed} of ${all} files failed`, this.#codes)
  }

  async close(): Promise<void> {
    await this.#metadata?.close()
    await this.report?.close()
  }

  #show(line: string): void {
    if (showsProgress(this.#flags, false)) process.stderr.write(`${oneLine(line)}\n`)
  }
}

async function openReport(path: string): Promise<FleetReport> {
  return named(path, () => FleetReport.open(path)).catch((error: unknown) => {
    const cause = error instanceof FileFailure ? error.cause : error
    throw cause instanceof TypeError ? new UsageError(`--report ${path}: ${cause.message}`) : error
  })
}

/** What is written about the files may not be among them, nor be a key. */
async function refuseNearby(
  option: string,
  path: string | undefined,
  flags: TransferFlags,
  trees: readonly string[],
): Promise<void> {
  if (path === undefined) return
  for (const tree of trees) {
    if (await liesIn(tree, path)) throw new UsageError(`${option} ${path}: may not lie in INPUT or OUTPUT`)
  }
  if (await isKeyFile(await statOf(path), flags)) throw new UsageError(`${option} ${path}: may not be a key file`)
}
