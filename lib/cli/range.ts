/** `--range`: which bytes of the plaintext, as HTTP says it. */
import { InvalidArgumentError } from 'commander'
import type { SelectRange } from '../adapters/transfer.ts'

/** Reads `START-END` (both included), `START-` (to the end) or `-N` (the last N); gives what makes a range of it. */
export function rangeOf(text: string): SelectRange {
  const match = /^(\d*)-(\d*)$/.exec(text)
  const [start, end] = [numberOf(match?.[1]), numberOf(match?.[2])]
  const isEmpty = start === undefined ? end === undefined : end !== undefined && start > end
  if (match === null || isEmpty) {
    throw new InvalidArgumentError('expected START-END, START- or -N, in bytes of plaintext, both ends included')
  }
  return (plaintextLength) => {
    const first = start ?? Math.max(0, plaintextLength - end!)
    if (first >= plaintextLength) {
      throw new RangeError(`--range ${text} lies outside of the ${plaintextLength} bytes of plaintext`)
    }
    return { start: first, end: Math.min(start === undefined ? Infinity : (end ?? Infinity), plaintextLength - 1) }
  }
}

function numberOf(digits: string | undefined): number | undefined {
  if (digits === undefined || digits === '') return undefined
  const number = Number(digits)
  if (!Number.isSafeInteger(number)) throw new InvalidArgumentError(`${digits} is past every plaintext`)
  return number
}
