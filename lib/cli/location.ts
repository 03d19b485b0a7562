/** INPUT and OUTPUT. */
import { UsageError } from './failure.ts'

/** Standard input or output. */
export const STANDARD_STREAM = '-'

const SUFFIX = '.encrypted'

/** An INPUT or OUTPUT as given. @throws UsageError where it is of a kind that is not handled. */
export function checkedLocation(name: 'INPUT' | 'OUTPUT', location: string): string {
  if (location === '') throw new UsageError(`${name} expected a path or "-", got nothing`)
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(location)) {
    throw new UsageError(`${name} ${location}: this version reads and writes files and "-" only`)
  }
  return location
}

/** OUTPUT where none is given. */
export function defaultOutput(mode: 'encrypt' | 'decrypt', input: string): string {
  if (input === STANDARD_STREAM) return STANDARD_STREAM
  if (mode === 'encrypt') return `${input}${SUFFIX}`
  const bare = input.endsWith(SUFFIX) ? input.slice(0, -SUFFIX.length) : ''
  return bare === '' || /[/\\]$/.test(bare) ? `${input}.decrypted` : bare
}

/** A location as people read it. */
export function displayName(name: 'INPUT' | 'OUTPUT', location: string): string {
  if (location !== STANDARD_STREAM) return location
  return name === 'INPUT' ? 'standard input' : 'standard output'
}
