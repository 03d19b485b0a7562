/** The cache interface: framework/cryptographic-materials-cache.md. */
import type { KeyObject } from 'node:crypto'
import type { EncryptionContext } from '../format/encryption-context.ts'
import type { CallOptions } from './keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from './materials.ts'

/** A branch key of a hierarchical keyring, unwrapped. */
export interface BranchKeyMaterials {
  readonly branchKeyId: string
  /** The UUID of the version. */
  readonly branchKeyVersion: string
  readonly branchKey: KeyObject
  /** The branch key's own pairs. */
  readonly encryptionContext: EncryptionContext
}

/** What a cache holds, told apart by `kind`. */
export type CachedMaterials =
  | { readonly kind: 'encryption'; readonly materials: EncryptionMaterials }
  | { readonly kind: 'decryption'; readonly materials: DecryptionMaterials }
  | { readonly kind: 'branch-key'; readonly materials: BranchKeyMaterials }

/** What one use of an entry takes: both are added to the entry's counters. */
export interface CacheUsage {
  readonly messages: number
  readonly bytes: number
}

/** An entry, as it was when it was got: a later use does not change it. */
export type CacheEntry = CachedMaterials & {
  readonly identifier: string
  /** Milliseconds since 1970. */
  readonly creationTimeMs: number
  /** The last millisecond since 1970 at which the entry may be used. */
  readonly expiryTimeMs: number
  readonly messagesUsed: number
  readonly bytesUsed: number
}

/** How an entry is asked for. */
export interface CacheGetOptions extends CallOptions {
  /** Added to the entry's counters in one step with the look-up. */
  readonly usage?: CacheUsage
}

/**
 * Keeps materials, by identifiers that are unique over all kinds. Any object with these three methods is a cache; it
 * may be remote. Where it can't be reached, it may answer that there is no entry.
 */
export interface CryptographicMaterialsCache {
  /** Takes an entry in the place of an earlier one of its identifier. A cache may drop any entry at any time. */
  put(entry: CacheEntry): Promise<void>
  /** The entry with `usage` already counted, or `undefined` where there is none; never one past its expiry time. */
  get(identifier: string, options?: CacheGetOptions): Promise<CacheEntry | undefined>
  /** Drops an entry, if there is one. */
  delete(identifier: string): Promise<void>
  /**
   * Told by whoever was answered that there is no entry, and can't bring one. Gives the entry that there is all the same
   * (a cache may have it renewed before it expires); where there is none, whoever waits for one fails with `reason`, or
   * asks again where no reason is given. Only caches that let others wait have it.
   */
  giveUp?(identifier: string, reason?: unknown): Promise<CacheEntry | undefined>
}

/** Whether a value has a cache's three methods; by shape, as with keyrings. */
export function isMaterialsCache(value: unknown): value is CryptographicMaterialsCache {
  const cache = value as Partial<CryptographicMaterialsCache> | null | undefined // every part is checked here
  return (
    typeof cache === 'object' &&
    cache !== null &&
    [cache.put, cache.get, cache.delete].every((method) => typeof method === 'function')
  )
}
