/** Raw master key providers: keys of one's own behind the master key interface. */
import type { Keyring } from '../../materials/keyring.ts'
import { MasterKeyProvider } from './master-key-provider.ts'
import { WrappingKey } from './wrapping-key.ts'

/**
 * Gives raw master keys, of which a subclass knows the bytes. Their messages are those of the raw keyrings: the provider
 * id is the key namespace, the key id the key name.
 *
 * @example
 * class StaticMasterKeyProvider extends RawMasterKeyProvider {
 *   readonly providerId = 'static'
 *   getRawKey(keyId: Buffer) {
 *     return new WrappingKey({ wrappingAlgorithm: 'RSA_OAEP_SHA256_MGF1', wrappingKey: pemOf(keyId), wrappingKeyType: 'private' })
 *   }
 * }
 */
export abstract class RawMasterKeyProvider extends MasterKeyProvider {
  /** The key of an id, at once or as a promise. Called once an id, when its master key is first needed. */
  abstract getRawKey(keyId: Buffer): WrappingKey | Promise<WrappingKey>

  override async newMasterKey(keyId: Buffer): Promise<Keyring> {
    const wrappingKey: unknown = await this.getRawKey(keyId)
    if (!(wrappingKey instanceof WrappingKey)) throw new TypeError('getRawKey expected to give a WrappingKey')
    return wrappingKey.keyring(this.providerId, keyId)
  }
}
