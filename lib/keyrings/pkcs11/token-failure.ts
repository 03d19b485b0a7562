/** What tokens answer when they fail, and what it is told as: PKCS #11 version 2.40, "Function return values". */
import { isError, messageOf } from '../../errors.ts'

/** A failure to use a token, told in words that may be shown. */
export class TokenFailure extends Error {
  override readonly name = 'TokenFailure'
}

/**
 * The session, or what it was opened on, is no more; or what it holds is out of date: an operation that never ended, a key
 * that was deleted or made anew. Another session may do.
 */
const LOST: ReadonlySet<string> = new Set([
  'CKR_CRYPTOKI_NOT_INITIALIZED',
  'CKR_DEVICE_ERROR',
  'CKR_DEVICE_REMOVED',
  'CKR_KEY_HANDLE_INVALID',
  'CKR_OBJECT_HANDLE_INVALID',
  'CKR_OPERATION_ACTIVE',
  'CKR_OPERATION_NOT_INITIALIZED',
  'CKR_SESSION_CLOSED',
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_TOKEN_NOT_PRESENT',
  'CKR_USER_NOT_LOGGED_IN',
])

/** The token looked at the PIN and would not have it. Asking again with the same one may lock it. */
const REFUSED_PINS: ReadonlySet<string> = new Set([
  'CKR_PIN_EXPIRED',
  'CKR_PIN_INCORRECT',
  'CKR_PIN_INVALID',
  'CKR_PIN_LEN_RANGE',
  'CKR_PIN_LOCKED',
])

/** The data is not what this key made; some tokens have no better name for it than a general failure. */
const NOT_AUTHENTIC: ReadonlySet<string> = new Set([
  'CKR_AEAD_DECRYPT_FAILED',
  'CKR_DATA_INVALID',
  'CKR_ENCRYPTED_DATA_INVALID',
  'CKR_ENCRYPTED_DATA_LEN_RANGE',
  'CKR_FUNCTION_FAILED',
  'CKR_GENERAL_ERROR',
])

const MEANINGS: Readonly<Record<string, string>> = {
  CKR_CANT_LOCK: 'the module cannot be used from several threads',
  CKR_CRYPTOKI_NOT_INITIALIZED: 'the module is not initialized',
  CKR_DEVICE_REMOVED: 'the token was removed',
  CKR_KEY_FUNCTION_NOT_PERMITTED: 'the key may not be used for this',
  CKR_MECHANISM_INVALID: 'the token does not have this mechanism',
  CKR_MECHANISM_PARAM_INVALID: 'the token does not take these parameters of the mechanism',
  CKR_PIN_EXPIRED: 'the PIN has expired',
  CKR_PIN_INCORRECT: 'the PIN is wrong',
  CKR_PIN_INVALID: 'the PIN is wrong',
  CKR_PIN_LEN_RANGE: 'the PIN is too short or too long',
  CKR_PIN_LOCKED: 'the PIN is locked',
  CKR_SESSION_COUNT: 'the token has no session left',
  CKR_TOKEN_NOT_PRESENT: 'there is no token in the slot',
  CKR_USER_NOT_LOGGED_IN: 'the key needs a "pin"',
  CKR_USER_PIN_NOT_INITIALIZED: 'the token has no PIN yet',
}

/** The return value that an error of pkcs11js carries, by its name; that of vendors with its number. */
export function returnValueOf(error: unknown): string | undefined {
  if (!isError(error)) return undefined
  const [, name, number] = /^(CKR_[A-Z0-9_]+)(?::(\d+))?/.exec(error.message) ?? []
  if (name !== 'CKR_VENDOR_DEFINED') return name
  const code: unknown = number ?? Reflect.get(error, 'code')
  // Of version 3.0 of the standard, which pkcs11js does not name.
  return Number(code) === 0x42 ? 'CKR_AEAD_DECRYPT_FAILED' : `${name} ${Number(code)}`
}

/** Whether a new session may do what this one could not. */
export function isLost(error: unknown): boolean {
  return LOST.has(returnValueOf(error) ?? '')
}

/** Whether the token refused the PIN itself. */
export function isRefusedPin(error: unknown): boolean {
  return REFUSED_PINS.has(returnValueOf(error) ?? '')
}

/** Whether the token says that data is not authentic, as well as it can. */
export function isNotAuthentic(error: unknown): boolean {
  return NOT_AUTHENTIC.has(returnValueOf(error) ?? '')
}

/** What a failure is told as. */
export function reasonOf(error: unknown): string {
  const value = returnValueOf(error)
  if (value === undefined) return messageOf(error)
  const meaning = MEANINGS[value]
  return meaning === undefined ? `the token answered ${value}` : `${meaning} (${value})`
}
