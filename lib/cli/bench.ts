/** `esdk bench`. */
import { Command } from 'commander'
import { addNotes } from './command-notes.ts'
import { FileFailure, UsageError, oneLine } from './failure.ts'
import type { FileSpeed, MessageRate, Speed } from './measure-speed.ts'
import { wholeNumber } from './option-values.ts'
import type { VersionRecord } from './version.ts'

interface BenchFlags {
  readonly seconds: number
  readonly json?: boolean
}

/** What `bench --json` prints. Speeds are in MiB of plaintext a second. */
export interface BenchRecord extends VersionRecord {
  readonly cpu: string
  readonly cores: number
  readonly seconds: number
  /** Streams from memory to memory. */
  readonly streams: readonly Speed[]
  /** Whole messages in memory, a second. */
  readonly messages: readonly MessageRate[]
  /** FILE into another on its disk, and back. */
  readonly file?: FileSpeed
}

const SECONDS = 10

const EXAMPLES = `
Nothing is kept: keys are made for it, and files that it makes beside FILE are removed. What is timed is on one core. A
round trip is verified before anything is timed. With FILE, its disk must have room for two copies of it; it is encrypted
and decrypted once at least, however long that takes.

Examples:
  $ esdk bench
  $ esdk bench /srv/backup.tar
  $ ESDK_ENGINE=node esdk bench --seconds 3 --json | jq .streams`

/** The subcommand. */
export function benchCommand(signal: AbortSignal): Command {
  const command = new Command('bench')
    .summary('how fast it is on this machine')
    .description(
      'Shows how fast this machine encrypts and decrypts, signed (the default) and unsigned, with the engine that serves here; with FILE, also from that file to others beside it.',
    )
    .argument('[FILE]', 'a file, on the disk to be measured')
    .option('--seconds <N>', 'how long it may take, about', wholeNumber, SECONDS)
    .option('--json', 'as one JSON record')
    .action((file: string | undefined, flags: BenchFlags) => run(file, flags, signal))
  addNotes(command, EXAMPLES)
  return command
}

async function run(
  file: string | undefined,
  { seconds, json = false }: BenchFlags,
  signal: AbortSignal,
): Promise<void> {
  if (file !== undefined) await assertMeasurable(file)
  const [{ versionRecord }, { cpus }, { printLine }, measure] = await Promise.all([
    import('./version.ts'),
    import('node:os'),
    import('./run-transfer.ts'),
    import('./measure-speed.ts'),
  ])
  const [processor] = cpus()
  const about = {
    ...(await versionRecord()),
    cpu: processor?.model.trim() ?? 'unknown',
    cores: cpus().length,
    seconds,
  }
  const show = json ? () => Promise.resolve() : printLine
  await show(readableHead(about))
  const clock = new measure.Budget(seconds, file !== undefined)
  const streams: Speed[] = []
  await show(heading('streams in memory, MiB/s'))
  for (const kind of measure.STREAM_KINDS) {
    const speed = await measure.streamSpeed(kind, clock, signal)
    streams.push(speed)
    await show(row(`${speed.signed ? 'signed' : 'unsigned'}, frames of ${speed.frameLength} bytes`, speed))
  }
  const messages: MessageRate[] = []
  await show(heading('messages a second'))
  for (const kind of measure.MESSAGE_KINDS) {
    const rate = await measure.messageRate(kind, clock, signal)
    messages.push(rate)
    await show(row(`${rate.signed ? 'signed' : 'unsigned'}, of ${rate.length} bytes`, rate))
  }
  const record: BenchRecord = { ...about, streams, messages }
  if (file === undefined) {
    if (json) await printLine(JSON.stringify(record))
    return
  }
  await show(heading(`${oneLine(file)} into another file, MiB/s`))
  const speed = await measure.fileSpeed(file, clock, signal)
  await show(row(`signed, frames of ${speed.frameLength} bytes`, speed))
  if (json) await printLine(JSON.stringify({ ...record, file: speed } satisfies BenchRecord))
}

/** Before minutes may have passed. */
async function assertMeasurable(file: string): Promise<void> {
  const [{ STANDARD_STREAM, isObject }, { stat }] = await Promise.all([
    import('./location.ts'),
    import('node:fs/promises'),
  ])
  if (['', STANDARD_STREAM].includes(file) || isObject(file)) throw new UsageError('FILE expected the path of a file')
  const found = await stat(file).catch((error: unknown) => {
    throw new FileFailure(file, error)
  })
  if (!found.isFile()) throw new UsageError(`${file}: FILE expected a file, and this is none`)
  if (found.size === 0) throw new UsageError(`${file}: FILE expected a file that is not empty`)
}

const LABEL_CHARACTERS = 36
const NUMBER_CHARACTERS = 10

function readableHead({
  version,
  engine,
  node,
  openssl,
  cpu,
  cores,
}: Omit<BenchRecord, 'streams' | 'messages'>): string {
  const processor = `${oneLine(cpu)} (${cores} ${cores === 1 ? 'core' : 'cores'})`
  return `esdk-streams ${version}, ${engine} engine, Node ${node}, OpenSSL ${openssl}\n${processor}`
}

function heading(what: string): string {
  return `\n${columns(what, 'encrypt', 'decrypt')}`
}

function row(label: string, { encrypt, decrypt }: { readonly encrypt: number; readonly decrypt: number }): string {
  return columns(`  ${label}`, ...[encrypt, decrypt].map((number) => Math.round(number).toLocaleString('en-US')))
}

function columns(label: string, ...texts: readonly string[]): string {
  return label.padEnd(LABEL_CHARACTERS) + texts.map((text) => text.padStart(NUMBER_CHARACTERS)).join('')
}
