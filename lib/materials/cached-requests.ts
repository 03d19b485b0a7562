/** Requests for materials through a cache: a hit, a request that others have under way, or a request of one's own. */
import type {
  CacheEntry,
  CacheUsage,
  CachedMaterials,
  CryptographicMaterialsCache,
} from './cryptographic-materials-cache.ts'
import type { CallOptions } from './keyring.ts'
import { SharedRequest, unlessAborted } from './shared-request.ts'

/** How long and for how much the same materials may be used. */
export interface CacheLimits {
  readonly maxAgeMs: number
  readonly maxMessages: number
  readonly maxBytes: number
}

/** A request for materials of one kind, and what a cache has to know of it. */
export interface CacheableRequest<M> {
  readonly identifier: string
  /** What one use of the materials takes of the limits; absent where only their age is limited. */
  readonly usage?: CacheUsage
  /** Asks for materials that others will use too. */
  ask(options: CallOptions): Promise<M>
  /** Asks for materials for this request alone. */
  askAlone(options: CallOptions): Promise<M>
  /** The entry's materials, where they are of this kind. */
  materialsOf(entry: CacheEntry): M | undefined
  /** What the cache is to hold of fresh materials; `undefined` where nobody else may use them. */
  cacheable(materials: M): CachedMaterials | undefined
  /** Whether materials that were made for another request answer this one as well. */
  fits(materials: M): boolean
}

/** How requests were answered: `misses` and `bypasses` were passed on, `hits` were not. */
export interface CacheStats {
  readonly hits: number
  readonly misses: number
  readonly bypasses: number
}

/** A request under way. Uses are counted as they join; those who find it `stored` look in the cache. */
interface Flight<M> {
  readonly request: SharedRequest<Landing<M>>
  messages: number
  bytes: number
  stored: boolean
}

interface Landing<M> {
  readonly materials: M
  readonly shared: boolean
}

const NO_USAGE: CacheUsage = { messages: 0, bytes: 0 }

/** Answers requests of one kind. Of one identifier, no more requests are under way at once than the limits make necessary. */
export class CachedRequests<M> {
  readonly #cache: CryptographicMaterialsCache
  readonly #limits: CacheLimits
  readonly #now: () => number
  /** The latest flight of each identifier. */
  readonly #flights = new Map<string, Flight<M>>()
  #landed = 0
  #hits = 0
  #misses = 0
  #bypasses = 0

  constructor(cache: CryptographicMaterialsCache, limits: CacheLimits, now: () => number) {
    this.#cache = cache
    this.#limits = limits
    this.#now = now
  }

