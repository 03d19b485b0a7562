/** The caching materials manager: framework/caching-cmm.md. */
import { checkInteger } from '../errors.ts'
import { randomUUID } from 'node:crypto'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import { type EncryptionContext, encryptionContextOf } from '../format/encryption-context.ts'
import { decryptionEntryId, encryptionEntryId } from './cache-entry-id.ts'
import { type CacheStats, type CacheableRequest, CachedRequests } from './cached-requests.ts'
import { checkPolicyOnDecrypt, checkPolicyOnEncrypt } from './commitment-policy.ts'
import { type CryptographicMaterialsCache, isMaterialsCache } from './cryptographic-materials-cache.ts'
import {
  type CryptographicMaterialsManager,
  type DecryptionMaterialsRequest,
  type EncryptionMaterialsRequest,
  joinReproduced,
} from './cryptographic-materials-manager.ts'
import { type KeySource, managerOf } from './key-source.ts'
import type { CallOptions } from './keyring.ts'
import {
  type DecryptionMaterials,
  type EncryptionMaterials,
  checkDecryptionMaterials,
  checkEncryptionMaterials,
} from './materials.ts'

/** Who makes materials, where they are kept, and for how long and how much the same ones may be used. */
export interface CachingOptions extends KeySource {
  readonly cache: CryptographicMaterialsCache
  /** The oldest that materials may get, in milliseconds, more than 0. */
  readonly maxAgeMs: number
  /**
   * Managers with the same cache and the same partition share entries, and must ask the same keys. A random one unless
   * said. May hold no NUL character.
   */
  readonly partitionId?: string
  /** How many messages one data key may encrypt, 1 to 2^32; 2^32 unless said. */
  readonly maxMessages?: number
  /** How many bytes of plaintext one data key may encrypt; 2^53 - 1 unless said. */
  readonly maxBytes?: number
  /** Milliseconds since 1970; `Date.now` unless said. */
  readonly now?: () => number
}

const MAX_MESSAGES = 2 ** 32

/**
 * Uses the same data key for many messages, and unwraps the data key of the same message once, within limits of age,
 * messages and bytes. An encryption uses the cache only where the length of its plaintext is known in advance:
 * `plaintextLength` or `plaintextLengthBound`, or a plaintext that is whole in memory.
 *
 * The messages of one data key also have the same signing key. What makes them differ is their message id: each
 * message has a fresh one, and with it, under a suite that derives keys, a message key of its own. Materials of suites
 * that derive none are never cached.
 *
 * @example
 * const cache = new LocalCryptographicMaterialsCache({ capacity: 100 })
 * const materialsManager = new CachingCryptographicMaterialsManager({ keyring, cache, maxAgeMs: 60_000, maxMessages: 1000 })
 * await encrypt('text', { materialsManager })
 * @throws TypeError | RangeError when an option is unfit.
 */
export class CachingCryptographicMaterialsManager implements CryptographicMaterialsManager {
  readonly #underlying: CryptographicMaterialsManager
  readonly #partitionId: string
  readonly #maxBytes: number
  readonly #encryptions: CachedRequests<EncryptionMaterials>
  readonly #decryptions: CachedRequests<DecryptionMaterials>
  #warned = false

  constructor({
    cache,
    maxAgeMs,
    partitionId = randomUUID(),
    maxMessages = MAX_MESSAGES,
    maxBytes = Number.MAX_SAFE_INTEGER,
    now = Date.now,
    ...keySource
  }: CachingOptions) {
    this.#underlying = managerOf(keySource)
    if (!isMaterialsCache(cache)) throw new TypeError('"cache" expected an object with put, get and delete')
    if (typeof partitionId !== 'string' || partitionId.includes('\0') || !partitionId.isWellFormed()) {
      throw new TypeError('"partitionId" expected text without NUL characters')
    }
    if (!Number.isFinite(maxAgeMs) || maxAgeMs <= 0) {
      throw new RangeError(`"maxAgeMs" expected a finite number above 0, got ${String(maxAgeMs)}`)
    }
    checkInteger('maxMessages', maxMessages, 1, MAX_MESSAGES)
    checkInteger('maxBytes', maxBytes, 0)
    this.#partitionId = partitionId
    this.#maxBytes = maxBytes
    const limits = { maxAgeMs, maxMessages, maxBytes }
    this.#encryptions = new CachedRequests(cache, limits, now)
    this.#decryptions = new CachedRequests(cache, limits, now)
  }

