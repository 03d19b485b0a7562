#!/usr/bin/env node
/** The command `esdk`: reads its arguments, listens to signals, and ends with the exit code that fits. */
import { setMaxListeners } from 'node:events'
import { CommanderError } from 'commander'
import { tellFailure } from './debug.ts'
import { EXIT, OutputClosed, exitCodeOf } from './failure.ts'
import { VERSION_ASKED, program } from './program.ts'
import { packageVersion, versionRecord } from './version.ts'

const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const
const PATIENCE_MS = 1000

/** Why everything is stopped. */
class Interruption extends Error {
  readonly signal: keyof typeof SIGNALS

  constructor(signal: keyof typeof SIGNALS) {
    super(`interrupted by ${signal}`)
    this.signal = signal
  }
}

async function showVersion(json: boolean): Promise<void> {
  process.stdout.write(`${json ? JSON.stringify(await versionRecord()) : packageVersion()}\n`)
}

/**
 * The first signal stops the work and cleans up. Others with it are copies of the same one (a terminal's, and npm's);
 * one that comes later ends the process at once, as if nobody listened.
 */
function abortOnSignals(controller: AbortController): void {
  const names = Object.keys(SIGNALS) as (keyof typeof SIGNALS)[] // the keys of a constant
  const stopListening = (): void => {
    for (const name of names) process.removeAllListeners(name)
  }
  for (const name of names) {
    process.on(name, () => {
      if (controller.signal.aborted) return
      controller.abort(new Interruption(name))
      setTimeout(stopListening, PATIENCE_MS).unref()
    })
  }
}

function exitCodeFor(error: unknown, signal: AbortSignal): number {
  if (signal.aborted && signal.reason instanceof Interruption) return SIGNALS[signal.reason.signal]
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage
  if (error instanceof OutputClosed) return EXIT.done
  tellFailure(error)
  return exitCodeOf(error)
}

async function answer(signal: AbortSignal): Promise<void> {
  try {
    await program(signal).parseAsync()
  } catch (error) {
    if (!(error instanceof CommanderError) || error.code !== VERSION_ASKED) throw error
    await showVersion(process.argv.includes('--json'))
  }
}

async function main(): Promise<number> {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal) // many files at once hear of it
  abortOnSignals(controller)
  // A reader of stderr or stdout that goes away is told to whoever writes.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  try {
    await answer(controller.signal)
    return EXIT.done
  } catch (error) {
    return exitCodeFor(error, controller.signal)
  }
}

// A pipe that nobody reads, or one that nobody writes to, would keep the process otherwise.
void main().then((code) => process.exit(code))
