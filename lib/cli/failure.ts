/** How the command fails: one line on stderr, and an exit code. */
import { type EncryptionSdkError, type ErrorCode, isEncryptionSdkError, messageOf } from '../errors.ts'

/** The command was called wrongly. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A failure, and the file that it is about. */
export class FileFailure extends Error {
  override readonly name = 'FileFailure'
  readonly file: string
  /** What else to try, where the command knows more than the error. */
  readonly advice: string | undefined

  constructor(file: string, cause: unknown, advice?: string) {
    super(messageOf(cause), { cause })
    this.file = file
    this.advice = advice
  }
}

/** Some of many files failed, each of which was told already. */
export class SomeFailed extends Error {
  override readonly name = 'SomeFailed'
  readonly exitCode: number

  /** @param codes exit codes of those that failed: the worst of them counts */
  constructor(message: string, codes: readonly number[]) {
    super(message)
    this.exitCode = SEVERITY.find((code) => codes.includes(code)) ?? EXIT.failed
  }
}

/** Standard output went away: whoever read it has enough. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed'
}

/** Exit codes. */
export const EXIT = { done: 0, failed: 1, usage: 2, notAuthentic: 3, noKey: 4, refused: 5 } as const

/** From the worst on. */
const SEVERITY: readonly number[] = [EXIT.notAuthentic, EXIT.noKey, EXIT.refused, EXIT.failed, EXIT.usage]

const EXIT_CODES: Readonly<Record<ErrorCode, number>> = {
  ERR_ESDK_MALFORMED: EXIT.failed,
  ERR_ESDK_TRUNCATED: EXIT.failed,
  ERR_ESDK_UNSUPPORTED: EXIT.failed,
  ERR_ESDK_AUTHENTICATION: EXIT.notAuthentic,
  ERR_ESDK_UNWRAP: EXIT.noKey,
  ERR_ESDK_WRAP: EXIT.noKey,
  ERR_ESDK_POLICY: EXIT.refused,
  ERR_ESDK_LIMIT: EXIT.refused,
  ERR_ESDK_LENGTH: EXIT.failed,
  ERR_ESDK_CHANGED: EXIT.failed,
  ERR_ESDK_TRANSFER: EXIT.failed,
}

const ADVICE: Readonly<Record<ErrorCode, string>> = {
  ERR_ESDK_MALFORMED: 'check that this is an encrypted message, and nothing else is before or after it',
  ERR_ESDK_TRUNCATED: 'the file is incomplete: get it again',
  ERR_ESDK_UNSUPPORTED: 'decrypt it with the product that wrote it',
  ERR_ESDK_AUTHENTICATION: 'the file was changed, or -c is not what it was encrypted with: get it again, or correct -c',
  ERR_ESDK_UNWRAP:
    'give the key and the -c pairs that it was encrypted with; "esdk inspect" lists the keys that it names',
  ERR_ESDK_WRAP: 'check the keys',
  ERR_ESDK_POLICY: 'relax the option that refuses it, if you trust where the file comes from',
  ERR_ESDK_LIMIT: 'give less, or raise the limit that was passed',
  ERR_ESDK_LENGTH: 'check that the file is whole',
  ERR_ESDK_CHANGED: 'try again when nothing writes to it, or encrypt a copy',
  ERR_ESDK_TRANSFER: 'check the bucket, the permissions and the network, and try again',
}

const SYSTEM_ADVICE: Readonly<Record<string, string>> = {
  ENOENT: 'check the path',
  ENOTDIR: 'check the path',
  EISDIR: 'name a file, or give -r',
  EACCES: 'check the permissions',
  EPERM: 'check the permissions',
  EROFS: 'choose another place with -o',
  ENOSPC: 'free some space, or choose another place with -o',
  EEXIST: 'choose another name',
  EDQUOT: 'free some space, or choose another place with -o',
}

/** The exit code for a failure. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage
  if (error instanceof SomeFailed) return error.exitCode
  if (error instanceof FileFailure) return exitCodeOf(error.cause)
  return isEncryptionSdkError(error) ? EXIT_CODES[error.code] : EXIT.failed
}

/** One line for a failure: the file, what is wrong, the code, and what to try. */
export function describeFailure(error: unknown): string {
  if (error instanceof FileFailure) {
    const advice = error.advice ?? adviceFor(error.cause)
    // Errors of Amazon S3 name the object themselves.
    const isNamed = error.file.startsWith('s3://') && error.message.startsWith(error.file)
    const about = isNamed ? '' : `${error.file}: `
    return oneLine(`${about}${withCode(error.message, error.cause)}${advice === undefined ? '' : `; ${advice}`}`)
  }
  return oneLine(withCode(messageOf(error), error))
}

function adviceFor(error: unknown): string | undefined {
  if (isEncryptionSdkError(error))
    return kmsAdvice(error) ?? base64Advice(error) ?? policyAdvice(error) ?? ADVICE[error.code]
  return SYSTEM_ADVICE[codeOf(error) ?? '']
}

function kmsAdvice({ message, code }: EncryptionSdkError): string | undefined {
  if (code !== 'ERR_ESDK_WRAP' || !message.includes('AWS KMS')) return undefined
  return 'check the key, its policy, and the AWS settings (AWS_REGION, AWS_PROFILE, …)'
}

/** Base64 is of the command alone. */
function base64Advice({ message }: EncryptionSdkError): string | undefined {
  if (message.includes('base64-encoded message')) return 'give --decode'
  return message.includes('base64') ? 'check that INPUT is whole, and in base64; else leave out --decode' : undefined
}

/** The library names its own options; the command has other names for them. */
function policyAdvice({ message, code }: EncryptionSdkError): string | undefined {
  if (code !== 'ERR_ESDK_POLICY' && code !== 'ERR_ESDK_LIMIT') return undefined
  if (message.includes('forbids decrypting')) return 'allow it with --commitment-policy require-encrypt-allow-decrypt'
  if (message.includes('forbids encrypting')) return 'choose another --suite or --commitment-policy'
  if (message.includes('"allowUnverifiedSignature"')) return 'allow it with --allow-unverified-signature'
  if (message.includes('"unsignedOnly"')) return 'leave out --unsigned-only'
  if (message.includes('encryption context takes')) return 'give fewer or shorter -c pairs'
  if (message.includes('encryption context')) return 'correct -c; "esdk inspect" shows the pairs that are stored'
  if (message.includes('"maxFrameBytes"')) return 'raise --max-length, if you trust where the file comes from'
  if (message.includes('encrypted data keys') || message.includes('wrapped')) return 'raise --max-encrypted-data-keys'
  return undefined
}

function withCode(message: string, error: unknown): string {
  const code = codeOf(error)
  return code === undefined || message.startsWith(code) ? message : `${message} (${code})`
}

/** An error's code, where it has one. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

// Control characters, line separators, and marks that turn the direction of text around.
// eslint-disable-next-line no-control-regex -- they are what is looked for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g

/** Text without anything that could move a terminal's cursor: names and values come from strangers. */
export function oneLine(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Calls something that validates its arguments; what it refuses was the caller's mistake. */
export function asUsage<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw error instanceof TypeError || error instanceof RangeError ? new UsageError(error.message) : error
  }
}
