/** The cryptographic materials manager interface: framework/cmm-interface.md. */
import { PolicyError } from '../errors.ts'
import type { AlgorithmSuite } from '../format/algorithm-suite.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import { type EncryptionContext, encryptionContextOf } from '../format/encryption-context.ts'
import type { CommitmentPolicy } from './commitment-policy.ts'
import type { CallOptions } from './keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials, UnconfirmedUnwrap } from './materials.ts'

/** What an encryption asks for. */
export interface EncryptionMaterialsRequest {
  readonly encryptionContext: EncryptionContext
  readonly requiredEncryptionContextKeys: readonly string[]
  readonly commitmentPolicy: CommitmentPolicy
  /** Undefined: the policy's default. */
  readonly algorithmSuite?: AlgorithmSuite
  /** Exact length or upper bound of the plaintext in bytes, where known. */
  readonly maxPlaintextLength?: number
}

/** What a decryption asks for. */
export interface DecryptionMaterialsRequest {
  readonly algorithmSuite: AlgorithmSuite
  readonly commitmentPolicy: CommitmentPolicy
  readonly encryptedDataKeys: readonly EncryptedDataKey[]
  /** The pairs that the message stores. */
  readonly encryptionContext: EncryptionContext
  /** The pairs that the caller says the message was encrypted with. */
  readonly reproducedEncryptionContext: EncryptionContext
  /** See {@link DecryptionMaterials.disproved}. */
  readonly disproved: readonly UnconfirmedUnwrap[]
}

/** Assembles the materials of one message. Any object with these two methods is a manager. */
export interface CryptographicMaterialsManager {
  /** Materials with a data key, wrapped at least once. Rejects with a coded error where there can be none. */
  getEncryptionMaterials(request: EncryptionMaterialsRequest, options: CallOptions): Promise<EncryptionMaterials>
  /** Materials with the data key of the message. Rejects with a coded error where it can't be had. */
  decryptMaterials(request: DecryptionMaterialsRequest, options: CallOptions): Promise<DecryptionMaterials>
}

/**
 * Joins stored and reproduced pairs. Pairs only in the latter are authenticated without being stored, so their names
 * are returned as required.
 *
 * @throws PolicyError where both have a name with different values.
 */
export function joinReproduced(
  stored: EncryptionContext,
  reproduced: EncryptionContext,
): Pick<DecryptionMaterials, 'encryptionContext' | 'requiredEncryptionContextKeys'> {
  const required: string[] = []
  for (const [name, value] of Object.entries(reproduced)) {
    if (!Object.hasOwn(stored, name)) required.push(name)
    else if (stored[name] !== value) {
      throw new PolicyError(
        `the message has another value for ${JSON.stringify(name)} in its encryption context than was expected`,
      )
    }
  }
  const encryptionContext =
    required.length === 0 ? stored : encryptionContextOf([...Object.entries(stored), ...Object.entries(reproduced)])
  return { encryptionContext, requiredEncryptionContextKeys: required }
}
