/** An abort controller that follows other signals, for as long as it is needed. */
import { setMaxListeners } from 'node:events'

/**
 * Aborted by itself, or with any of the signals it follows, until it is released. `AbortSignal.any` can't be released: a
 * signal that lives long keeps something of each one that was made of it.
 */
export class LinkedController {
  readonly #controller = new AbortController()
  readonly #followed: readonly AbortSignal[]

  constructor(...signals: readonly (AbortSignal | undefined)[]) {
    setMaxListeners(0, this.#controller.signal) // one for each request under way
    this.#followed = signals.filter((signal) => signal !== undefined)
    const aborted = this.#followed.find((signal) => signal.aborted)
    if (aborted !== undefined) this.abort(aborted.reason)
    else for (const signal of this.#followed) signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  abort(reason?: unknown): void {
    this.release()
    this.#controller.abort(reason)
  }

  /** Follows the signals no more. */
  release(): void {
    for (const signal of this.#followed) signal.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = ({ target }: Event): void => {
    this.abort((target as AbortSignal).reason) // nothing else is listened to
  }
}
