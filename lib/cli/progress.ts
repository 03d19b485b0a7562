/** Progress: a bar where the length is known, and how much there was where it is not. */
import type { MessageStats } from '../streams/protocol-transform.ts'
import { humanBytes, humanSeconds } from './human.ts'
import { canBeDrawnOn, startStatusLine } from './status-line.ts'

export type ProgressFlag = 'auto' | 'always' | 'never'

/** Progress of one file under way. */
export interface Progress {
  readonly onProgress?: (stats: MessageStats) => void
  /** All went well: what was drawn last stays. */
  finish(): void
  /** Takes away what was drawn, unless it is finished. */
  stop(): void
}

/** Progress of one of many. */
export interface FileOfFleet {
  readonly onProgress: (stats: MessageStats) => void
  end(how: { readonly isDone: boolean }): void
}

/** Progress of many files under way. */
export interface FleetProgress {
  /** One file more. */
  file(): FileOfFleet
  stop(): void
}

const BAR_CHARACTERS = 24
const SHORT_BAR_CHARACTERS = 10
const SPINNER = '|/-\\'
const TURNS_A_SECOND = 8
const MS = 1000

/** Whether progress is shown: by default, where stderr is a terminal that can draw, and data does not go to it as well. */
export function showsProgress(
  { progress, quiet = false }: { readonly progress: ProgressFlag; readonly quiet?: boolean },
  dataOnStdout: boolean,
): boolean {
  if (quiet || progress === 'never') return false
  return progress === 'always' || (canBeDrawnOn(process.stderr.isTTY) && !(dataOnStdout && process.stdout.isTTY))
}

/** Starts to show it on stderr; `total` is the length of the input in bytes, where known. */
export function startProgress(label: string, total: number | undefined): Progress {
  const started = performance.now()
  const look = lookOf(process.stderr.isTTY, process.env)
  let stats: MessageStats | undefined
  const line = startStatusLine((columns) => {
    // It goes on counting where nothing is heard: of work that stands still.
    const done = stats?.bytesIn ?? 0
    return progressLine({ label, done, total, seconds: secondsSince(started), columns, ...look })
  })
  return {
    onProgress: (heard) => {
      stats = heard
    },
    finish: () => {
      line.end({ stays: true })
    },
    stop: () => {
      line.end({ stays: false })
    },
  }
}

/** Starts to show, on stderr, how much there was of many files. Their own lines go above it. */
export function startFleetProgress(): FleetProgress {
  const started = performance.now()
  const look = lookOf(process.stderr.isTTY, process.env)
  let files = 0
  let before = 0
  const underWay = new Set<MessageStats>()
  const line = startStatusLine((columns) => {
    const done = [...underWay].reduce((sum, { bytesIn }) => sum + bytesIn, before)
    const label = `${files} ${files === 1 ? 'file' : 'files'}`
    return progressLine({ label, done, total: undefined, seconds: secondsSince(started), columns, ...look })
  })
  return {
    file: () => {
      let stats: MessageStats | undefined
      return {
        onProgress: (heard) => {
          stats = heard
          underWay.add(heard)
        },
        end: ({ isDone }) => {
          if (stats !== undefined) {
            underWay.delete(stats)
            before += stats.bytesIn
          }
          if (isDone) files += 1
        },
      }
    },
    stop: () => {
      line.end({ stays: false })
    },
  }
}

/** What the terminal and the environment allow. */
export function lookOf(isTerminal: boolean, env: NodeJS.ProcessEnv): { colours: boolean; spins: boolean } {
  const draws = canBeDrawnOn(isTerminal, env)
  return { colours: draws && (env['NO_COLOR'] ?? '') === '', spins: draws }
}

function secondsSince(started: number): number {
  return (performance.now() - started) / MS
}

/** One line of progress: of its forms the longest that fits. */
export function progressLine(state: {
  readonly label: string
  readonly done: number
  readonly total: number | undefined
  readonly seconds: number
  readonly colours: boolean
  readonly spins?: boolean
  readonly columns?: number
}): string {
  const { label, done, total, seconds, colours, spins = false, columns = Infinity } = state
  const rate = seconds > 0 ? done / seconds : 0
  const speed = `${humanBytes(rate)}/s`
  if (total === undefined) {
    const turning = spins ? `${SPINNER[Math.floor(seconds * TURNS_A_SECOND) % SPINNER.length]!} ` : ''
    const amount = humanBytes(done)
    return longest([`${turning}${label} ${amount} ${speed}`, `${turning}${amount} ${speed}`, amount], columns)
  }
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const percent = `${Math.floor(share * 100)}%`
  const left = share === 1 || rate === 0 ? '' : ` ${humanSeconds((total - done) / rate)} left`
  const tail = `${percent} of ${humanBytes(total)} ${speed}${left}`
  const forms = [
    `${label} ${barOf(share, BAR_CHARACTERS)} ${tail}`,
    `${label} ${barOf(share, SHORT_BAR_CHARACTERS)} ${tail}`,
    `${barOf(share, SHORT_BAR_CHARACTERS)} ${tail}`,
    `${barOf(share, SHORT_BAR_CHARACTERS)} ${percent}${left}`,
    `${percent}${left}`,
    percent,
  ]
  const line = longest(forms, columns)
  return colours ? line.replace(/[█░]+/, (bar) => `\u001b[36m${bar}\u001b[0m`) : line
}

function barOf(share: number, characters: number): string {
  const full = Math.round(share * characters)
  return `${'█'.repeat(full)}${'░'.repeat(characters - full)}`
}

function longest(forms: readonly string[], columns: number): string {
  return forms.find(({ length }) => length <= columns) ?? forms.at(-1)!.slice(0, columns)
}
