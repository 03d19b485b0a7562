/** The local cache: framework/local-cryptographic-materials-cache.md. */
import { checkInteger } from '../errors.ts'
import { LRUCache } from 'lru-cache'
import type { CacheEntry, CacheGetOptions, CryptographicMaterialsCache } from './cryptographic-materials-cache.ts'

/** How much a local cache holds. */
export interface LocalCacheOptions {
  /** At most so many entries; past that the least recently used is dropped. 0 stores nothing. */
  readonly capacity: number
  /** How many of the least recently used entries every look-up checks for expiry; 1 unless said. */
  readonly entryPruningTailSize?: number
  /** Milliseconds since 1970; `Date.now` unless said. */
  readonly now?: () => number
}

/** How often expired entries that nobody looks up are dropped. */
const SWEEP_MS = 60_000
const MAX_CAPACITY = 2 ** 24

/**
 * Keeps materials in this process. An entry that is dropped (evicted, expired, deleted or replaced) leaves no reference
 * to its keys here; a message that uses them keeps its own. Several managers may share one cache.
 *
 * @example new LocalCryptographicMaterialsCache({ capacity: 100 })
 * @throws RangeError when a number is unfit.
 */
export class LocalCryptographicMaterialsCache implements CryptographicMaterialsCache {
  /** Absent at capacity 0. */
  readonly #entries: LRUCache<string, CacheEntry> | undefined
  readonly #tailSize: number
  readonly #now: () => number
  #sweep: NodeJS.Timeout | undefined

  constructor({ capacity, entryPruningTailSize = 1, now = Date.now }: LocalCacheOptions) {
    checkInteger('capacity', capacity, 0, MAX_CAPACITY)
    checkInteger('entryPruningTailSize', entryPruningTailSize, 1, MAX_CAPACITY)
    this.#entries = capacity === 0 ? undefined : new LRUCache({ max: capacity })
    this.#tailSize = entryPruningTailSize
    this.#now = now
  }

  put(entry: CacheEntry): Promise<void> {
    if (this.#entries !== undefined) {
      this.#entries.set(entry.identifier, Object.freeze({ ...entry }))
      this.#sweepLater()
    }
    return Promise.resolve()
  }

  get(identifier: string, { usage }: CacheGetOptions = {}): Promise<CacheEntry | undefined> {
    this.#pruneTail()
    const entry = this.#entries?.get(identifier)
    if (entry === undefined) return Promise.resolve(undefined)
    if (this.#isExpired(entry)) {
      this.#entries?.delete(identifier)
      return Promise.resolve(undefined)
    }
    if (usage === undefined) return Promise.resolve(entry)
    const used = Object.freeze({
      ...entry,
      messagesUsed: entry.messagesUsed + usage.messages,
      bytesUsed: entry.bytesUsed + usage.bytes,
    })
    this.#entries?.set(identifier, used)
    return Promise.resolve(used)
  }

  delete(identifier: string): Promise<void> {
    this.#entries?.delete(identifier)
    return Promise.resolve()
  }

  /** How many entries it holds, expired ones that were not dropped yet included. */
  get size(): number {
    return this.#entries?.size ?? 0
  }

  /** Drops all entries. */
  clear(): void {
    this.#entries?.clear()
    clearTimeout(this.#sweep)
    this.#sweep = undefined
  }

  /** {@link clear}, at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    this.clear()
    return Promise.resolve()
  }

  #isExpired({ expiryTimeMs }: CacheEntry): boolean {
    // Not `now > expiry`: an expiry that is no number must not make an entry eternal.
    return !(this.#now() <= expiryTimeMs)
  }

  #pruneTail(): void {
    if (this.#entries === undefined) return
    let left = this.#tailSize
    for (const identifier of this.#entries.rkeys()) {
      if (left-- === 0) return
      this.#dropExpired(identifier)
    }
  }

  #dropExpired(identifier: string): void {
    const entry = this.#entries?.peek(identifier)
    if (entry !== undefined && this.#isExpired(entry)) this.#entries?.delete(identifier)
  }

  /** Keys that have expired do not stay in memory for want of a look-up. The timer keeps no process alive. */
  #sweepLater(): void {
    this.#sweep ??= setTimeout(() => {
      this.#sweep = undefined
      for (const identifier of [...(this.#entries?.keys() ?? [])]) this.#dropExpired(identifier)
      if (this.size > 0) this.#sweepLater()
    }, SWEEP_MS).unref()
  }
}
