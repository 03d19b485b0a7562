/** `esdk inspect`. */
import { Command } from 'commander'
import type { MessageHeader } from '../format/message-header.ts'
import type { WalkedMessage } from '../streams/walk-message.ts'
import { addNotes } from './command-notes.ts'
import { UsageError } from './failure.ts'
import type { HeaderRecord } from './record.ts'

interface InspectFlags {
  readonly json?: boolean
  readonly decode?: boolean
  readonly frames?: boolean
  readonly html?: boolean
}

/** What `inspect --json` prints. Nothing of it is verified. */
export interface InspectRecord extends HeaderRecord {
  readonly input: string
  readonly verified: false
  /** Length of the header with its authentication, in bytes. */
  readonly headerLength: number
  /** Of a file: its length, and the length that its plaintext has if the message is whole, in bytes. */
  readonly messageLength?: number
  readonly plaintextLength?: number
  /** With `--frames`: what stands after the header. */
  readonly body?: WalkedMessage
}

const NOTES = `
Examples:
  $ esdk inspect backup.tar.encrypted
  $ esdk inspect s3://backups/shop.sql.encrypted
  $ esdk inspect backup.tar.encrypted --json | jq .encryptedDataKeys
  $ esdk inspect backup.tar.encrypted --frames                     is it whole, and if not, where is it cut?
  $ esdk inspect backup.tar.encrypted --html > backup.html         a page that draws it to scale`

/** The subcommand. */
export function inspectCommand(signal: AbortSignal): Command {
  const command = new Command('inspect')
    .summary('show what a message is made of')
    .description(
      'Shows the header of the message INPUT (a path, s3://bucket/key, or "-" for stdin), without any key: nothing of it is ' +
        'verified. With --frames or --html all of it is read, and one that is cut or damaged ends with exit code 1.',
    )
    .argument('<INPUT>', 'the message')
    .option('--json', 'as one JSON record')
    .option('--decode', 'INPUT is in base64')
    .option('--frames', 'read all of it: how many frames there are, and where it is cut or damaged')
    .option('--html', 'read all of it, and write a page that draws it to scale')
    .option('--debug', 'where it fails, say also what caused that')
    .action(async (input: string, flags: InspectFlags) => {
      const { unlessAborted } = await import('../materials/shared-request.ts')
      await unlessAborted(run(input, flags, signal), signal)
    })
  return addNotes(command, NOTES)
}

async function run(input: string, flags: InspectFlags, signal: AbortSignal): Promise<void> {
  const { json = false, decode = false, frames = false, html = false } = flags
  if (json && html) throw new UsageError('--json and --html are two ways to say the same: give one')
  const [{ named, openSource }, { printLine }, { MessageWalk }, { headerRecord }, { checkedLocation, displayName }] =
    await Promise.all([
      import('./places.ts'),
      import('./run-transfer.ts'),
      import('../streams/walk-message.ts'),
      import('./record.ts'),
      import('./location.ts'),
    ])
  checkedLocation('INPUT', input)
  const name = displayName('INPUT', input)
  await named(name, async () => {
    const source = await openSource(input, { signal, decode })
    try {
      const walk = await MessageWalk.begin(source.bytes)
      const { header, headerBytes } = walk
      const body = frames || html ? await walk.finish() : undefined
      walk.end()
      const headerLength = headerBytes.length
      const record: InspectRecord = {
        input,
        verified: false,
        ...headerRecord(header),
        headerLength,
        ...(await lengths(header, headerLength, body?.messageLength ?? source.length)),
        ...(body !== undefined && { body }),
      }
      await printLine(await shown({ json, html }, name, record, headerBytes))
      if (body !== undefined) await refuseFaults(body)
    } finally {
      await source.close()
    }
  })
}

async function shown(
  { json, html }: { readonly json: boolean; readonly html: boolean },
  name: string,
  record: InspectRecord,
  headerBytes: Buffer,
): Promise<string> {
  if (json) return JSON.stringify(record)
  if (!html) return (await import('./inspect-text.ts')).inspectText(name, record)
  return (await import('./inspect-page.ts')).inspectPage(name, record, headerBytes)
}

/** @throws MalformedMessageError | TruncatedMessageError of what is wrong first */
async function refuseFaults({ faults: [fault] }: WalkedMessage): Promise<void> {
  if (fault === undefined) return
  const { MalformedMessageError, TruncatedMessageError } = await import('../errors.ts')
  const Kind = fault.code === 'ERR_ESDK_TRUNCATED' ? TruncatedMessageError : MalformedMessageError
  throw new Kind(fault.message)
}

async function lengths(
  { suite, frameLength }: MessageHeader,
  headerLength: number,
  messageLength: number | undefined,
): Promise<Pick<InspectRecord, 'messageLength' | 'plaintextLength'>> {
  if (messageLength === undefined) return {}
  const { plaintextLengthOf } = await import('../format/message-size.ts')
  try {
    const sizes = { headerLength, frameLength, algorithmSuite: suite.id, ciphertextLength: messageLength }
    return { messageLength, plaintextLength: plaintextLengthOf(sizes) }
  } catch {
    return { messageLength }
  }
}
