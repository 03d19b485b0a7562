/** Giving the event loop its turns, where source and sink are both in memory and nothing else would. */
import { setImmediate } from 'node:timers/promises'

const TURN_BYTES = 4 * 1024 * 1024
const TURN_MS = 5

/** Counts work; every 4 MiB or 5 ms the event loop runs, so that timers, aborts and other streams live. */
export class Turns {
  #bytes = 0
  #since: number = performance.now()

  /** Notes `bytes` of work done, and waits for a turn of the event loop when it is due. */
  async take(bytes: number): Promise<void> {
    this.#bytes += bytes
    if (this.#bytes < TURN_BYTES && performance.now() - this.#since < TURN_MS) return
    await setImmediate()
    this.#bytes = 0
    this.#since = performance.now()
  }
}
