/** `esdk inspect`. */
import { Command } from 'commander'
import type { UnverifiedMessageHeader } from '../streams/read-header.ts'
import { addNotes } from './command-notes.ts'
import { oneLine } from './failure.ts'
import type { HeaderRecord } from './record.ts'

interface InspectFlags {
  readonly json?: boolean
  readonly decode?: boolean
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
}

const NOTES = `
Examples:
  $ esdk inspect backup.tar.encrypted
  $ esdk inspect s3://backups/shop.sql.encrypted
  $ esdk inspect backup.tar.encrypted --json | jq .encryptedDataKeys`

/** The subcommand. */
export function inspectCommand(signal: AbortSignal): Command {
  const command = new Command('inspect')
    .summary('show the header of a message')
    .description(
      'Shows the header of the message INPUT (a path, s3://bucket/key, or "-" for stdin), without any key: nothing of it is verified.',
    )
    .argument('<INPUT>', 'the message')
    .option('--json', 'as one JSON record')
    .option('--decode', 'INPUT is in base64')
    .option('--debug', 'where it fails, say also what caused that')
    .action(async (input: string, flags: InspectFlags) => {
      const { unlessAborted } = await import('../materials/shared-request.ts')
      await unlessAborted(run(input, flags, signal), signal)
    })
  return addNotes(command, NOTES)
}

async function run(input: string, { json = false, decode = false }: InspectFlags, signal: AbortSignal): Promise<void> {
  const [{ named, openSource }, { printLine }, { readHeader }, { headerRecord }, { checkedLocation, displayName }] =
    await Promise.all([
      import('./places.ts'),
      import('./run-transfer.ts'),
      import('../streams/read-header.ts'),
      import('./record.ts'),
      import('./location.ts'),
    ])
  checkedLocation('INPUT', input)
  const name = displayName('INPUT', input)
  await named(name, async () => {
    const source = await openSource(input, { signal, decode })
    try {
      const { header, headerLength, rest } = await readHeader(source.bytes)
      rest.destroy()
      const record: InspectRecord = {
        input,
        verified: false,
        ...headerRecord(header),
        headerLength,
        ...(await lengths(header, headerLength, source.length)),
      }
      await printLine(json ? JSON.stringify(record) : readable(name, record))
    } finally {
      await source.close()
    }
  })
}

async function lengths(
  { suite, frameLength }: UnverifiedMessageHeader,
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

function readable(name: string, record: InspectRecord): string {
  const { algorithmSuite: suite, contentType, frameLength, messageLength, plaintextLength } = record
  const properties = [suite.committing ? 'committing' : 'not committing', suite.signed ? 'signed' : 'not signed']
  const lines = [
    `${oneLine(name)}: header of a message, UNVERIFIED`,
    row('format version', String(record.version)),
    row('algorithm suite', `${suite.id} ${suite.name} (${properties.join(', ')})`),
    row('message id', record.messageId),
    row('content', contentType === 'framed' ? `framed, ${frameLength} bytes a frame` : contentType),
    row('header length', `${record.headerLength} bytes`),
  ]
  if (messageLength !== undefined) lines.push(row('message length', `${messageLength} bytes`))
  if (plaintextLength !== undefined) lines.push(row('plaintext', `${plaintextLength} bytes, if the message is whole`))
  const pairs = Object.entries(record.encryptionContext)
  lines.push(row('encryption context', pairs.length === 0 ? 'none' : ''))
  for (const [key, value] of pairs) lines.push(`    ${quoted(key)} = ${quoted(value)}`)
  lines.push(row('encrypted data keys', String(record.encryptedDataKeys.length)))
  for (const { keyProviderId, keyProviderInfo, keyName } of record.encryptedDataKeys) {
    lines.push(`    ${quoted(keyProviderId)} ${keyName === undefined ? `base64 ${keyProviderInfo}` : quoted(keyName)}`)
  }
  return lines.join('\n')
}

const LABEL_CHARACTERS = 21

function row(label: string, value: string): string {
  return `  ${label.padEnd(LABEL_CHARACTERS)}${value}`.trimEnd()
}

function quoted(text: string): string {
  return oneLine(JSON.stringify(text))
}
