/** What is to be done before a signal ends the process. */
import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** @returns a function that takes it back */
export function onSignal(clean: (signal: NodeJS.Signals) => void): () => void {
  const end = (signal: (typeof SIGNALS)[number]): void => {
    clean(signal)
    process.exit(128 + constants.signals[signal])
  }
  for (const signal of SIGNALS) process.on(signal, end)
  return () => {
    for (const signal of SIGNALS) process.off(signal, end)
  }
}
