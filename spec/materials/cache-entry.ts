/** Entries of caches. */
import type { CacheEntry } from '#lib/materials/cryptographic-materials-cache'
import { encryptionMaterials, secret } from './sample.ts'

/** An entry with a key of its own that expires at 100 ms. */
export function cacheEntry(
  identifier: string,
  changes: Partial<Omit<CacheEntry, 'kind' | 'materials'>> = {},
): CacheEntry {
  const counters = { creationTimeMs: 0, expiryTimeMs: 100, messagesUsed: 1, bytesUsed: 10 }
  const materials = encryptionMaterials({ dataKey: secret() })
  return { kind: 'encryption', materials, identifier, ...counters, ...changes }
}
