/** A question is a program of its own: its options, the engine of its process, and how it answers. */
import { parseArgs } from 'node:util'
import { cryptoEngine } from '#lib/crypto/engine'
import { type Answer, type EngineName, type Measurement, type QuestionName, missedOf } from './measurement.ts'
import { measurementTable } from './tables.ts'

export const MIB: number = 1024 * 1024

/** What a question is asked with. */
export interface Asked {
  readonly engine: EngineName
  /** All cases, at full size; else those that say most. */
  readonly full: boolean
  readonly rounds: number
  /** Bytes to measure with: `--mib`, or what the question finds right. */
  readonly bytes: (usualMib: { readonly quick: number; readonly full: number }) => number
}

/** What a question makes; node, engine and question are filled in. */
export type Made = Omit<Measurement, 'question' | 'node' | 'engine'>

/** Options that every question has, and `npm run bench` hands on. */
export const QUESTION_OPTIONS = {
  mib: { type: 'string' },
  rounds: { type: 'string', default: '7' },
  full: { type: 'boolean', default: false },
  check: { type: 'boolean', default: false },
} as const

/**
 * Answers a question by its command line: as a table, or with `--json` as an {@link Answer}. With `--check`, the exit
 * code is 1 where something required is missed.
 */
export async function answer(
  question: QuestionName,
  measure: (asked: Asked, leaveOut: (why: string) => void) => AsyncIterable<Made>,
): Promise<void> {
  const { values } = parseArgs({
    options: { ...QUESTION_OPTIONS, engine: { type: 'string' }, json: { type: 'boolean', default: false } },
  })
  if (values.engine !== undefined) process.env['ESDK_ENGINE'] = values.engine
  const engine = cryptoEngine().name
  const mib = values.mib === undefined ? undefined : positive('mib', values.mib)
  const leftOut: string[] = []
  const measurements: Measurement[] = []
  const asked: Asked = {
    engine,
    full: values.full,
    rounds: positive('rounds', values.rounds),
    bytes: ({ quick, full }) => (mib ?? (values.full ? full : quick)) * MIB,
  }
  for await (const made of measure(asked, (why) => leftOut.push(why))) {
    measurements.push({ question, node: process.versions.node, engine, ...made })
    if (process.stderr.isTTY) process.stderr.write(`${question}: ${Object.values(made.axes).join(', ')}\n`)
  }
  const result: Answer = { measurements, leftOut }
  if (values.json) {
    process.stdout.write(JSON.stringify(result))
    return
  }
  console.log(measurementTable(measurements))
  for (const why of leftOut) console.log(`left out: ${why}`)
  if (values.check && missedOf(measurements).length > 0) process.exitCode = 1
}

/** @throws RangeError where an option is no positive integer. */
export function positive(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`"--${option}" expected a positive integer`)
  return value
}

/** Millions of bytes a second, from seconds. */
export function megabytesPerSecond(bytes: number, seconds: number): number {
  return bytes / seconds / 1e6
}
