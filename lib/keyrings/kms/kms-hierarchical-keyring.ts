/** The hierarchical keyring: framework/aws-kms/aws-kms-hierarchical-keyring.md. */
import type { KeyObject } from 'node:crypto'
import { secretKey } from '../../crypto/message-keys.ts'
import { type Attempt, UnwrapError, WrapError } from '../../errors.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import { type EncryptionContext, encodeEncryptionContext } from '../../format/encryption-context.ts'
import {
  type BranchKeyMaterials,
  type CryptographicMaterialsCache,
  isMaterialsCache,
} from '../../materials/cryptographic-materials-cache.ts'
import type { CallOptions, Keyring } from '../../materials/keyring.ts'
import { LocalCryptographicMaterialsCache } from '../../materials/local-materials-cache.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import { unlessAborted } from '../../materials/shared-request.ts'
import { StormTrackingCache } from '../../materials/storm-tracking-cache.ts'
import { addEncryptedDataKey } from '../data-key.ts'
import {
  type BranchKeyScope,
  activeEntryId,
  partitionIdBytes,
  versionEntryId,
} from './hierarchy/branch-key-entry-id.ts'
import { checkBranchKeyId } from './hierarchy/branch-key-id.ts'
import type { BranchKeyStore } from './hierarchy/branch-key-store.ts'
import {
  HIERARCHY_PROVIDER_ID,
  WRAPPING_BYTES,
  unwrapUnderBranchKey,
  versionOfWrapped,
  wrapUnderBranchKey,
} from './hierarchy/branch-key-wrapping.ts'
import { CachedBranchKeys } from './hierarchy/cached-branch-keys.ts'
import { kmsReason } from './kms-calls.ts'

/** Chooses the branch key of a message, such as that of the tenant whom the encryption context names. */
export interface BranchKeyIdSupplier {
  /** The id for all of the message's pairs, those that it does not store included. */
  getBranchKeyId(encryptionContext: EncryptionContext, options: CallOptions): string | Promise<string>
}

/** Which branch keys, and how long they are used before the store is asked again. */
export interface KmsHierarchicalKeyringOptions {
  readonly keyStore: Pick<BranchKeyStore, 'getActiveBranchKey' | 'getBranchKeyVersion' | 'getKeyStoreInfo'>
  /** The one branch key. Exactly one of `branchKeyId` and `branchKeyIdSupplier`. */
  readonly branchKeyId?: string
  readonly branchKeyIdSupplier?: BranchKeyIdSupplier
  /**
   * Milliseconds for which an unwrapped branch key is used, more than 0: so long it takes until a new version is used,
   * and until a revoked one no longer is. With a storm-tracking cache longer than that cache's grace period.
   */
  readonly ttlMs: number
  /** May be shared by several keyrings. Unless said, a storm-tracking one of 1,000 entries, with a grace period of 10 s. */
  readonly cache?: CryptographicMaterialsCache
  /**
   * Keyrings with the same cache, the same partition and stores of the same logical name share branch keys, and with
   * them the permission to use them. A random one unless said. May hold no NUL character.
   */
  readonly partitionId?: string
  /** Milliseconds since 1970; `Date.now` unless said. */
  readonly now?: () => number
}

const CAPACITY = 1000

/**
 * Wraps data keys locally under branch keys of a {@link BranchKeyStore}, so that AWS KMS and Amazon DynamoDB are asked
 * once for many messages, and again when the time to live of a branch key is over. A renewal that fails is passed over
 * as long as the branch key at hand may be used.
 *
 * @example
 * const keyring = new KmsHierarchicalKeyring({ keyStore, branchKeyId: await keyStore.createKey(), ttlMs: 600_000 })
 * await encrypt('text', { keyring })
 * @throws TypeError | RangeError when an option is unfit.
 */
export class KmsHierarchicalKeyring implements Keyring {
  readonly #keyStore: KmsHierarchicalKeyringOptions['keyStore']
  readonly #supplier: BranchKeyIdSupplier
  readonly #scope: BranchKeyScope
  readonly #branchKeys: CachedBranchKeys

  constructor(options: KmsHierarchicalKeyringOptions) {
    const { keyStore, branchKeyId, branchKeyIdSupplier, ttlMs, partitionId, now = Date.now } = options
    if (!isKeyStore(keyStore)) throw new TypeError('"keyStore" expected a branch key store')
    if ((branchKeyId === undefined) === (branchKeyIdSupplier === undefined)) {
      throw new TypeError('expected exactly one of "branchKeyId" and "branchKeyIdSupplier"')
    }
    if (branchKeyId !== undefined) checkBranchKeyId('branchKeyId', branchKeyId)
    const supplier = branchKeyIdSupplier ?? { getBranchKeyId: () => branchKeyId! }
    if (typeof (supplier as Partial<BranchKeyIdSupplier>).getBranchKeyId !== 'function') {
      throw new TypeError('"branchKeyIdSupplier" expected an object with getBranchKeyId')
    }
    if (!Number.isFinite(ttlMs) || ttlMs <= 0) {
      throw new RangeError(`"ttlMs" expected a finite number above 0, got ${String(ttlMs)}`)
    }
    const cache = options.cache ?? defaultCache()
    if (!isMaterialsCache(cache)) throw new TypeError('"cache" expected an object with put, get and delete')
    const { gracePeriodMs = 0 } = cache as Partial<StormTrackingCache> // whatever cache tells one has one
    if (ttlMs <= gracePeriodMs) {
      throw new RangeError(
        `"ttlMs" expected more than the grace period of the cache, ${gracePeriodMs} ms, got ${ttlMs}`,
      )
    }
    this.#keyStore = keyStore
    this.#supplier = supplier
    const { logicalKeyStoreName } = keyStore.getKeyStoreInfo()
    this.#scope = { partitionId: partitionIdBytes(partitionId), logicalKeyStoreName }
    this.#branchKeys = new CachedBranchKeys(cache, ttlMs, now)
  }

