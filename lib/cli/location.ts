/** INPUT and OUTPUT: a path, `-`, or an object of Amazon S3. */
import type { ObjectName } from '../adapters/s3/object-source.ts'
import { UsageError } from './failure.ts'

/** Standard input or output. */
export const STANDARD_STREAM = '-'

/** What is done with a message. */
export type Mode = 'encrypt' | 'decrypt' | 'reencrypt'

/** What names of encrypted files end in, unless said. */
const SUFFIX = '.encrypted'
const SCHEME = 's3://'

/** An INPUT or OUTPUT as given. @throws UsageError where it is of a kind that is not handled. */
export function checkedLocation(name: 'INPUT' | 'OUTPUT', location: string): string {
  if (location === '') throw new UsageError(`${name} expected a path, "-" or s3://bucket/key, got nothing`)
  if (isObject(location)) {
    const { Bucket, Key } = objectName(location)
    if (Bucket === '' || Key === '' || Key.endsWith('/')) {
      throw new UsageError(`${name} ${location}: expected s3://bucket/key (prefixes go with -r)`)
    }
  } else checkScheme(name, location)
  return location
}

/** A folder or prefix as given with `-r`; a prefix then ends in a slash. @throws UsageError where it is none. */
export function checkedTree(name: 'INPUT' | 'OUTPUT', location: string): string {
  if (location === '' || location === STANDARD_STREAM) {
    throw new UsageError(`-r: ${name} expected a folder or s3://bucket/prefix/, got ${JSON.stringify(location)}`)
  }
  if (!isObject(location)) {
    checkScheme(name, location)
    return location
  }
  if (objectName(location).Bucket === '') throw new UsageError(`${name} ${location}: expected s3://bucket/prefix/`)
  return location.endsWith('/') ? location : `${location}/`
}

function checkScheme(name: 'INPUT' | 'OUTPUT', location: string): void {
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(location)) return
  throw new UsageError(`${name} ${location}: this version reads and writes files, "-" and s3:// only`)
}

/** Whether a location is in Amazon S3. */
export function isObject(location: string): boolean {
  return location.startsWith(SCHEME)
}

/** The names in `s3://bucket/key`; the key is taken as it is, without any decoding. */
export function objectName(location: string): ObjectName {
  const [, Bucket = '', Key = ''] = /^([^/]*)\/?(.*)$/s.exec(location.slice(SCHEME.length)) ?? []
  return { Bucket, Key }
}

/** OUTPUT where none is given. */
export function defaultOutput(mode: Mode, input: string, suffix: string = SUFFIX): string {
  if (input === STANDARD_STREAM || mode === 'reencrypt') return input
  if (mode === 'encrypt') return `${input}${suffix}`
  const bare = input.endsWith(suffix) ? input.slice(0, input.length - suffix.length) : ''
  return bare === '' || /[/\\]$/.test(bare) ? `${input}.decrypted` : bare
}

/** A location as people read it. */
export function displayName(name: 'INPUT' | 'OUTPUT', location: string): string {
  if (location !== STANDARD_STREAM) return location
  return name === 'INPUT' ? 'standard input' : 'standard output'
}
