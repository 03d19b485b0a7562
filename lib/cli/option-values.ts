/** What the values of options may be. */
import { InvalidArgumentError, Option } from 'commander'
import { UsageError } from './failure.ts'

/** Names of the paddings of RSA keys. */
export const RSA_PADDINGS = ['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512'] as const

/** `0x0578`, `0578` or a name. */
export function suiteOf(text: string): number | string {
  if (/^(?:0x)?[0-9a-f]{1,4}$/i.test(text)) return Number.parseInt(text, 16)
  return /^AES_\d+_GCM_IV12_TAG16$/.test(text) ? `${text}_NO_KDF` : text // as the SDK for Python has it
}

/** An option that may be given several times. */
export function collected(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, previous: readonly string[] | undefined) => [
    ...(previous ?? []),
    value,
  ])
}

/** A value that is a whole number, 1 or more. */
export function wholeNumber(value: string): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < 1) {
    throw new InvalidArgumentError('expected a whole number, 1 or more')
  }
  return number
}

/** The pairs of `-c NAME=VALUE`, and the names of `-c NAME`. @throws UsageError when a name is empty or given twice. */
export function pairsOf(given: readonly string[] = []): {
  pairs: Readonly<Record<string, string>>
  names: readonly string[]
} {
  const pairs = new Map<string, string>()
  const names = new Set<string>()
  for (const text of given) {
    const at = text.indexOf('=')
    const name = at < 0 ? text : text.slice(0, at)
    if (name === '') throw new UsageError('-c expected NAME=VALUE, got an empty name')
    if (pairs.has(name) || names.has(name)) throw new UsageError(`-c names ${JSON.stringify(name)} twice`)
    if (at < 0) names.add(name)
    else pairs.set(name, text.slice(at + 1))
  }
  // Unlike an assignment, fromEntries makes a pair of any name, `__proto__` too.
  return { pairs: Object.fromEntries(pairs), names: [...names] }
}

/** The pairs of `-c NAME=VALUE`, where a name alone means nothing. @throws UsageError as `pairsOf` does, and for a name alone. */
export function pairsAlone(given: readonly string[] | undefined): Readonly<Record<string, string>> {
  const { pairs, names } = pairsOf(given)
  if (names[0] !== undefined) throw new UsageError(`-c expected NAME=VALUE, got ${JSON.stringify(names[0])}`)
  return pairs
}
