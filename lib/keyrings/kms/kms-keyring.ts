/** Keyrings of several AWS KMS keys, in any regions: framework/aws-kms/aws-kms-multi-keyrings.md. */
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import type { CallOptions, Keyring } from '../../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import { MultiKeyring } from '../multi-keyring.ts'
import { checkedGrantTokens } from './kms-calls.ts'
import { type KmsClientProvider, kmsClientProvider } from './kms-client.ts'
import { checkKmsKeyIdentifier, checkMultiRegionKeysUnique, matchesForDecrypt } from './kms-key-arn.ts'
import { KmsKey, type KmsKeyOptions } from './kms-key.ts'

/** At least one key. */
export interface KmsKeyringOptions {
  /** Generates the data key (and wraps it): the ARN of a key; for encryption alone, also an alias. */
  readonly generatorKeyId?: string
  /** Each wraps the same data key. */
  readonly keyIds?: readonly string[]
  /** Gives the client of each key's region; one of our own unless said. */
  readonly clientProvider?: KmsClientProvider
  readonly grantTokens?: readonly string[]
  /** Milliseconds that our own clients give each attempt; 5,000 unless said. */
  readonly attemptTimeoutMs?: number
}

/** What both kinds share; they differ in which data keys a key unwraps. */
class KmsKeys implements Keyring {
  readonly #keyring: MultiKeyring

  constructor(options: KmsKeyringOptions, matches: KmsKeyOptions['matches']) {
    const { generatorKeyId, keyIds = [], attemptTimeoutMs } = options
    if (generatorKeyId !== undefined) checkKmsKeyIdentifier('generatorKeyId', generatorKeyId)
    if (!Array.isArray(keyIds)) throw new TypeError('"keyIds" expected an array')
    for (const keyId of keyIds) checkKmsKeyIdentifier('keyIds', keyId)
    if (generatorKeyId === undefined && keyIds.length === 0) {
      throw new TypeError('expected a "generatorKeyId" or at least one of "keyIds"')
    }
    const shared = {
      clientProvider: options.clientProvider ?? kmsClientProvider({ attemptTimeoutMs }),
      grantTokens: checkedGrantTokens(options.grantTokens),
      matches,
    }
    const keyOf = (keyId: string): KmsKey => new KmsKey({ keyId, ...shared })
    this.#keyring = new MultiKeyring({
      ...(generatorKeyId !== undefined && { generator: keyOf(generatorKeyId) }),
      children: keyIds.map(keyOf),
    })
  }

  onEncrypt(materials: EncryptionMaterials, options: CallOptions = {}): Promise<EncryptionMaterials> {
    return this.#keyring.onEncrypt(materials, options)
  }

  onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    return this.#keyring.onDecrypt(materials, encryptedDataKeys, options)
  }
}

/**
 * Wraps data keys under AWS KMS keys. On decryption, only data keys that were wrapped under just these keys are
 * unwrapped, and AWS KMS is told which.
 *
 * @example
 * new KmsKeyring({
 *   generatorKeyId: 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
 *   keyIds: ['arn:aws:kms:us-east-1:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321'],
 * })
 * @throws TypeError | RangeError when an option is unfit.
 */
export class KmsKeyring extends KmsKeys {
  constructor(options: KmsKeyringOptions) {
    super(options, (wrappedBy, configured) => wrappedBy === configured)
  }
}

/**
 * Like {@link KmsKeyring}, and a multi-Region key also unwraps what any of its replicas wrapped, in its own region.
 *
 * @throws TypeError where two of the keys are replicas of one.
 */
export class KmsMrkKeyring extends KmsKeys {
  constructor(options: KmsKeyringOptions) {
    super(options, matchesForDecrypt)
    const { generatorKeyId, keyIds = [] } = options
    checkMultiRegionKeysUnique(generatorKeyId === undefined ? keyIds : [generatorKeyId, ...keyIds])
  }
}
