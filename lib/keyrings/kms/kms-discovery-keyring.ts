/** Keyrings that unwrap under whatever AWS KMS key wrapped: framework/aws-kms/aws-kms-discovery-keyring.md and its MRK page. */
import { type Attempt, UnwrapError, WrapError } from '../../errors.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import type { CallOptions, Keyring } from '../../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import {
  KMS_PROVIDER_ID,
  type KmsCall,
  type WrappedBy,
  attempt,
  checkedGrantTokens,
  clientFor,
  decryptDataKey,
  wrappedByEach,
} from './kms-calls.ts'
import { type KmsClientProvider, checkedRegions, isArray, kmsClientProvider } from './kms-client.ts'
import { formatKmsArn, isMultiRegionKey } from './kms-key-arn.ts'

/** Whose keys may be used. */
export interface KmsDiscoveryFilter {
  /** `aws`, `aws-cn`, … */
  readonly partition: string
  /** Ids of accounts, at least one. */
  readonly accounts: readonly string[]
}

/** How keys are reached, and which may be used. */
export interface KmsDiscoveryOptions {
  readonly clientProvider?: KmsClientProvider
  readonly discoveryFilter?: KmsDiscoveryFilter
  readonly grantTokens?: readonly string[]
  /** Milliseconds that our own clients give each attempt; 5,000 unless said. */
  readonly attemptTimeoutMs?: number
}

/** Where to ask for a data key, and under which id; or why not to. */
type Where = (arn: NonNullable<WrappedBy['arn']>) => { readonly keyId: string; readonly region: string } | string

interface Scope {
  readonly where: Where
  /** The regions in the order in which they are asked; `undefined` asks in the order of the data keys. */
  readonly regions: readonly string[] | undefined
}

/** What both kinds share; they differ in where they ask. */
class KmsDiscovery implements Keyring {
  readonly #clientProvider: KmsClientProvider
  readonly #filter: KmsDiscoveryFilter | undefined
  readonly #grantTokens: readonly string[]
  readonly #scope: Scope

  constructor({ clientProvider, discoveryFilter, grantTokens, attemptTimeoutMs }: KmsDiscoveryOptions, scope: Scope) {
    this.#clientProvider = clientProvider ?? kmsClientProvider({ attemptTimeoutMs })
    this.#filter = checkedFilter(discoveryFilter)
    this.#grantTokens = checkedGrantTokens(grantTokens)
    this.#scope = scope
  }

  onEncrypt(): Promise<EncryptionMaterials> {
    return Promise.reject(new WrapError('a discovery keyring has no keys of its own: it can only decrypt'))
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
    const attempts: Attempt[] = []
    for (const { key, arn } of this.#inOrder(wrappedByEach(encryptedDataKeys, KMS_PROVIDER_ID))) {
      const target = arn === undefined ? 'not wrapped by AWS KMS' : (this.#filtered(arn) ?? this.#scope.where(arn))
      if (typeof target === 'string') {
        attempts.push({ key, reason: target })
        continue
      }
      const result = await attempt(key, options, async () => {
        const call = { ...options, ...(await this.#call(target)), encryptionContext: materials.encryptionContext }
        return decryptDataKey(call, key.ciphertext, materials.suite.keyBytes)
      })
      if ('dataKey' in result) return { ...materials, dataKey: result.dataKey }
      attempts.push(result)
    }
    throw new UnwrapError(attempts)
  }

  #inOrder(keys: readonly WrappedBy[]): readonly WrappedBy[] {
    const { regions } = this.#scope
    if (regions === undefined) return keys
    const rank = ({ arn }: WrappedBy): number => (arn === undefined ? -1 : regions.indexOf(arn.region))
    return [...keys].sort((a, b) => rank(a) - rank(b))
  }

  #filtered({ partition, account, text }: NonNullable<WrappedBy['arn']>): string | undefined {
    if (this.#filter === undefined) return undefined
    if (this.#filter.partition !== partition) return `${text} is not of the partition ${this.#filter.partition}`
    return this.#filter.accounts.includes(account) ? undefined : `${text} is not of an account of the filter`
  }

  async #call({ keyId, region }: { keyId: string; region: string }): Promise<Omit<KmsCall, 'encryptionContext'>> {
    const client = clientFor(this.#clientProvider, region)
    const actual = await client.config.region()
    if (actual !== region) throw new Error(`the client for the region ${region} is one of ${actual}`)
    return { client, keyId, grantTokens: this.#grantTokens }
  }
}

/** What a {@link KmsDiscoveryKeyring} takes. */
export interface KmsDiscoveryKeyringOptions extends KmsDiscoveryOptions {
  /** Only keys of these regions, those of the first one first; any unless said. */
  readonly regions?: readonly string[]
}

/**
 * Decrypts under whatever AWS KMS key a data key says that it was wrapped with, in that key's region.
 *
 * @example new KmsDiscoveryKeyring({ discoveryFilter: { partition: 'aws', accounts: ['111122223333'] } })
 * @throws TypeError | RangeError when an option is unfit.
 */
export class KmsDiscoveryKeyring extends KmsDiscovery {
  constructor({ regions: names, ...options }: KmsDiscoveryKeyringOptions = {}) {
    const regions = names === undefined ? undefined : checkedRegions(names)
    const where: Where = ({ text, region }) =>
      regions?.includes(region) === false ? `${text} is in none of the regions` : { keyId: text, region }
    super(options, { where, regions })
  }
}

/** What a {@link KmsMrkDiscoveryKeyring} takes. */
export interface KmsMrkDiscoveryKeyringOptions extends KmsDiscoveryOptions {
  /** The one region that is asked. */
  readonly region: string
}

/**
 * Decrypts in one region: under that region's keys, and under its replicas of multi-Region keys.
 *
 * @throws TypeError | RangeError when an option is unfit.
 */
export class KmsMrkDiscoveryKeyring extends KmsDiscovery {
  constructor({ region, ...options }: KmsMrkDiscoveryKeyringOptions) {
    if (typeof region !== 'string' || region === '') throw new TypeError('"region" expected the name of a region')
    const where: Where = (arn) => {
      if (isMultiRegionKey(arn.text)) return { keyId: formatKmsArn(arn, region), region }
      return arn.region === region ? { keyId: arn.text, region } : `${arn.text} is not in ${region}`
    }
    super(options, { where, regions: undefined })
  }
}

function checkedFilter(filter: KmsDiscoveryFilter | undefined): KmsDiscoveryFilter | undefined {
  if (filter === undefined) return undefined
  const { partition, accounts } = filter
  const named = (text: unknown): boolean => typeof text === 'string' && text !== ''
  if (!named(partition) || !isArray(accounts) || accounts.length === 0 || !accounts.every(named)) {
    throw new TypeError('"discoveryFilter" expected a partition and at least one account')
  }
  return { partition, accounts: [...accounts] }
}
