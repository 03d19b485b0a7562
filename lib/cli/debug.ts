/** What went wrong, on stderr: one line, and with `--debug` all that it came from. */
import { type Attempt, isEncryptionSdkError } from '../errors.ts'
import { keyNameOf } from '../format/encrypted-data-key.ts'
import { FileFailure, codeOf, describeFailure, oneLine } from './failure.ts'
import { tell } from './status-line.ts'

/** Deeper, it is a circle. */
const MAX_DEPTH = 12

let showsCauses = false

/** Sets whether causes are shown by this process. */
export function showCauses(show: boolean): void {
  showsCauses = show
}

/** Says on stderr what went wrong. */
export function tellFailure(error: unknown): void {
  const lines = [`esdk: ${describeFailure(error)}`]
  if (showsCauses) lines.push(...causesOf(error instanceof FileFailure ? error.cause : error, 1))
  tell(lines.map((line) => `${line}\n`).join(''))
}

/**
 * An error, where it was made, and what it came from. Only what people wrote (names, messages, codes) and where it
 * happened: whatever else an error holds may be anything.
 */
function causesOf(error: unknown, depth: number): string[] {
  const indent = '  '.repeat(depth)
  if (depth > MAX_DEPTH) return []
  if (!(error instanceof Error)) return [`${indent}${oneLine(String(error))}`]
  const code = codeOf(error)
  const { name, message } = error
  const lines = [`${indent}${oneLine(`${name}${code === undefined ? '' : ` ${code}`}: ${message}`)}${answerOf(error)}`]
  for (const line of (error.stack ?? '').split('\n')) {
    if (/^\s+at /.test(line)) lines.push(`${indent}  ${oneLine(line.trim())}`)
  }
  for (const { key, reason, cause } of attemptsOf(error)) {
    lines.push(`${indent}tried ${oneLine(key === undefined ? 'a keyring' : nameOf(key))}: ${oneLine(reason)}`)
    if (cause !== undefined) lines.push(...causesOf(cause, depth + 1))
  }
  const more: readonly unknown[] = error instanceof AggregateError ? error.errors : []
  for (const cause of [error.cause, ...more]) if (cause !== undefined) lines.push(...causesOf(cause, depth + 1))
  return lines
}

/** What the AWS SDK knows of an answer. */
function answerOf(error: Error): string {
  if (!('$metadata' in error)) return ''
  const { httpStatusCode: status, requestId: id } = error.$metadata as { httpStatusCode?: number; requestId?: string } // of the AWS SDK
  const parts = [status === undefined ? '' : `HTTP ${status}`, id === undefined ? '' : `request ${oneLine(id)}`]
  const said = parts.filter((part) => part !== '').join(', ')
  return said === '' ? '' : ` (${said})`
}

function attemptsOf(error: Error): readonly Attempt[] {
  return isEncryptionSdkError(error) && 'attempts' in error ? (error.attempts as readonly Attempt[]) : [] // an UnwrapError's
}

function nameOf({ keyProviderId, keyProviderInfo }: NonNullable<Attempt['key']>): string {
  const info = Buffer.from(keyProviderInfo)
  const name = keyNameOf(info)
  return `${JSON.stringify(keyProviderId)} ${name === undefined ? `base64 ${info.toString('base64')}` : JSON.stringify(name)}`
}
