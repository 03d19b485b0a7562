/** Rounds in which all contenders take their turns: what disturbs a round disturbs all of them. */

/** Not counted: code is compiled, and the allocator gets its memory. */
const WARM_UP_ROUNDS = 2

/** Does the work once; the seconds that it took. */
export type Contender = () => number | Promise<number>

/** Seconds of each contender, round by round. */
export type Seconds<Name extends string> = Readonly<Record<Name, readonly number[]>>

/** Every other round goes backwards, so that nobody always comes after the same one. */
export async function alternate<Name extends string>(
  contenders: Readonly<Record<Name, Contender>>,
  rounds: number,
  warmUpRounds: number = Math.min(WARM_UP_ROUNDS, rounds),
): Promise<Seconds<Name>> {
  const names = Object.keys(contenders) as Name[] // all of them are the caller's
  const seconds = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, number[]>
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const taken = await contenders[name]()
      if (round >= 0) seconds[name].push(taken)
    }
  }
  return seconds
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Times that each round of `theirs` took as long as the same round of `ours`: the median. */
export function pairedRatio(ours: readonly number[], ...theirs: readonly (readonly number[])[]): number {
  return median(ours.map((seconds, round) => theirs.reduce((sum, their) => sum + their[round]!, 0) / seconds))
}

/** Seconds that something took. */
export function timed(work: () => void): number {
  const start = performance.now()
  work()
  return (performance.now() - start) / 1000
}
