/** Sessions of a token: a few that are used again, each by one at a time, and renewed when they are lost. */
import type { Pkcs11Module } from './pkcs11-module.ts'
import { TokenFailure, isLost, returnValueOf } from './token-failure.ts'

/** An open session, and the handles of keys that were found in it. */
export interface Session {
  readonly module: Pkcs11Module
  readonly handle: Buffer
  readonly keys: Map<string, Buffer>
}

/** What is done in a session. `last` says that it is not done again, whatever comes of it. */
export type SessionWork<T> = (session: Session, last: boolean) => Promise<T>

/** Node's threads for such calls are four, and files and name resolution need some of them. */
const MAX_SESSIONS = 3

/** Opens sessions as they are needed, up to a few, and no more than the token has. */
export class SessionPool {
  readonly #open: () => Promise<Session>
  readonly #idle: Session[] = []
  readonly #waiting: (() => void)[] = []
  readonly #running = new Set<Promise<unknown>>()
  #opening: Promise<unknown> = Promise.resolve()
  #sessions = 0
  #limit = MAX_SESSIONS
  #closed = false

  constructor(open: () => Promise<Session>) {
    this.#open = open
  }

  /**
   * Does the work in a session; where that turns out to be lost, once more in a new one. A signal that is aborted keeps
   * it from beginning.
   *
   * @throws TokenFailure when the pool is closed, or what opening a session or the work threw.
   */
  use<T>(work: SessionWork<T>, signal: AbortSignal | undefined): Promise<T> {
    const running = this.#use(work, signal)
    this.#running.add(running)
    const ended = (): void => {
      this.#running.delete(running)
    }
    running.then(ended, ended)
    return running
  }

  /** Waits for what is under way, and closes all sessions. What waits for a session fails. */
  async close(): Promise<void> {
    this.#closed = true
    while (this.#waiting.length > 0) this.#wake()
    await Promise.allSettled(this.#running)
    this.#closeIdle()
  }

  async #use<T>(work: SessionWork<T>, signal: AbortSignal | undefined): Promise<T> {
    for (let last = false; ; last = true) {
      signal?.throwIfAborted()
      const session = await this.#acquire(last)
      try {
        signal?.throwIfAborted()
        const result = await work(session, last)
        this.#release(session)
        return result
      } catch (error) {
        if (!isLost(error)) {
          this.#release(session)
          throw error
        }
        this.#discard(session)
        if (last) throw error
      }
    }
  }

  /** A session that nobody uses. Those that lay idle may be as lost as the last one, so `fresh` takes none of them. */
  async #acquire(fresh: boolean): Promise<Session> {
    for (;;) {
      if (this.#closed) throw new TokenFailure('the keyring is closed')
      if (fresh) this.#closeIdle()
      const idle = this.#idle.pop()
      if (idle !== undefined) return idle
      if (this.#sessions >= this.#limit) {
        await new Promise<void>((resolve) => this.#waiting.push(resolve))
        continue
      }
      this.#sessions += 1
      try {
        return await this.#openInTurn()
      } catch (error) {
        this.#sessions -= 1
        this.#wake()
        if (returnValueOf(error) !== 'CKR_SESSION_COUNT' || this.#sessions === 0) throw error
        this.#limit = this.#sessions
      }
    }
  }

  /** One after the other, so that a PIN is asked for, and refused, once. */
  #openInTurn(): Promise<Session> {
    const opened = this.#opening.then(() => this.#open())
    this.#opening = opened.catch(() => undefined)
    return opened
  }

  #release(session: Session): void {
    this.#idle.push(session)
    this.#wake()
  }

  #discard({ module, handle }: Session): void {
    this.#sessions -= 1
    try {
      module.C_CloseSession(handle)
    } catch {
      // It is lost.
    }
    this.#wake()
  }

  #closeIdle(): void {
    for (const session of this.#idle.splice(0)) this.#discard(session)
  }

  #wake(): void {
    this.#waiting.shift()?.()
  }
}
