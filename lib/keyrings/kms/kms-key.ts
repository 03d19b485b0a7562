/** The keyring of one AWS KMS key: framework/aws-kms/aws-kms-keyring.md and aws-kms-mrk-keyring.md. */
import { type Attempt, UnwrapError, WrapError, isEncryptionSdkError } from '../../errors.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import type { CallOptions, Keyring } from '../../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import {
  KMS_PROVIDER_ID,
  type KmsCall,
  attempt,
  clientFor,
  decryptDataKey,
  encryptDataKey,
  generateDataKey,
  kmsReason,
  wrappedByEach,
} from './kms-calls.ts'
import { withoutResponse } from './kms-request.ts'
import type { KmsClientProvider } from './kms-client.ts'
import { parseKmsArn } from './kms-key-arn.ts'

/** One key and how to reach it. */
export interface KmsKeyOptions {
  readonly keyId: string
  readonly clientProvider: KmsClientProvider
  readonly grantTokens: readonly string[]
  /** Whether a data key wrapped under `wrappedBy` is for the key that is configured. */
  readonly matches: (wrappedBy: string, configured: string) => boolean
}

/** Generates, wraps and unwraps under one key; on decryption it always says under which. */
export class KmsKey implements Keyring {
  readonly #options: KmsKeyOptions

  constructor(options: KmsKeyOptions) {
    this.#options = options
  }

  async onEncrypt(materials: EncryptionMaterials, options: CallOptions = {}): Promise<EncryptionMaterials> {
    try {
      const call = this.#call(materials, options)
      if (materials.dataKey !== undefined) {
        const key = await encryptDataKey(call, materials.dataKey)
        return { ...materials, encryptedDataKeys: [...materials.encryptedDataKeys, key] }
      }
      const { dataKey, encryptedDataKey } = await generateDataKey(call, materials.suite.keyBytes)
      return { ...materials, dataKey, encryptedDataKeys: [...materials.encryptedDataKeys, encryptedDataKey] }
    } catch (error) {
      options.signal?.throwIfAborted()
      if (isEncryptionSdkError(error)) throw error
      const cause = withoutResponse(error)
      const { keyId } = this.#options
      throw new WrapError(`AWS KMS key ${keyId} could not wrap the data key: ${kmsReason(cause)}`, { cause })
    }
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
    const { keyId, matches } = this.#options
    const attempts: Attempt[] = []
    for (const { key, arn } of wrappedByEach(encryptedDataKeys, KMS_PROVIDER_ID)) {
      if (arn === undefined || !matches(arn.text, keyId)) {
        const reason = arn === undefined ? 'not wrapped by AWS KMS' : `wrapped by ${arn.text}, not by ${keyId}`
        attempts.push({ key, reason })
        continue
      }
      const result = await attempt(key, options, () =>
        decryptDataKey(this.#call(materials, options), key.ciphertext, materials.suite.keyBytes),
      )
      if ('dataKey' in result) return { ...materials, dataKey: result.dataKey }
      attempts.push(result)
    }
    throw new UnwrapError(attempts)
  }

  #call({ encryptionContext }: EncryptionMaterials | DecryptionMaterials, options: CallOptions): KmsCall {
    const { clientProvider, keyId, grantTokens } = this.#options
    const client = clientFor(clientProvider, parseKmsArn(keyId)?.region)
    return { ...options, client, keyId, encryptionContext, grantTokens }
  }
}
