/** What `esdk inspect` says to people. */
import { REGULAR_FRAME } from '../format/frame.ts'
import type { WalkedMessage, WalkedPart } from '../streams/walk-message.ts'
import { oneLine } from './failure.ts'
import type { InspectRecord } from './inspect.ts'

/** What `inspect` prints. */
export function inspectText(name: string, record: InspectRecord): string {
  const { algorithmSuite: suite, contentType, frameLength, messageLength, plaintextLength } = record
  const properties = [suite.committing ? 'committing' : 'not committing', suite.signed ? 'signed' : 'not signed']
  const lines = [
    `${oneLine(name)}: ${record.body === undefined ? 'header of a message' : 'message'}, UNVERIFIED`,
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
  for (const { keyProviderId, keyProviderInfo, keyName, ciphertextLength } of record.encryptedDataKeys) {
    const key = keyName === undefined ? `base64 ${keyProviderInfo}` : quoted(keyName)
    lines.push(`    ${quoted(keyProviderId)} ${key}, wrapped in ${ciphertextLength} bytes`)
  }
  if (record.body !== undefined) lines.push(...bodyLines(record, record.body))
  return lines.join('\n')
}

function bodyLines({ contentType, frameLength }: InspectRecord, body: WalkedMessage): string[] {
  const { regularFrames, finalFrame, signatureLength } = body
  const lines: string[] = []
  if (contentType === 'framed') {
    lines.push(row('regular frames', `${regularFrames}, of ${frameLength + REGULAR_FRAME.overhead} bytes each`))
    const last = `number ${finalFrame?.sequenceNumber}, ${finalFrame?.contentLength} bytes of content`
    lines.push(row('final frame', finalFrame === undefined ? 'none that is whole' : last))
  }
  lines.push(row('content', `${body.contentLength} bytes`))
  if (signatureLength !== undefined) lines.push(row('footer', `a signature of ${signatureLength} bytes`))
  lines.push(row('parts', ''))
  for (const part of body.parts) lines.push(`    ${partLine(part)}`)
  if (body.complete) return [...lines, row('whole', 'yes, as far as can be seen without keys')]
  lines.push(row('whole', 'NO'))
  for (const { offset, message } of body.faults) lines.push(`    at ${offset}: ${message}`)
  const more = body.faultCount - body.faults.length
  return more > 0 ? [...lines, `    and ${more} more`] : lines
}

function partLine({ kind, offset, length, count, expectedLength }: WalkedPart): string {
  const what = count === undefined ? kind : count === 1 ? '1 frame' : `${count} frames`
  return `${what}: ${length} bytes at ${offset}${expectedLength === undefined ? '' : `, of ${expectedLength}`}`
}

const LABEL_CHARACTERS = 21

function row(label: string, value: string): string {
  return `  ${label.padEnd(LABEL_CHARACTERS)}${value}`.trimEnd()
}

/** Text of strangers, in quotes. */
export function quoted(text: string): string {
  return oneLine(JSON.stringify(text))
}
