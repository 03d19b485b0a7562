/** Feeding readings by hand, and what every one of them has to hold. */
import assert from 'node:assert/strict'
import { TruncatedMessageError } from 'esdk-streams'
import { type Reading, readFrom } from 'esdk-streams/format'

/** A reading that stands still: how many bytes it asks for, and how many it was given. */
export interface Standing {
  readonly asks: number
  readonly given: number
}

/** Feeds a reading with just these bytes. It must not finish with them; that it throws is what a caller asserts. */
export function feed(reading: Reading<unknown>, bytes: Buffer): Standing {
  let given = 0
  let step = reading.next()
  while (step.done !== true && given + step.value <= bytes.length) {
    const end = given + step.value
    step = reading.next(Buffer.from(bytes.subarray(given, end)))
    given = end
  }
  if (step.done === true) assert.fail(`the reading finished after ${given} bytes`)
  return { asks: step.value, given }
}

/** Every true prefix of `bytes` is a truncated message. */
export function assertPrefixesTruncated(read: () => Reading<unknown>, bytes: Buffer): void {
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(
      () => readFrom(read(), bytes.subarray(0, length)),
      TruncatedMessageError,
      `a prefix of ${length} bytes`,
    )
  }
}
