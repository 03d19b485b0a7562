/** What the benchmark requires. `npm run bench -- --check` fails where any of it is missed. */
import type { EngineName } from './measurement.ts'

/** Of unsigned messages, as many times as fast as `@aws-crypto/client-node`, by frame length. */
const AGAINST_PEER = {
  native: { 4096: 10, 65536: 3 },
  node: { 4096: 3, 65536: 1.8 },
} as const satisfies Record<EngineName, Record<number, number>>

/** Its OpenSSL is faster from this version of Node on, and so must this be, by frame length. */
const FASTER_NODE = { major: 24, againstPeer: { 4096: 10, 65536: 4 } } as const

/** Of what the hardware allows, by whether messages are signed. */
const OF_FLOOR = { unsigned: 0.8, signed: 0.9 } as const

export interface Condition {
  readonly engine: EngineName
  readonly suite: number
  readonly frameLength: number
}

const UNSIGNED = 0x0478
const SIGNED = 0x0578

export function requiredAgainstPeer({ engine, suite, frameLength }: Condition): number | undefined {
  if (suite !== UNSIGNED) return undefined
  const isFaster = engine === 'native' && Number.parseInt(process.versions.node) >= FASTER_NODE.major
  const table: Readonly<Record<number, number>> = isFaster ? FASTER_NODE.againstPeer : AGAINST_PEER[engine]
  return table[frameLength]
}

export function requiredOfFloor({ engine, suite, frameLength }: Condition): number | undefined {
  if (engine !== 'native' || ![4096, 65536].includes(frameLength)) return undefined
  return suite === UNSIGNED ? OF_FLOOR.unsigned : suite === SIGNED ? OF_FLOOR.signed : undefined
}

/** Unsigned messages of 256 bytes a second, against `@aws-crypto/client-node`. */
export const REQUIRED_SMALL_MESSAGES = 5

/** File to file, in frames of 64 KiB, unsigned; speeds against the other's. */
export const REQUIRED_FILES = { age: 1.5, cp: 0.5, peakMiB: 128 } as const

/** Of four streams at once. */
export const REQUIRED_DELAY_MS = 20
