/** What `-v` says on stderr: 1, what is done; 2, also each call to AWS. */
import { oneLine } from './failure.ts'

/** How much is said. */
export type Level = 0 | 1 | 2

let listened: Level = 0

/** Sets how much is said by this process. */
export function listen(verbose: number): void {
  listened = verbose >= 2 ? 2 : verbose === 1 ? 1 : 0
}

/** Whether something of that level is said. */
export function isSaid(level: Level): boolean {
  return level <= listened
}

/** Says something in a line of its own. */
export function say(level: Level, text: string): void {
  if (isSaid(level)) process.stderr.write(`esdk: ${oneLine(text)}\n`)
}
