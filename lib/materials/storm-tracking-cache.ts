/** The storm-tracking cache: framework/storm-tracking-cryptographic-materials-cache.md. */
import { LimitError, checkInteger } from '../errors.ts'
import {
  type CacheEntry,
  type CacheGetOptions,
  type CryptographicMaterialsCache,
  isMaterialsCache,
} from './cryptographic-materials-cache.ts'

/** The time, and a way to wait for it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Calls `wake` after these milliseconds, unless what it returns is called first. Keeps no process alive. */
  after(milliseconds: number, wake: () => void): () => void
}

/** What to do when many ask for the same entry at once. */
export interface StormTrackingOptions {
  /** Where the entries are kept. */
  readonly cache: CryptographicMaterialsCache
  /** So long before an entry expires, one of those who ask is told that there is none, and renews it; 10 s unless said. */
  readonly gracePeriodMs?: number
  /** So long nobody else is told so; 1 s unless said. */
  readonly graceIntervalMs?: number
  /** At most so many entries are requested or renewed at once; 20 unless said. */
  readonly fanOut?: number
  /** After so long a request counts as lost, and whoever waited so long gets an error; 10 s unless said. */
  readonly inFlightTtlMs?: number
  readonly clock?: Clock
}

/** The longest that a timer can wait. */
const MAX = 2 ** 31 - 1

const SYSTEM_CLOCK: Clock = {
  now: Date.now,
  after: (milliseconds, wake) => {
    const timer = setTimeout(wake, milliseconds).unref()
    return () => {
      clearTimeout(timer)
    }
  },
}

/** An entry that somebody is to bring. */
interface InFlight {
  /** When "no entry" was last answered. */
  requestedMs: number
  /** How many were told so and did not give up. */
  requests: number
}

/** One who waits for an entry, or for a place to request it. */
interface Waiting {
  readonly identifier: string
  readonly wake: () => void
  readonly fail: (reason: unknown) => void
}

/** What one who asks is told: the entry, that there is none (it is theirs to request), or to ask again at a time. */
type Answer = 'entry' | 'none' | { readonly againAtMs: number }

/**
 * Lets one of many who ask for the same entry request it, while the others use the one that is about to expire or wait
 * for the new one. Whoever is told that there is no entry is expected to `put` one.
 *
 * @example new StormTrackingCache({ cache: new LocalCryptographicMaterialsCache({ capacity: 1000 }) })
 * @throws RangeError unless all are integers above 0 and graceIntervalMs ≤ inFlightTtlMs ≤ gracePeriodMs.
 */
export class StormTrackingCache implements CryptographicMaterialsCache {
  readonly #cache: CryptographicMaterialsCache
  readonly #gracePeriodMs: number
  readonly #graceIntervalMs: number
  readonly #fanOut: number
  readonly #inFlightTtlMs: number
  readonly #clock: Clock
  /** The identifiers that were answered with "no entry", without a put since. */
  readonly #inFlight = new Map<string, InFlight>()
  readonly #waiting = new Set<Waiting>()
  #changes = 0

  constructor({
    cache,
    gracePeriodMs = 10_000,
    graceIntervalMs = 1000,
    fanOut = 20,
    inFlightTtlMs = 10_000,
    clock = SYSTEM_CLOCK,
  }: StormTrackingOptions) {
    if (!isMaterialsCache(cache)) throw new TypeError('"cache" expected an object with put, get and delete')
    checkInteger('graceIntervalMs', graceIntervalMs, 1, MAX)
    checkInteger('inFlightTtlMs', inFlightTtlMs, 1, MAX)
    checkInteger('gracePeriodMs', gracePeriodMs, 1, MAX)
    checkInteger('fanOut', fanOut, 1, MAX)
    if (graceIntervalMs > inFlightTtlMs || inFlightTtlMs > gracePeriodMs) {
      throw new RangeError(
        `expected "graceIntervalMs" <= "inFlightTtlMs" <= "gracePeriodMs", got ${graceIntervalMs}, ${inFlightTtlMs} and ${gracePeriodMs}`,
      )
    }
    this.#cache = cache
    this.#gracePeriodMs = gracePeriodMs
    this.#graceIntervalMs = graceIntervalMs
    this.#fanOut = fanOut
    this.#inFlightTtlMs = inFlightTtlMs
    this.#clock = clock
  }

  /** What the time before the expiry is within which entries are renewed; a keyring's time to live has to be longer. */
  get gracePeriodMs(): number {
    return this.#gracePeriodMs
  }

  async put(entry: CacheEntry): Promise<void> {
    try {
      await this.#cache.put(entry)
    } finally {
      this.#landed(entry.identifier)
    }
  }

  async delete(identifier: string): Promise<void> {
    try {
      await this.#cache.delete(identifier)
    } finally {
      this.#landed(identifier)
    }
  }

