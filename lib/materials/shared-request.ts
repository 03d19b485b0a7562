/** One call that several callers wait for, each of whom may go without taking the others' result away. */

/**
 * Runs `work` at once. It is aborted when the last of those who {@link wait} has gone, and not before; `onAbandoned`
 * is then called, so that nobody joins it any more.
 */
export class SharedRequest<T> {
  readonly #controller = new AbortController()
  readonly #result: Promise<T>
  readonly #onAbandoned: () => void
  #waiting = 0
  #settled = false

  constructor(work: (signal: AbortSignal) => Promise<T>, onAbandoned: () => void) {
    this.#onAbandoned = onAbandoned
    this.#result = work(this.#controller.signal).finally(() => {
      this.#settled = true
    })
    // Those who wait get the failure; when all have gone, it is nobody's.
    this.#result.catch(() => undefined)
  }

  /** The result, or a rejection with the signal's reason as soon as it is aborted. */
  async wait(signal: AbortSignal | undefined): Promise<T> {
    this.#waiting += 1
    try {
      return await unlessAborted(this.#result, signal)
    } finally {
      this.#waiting -= 1
      if (this.#waiting === 0 && !this.#settled) {
        this.#onAbandoned()
        this.#controller.abort(signal?.reason)
      }
    }
  }
}

/** The result of `work`, or a rejection with the signal's reason as soon as it is aborted. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  let stop: (() => void) | undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = (): void => {
      reject(signal.reason as Error) // whoever aborts a call gives an Error
    }
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop)
  }
}
