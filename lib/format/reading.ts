/**
 * Reading: a codec asks for bytes by yielding a count and is resumed with exactly that many. It does not know whether
 * they come from a buffer, a socket or a range of an object; a driver does (`readFrom` here, the stream's input there).
 */
import { LimitError, TruncatedMessageError } from '../errors.ts'

/**
 * A codec in progress: yields how many bytes it needs, is resumed with exactly those, in memory that is its own to
 * keep, and returns the value.
 */
export type Reading<T> = Generator<number, T, Buffer>

export function* uint8(): Reading<number> {
  return (yield 1)[0]!
}

export function* uint16(): Reading<number> {
  return (yield 2).readUInt16BE(0)
}

export function* uint32(): Reading<number> {
  return (yield 4).readUInt32BE(0)
}

export function* uint64(): Reading<bigint> {
  return (yield 8).readBigUInt64BE(0)
}

/** A run of bytes preceded by its length as an unsigned 16-bit integer. */
export function* lengthPrefixed(): Reading<Buffer> {
  return yield yield* uint16()
}

/** What was read, and the bytes it was read from, exactly as received. */
export interface Recorded<T> {
  readonly value: T
  readonly bytes: Buffer
}

/**
 * Runs a reading, keeps all its bytes, and refuses with a {@link LimitError} any request that would pass
 * `maxBytes`, before the bytes are asked for.
 */
export function* recorded<T>(reading: Reading<T>, maxBytes: number, what: string): Reading<Recorded<T>> {
  const parts: Buffer[] = []
  let total = 0
  let step = reading.next()
  while (step.done !== true) {
    total += step.value
    if (total > maxBytes) throw new LimitError(`the ${what} is longer than the limit of ${maxBytes} bytes`)
    const bytes = yield step.value
    parts.push(bytes)
    step = reading.next(bytes)
  }
  return { value: step.value, bytes: Buffer.concat(parts, total) }
}

/** Runs a reading over bytes in memory. Throws {@link TruncatedMessageError} where they end too early. */
export function readFrom<T>(reading: Reading<T>, bytes: Uint8Array): { value: T; length: number } {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let offset = 0
  let step = reading.next()
  while (step.done !== true) {
    const end = offset + step.value
    if (end > source.length) throw truncated(source.length)
    step = reading.next(Buffer.from(source.subarray(offset, end)))
    offset = end
  }
  return { value: step.value, length: offset }
}

/** The error for an input that ended after `length` bytes inside a message. */
export function truncated(length: number): TruncatedMessageError {
  return new TruncatedMessageError(
    length === 0
      ? 'the input is empty: there is no message'
      : `the input ended inside the message, after ${length} bytes`,
  )
}
