/** The branch key store: framework/branch-key-store.md. */
import { type KeyObject, randomUUID } from 'node:crypto'
import { UnwrapError, WrapError } from '../../../errors.ts'
import { type EncryptionContext, encryptionContextOf } from '../../../format/encryption-context.ts'
import type { BranchKeyMaterials } from '../../../materials/cryptographic-materials-cache.ts'
import type { CallOptions } from '../../../materials/keyring.ts'
import { type KmsCall, checkedGrantTokens, clientFor, decryptDataKey, kmsReason } from '../kms-calls.ts'
import { withoutResponse } from '../kms-request.ts'
import { type KmsClientProvider, ownClients } from '../kms-client.ts'
import { BRANCH_KEY_BYTES, generateBranchKey, rewrapBranchKey } from './branch-key-calls.ts'
import { checkBranchKeyId, checkText } from './branch-key-id.ts'
import {
  ACTIVE_TYPE,
  BEACON_TYPE,
  type BranchKeyRecord,
  activeContext,
  beaconContext,
  customContextOf,
  itemOf,
  kmsArnOf,
  nextVersionContext,
  readItem,
  versionContext,
  versionOf,
  versionType,
} from './branch-key-item.ts'
import { BranchKeyTable, type DynamoDbClient } from './branch-key-table.ts'
import { type KmsChoice, type KmsConfiguration, kmsChoiceOf } from './kms-configuration.ts'

/** A table of branch keys and the AWS KMS key that wraps them. */
export interface BranchKeyStoreOptions {
  /** Of the Amazon DynamoDB table. */
  readonly tableName: string
  /** What the keys are bound to in the place of the table's name, so that they outlive it: a restored table has another name. */
  readonly logicalKeyStoreName: string
  readonly kmsConfiguration: KmsConfiguration
  readonly grantTokens?: readonly string[]
  /** Gives the AWS KMS client of the key's region; one of our own unless said. */
  readonly clientProvider?: KmsClientProvider
  /** One of our own for the key's region unless said. */
  readonly dynamoDbClient?: DynamoDbClient
  /** A random UUID unless said. */
  readonly keyStoreId?: string
  /** Milliseconds that our own clients give each attempt; 5,000 unless said. */
  readonly attemptTimeoutMs?: number
}

/** What a store was made with. */
export interface BranchKeyStoreInfo {
  readonly keyStoreId: string
  readonly tableName: string
  readonly logicalKeyStoreName: string
  readonly grantTokens: readonly string[]
  readonly kmsConfiguration: KmsConfiguration
}

/** What a new branch key is made of. */
export interface CreateBranchKeyOptions {
  /** A random UUID unless said; then the branch key takes an encryption context too. */
  readonly branchKeyId?: string
  /** Bound to the branch key in all of its versions; in clear text in the table and in the logs of AWS KMS. */
  readonly encryptionContext?: Readonly<Record<string, string>>
}

/** The key that beacons of searchable encryption are derived from. */
export interface BeaconKeyMaterials {
  readonly beaconKeyId: string
  readonly beaconKey: KeyObject
  /** The branch key's own pairs. */
  readonly encryptionContext: EncryptionContext
}

/**
 * Keeps branch keys in an Amazon DynamoDB table, wrapped by an AWS KMS key, for a `KmsHierarchicalKeyring`. All hosts
 * that use the table share them. What reads fails with an `UnwrapError`, what writes with a `WrapError`.
 *
 * @example
 * const keyStore = new BranchKeyStore({
 *   tableName: 'branch-keys',
 *   logicalKeyStoreName: 'branch-keys',
 *   kmsConfiguration: { kmsKeyArn: 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab' },
 * })
 * await keyStore.createKeyStore()
 * const branchKeyId = await keyStore.createKey()
 * @throws TypeError | RangeError when an option is unfit.
 */
export class BranchKeyStore {
  readonly #info: BranchKeyStoreInfo
  readonly #kms: KmsChoice
  readonly #clientProvider: KmsClientProvider
  readonly #table: BranchKeyTable

