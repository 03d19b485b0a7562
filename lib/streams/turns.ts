/** Giving the event loop its turns, where source and sink are both in memory and nothing else would. */
import { setImmediate } from 'node:timers/promises'

const TURN_BYTES = 4 * 1024 * 1024
const TURN_MS = 5

/** Counts work; every 4 MiB or 5 ms the event loop runs, so that timers, aborts and other streams live. */
export class Turns {
  #bytes = 0
  #since: number = performance.now()

  /** Notes `bytes` of work done; true when the event loop is due a turn. */
  due(bytes: number): boolean {
    this.#bytes += bytes
    return this.#bytes >= TURN_BYTES || performance.now() - this.#since >= TURN_MS
  }

  /** Lets the event loop run. */
  async turn(): Promise<void> {
    await setImmediate()
    this.#bytes = 0
    this.#since = performance.now()
  }
}
