/** Encryption context and its serialisation: framework/structures.md, data-format/message-header.md "AAD". */
import { LimitError, MalformedMessageError } from '../errors.ts'
import { type Reading, uint16 } from './reading.ts'

/**
 * Pairs of names and values that are authenticated with a message and not secret. Ours are frozen and have no
 * prototype, so that `__proto__` and `constructor` are names like any other.
 */
export type EncryptionContext = Readonly<Record<string, string>>

/** Names beginning so are the library's own; a caller may not set them. */
export const RESERVED_PREFIX = 'aws-crypto-'

/** Under this name a signed message stores its public key. */
export const PUBLIC_KEY_NAME = 'aws-crypto-public-key'

const MAX_BYTES = 0xffff

/** A frozen copy of pairs without prototype. Later pairs win over earlier ones of the same name. */
export function encryptionContextOf(pairs: Iterable<readonly [string, string]>): EncryptionContext {
  const context = Object.create(null) as Record<string, string> // Object.create is typed any
  for (const [name, value] of pairs) context[name] = value
  return Object.freeze(context)
}

/** The pairs of `context` whose names are among `names`, or, with `among` false, those whose names are not. */
export function selectPairs(context: EncryptionContext, names: readonly string[], among = true): EncryptionContext {
  return encryptionContextOf(Object.entries(context).filter(([name]) => names.includes(name) === among))
}

/**
 * The serialisation of an encryption context: nothing at all when it is empty, else the count and the pairs in
 * ascending order of the UTF-8 bytes of their names.
 *
 * @throws LimitError when it, or any name or value, is longer than 65,535 bytes.
 */
export function encodeEncryptionContext(context: EncryptionContext): Buffer {
  const pairs = Object.entries(context).map(([name, value]) => [utf8(name), utf8(value)] as const)
  pairs.sort(([a], [b]) => Buffer.compare(a, b))
  return encodePairs(pairs)
}

/** The serialisation of pairs in the order given. */
export function encodePairs(pairs: readonly (readonly [Buffer, Buffer])[]): Buffer {
  if (pairs.length === 0) return Buffer.alloc(0)
  const length = pairs.reduce((sum, [name, value]) => sum + 4 + name.length + value.length, 2)
  if (length > MAX_BYTES) {
    throw new LimitError(`the encryption context takes ${length} bytes; the format holds at most ${MAX_BYTES}`)
  }
  const bytes = Buffer.alloc(length)
  let offset = bytes.writeUInt16BE(pairs.length, 0)
  for (const field of pairs.flat()) {
    offset = bytes.writeUInt16BE(field.length, offset)
    offset += field.copy(bytes, offset)
  }
  return bytes
}

function utf8(text: string): Buffer {
  return Buffer.from(text, 'utf8')
}

// Fatal, so that two different invalid names can't both become U+FFFD; ignoreBOM, so that a leading U+FEFF is kept.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text that must be valid UTF-8. */
export function decodeUtf8(bytes: Buffer, what: string): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    throw new MalformedMessageError(`${what} is not valid UTF-8`, { cause })
  }
}

/**
 * Reads the length-prefixed encryption context of a header. A section that only says "no pairs" (`0002 0000`) is
 * accepted, as peers accept it; it is never written.
 */
export function* readEncryptionContext(): Reading<EncryptionContext> {
  const length = yield* uint16()
  if (length === 0) return encryptionContextOf([])
  if (length < 2) throw new MalformedMessageError('the encryption context is too short for its pair count')
  return yield* readPairs(length)
}

function* readPairs(length: number): Reading<EncryptionContext> {
  const count = yield* uint16()
  let left = length - 2
  const pairs = new Map<string, string>()
  const field = function* (what: string): Reading<string> {
    left -= 2
    if (left < 0) throw new MalformedMessageError('the encryption context ends inside a pair')
    const size = yield* uint16()
    left -= size
    if (left < 0) throw new MalformedMessageError('the encryption context ends inside a pair')
    return decodeUtf8(yield size, what)
  }
  for (let index = 0; index < count; index++) {
    const name = yield* field('a name in the encryption context')
    const value = yield* field('a value in the encryption context')
    if (pairs.has(name)) throw new MalformedMessageError('the encryption context has the same name twice')
    pairs.set(name, value)
  }
  if (left !== 0) throw new MalformedMessageError('the encryption context is longer than its pairs')
  return encryptionContextOf(pairs)
}
