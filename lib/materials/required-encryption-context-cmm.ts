/** The required encryption context manager: framework/required-encryption-context-cmm.md. */
import { PolicyError } from '../errors.ts'
import type {
  CryptographicMaterialsManager,
  DecryptionMaterialsRequest,
  EncryptionMaterialsRequest,
} from './cryptographic-materials-manager.ts'
import { type KeySource, managerOf } from './key-source.ts'
import type { CallOptions } from './keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from './materials.ts'

/** A set of names, and the keyring or manager that does the rest. */
export interface RequiredEncryptionContextOptions extends KeySource {
  readonly requiredEncryptionContextKeys: readonly string[]
}

/**
 * Sees to it that certain pairs are in the encryption context of every message, authenticated but not stored: whoever
 * decrypts has to reproduce them.
 *
 * @example
 * const materialsManager = new RequiredEncryptionContextCryptographicMaterialsManager({
 *   keyring, requiredEncryptionContextKeys: ['tenant'],
 * })
 * await decrypt(ciphertext, { materialsManager, encryptionContext: { tenant: '17' } })
 */
export class RequiredEncryptionContextCryptographicMaterialsManager implements CryptographicMaterialsManager {
  readonly #names: readonly string[]
  readonly #underlying: CryptographicMaterialsManager

  constructor({ requiredEncryptionContextKeys, ...keySource }: RequiredEncryptionContextOptions) {
    if (requiredEncryptionContextKeys.length === 0) {
      throw new TypeError('"requiredEncryptionContextKeys" expected at least one name')
    }
    this.#names = [...new Set(requiredEncryptionContextKeys)]
    this.#underlying = managerOf(keySource)
  }

  async getEncryptionMaterials(
    request: EncryptionMaterialsRequest,
    options: CallOptions = {},
  ): Promise<EncryptionMaterials> {
    this.#checkHolds(request.encryptionContext, 'the encryption context')
    const names = [...new Set([...request.requiredEncryptionContextKeys, ...this.#names])]
    const materials = await this.#underlying.getEncryptionMaterials(
      { ...request, requiredEncryptionContextKeys: names },
      options,
    )
    const dropped = names.find((name) => !materials.requiredEncryptionContextKeys.includes(name))
    if (dropped !== undefined) {
      throw new PolicyError(`the underlying manager does not require the pair ${JSON.stringify(dropped)}`)
    }
    return materials
  }

  async decryptMaterials(request: DecryptionMaterialsRequest, options: CallOptions = {}): Promise<DecryptionMaterials> {
    this.#checkHolds(request.reproducedEncryptionContext, 'the reproduced encryption context')
    const materials = await this.#underlying.decryptMaterials(request, options)
    this.#checkHolds(materials.encryptionContext, 'the encryption context of the materials')
    return materials
  }

  #checkHolds(context: Readonly<Record<string, string>>, what: string): void {
    const missing = this.#names.find((name) => !Object.hasOwn(context, name))
    if (missing !== undefined) throw new PolicyError(`${what} lacks the required pair ${JSON.stringify(missing)}`)
  }
}
