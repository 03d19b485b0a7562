/** What a question of the benchmark answers: measurements, each of which says what it was done to and what is required. */

export type QuestionName = 'throughput' | 'small-messages' | 'files' | 'event-loop' | 'peers' | 'cores'

export type EngineName = 'native' | 'node'

/** A number that was measured: a median of the rounds, or the worst of them. */
export interface Figure {
  /** Whose: a contender, or a floor. */
  readonly name: string
  readonly kind: 'ours' | 'other' | 'floor'
  readonly value: number
  readonly unit: 'MB/s' | 'messages/s' | 'ms' | 'MiB'
  /** It is required to be lower than this. */
  readonly below?: number
}

/** How many times as fast as another this library was: the median of the rounds' own ratios. */
export interface Ratio {
  /** The other. */
  readonly to: string
  readonly value: number
  /** `times` the speed of another, or a `share` of what a floor or a number of cores would allow. */
  readonly as: 'times' | 'share'
  /** It is required to be this or more. */
  readonly atLeast?: number
}

export interface Measurement {
  readonly question: QuestionName
  /** Version of Node. */
  readonly node: string
  readonly engine: EngineName
  /** What it was done to, by the names of the axes. */
  readonly axes: Readonly<Record<string, string>>
  readonly figures: readonly Figure[]
  readonly ratios: readonly Ratio[]
}

/** What one run of one question gives. */
export interface Answer {
  readonly measurements: readonly Measurement[]
  /** What could not be measured here, and why. */
  readonly leftOut: readonly string[]
}

/** What `results.json` holds. */
export interface Results extends Answer {
  readonly date: string
  readonly version: string
  readonly full: boolean
  readonly machine: Machine
}

export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryMiB: number
  readonly system: string
  /** How many processes wanted to run when the benchmark began, and when it ended. */
  readonly load: { readonly before: number; readonly after: number }
}

/** Whether a requirement is missed. */
export function isMissed(what: Figure | Ratio): boolean {
  if ('to' in what) return what.atLeast !== undefined && what.value < what.atLeast
  return what.below !== undefined && what.value >= what.below
}

/** Everything that misses its requirement. */
export function missedOf(measurements: readonly Measurement[]): Measurement[] {
  return measurements.filter(({ figures, ratios }) => [...figures, ...ratios].some(isMissed))
}

/** `4 KiB` and the like. */
export function kibibytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  return bytes < 1024 ** 2 ? `${bytes / 1024} KiB` : `${bytes / 1024 ** 2} MiB`
}