  async onEncrypt(materials: EncryptionMaterials, options: CallOptions = {}): Promise<EncryptionMaterials> {
    const context = encodeEncryptionContext(materials.encryptionContext)
    const branchKey = await this.#active(materials.encryptionContext, options)
    return addEncryptedDataKey(materials, (dataKey) => ({
      keyProviderId: HIERARCHY_PROVIDER_ID,
      keyProviderInfo: Buffer.from(branchKey.branchKeyId, 'utf8'),
      ciphertext: wrapUnderBranchKey(branchKey, context, dataKey),
    }))
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
    const branchKeyId = await this.#idForDecryption(materials.encryptionContext, encryptedDataKeys, options)
    const attempts: Attempt[] = []
    for (const key of encryptedDataKeys) {
      options.signal?.throwIfAborted()
      const skipped = skips(key, branchKeyId, materials.suite.keyBytes)
      if (skipped !== undefined) {
        attempts.push({ key, reason: skipped })
        continue
      }
      try {
        const dataKey = await this.#unwrap(branchKeyId, key.ciphertext, materials, options)
        if (dataKey !== undefined) return { ...materials, dataKey }
        attempts.push({ key, reason: 'not authentic under its branch key and this encryption context' })
      } catch (cause) {
        options.signal?.throwIfAborted()
        attempts.push({ key, reason: reasonOf(cause), cause })
      }
    }
    throw new UnwrapError(attempts)
  }

  async #active(encryptionContext: EncryptionContext, options: CallOptions): Promise<BranchKeyMaterials> {
    try {
      const branchKeyId = await this.#idFor(encryptionContext, options)
      const request = {
        identifier: activeEntryId(this.#scope, branchKeyId),
        ask: (call: CallOptions) => this.#keyStore.getActiveBranchKey(branchKeyId, call),
        fits: (cached: BranchKeyMaterials) => cached.branchKeyId === branchKeyId,
      }
      return await this.#branchKeys.get(request, options)
    } catch (cause) {
      options.signal?.throwIfAborted()
      throw new WrapError(`no branch key was obtained: ${reasonOf(cause)}`, { cause })
    }
  }

  async #unwrap(
    branchKeyId: string,
    ciphertext: Buffer,
    { encryptionContext }: DecryptionMaterials,
    options: CallOptions,
  ): Promise<KeyObject | undefined> {
    const version = versionOfWrapped(ciphertext)
    const request = {
      identifier: versionEntryId(this.#scope, branchKeyId, version),
      ask: (call: CallOptions) => this.#keyStore.getBranchKeyVersion(branchKeyId, version, call),
      fits: (cached: BranchKeyMaterials) => cached.branchKeyId === branchKeyId && cached.branchKeyVersion === version,
    }
    const branchKey = await this.#branchKeys.get(request, options)
    const dataKey = unwrapUnderBranchKey(branchKey, encodeEncryptionContext(encryptionContext), ciphertext)
    return dataKey && secretKey(dataKey)
  }

  async #idFor(encryptionContext: EncryptionContext, options: CallOptions): Promise<string> {
    const supplied = Promise.resolve(this.#supplier.getBranchKeyId(encryptionContext, options))
    const branchKeyId: unknown = await unlessAborted(supplied, options.signal)
    checkBranchKeyId('branchKeyIdSupplier', branchKeyId)
    return branchKeyId
  }

  /** Whoever supplies ids is not asked about messages that no branch key wrapped. */
  async #idForDecryption(
    encryptionContext: EncryptionContext,
    keys: readonly EncryptedDataKey[],
    options: CallOptions,
  ): Promise<string> {
    if (!keys.some(({ keyProviderId }) => keyProviderId === HIERARCHY_PROVIDER_ID)) return ''
    try {
      return await this.#idFor(encryptionContext, options)
    } catch (cause) {
      options.signal?.throwIfAborted()
      throw new UnwrapError([{ reason: `no branch key was chosen: ${reasonOf(cause)}`, cause }], { cause })
    }
  }
}

/** Why a data key is not this keyring's, or `undefined` where it is. */
function skips(
  { keyProviderId, keyProviderInfo, ciphertext }: EncryptedDataKey,
  branchKeyId: string,
  keyBytes: number,
): string | undefined {
  if (keyProviderId !== HIERARCHY_PROVIDER_ID) return 'not wrapped under a branch key'
  if (!keyProviderInfo.equals(Buffer.from(branchKeyId, 'utf8'))) return 'wrapped under another branch key'
  return ciphertext.length === keyBytes + WRAPPING_BYTES ? undefined : `not a wrapped data key of ${keyBytes} bytes`
}

/** What a failure of the store, the cache or the supplier is told as; a store's own says which branch key it is about. */
function reasonOf(error: unknown): string {
  return error instanceof UnwrapError ? error.attempts.map(({ reason }) => reason).join('; ') : kmsReason(error)
}

function isKeyStore(value: unknown): value is KmsHierarchicalKeyringOptions['keyStore'] {
  const store = value as Partial<BranchKeyStore> | null | undefined // every part is checked here
  return [store?.getActiveBranchKey, store?.getBranchKeyVersion, store?.getKeyStoreInfo].every(
    (method) => typeof method === 'function',
  )
}

function defaultCache(): CryptographicMaterialsCache {
  return new StormTrackingCache({ cache: new LocalCryptographicMaterialsCache({ capacity: CAPACITY }) })
}
