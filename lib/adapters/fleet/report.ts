/** The report of what was done with many files: lines of JSON, by which an interrupted run goes on. */
import { createReadStream } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createInterface } from 'node:readline'

/** What a line says. */
export interface ReportLine {
  readonly status: 'done' | 'failed' | 'skipped'
  readonly mode: string
  readonly input: string
  readonly output: string
  /** What the source was: another version is another file. */
  readonly version?: string
  readonly [also: string]: unknown
}

/** By what a line is found again. */
export type ReportKey = Pick<ReportLine, 'mode' | 'input' | 'output'>

/** A report under way. */
export class FleetReport {
  readonly #handle: FileHandle
  /** The version of each source that was done. */
  readonly #done: ReadonlyMap<string, string>
  #adding: Promise<void> = Promise.resolve()

  private constructor(handle: FileHandle, done: ReadonlyMap<string, string>) {
    this.#handle = handle
    this.#done = done
  }

  /**
   * Opens a report to be continued, or makes one with mode 0600. A last line that was cut off is taken away.
   *
   * @throws TypeError where the file is something else; what the file system says.
   */
  static async open(path: string): Promise<FleetReport> {
    const handle = await open(path, 'a+', 0o600)
    try {
      const { done, cut } = await readReport(path)
      if (cut > 0) await handle.truncate((await handle.stat()).size - cut)
      return new FleetReport(handle, done)
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Whether this version of a source was done. */
  isDone(key: ReportKey, version: string): boolean {
    return this.#done.get(nameOf(key)) === version
  }

  /** Adds a line, after all that were added before. */
  async add(line: ReportLine): Promise<void> {
    // Some take these for ends of lines.
    const text = JSON.stringify(line).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029')
    this.#adding = this.#adding.then(() => this.#handle.appendFile(`${text}\n`))
    await this.#adding
  }

  /** Makes sure that the report is stored, and closes it. */
  async close(): Promise<void> {
    try {
      await this.#adding.catch(() => undefined) // whoever added it heard of it
      await this.#handle.sync()
    } finally {
      await this.#handle.close()
    }
  }
}

/** What was done, and how many bytes at the end are of a line that was cut off. */
async function readReport(path: string): Promise<{ done: Map<string, string>; cut: number }> {
  const done = new Map<string, string>()
  let [number, last] = [0, '']
  // Each line only when it is known that another follows: the last one may have been cut off.
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    if (number > 0) takeLine(done, last, number)
    last = line
    number += 1
  }
  if (number === 0) return { done, cut: 0 }
  const isWhole = await endsInNewline(path)
  if (isWhole) takeLine(done, last, number)
  else if (!last.startsWith('{')) throw notReport(number)
  return { done, cut: isWhole ? 0 : Buffer.byteLength(last) }
}

function takeLine(done: Map<string, string>, text: string, number: number): void {
  const line = parsed(text)
  if (line === undefined) throw notReport(number)
  if (line.status === 'done' && typeof line.version === 'string') done.set(nameOf(line), line.version)
}

function notReport(number: number): TypeError {
  return new TypeError(`line ${number} is not one of a report`)
}

function parsed(text: string): ReportLine | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return undefined
    const line = value as ReportLine // as far as the next line looks
    return [line.status, line.mode, line.input, line.output].every((each) => typeof each === 'string')
      ? line
      : undefined
  } catch {
    return undefined
  }
}

async function endsInNewline(path: string): Promise<boolean> {
  const handle = await open(path, 'r')
  try {
    const { size } = await handle.stat()
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, size - 1)
    return buffer[0] === 0x0a
  } finally {
    await handle.close()
  }
}

function nameOf({ mode, input, output }: ReportKey): string {
  return JSON.stringify([mode, input, output])
}
