/** The progress bar. */
import type { MessageStats } from '../streams/protocol-transform.ts'
import { humanBytes } from './human.ts'

export type ProgressFlag = 'auto' | 'always' | 'never'

/** A bar under way. */
export interface Progress {
  readonly onProgress?: (stats: MessageStats) => void
  stop(): void
}

const BAR_CHARACTERS = 24
const MS = 1000

/** Whether a bar is shown: by default, where stderr is a terminal that data does not go to as well. */
export function showsProgress(
  { progress, quiet = false }: { readonly progress: ProgressFlag; readonly quiet?: boolean },
  dataOnStdout: boolean,
): boolean {
  if (quiet || progress === 'never') return false
  return progress === 'always' || (process.stderr.isTTY && !(dataOnStdout && process.stdout.isTTY))
}

/** Starts a bar on stderr; `total` is the length of the input in bytes, where known. */
export async function startProgress(label: string, total: number | undefined): Promise<Progress> {
  // Most runs of scripts show no bar, and need not wait for this to be loaded.
  const { default: cliProgress } = await import('cli-progress')
  const colours = process.stderr.isTTY && (process.env['NO_COLOR'] ?? '') === ''
  const started = performance.now()
  const bar = new cliProgress.SingleBar({
    stream: process.stderr,
    hideCursor: true,
    gracefulExit: false, // signals are the command's
    noTTYOutput: true,
    clearOnComplete: !process.stderr.isTTY, // without a terminal there is nothing to clear, only a line break to save
    format: (_options, { value }) =>
      progressLine({ label, done: value, total, seconds: (performance.now() - started) / MS, colours }),
  })
  bar.start(total ?? 0, 0)
  return {
    onProgress: ({ bytesIn }) => {
      bar.update(bytesIn)
    },
    stop: () => {
      bar.stop()
    },
  }
}

/** One line of progress. */
export function progressLine(state: {
  readonly label: string
  readonly done: number
  readonly total: number | undefined
  readonly seconds: number
  readonly colours: boolean
}): string {
  const { label, done, total, seconds, colours } = state
  const rate = seconds > 0 ? done / seconds : 0
  const speed = `${humanBytes(rate)}/s`
  if (total === undefined) return `${label} ${humanBytes(done)} ${speed}`
  const share = total === 0 ? 1 : Math.min(1, done / total)
  const full = Math.round(share * BAR_CHARACTERS)
  const bar = `${'█'.repeat(full)}${'░'.repeat(BAR_CHARACTERS - full)}`
  const left = share === 1 || rate === 0 ? '' : ` ${Math.ceil((total - done) / rate)} s left`
  const shown = colours ? `\u001b[36m${bar}\u001b[0m` : bar
  return `${label} ${shown} ${Math.floor(share * 100)}% of ${humanBytes(total)} ${speed}${left}`
}