  /**
   * How requests were answered so far: `hits` by materials that were made before or for another request, `misses` by
   * the underlying manager, as were `bypasses`, which did not or could not use the cache.
   */
  get stats(): CacheStats {
    const [a, b] = [this.#encryptions.stats, this.#decryptions.stats]
    return { hits: a.hits + b.hits, misses: a.misses + b.misses, bypasses: a.bypasses + b.bypasses }
  }

  async getEncryptionMaterials(
    request: EncryptionMaterialsRequest,
    options: CallOptions = {},
  ): Promise<EncryptionMaterials> {
    const { algorithmSuite: suite, commitmentPolicy, maxPlaintextLength } = request
    // Whoever shares the cache may have another policy, so it is checked here too, whatever the cache holds.
    if (suite !== undefined) checkPolicyOnEncrypt(commitmentPolicy, suite)
    const askAlone = (call: CallOptions): Promise<EncryptionMaterials> =>
      this.#underlying.getEncryptionMaterials(request, call)
    if (maxPlaintextLength === undefined) this.#warn()
    if (maxPlaintextLength === undefined || maxPlaintextLength > this.#maxBytes || suite?.kdf === 'identity') {
      return this.#encryptions.bypass({ askAlone }, options)
    }
    // Without the length: the materials are for other messages too.
    const shared: EncryptionMaterialsRequest = {
      encryptionContext: request.encryptionContext,
      requiredEncryptionContextKeys: request.requiredEncryptionContextKeys,
      commitmentPolicy,
      ...(suite !== undefined && { algorithmSuite: suite }),
    }
    const materials = await this.#encryptions.get(
      {
        identifier: encryptionEntryId(this.#partitionId, request),
        usage: { messages: 1, bytes: maxPlaintextLength },
        askAlone,
        ask: async (call) => frozenEncryption(await this.#underlying.getEncryptionMaterials(shared, call)),
        materialsOf: (entry) => (entry.kind === 'encryption' ? entry.materials : undefined),
        cacheable: (made) =>
          made.suite.kdf !== 'identity' && answersEncryption(made, request)
            ? { kind: 'encryption', materials: made }
            : undefined,
        fits: (made) => answersEncryption(made, request),
      },
      options,
    )
    return ownBytes(materials)
  }

  async decryptMaterials(request: DecryptionMaterialsRequest, options: CallOptions = {}): Promise<DecryptionMaterials> {
    const { algorithmSuite, commitmentPolicy, disproved } = request
    checkPolicyOnDecrypt(commitmentPolicy, algorithmSuite)
    const joined = joinReproduced(request.encryptionContext, request.reproducedEncryptionContext)
    const ask = async (call: CallOptions): Promise<DecryptionMaterials> =>
      this.#underlying.decryptMaterials(request, call)
    if (algorithmSuite.kdf === 'identity' || disproved.length > 0) {
      return this.#decryptions.bypass({ askAlone: ask }, options)
    }
    const fits = (made: DecryptionMaterials): boolean =>
      made.suite.id === algorithmSuite.id &&
      samePairs(made.encryptionContext, joined.encryptionContext) &&
      sameNames(made.requiredEncryptionContextKeys, joined.requiredEncryptionContextKeys)
    const cacheable: CacheableRequest<DecryptionMaterials>['cacheable'] = (made) =>
      made.unconfirmed === undefined && fits(made) ? { kind: 'decryption', materials: made } : undefined
    return this.#decryptions.get(
      {
        identifier: decryptionEntryId(this.#partitionId, request),
        askAlone: ask,
        ask: async (call) => frozenDecryption(await ask(call)),
        materialsOf: (entry) => (entry.kind === 'decryption' ? entry.materials : undefined),
        cacheable,
        fits,
      },
      options,
    )
  }

  #warn(): void {
    if (this.#warned) return
    this.#warned = true
    process.emitWarning(
      'a cache of materials is not used where the length of the plaintext is unknown: ' +
        'every such message takes a data key of its own; say "plaintextLength" or "plaintextLengthBound"',
      { code: 'ESDK_CACHE_BYPASSED' },
    )
  }
}

/** Whether materials that were made for a request of the same identifier answer this one. The underlying manager may have added pairs. */
function answersEncryption(
  { suite, encryptionContext, requiredEncryptionContextKeys }: EncryptionMaterials,
  request: EncryptionMaterialsRequest,
): boolean {
  checkPolicyOnEncrypt(request.commitmentPolicy, suite)
  return (
    (request.algorithmSuite === undefined || request.algorithmSuite.id === suite.id) &&
    holdsPairs(encryptionContext, request.encryptionContext) &&
    request.requiredEncryptionContextKeys.every((name) => requiredEncryptionContextKeys.includes(name))
  )
}

function holdsPairs(context: EncryptionContext, pairs: EncryptionContext): boolean {
  return Object.entries(pairs).every(([name, value]) => Object.hasOwn(context, name) && context[name] === value)
}

function samePairs(a: EncryptionContext, b: EncryptionContext): boolean {
  return Object.keys(a).length === Object.keys(b).length && holdsPairs(a, b)
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name) => b.includes(name))
}

function frozenEncryption(materials: EncryptionMaterials): EncryptionMaterials {
  return ownBytes({ ...checkEncryptionMaterials(materials), ...frozenNames(materials) })
}

function frozenDecryption(materials: DecryptionMaterials): DecryptionMaterials {
  return Object.freeze({ ...checkDecryptionMaterials(materials), ...frozenNames(materials) })
}

function frozenNames({
  encryptionContext,
  requiredEncryptionContextKeys,
}: EncryptionMaterials | DecryptionMaterials): Pick<
  EncryptionMaterials,
  'encryptionContext' | 'requiredEncryptionContextKeys'
> {
  return {
    encryptionContext: encryptionContextOf(Object.entries(encryptionContext)),
    requiredEncryptionContextKeys: Object.freeze([...requiredEncryptionContextKeys]),
  }
}

/** Frozen materials whose encrypted data keys nobody else refers to: buffers can't be frozen, and headers hand them out. */
function ownBytes(materials: EncryptionMaterials): EncryptionMaterials {
  const copies = materials.encryptedDataKeys.map(({ keyProviderId, keyProviderInfo, ciphertext }): EncryptedDataKey =>
    Object.freeze({
      keyProviderId,
      keyProviderInfo: Buffer.from(keyProviderInfo),
      ciphertext: Buffer.from(ciphertext),
    }),
  )
  return Object.freeze({ ...materials, encryptedDataKeys: Object.freeze(copies) })
}
