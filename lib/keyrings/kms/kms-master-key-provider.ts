/** Master keys of AWS KMS: framework/aws-kms/aws-kms-mrk-aware-master-key-provider.md. */
import type { Keyring } from '../../materials/keyring.ts'
import { MasterKeyProvider } from '../master-keys/master-key-provider.ts'
import { type KmsClientProvider, kmsClientProvider } from './kms-client.ts'
import { type KmsDiscoveryFilter, KmsMrkDiscoveryKeyring } from './kms-discovery-keyring.ts'
import { checkKmsKeyIdentifier, checkMultiRegionKeysUnique, matchesForDecrypt } from './kms-key-arn.ts'
import { checkedGrantTokens } from './kms-calls.ts'
import { KmsKey } from './kms-key.ts'

/** How master keys are reached. */
export interface KmsMasterKeyProviderOptions {
  readonly clientProvider?: KmsClientProvider
  readonly grantTokens?: readonly string[]
  /** Milliseconds that our own clients give each attempt; 5,000 unless said. */
  readonly attemptTimeoutMs?: number
}

/** What {@link KmsMasterKeyProvider.discovery} takes. */
export interface KmsDiscoveryProviderOptions extends KmsMasterKeyProviderOptions {
  /** The region that is asked; the one that the AWS SDK itself is set to unless said. */
  readonly region?: string
  readonly discoveryFilter?: KmsDiscoveryFilter
}

/**
 * Gives master keys of AWS KMS by their ARNs. The first one added generates the data key, all others wrap it. It decrypts
 * under just these keys (and replicas of multi-Region ones); a provider that decrypts under any key is made by name, with
 * {@link KmsMasterKeyProvider.discovery}.
 *
 * @example
 * const provider = new KmsMasterKeyProvider()
 * for (const region of ['us-east-1', 'us-west-2']) provider.addMasterKey(`arn:aws:kms:${region}:${account}:alias/exampleKey`)
 * const { ciphertext } = await encrypt(data, { keyProvider: provider })
 * await decrypt(ciphertext, { keyProvider: KmsMasterKeyProvider.discovery() })
 */
export class KmsMasterKeyProvider extends MasterKeyProvider {
  override readonly providerId = 'aws-kms'
  readonly #clientProvider: KmsClientProvider
  readonly #grantTokens: readonly string[]

  constructor({ clientProvider, grantTokens, attemptTimeoutMs }: KmsMasterKeyProviderOptions = {}) {
    super()
    this.#clientProvider =
      clientProvider ?? kmsClientProvider(attemptTimeoutMs === undefined ? {} : { attemptTimeoutMs })
    this.#grantTokens = checkedGrantTokens(grantTokens)
  }

  /**
   * A provider that decrypts under whatever key of the region wrapped the data key. It has no keys to encrypt with.
   *
   * @example KmsMasterKeyProvider.discovery({ discoveryFilter: { partition: 'aws', accounts: ['111122223333'] } })
   */
  static discovery(options: KmsDiscoveryProviderOptions = {}): MasterKeyProvider {
    return new KmsDiscoveryProvider(options)
  }

  /** Adds a master key. @throws TypeError when it is no key of AWS KMS, or a replica of one that was added. */
  override addMasterKey(keyId: string | Uint8Array): void {
    const identifier = typeof keyId === 'string' ? keyId : Buffer.from(keyId).toString('utf8')
    checkKmsKeyIdentifier('keyId', identifier)
    checkMultiRegionKeysUnique([...new Set([...this.masterKeyIds.map(String), identifier])])
    super.addMasterKey(identifier)
  }

  override newMasterKey(keyId: Buffer): Keyring {
    return new KmsKey({
      keyId: keyId.toString(),
      clientProvider: this.#clientProvider,
      grantTokens: this.#grantTokens,
      matches: matchesForDecrypt,
    })
  }

  override describeMissingKeys(): string {
    return 'this KmsMasterKeyProvider has no master key: add one with addMasterKey, or decrypt with KmsMasterKeyProvider.discovery()'
  }
}

class KmsDiscoveryProvider extends MasterKeyProvider {
  override readonly providerId = 'aws-kms'
  readonly #options: KmsDiscoveryProviderOptions
  readonly #clientProvider: KmsClientProvider

  constructor(options: KmsDiscoveryProviderOptions) {
    super()
    const { attemptTimeoutMs } = options
    this.#options = options
    this.#clientProvider =
      options.clientProvider ?? kmsClientProvider(attemptTimeoutMs === undefined ? {} : { attemptTimeoutMs })
  }

  override addMasterKey(): void {
    throw new TypeError('a discovery provider takes no master keys: add them to a new KmsMasterKeyProvider()')
  }

  override newMasterKey(): Keyring {
    throw new TypeError('a discovery provider has no master keys')
  }

  override async masterKeysForDecryption(): Promise<readonly Keyring[]> {
    const region = this.#options.region ?? (await this.#localRegion())
    return [new KmsMrkDiscoveryKeyring({ ...this.#options, region, clientProvider: this.#clientProvider })]
  }

  override describeMissingKeys(): string {
    return 'a discovery provider has no keys to encrypt with: add master keys to a new KmsMasterKeyProvider()'
  }

  async #localRegion(): Promise<string> {
    const client = this.#clientProvider(undefined)
    if (client === false || client === undefined)
      throw new TypeError('expected a "region", or a client of the local one')
    return client.config.region()
  }
}