  get stats(): CacheStats {
    return { hits: this.#hits, misses: this.#misses, bypasses: this.#bypasses }
  }

  /** Asks without a look at the cache. */
  bypass(request: Pick<CacheableRequest<M>, 'askAlone'>, options: CallOptions): Promise<M> {
    this.#bypasses += 1
    return request.askAlone(options)
  }

  async get(request: CacheableRequest<M>, options: CallOptions): Promise<M> {
    const { signal } = options
    const { identifier, usage } = request
    for (let again = true; ;) {
      signal?.throwIfAborted()
      const flight = this.#flights.get(identifier)
      if (flight?.stored === true) {
        await flight.request.wait(signal)
        continue
      }
      if (flight !== undefined) {
        if (this.#reserve(flight, usage)) return this.#join(flight, request, options)
        return this.#lead(request, options, false) // at once, and not after a flight that has no room
      }
      const landed = this.#landed
      const lookUp = { ...(usage !== undefined && { usage }), ...(signal !== undefined && { signal }) }
      const entry = await unlessAborted(this.#cache.get(identifier, lookUp), signal)
      const materials = entry && this.#usable(entry) ? request.materialsOf(entry) : undefined
      if (materials !== undefined) return this.#use(materials, request, options)
      if (this.#flights.has(identifier)) continue
      // A flight may have begun and landed while we looked; then its entry is to be found now.
      if (this.#landed !== landed && again) {
        again = false
        continue
      }
      return this.#lead(request, options, entry !== undefined)
    }
  }

  /** Whether an entry, this use of it included, is within the limits. */
  #usable({ creationTimeMs, expiryTimeMs, messagesUsed, bytesUsed }: CacheEntry): boolean {
    const { maxAgeMs, maxMessages, maxBytes } = this.#limits
    const now = this.#now()
    return (
      now <= expiryTimeMs && now - creationTimeMs <= maxAgeMs && messagesUsed <= maxMessages && bytesUsed <= maxBytes
    )
  }

  /** Counts a use of what a flight will bring, unless that would pass a limit. */
  #reserve(flight: Flight<M>, { messages, bytes }: CacheUsage = NO_USAGE): boolean {
    const { maxMessages, maxBytes } = this.#limits
    if (flight.messages + messages > maxMessages || flight.bytes + bytes > maxBytes) return false
    flight.messages += messages
    flight.bytes += bytes
    return true
  }

  #release(flight: Flight<M>, { messages, bytes }: CacheUsage = NO_USAGE): void {
    flight.messages -= messages
    flight.bytes -= bytes
  }

  async #join(flight: Flight<M>, request: CacheableRequest<M>, options: CallOptions): Promise<M> {
    const { materials, shared } = await this.#land(flight, request, options)
    return shared ? this.#use(materials, request, options) : this.bypass(request, options)
  }

  /** Materials made for another request; where they turn out not to answer this one, it is made on its own. */
  #use(materials: M, request: CacheableRequest<M>, options: CallOptions): M | Promise<M> {
    if (!request.fits(materials)) return this.bypass(request, options)
    this.#hits += 1
    return materials
  }

  async #lead(request: CacheableRequest<M>, options: CallOptions, replaces: boolean): Promise<M> {
    this.#misses += 1
    const flight = this.#launch(request, replaces)
    const { materials } = await this.#land(flight, request, options)
    return materials
  }

  /** Waits for a flight whose use was counted; whoever is aborted gives the use back. */
  async #land(flight: Flight<M>, { usage }: CacheableRequest<M>, { signal }: CallOptions): Promise<Landing<M>> {
    try {
      return await flight.request.wait(signal)
    } catch (error) {
      if (!flight.stored) this.#release(flight, usage)
      throw error
    }
  }

  #launch(request: CacheableRequest<M>, replaces: boolean): Flight<M> {
    const { identifier, usage = NO_USAGE } = request
    const leave = (): void => {
      if (this.#flights.get(identifier) === flight) this.#flights.delete(identifier)
      this.#landed += 1
    }
    const work = async (signal: AbortSignal): Promise<Landing<M>> => {
      try {
        if (replaces) await this.#cache.delete(identifier)
        const materials = await request.ask({ signal })
        const cached = request.cacheable(materials)
        if (cached !== undefined) await this.#store(cached, identifier, flight)
        return { materials, shared: cached !== undefined }
      } finally {
        leave()
      }
    }
    const flight: Flight<M> = {
      // Begun after this statement, so that it finds `flight` made.
      request: new SharedRequest((signal) => Promise.resolve().then(() => work(signal)), leave),
      ...usage,
      stored: false,
    }
    this.#flights.set(identifier, flight)
    return flight
  }

  /** Puts what a flight brought into the cache, unless it was abandoned or a later flight is going to. */
  async #store(cached: CachedMaterials, identifier: string, flight: Flight<M>): Promise<void> {
    if (this.#flights.get(identifier) !== flight) return
    flight.stored = true
    const creationTimeMs = this.#now()
    await this.#cache.put({
      ...cached,
      identifier,
      creationTimeMs,
      expiryTimeMs: creationTimeMs + this.#limits.maxAgeMs,
      messagesUsed: flight.messages,
      bytesUsed: flight.bytes,
    })
  }
}
