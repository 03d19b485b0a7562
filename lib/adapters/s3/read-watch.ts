/** Reads of a body that always end: in bytes, in an error when nothing comes, or when they are aborted. */
import { asError } from '../../errors.ts'
import { abortError } from '../../streams/abort-error.ts'
import type { Watch } from './s3-request.ts'

/**
 * Watches the reads of one body, one at a time, and only while one is under way: who reads may take its time in between.
 * A body is read in thousands of small pieces, so there is one timer and one listener for all of them.
 */
export class ReadWatch {
  readonly #idleTimeoutMs: number
  readonly #signal: AbortSignal | undefined
  #timer: NodeJS.Timeout | undefined
  /** Fails the read that is under way. */
  #fail: ((error: Error) => void) | undefined

  constructor({ signal, idleTimeoutMs }: Watch) {
    this.#idleTimeoutMs = idleTimeoutMs
    this.#signal = signal
    signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** The result of `read`; a rejection as soon as the signal is aborted, or nothing came for too long. */
  wait<T>(read: Promise<T>): Promise<T> {
    if (this.#timer === undefined) this.#timer = setTimeout(this.#onTimeout, this.#idleTimeoutMs)
    else this.#timer.refresh()
    return new Promise<T>((resolve, reject) => {
      this.#fail = reject
      if (this.#signal?.aborted === true) this.#onAbort()
      read.then(
        (result) => {
          this.#fail = undefined
          resolve(result)
        },
        (error: unknown) => {
          this.#fail = undefined
          reject(asError(error))
        },
      )
    })
  }

  /** There will be no more reads. */
  stop(): void {
    clearTimeout(this.#timer)
    this.#signal?.removeEventListener('abort', this.#onAbort)
  }

  readonly #onAbort = (): void => {
    this.#fail?.(abortError(this.#signal))
  }

  readonly #onTimeout = (): void => {
    const fail = this.#fail
    // What came while this process was busy is looked at first.
    setImmediate(() => {
      if (fail === undefined || this.#fail !== fail) return
      fail(new Error(`nothing came for ${this.#idleTimeoutMs} ms`))
    })
  }
}