  constructor(options: BranchKeyStoreOptions) {
    const { tableName, logicalKeyStoreName, clientProvider, dynamoDbClient, attemptTimeoutMs } = options
    const { keyStoreId = randomUUID() } = options
    checkText('tableName', tableName)
    checkText('logicalKeyStoreName', logicalKeyStoreName)
    checkText('keyStoreId', keyStoreId)
    this.#kms = kmsChoiceOf(options.kmsConfiguration)
    const { region, configuration: kmsConfiguration } = this.#kms
    const grantTokens = Object.freeze(checkedGrantTokens(options.grantTokens))
    this.#info = Object.freeze({ keyStoreId, tableName, logicalKeyStoreName, grantTokens, kmsConfiguration })
    this.#clientProvider = clientProvider ?? ownClients({ attemptTimeoutMs, feature: 'aws-kms-hierarchy' })
    this.#table = new BranchKeyTable({ tableName, client: dynamoDbClient, region, attemptTimeoutMs })
  }

  /** What the store was made with. */
  getKeyStoreInfo(): BranchKeyStoreInfo {
    return this.#info
  }

  /**
   * Makes the table (with capacity on demand) unless it is there, and waits until it can be used. Gives its ARN.
   *
   * @throws WrapError where that fails, or a table of other keys has the name.
   */
  async createKeyStore(options: CallOptions = {}): Promise<string> {
    return this.#writing(`the table ${JSON.stringify(this.#info.tableName)}`, options, () =>
      this.#table.create(options),
    )
  }

  /**
   * Makes a branch key with its first version, and a beacon key; gives its id.
   *
   * @throws TypeError when an id is given without an encryption context, or either is unfit.
   * @throws WrapError where that fails, or there is a branch key of that id.
   */
  async createKey(key: CreateBranchKeyOptions = {}, options: CallOptions = {}): Promise<string> {
    const { branchKeyId = randomUUID() } = key
    checkBranchKeyId('branchKeyId', branchKeyId)
    const encryptionContext = checkedContext(key.encryptionContext)
    if (key.branchKeyId !== undefined && Object.keys(encryptionContext).length === 0) {
      throw new TypeError('a "branchKeyId" of one\'s own takes an "encryptionContext"')
    }
    return this.#writing(branchKeyName(branchKeyId), options, async () => {
      const kmsArn = this.#wrappingKey()
      const { logicalKeyStoreName } = this.#info
      const context = versionContext({
        ...{ branchKeyId, version: randomUUID() },
        ...{ kmsArn, logicalKeyStoreName, encryptionContext },
      })
      const version = await this.#newVersion(kmsArn, context, options)
      const beacon = beaconContext(context)
      const beaconKey = await generateBranchKey(this.#call(kmsArn, beacon, options))
      const records = [version.ofVersion, version.active, { context: beacon, wrappedKey: beaconKey }]
      await this.#table.put(
        records.map((record) => ({ item: itemOf(record) })),
        options,
      )
      return branchKeyId
    })
  }

  /**
   * Makes a new version of a branch key, which encryptions use from now on (where it is cached: when the entry expires).
   * Earlier versions stay for decryption.
   *
   * @throws WrapError where that fails, or somebody else makes a version at the same time.
   */
  async versionKey(branchKeyId: string, options: CallOptions = {}): Promise<void> {
    checkBranchKeyId('branchKeyId', branchKeyId)
    await this.#writing(branchKeyName(branchKeyId), options, async () => {
      const keyArn = this.#wrappingKey()
      const old = await this.#read(branchKeyId, ACTIVE_TYPE, options)
      this.#kms.keyFor(kmsArnOf(old.context)) // or it fails
      // Nothing is made of an item before AWS KMS has authenticated all of it.
      await rewrapBranchKey(this.#call(keyArn, old.context, options), old.wrappedKey, old.context)
      const context = nextVersionContext(old.context, randomUUID())
      const { ofVersion, active } = await this.#newVersion(keyArn, context, options)
      const writes = [{ item: itemOf(ofVersion) }, { item: itemOf(active), replaces: old.wrappedKey }]
      await this.#table.put(writes, options)
    })
  }

  /** The version of a branch key that encryptions use. @throws UnwrapError where it can't be had. */
  async getActiveBranchKey(branchKeyId: string, options: CallOptions = {}): Promise<BranchKeyMaterials> {
    return this.#branchKey(branchKeyId, ACTIVE_TYPE, options)
  }

  /** One version of a branch key. @throws UnwrapError where it can't be had. */
  async getBranchKeyVersion(
    branchKeyId: string,
    branchKeyVersion: string,
    options: CallOptions = {},
  ): Promise<BranchKeyMaterials> {
    checkText('branchKeyVersion', branchKeyVersion)
    return this.#branchKey(branchKeyId, versionType(branchKeyVersion), options)
  }

  /** The beacon key that was made with a branch key. @throws UnwrapError where it can't be had. */
  async getBeaconKey(branchKeyId: string, options: CallOptions = {}): Promise<BeaconKeyMaterials> {
    const { context, key } = await this.#unwrap(branchKeyId, BEACON_TYPE, options)
    return Object.freeze({ beaconKeyId: branchKeyId, beaconKey: key, encryptionContext: customContextOf(context) })
  }

  async #branchKey(branchKeyId: string, type: string, options: CallOptions): Promise<BranchKeyMaterials> {
    const { context, key } = await this.#unwrap(branchKeyId, type, options)
    const encryptionContext = customContextOf(context)
    return Object.freeze({ branchKeyId, branchKeyVersion: versionOf(context), branchKey: key, encryptionContext })
  }

  async #unwrap(
    branchKeyId: string,
    type: string,
    options: CallOptions,
  ): Promise<{ context: EncryptionContext; key: KeyObject }> {
    checkBranchKeyId('branchKeyId', branchKeyId)
    try {
      const { context, wrappedKey } = await this.#read(branchKeyId, type, options)
      const call = this.#call(this.#kms.keyFor(kmsArnOf(context)), context, options)
      const key = await decryptDataKey(call, wrappedKey, BRANCH_KEY_BYTES)
      if (typeof key === 'string') throw new Error(key)
      return { context, key }
    } catch (error) {
      options.signal?.throwIfAborted()
      const cause = withoutResponse(error)
      throw new UnwrapError([{ reason: `${branchKeyName(branchKeyId)}: ${kmsReason(cause)}`, cause }], { cause })
    }
  }

  async #read(branchKeyId: string, type: string, options: CallOptions): Promise<BranchKeyRecord> {
    const item = await this.#table.get(branchKeyId, type, options)
    return readItem(item, { branchKeyId, type }, this.#info.logicalKeyStoreName)
  }

  /** Generates a key, and wraps it once for decryptions of its version and once for encryptions. */
  async #newVersion(
    keyArn: string,
    context: EncryptionContext,
    options: CallOptions,
  ): Promise<{ ofVersion: BranchKeyRecord; active: BranchKeyRecord }> {
    const call = this.#call(keyArn, context, options)
    const ofVersion = { context, wrappedKey: await generateBranchKey(call) }
    const active = activeContext(context)
    return {
      ofVersion,
      active: { context: active, wrappedKey: await rewrapBranchKey(call, ofVersion.wrappedKey, active) },
    }
  }

  #wrappingKey(): string {
    const { keyArn } = this.#kms
    if (keyArn === undefined) {
      throw new WrapError(
        'a branch key store of discovery only reads: to write, its "kmsConfiguration" has to name a key',
      )
    }
    return keyArn
  }

  #call(keyId: string, encryptionContext: EncryptionContext, options: CallOptions): KmsCall {
    const client = clientFor(this.#clientProvider, this.#kms.region)
    return { ...options, client, keyId, encryptionContext, grantTokens: this.#info.grantTokens }
  }

  async #writing<T>(what: string, { signal }: CallOptions, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof WrapError) throw error
      const cause = withoutResponse(error)
      throw new WrapError(`${what} could not be written: ${kmsReason(cause)}`, { cause })
    }
  }
}

function branchKeyName(branchKeyId: string): string {
  return `branch key ${JSON.stringify(branchKeyId)}`
}

/** A copy. @throws TypeError unless it is pairs of text. */
function checkedContext(context: Readonly<Record<string, string>> = {}): EncryptionContext {
  const wellFormed = (value: unknown): boolean => typeof value === 'string' && value.isWellFormed()
  if (
    typeof context !== 'object' ||
    (context as unknown) === null ||
    !Object.entries(context).every((pair) => pair.every(wellFormed))
  ) {
    throw new TypeError('"encryptionContext" expected an object whose values are strings')
  }
  return encryptionContextOf(Object.entries(context))
}