  /** Where nobody else has requested the entry, whoever waits for it fails with the reason instead of making the same request. */
  async giveUp(identifier: string, reason?: unknown): Promise<CacheEntry | undefined> {
    const flight = this.#inFlight.get(identifier)
    if (flight !== undefined && flight.requests > 0) flight.requests -= 1
    const entry = await this.#cache.get(identifier)
    // While there is an entry, it stays in flight, so that not everyone tries to renew it within the interval.
    if (entry === undefined && flight !== undefined && flight.requests === 0) {
      if (this.#inFlight.get(identifier) === flight) this.#landed(identifier, reason)
    }
    return entry
  }

  /** @throws LimitError after waiting `inFlightTtlMs` for an entry that others requested; the reason why they gave up. */
  async get(identifier: string, options: CacheGetOptions = {}): Promise<CacheEntry | undefined> {
    const startedMs = this.#clock.now()
    for (;;) {
      options.signal?.throwIfAborted()
      const changes = this.#changes
      const entry = await this.#cache.get(identifier, options)
      options.signal?.throwIfAborted() // whoever has gone will not put an entry
      if (entry === undefined && changes !== this.#changes) continue
      const now = this.#clock.now()
      this.#forgetLost(now)
      const answer = entry === undefined ? this.#withoutEntry(identifier, now, startedMs) : this.#withEntry(entry, now)
      if (answer === 'entry') return entry
      if (answer === 'none') {
        const requests = (this.#inFlight.get(identifier)?.requests ?? 0) + 1
        this.#inFlight.set(identifier, { requestedMs: now, requests })
        return undefined
      }
      await this.#change(identifier, answer.againAtMs - now, options.signal)
    }
  }

  #withEntry({ identifier, expiryTimeMs }: CacheEntry, now: number): Answer {
    if (this.#isFull()) return 'entry'
    if (now < expiryTimeMs - this.#gracePeriodMs) return 'entry'
    const requestedMs = this.#inFlight.get(identifier)?.requestedMs
    return requestedMs !== undefined && now < requestedMs + this.#graceIntervalMs ? 'entry' : 'none'
  }

  #withoutEntry(identifier: string, now: number, startedMs: number): Answer {
    const flight = this.#inFlight.get(identifier)
    const requestedMs = flight === undefined || flight.requests === 0 ? undefined : flight.requestedMs
    const full = this.#isFull()
    if (!full && requestedMs === undefined) return 'none'
    const givesUpMs = startedMs + this.#inFlightTtlMs + 1
    if (now >= givesUpMs) {
      throw new LimitError(`waited ${now - startedMs} ms for an entry of the cache that another request was to bring`)
    }
    if (full) return { againAtMs: Math.min(givesUpMs, this.#nextLostMs()) }
    const renewableMs = requestedMs! + this.#graceIntervalMs
    return now < renewableMs ? { againAtMs: Math.min(givesUpMs, renewableMs) } : 'none'
  }

  /** Whether there are as many requests as may be; what was given up takes no place. */
  #isFull(): boolean {
    if (this.#inFlight.size < this.#fanOut) return false
    return [...this.#inFlight.values()].filter(({ requests }) => requests > 0).length >= this.#fanOut
  }

  /** A request that never brought an entry takes nobody's place for longer than its time to live. */
  #forgetLost(now: number): void {
    for (const [identifier, { requestedMs }] of this.#inFlight) {
      if (now - requestedMs > this.#inFlightTtlMs) this.#inFlight.delete(identifier)
    }
  }

  #nextLostMs(): number {
    const times = [...this.#inFlight.values()].map(({ requestedMs }) => requestedMs)
    return Math.min(...times) + this.#inFlightTtlMs + 1
  }

  #landed(identifier: string, failure?: unknown): void {
    this.#inFlight.delete(identifier)
    this.#changes += 1
    for (const waiting of this.#waiting) {
      if (failure !== undefined && waiting.identifier === identifier) waiting.fail(failure)
      else waiting.wake()
    }
  }

  /** Until something is put, deleted or given up, this much time has passed, or the signal is aborted. */
  async #change(identifier: string, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    const { promise, wake, fail } = withResolvers()
    const waiting = { identifier, wake, fail }
    this.#waiting.add(waiting)
    const cancel = this.#clock.after(milliseconds, wake)
    signal?.addEventListener('abort', wake, { once: true })
    try {
      await promise
    } finally {
      this.#waiting.delete(waiting)
      cancel()
      signal?.removeEventListener('abort', wake)
    }
  }
}

/** Promise.withResolvers, which Node 20 does not have. */
function withResolvers(): { promise: Promise<void>; wake: () => void; fail: (reason: unknown) => void } {
  let wake = (): void => undefined
  let fail: (reason: unknown) => void = wake
  const promise = new Promise<void>((resolve, reject) => {
    wake = resolve
    fail = reject
  })
  return { promise, wake, fail }
}
