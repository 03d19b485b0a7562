/** Branch keys through a cache: framework/aws-kms/aws-kms-hierarchical-keyring.md "OnEncrypt", "OnDecrypt". */
import type {
  BranchKeyMaterials,
  CacheEntry,
  CryptographicMaterialsCache,
} from '../../../materials/cryptographic-materials-cache.ts'
import type { CallOptions } from '../../../materials/keyring.ts'
import { SharedRequest, unlessAborted } from '../../../materials/shared-request.ts'

/** A request for a branch key. */
export interface BranchKeyRequest {
  readonly identifier: string
  /** Asks the store. */
  ask(options: CallOptions): Promise<BranchKeyMaterials>
  /** Whether cached materials are what the store would give. */
  fits(materials: BranchKeyMaterials): boolean
}

/** Answers requests by the cache where it can, and by the store where it must. */
export class CachedBranchKeys {
  readonly #cache: CryptographicMaterialsCache
  readonly #ttlMs: number
  readonly #now: () => number
  readonly #requests = new Map<string, SharedRequest<BranchKeyMaterials>>()

  constructor(cache: CryptographicMaterialsCache, ttlMs: number, now: () => number) {
    this.#cache = cache
    this.#ttlMs = ttlMs
    this.#now = now
  }

  async get(request: BranchKeyRequest, options: CallOptions): Promise<BranchKeyMaterials> {
    const { signal } = options
    signal?.throwIfAborted()
    const entry = await unlessAborted(this.#cache.get(request.identifier, options), signal)
    const materials = this.#usable(entry, request)
    if (materials !== undefined) return materials
    // A cache that says when to ask again is obeyed; with any other, one request is enough for all who wait.
    const told = entry === undefined && this.#cache.giveUp !== undefined
    const underWay = told ? undefined : this.#requests.get(request.identifier)
    return (underWay ?? this.#request(request)).wait(signal)
  }

  #request(request: BranchKeyRequest): SharedRequest<BranchKeyMaterials> {
    const { identifier } = request
    const leave = (): void => {
      if (this.#requests.get(identifier) === shared) this.#requests.delete(identifier)
    }
    const work = async (signal: AbortSignal): Promise<BranchKeyMaterials> => {
      try {
        const materials = await request.ask({ signal })
        await this.#cache.put(this.#entryOf(identifier, materials))
        return materials
      } catch (error) {
        const entry = await this.#giveUp(identifier, signal.aborted ? undefined : error)
        const materials = this.#usable(entry, request)
        if (materials !== undefined) return materials
        throw error
      } finally {
        leave()
      }
    }
    // Begun after this statement, so that it finds `shared` made.
    const shared = new SharedRequest((signal) => Promise.resolve().then(() => work(signal)), leave)
    this.#requests.set(identifier, shared)
    return shared
  }

  #entryOf(identifier: string, materials: BranchKeyMaterials): CacheEntry {
    const creationTimeMs = this.#now()
    const expiryTimeMs = creationTimeMs + this.#ttlMs
    return { kind: 'branch-key', materials, identifier, creationTimeMs, expiryTimeMs, messagesUsed: 0, bytesUsed: 0 }
  }

  /** The entry that a failed renewal was to replace: it may be used until it expires. */
  async #giveUp(identifier: string, reason: unknown): Promise<CacheEntry | undefined> {
    try {
      return await (this.#cache.giveUp?.(identifier, reason) ?? this.#cache.get(identifier))
    } catch {
      return undefined // the failure that led here is the one to tell
    }
  }

  /** The materials of an entry that is within the time to live of this keyring, whoever put it there. */
  #usable(entry: CacheEntry | undefined, request: BranchKeyRequest): BranchKeyMaterials | undefined {
    if (entry?.kind !== 'branch-key' || !request.fits(entry.materials)) return undefined
    const now = this.#now()
    return now <= entry.expiryTimeMs && now - entry.creationTimeMs <= this.#ttlMs ? entry.materials : undefined
  }
}
