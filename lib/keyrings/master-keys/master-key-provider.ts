/**
 * Master key providers: framework/master-key-provider-interface.md, the interface of the AWS Encryption SDKs for Python
 * and Java. A provider is a keyring, so it serves wherever one does.
 */
import { UnwrapError, WrapError } from '../../errors.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import type { CallOptions, Keyring } from '../../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import { MultiKeyring } from '../multi-keyring.ts'

/** Names a master key to its provider: text, or bytes. */
export type MasterKeyId = string | Uint8Array

/**
 * Gives master keys by their ids. On encryption, the first master key added (to this provider, or else to those added to
 * it) generates the data key and all others wrap it; on decryption, any of them may unwrap it.
 */
export abstract class MasterKeyProvider implements Keyring {
  /** The provider id of the encrypted data keys of its master keys. */
  abstract readonly providerId: string

  readonly #keyIds = new Map<string, Buffer>()
  readonly #masterKeys = new Map<string, Promise<Keyring>>()
  readonly #providers: MasterKeyProvider[] = []

  /** Makes the master key of an id: a keyring of that one key. Called once an id, when it is first needed. */
  abstract newMasterKey(keyId: Buffer): Keyring | Promise<Keyring>

  /** Adds a master key by its id; adding it again changes nothing. @throws TypeError when it is no id. */
  addMasterKey(keyId: MasterKeyId): void {
    const bytes = typeof keyId === 'string' ? Buffer.from(keyId, 'utf8') : Buffer.from(keyId)
    if (bytes.length === 0) throw new TypeError('a master key id expected a non-empty string or bytes')
    this.#keyIds.set(bytes.toString('hex'), bytes)
  }

  /** Adds several master keys, in this order. */
  addMasterKeys(keyIds: Iterable<MasterKeyId>): void {
    for (const keyId of keyIds) this.addMasterKey(keyId)
  }

  /** Adds another provider, whose master keys come after this one's own. @throws TypeError when it would contain itself. */
  addMasterKeyProvider(provider: MasterKeyProvider): void {
    if (provider.contains(this)) throw new TypeError('a master key provider cannot be added to itself')
    this.#providers.push(provider)
  }

  /** Adds several providers, in this order. */
  addMasterKeyProviders(providers: Iterable<MasterKeyProvider>): void {
    for (const provider of providers) this.addMasterKeyProvider(provider)
  }

  /** Whether `provider` is this one, or was added to it, or to one that was. */
  contains(provider: MasterKeyProvider): boolean {
    return provider === this || this.#providers.some((added) => added.contains(provider))
  }

  /** The ids of its own master keys, in the order in which they were added. */
  get masterKeyIds(): readonly Buffer[] {
    return [...this.#keyIds.values()]
  }

  /** The master keys that encrypt, the one that generates the data key first. */
  async masterKeysForEncryption(): Promise<readonly Keyring[]> {
    const added = this.#providers.map((provider) => provider.masterKeysForEncryption())
    return [...(await this.#ownMasterKeys()), ...(await Promise.all(added)).flat()]
  }

  /** What decrypts besides the master keys of those providers that were added: its own master keys, unless it can discover. */
  masterKeysForDecryption(): Promise<readonly Keyring[]> {
    return this.#ownMasterKeys()
  }

  async onEncrypt(materials: EncryptionMaterials, options: CallOptions = {}): Promise<EncryptionMaterials> {
    const [first, ...others] = await this.masterKeysForEncryption()
    if (first === undefined) throw new WrapError(this.describeMissingKeys())
    const keyrings =
      materials.dataKey === undefined ? { generator: first, children: others } : { children: [first, ...others] }
    return new MultiKeyring(keyrings).onEncrypt(materials, options)
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    const children = [...(await this.masterKeysForDecryption()), ...this.#providers]
    if (children.length === 0) throw new UnwrapError([{ reason: this.describeMissingKeys() }])
    return new MultiKeyring({ children }).onDecrypt(materials, encryptedDataKeys, options)
  }

  /** What to tell a caller of a provider that has no master key. */
  describeMissingKeys(): string {
    return `the master key provider ${JSON.stringify(this.providerId)} has no master key: add one with addMasterKey`
  }

  async #ownMasterKeys(): Promise<readonly Keyring[]> {
    return Promise.all(Array.from(this.#keyIds, ([name, keyId]) => this.#masterKey(name, keyId)))
  }

  /** A master key, made once; where that fails, the next call tries again. */
  async #masterKey(name: string, keyId: Buffer): Promise<Keyring> {
    const known = this.#masterKeys.get(name)
    if (known !== undefined) return known
    const making = Promise.resolve(keyId).then((id) => this.newMasterKey(id))
    this.#masterKeys.set(name, making)
    making.catch(() => this.#masterKeys.delete(name))
    return making
  }
}
