/**
 * The errors of this library. A caller's mistake is a `TypeError` or `RangeError`, at once; everything about a message
 * or a key is an {@link EncryptionSdkError} with a literal `code`, delivered by rejection or by `destroy(error)`.
 */

const BRAND = Symbol.for('esdk-streams.error')

/** What went wrong, for programs: docs/troubleshooting.md has the cause and the cure of each. */
export type ErrorCode =
  | 'ERR_ESDK_MALFORMED'
  | 'ERR_ESDK_TRUNCATED'
  | 'ERR_ESDK_UNSUPPORTED'
  | 'ERR_ESDK_AUTHENTICATION'
  | 'ERR_ESDK_UNWRAP'
  | 'ERR_ESDK_WRAP'
  | 'ERR_ESDK_POLICY'
  | 'ERR_ESDK_LIMIT'
  | 'ERR_ESDK_LENGTH'
  | 'ERR_ESDK_CHANGED'
  | 'ERR_ESDK_TRANSFER'

/** Base of all coded errors. Test with {@link isEncryptionSdkError} rather than `instanceof`: it holds across copies. */
export abstract class EncryptionSdkError extends Error {
  abstract readonly code: ErrorCode

  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/**
 * True for every error that this library (any copy of it in the process) makes about a message or a key.
 *
 * @example
 * catch (error) { if (isEncryptionSdkError(error) && error.code === 'ERR_ESDK_UNWRAP') … }
 */
export function isEncryptionSdkError(value: unknown): value is EncryptionSdkError {
  return typeof value === 'object' && value !== null && BRAND in value
}

/** These bytes are not the message format; also: bytes after the end of the message. */
export class MalformedMessageError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_MALFORMED'
}

/** The input ended inside a message. */
export class TruncatedMessageError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_TRUNCATED'
}

/** Known to exist, but not handled here. */
export class UnsupportedError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_UNSUPPORTED'
}

/** Which check found the message not to be authentic. */
export type AuthenticatedPart = 'header' | 'commitment' | 'frame' | 'signature'

/** The message is not authentic: it was changed, or it belongs to another key or encryption context. */
export class AuthenticationError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_AUTHENTICATION'
  readonly part: AuthenticatedPart

  constructor(part: AuthenticatedPart, message: string, options?: ErrorOptions) {
    super(message, options)
    this.part = part
  }
}

/** One encrypted data key that was tried or skipped, and why it gave no data key. Never holds key bytes. */
export interface Attempt {
  /** Absent where a whole keyring failed before it looked at any encrypted data key. */
  readonly key?: { readonly keyProviderId: string; readonly keyProviderInfo: Uint8Array }
  readonly reason: string
  readonly cause?: unknown
}

/** No data key could be obtained from the message's encrypted data keys. `attempts` has one entry for each tried or skipped. */
export class UnwrapError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_UNWRAP'
  readonly attempts: readonly Attempt[]

  constructor(attempts: readonly Attempt[], options?: ErrorOptions) {
    super(`no data key could be unwrapped: ${describeAttempts(attempts)}`, options)
    this.attempts = attempts
  }
}

function describeAttempts(attempts: readonly Attempt[]): string {
  if (attempts.length === 0) return 'the message has no encrypted data key for these keys'
  const shown = attempts
    .slice(0, 5)
    .map(({ key, reason }) => (key === undefined ? reason : `${JSON.stringify(key.keyProviderId)}: ${reason}`))
  const more = attempts.length > shown.length ? `; and ${attempts.length - shown.length} more` : ''
  return shown.join('; ') + more
}

/** A data key could not be generated or wrapped. */
export class WrapError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_WRAP'
}

/** A genuine message or a well-formed request, refused: commitment policy, signed messages, encryption context. */
export class PolicyError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_POLICY'
}

/** A bound was passed: too many data keys, header or frame too long, plaintext longer than its bound. */
export class LimitError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_LIMIT'
}

/** The plaintext is not as long as was said. */
export class LengthError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_LENGTH'
}

/** The file or object changed while it was read. */
export class ChangedError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_CHANGED'
}

/** Amazon S3 or the network failed, or nothing came for too long; `cause` is what the AWS SDK said. */
export class TransferError extends EncryptionSdkError {
  readonly code = 'ERR_ESDK_TRANSFER'
}

/**
 * Checks a number that a caller gave, and gives it back.
 *
 * @throws RangeError when it is no integer, or not in the range.
 */
export function checkInteger(
  option: string,
  value: number,
  least: number,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new RangeError(`"${option}" expected integer in ${least}..${most}, got ${String(value)}`)
  }
  return value
}

/** Whether it is an error, also one of another realm: a test runner's `Error` is not the one that Node throws. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || /^\[object (?:Error|DOMException)\]$/.test(Object.prototype.toString.call(value))
}

/** What was thrown, in words. */
export function messageOf(value: unknown): string {
  return isError(value) ? value.message : String(value)
}

/** What was thrown, if it is an error; else an error that says it. */
export function asError(value: unknown): Error {
  return isError(value) ? value : new Error(String(value))
}
