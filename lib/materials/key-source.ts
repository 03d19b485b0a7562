/** Who wraps and unwraps data keys, in any of the three ways to say it. */
import type { CryptographicMaterialsManager } from './cryptographic-materials-manager.ts'
import { DefaultCryptographicMaterialsManager } from './default-cmm.ts'
import type { Keyring } from './keyring.ts'

/** Exactly one of `keyring`, `keyProvider` and `materialsManager`. */
export interface KeySource {
  /** Wraps or unwraps the data key. */
  readonly keyring?: Keyring
  /** A master key provider. */
  readonly keyProvider?: Keyring
  readonly materialsManager?: CryptographicMaterialsManager
}

/**
 * The manager of a key source: the one given, or the default one over the keyring or provider.
 *
 * @throws TypeError unless exactly one is given, and is one.
 */
export function managerOf({ keyring, keyProvider, materialsManager }: KeySource): CryptographicMaterialsManager {
  const given = [keyring, keyProvider, materialsManager].filter((option) => option !== undefined)
  if (given.length !== 1) throw new TypeError('expected exactly one of "keyring", "keyProvider" and "materialsManager"')
  if (materialsManager !== undefined) {
    if (!hasMethods(materialsManager, 'getEncryptionMaterials', 'decryptMaterials')) {
      throw new TypeError('"materialsManager" expected an object with getEncryptionMaterials and decryptMaterials')
    }
    return materialsManager
  }
  const keys = keyring ?? keyProvider
  if (!hasMethods(keys, 'onEncrypt', 'onDecrypt')) {
    const expected =
      keyring === undefined ? '"keyProvider" expected a master key provider' : '"keyring" expected a keyring'
    throw new TypeError(`${expected}: an object with onEncrypt and onDecrypt`)
  }
  return new DefaultCryptographicMaterialsManager(keys)
}

function hasMethods<T>(value: T | undefined, ...names: (keyof T)[]): value is T {
  return typeof value === 'object' && value !== null && names.every((name) => typeof value[name] === 'function')
}
