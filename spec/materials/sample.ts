/** Materials to begin with, requests for them, and keyrings that do just what a spec says. */
import { type KeyObject, createSecretKey } from 'node:crypto'
import type {
  CommitmentPolicy,
  DecryptionMaterials,
  DecryptionMaterialsRequest,
  EncryptionMaterials,
  EncryptionMaterialsRequest,
  Keyring,
} from 'esdk-streams'
import { type AlgorithmSuite, type EncryptedDataKey, algorithmSuite } from 'esdk-streams/format'
import { policyOf, sequence } from '../arbitraries.ts'

export const UNSIGNED: AlgorithmSuite = algorithmSuite(0x0478)
export const SIGNED: AlgorithmSuite = algorithmSuite(0x0578)

/** A secret key of these many bytes. */
export function secret(size = 32, first = 1): KeyObject {
  return createSecretKey(sequence(first, size))
}

/** An encrypted data key that no keyring knows. */
export function foreignKey(keyProviderId = 'foreign'): EncryptedDataKey {
  return { keyProviderId, keyProviderInfo: Buffer.from('name'), ciphertext: Buffer.from('ciphertext') }
}

export function encryptionMaterials(changes: Partial<EncryptionMaterials> = {}): EncryptionMaterials {
  const nothing = { encryptionContext: {}, requiredEncryptionContextKeys: [], encryptedDataKeys: [] }
  return { suite: UNSIGNED, ...nothing, ...changes }
}

export function decryptionMaterials(changes: Partial<DecryptionMaterials> = {}): DecryptionMaterials {
  const nothing = { encryptionContext: {}, requiredEncryptionContextKeys: [], disproved: [] }
  return { suite: UNSIGNED, ...nothing, ...changes }
}

export function encryptionRequest(changes: Partial<EncryptionMaterialsRequest> = {}): EncryptionMaterialsRequest {
  const commitmentPolicy: CommitmentPolicy =
    changes.algorithmSuite === undefined ? 'require-encrypt-require-decrypt' : policyOf(changes.algorithmSuite)
  return { encryptionContext: {}, requiredEncryptionContextKeys: [], commitmentPolicy, ...changes }
}

export function decryptionRequest(changes: Partial<DecryptionMaterialsRequest> = {}): DecryptionMaterialsRequest {
  return {
    algorithmSuite: UNSIGNED,
    commitmentPolicy: 'require-encrypt-allow-decrypt',
    encryptedDataKeys: [foreignKey()],
    encryptionContext: {},
    reproducedEncryptionContext: {},
    disproved: [],
    ...changes,
  }
}

/** A keyring as a user may write one, and what it was called with. */
export interface FakeKeyring extends Keyring {
  readonly encryptCalls: EncryptionMaterials[]
  readonly decryptCalls: [materials: DecryptionMaterials, keys: readonly EncryptedDataKey[]][]
}

/** Puts `dataKey` (fitting unless said) into materials, with one encrypted data key. Or does what a spec says. */
export function fakeKeyring({
  onEncrypt = (materials) => ({
    ...materials,
    dataKey: materials.dataKey ?? secret(materials.suite.keyBytes),
    encryptedDataKeys: [...materials.encryptedDataKeys, foreignKey('fake')],
  }),
  onDecrypt = (materials) => ({ ...materials, dataKey: secret(materials.suite.keyBytes) }),
}: {
  onEncrypt?: (materials: EncryptionMaterials) => EncryptionMaterials
  onDecrypt?: (materials: DecryptionMaterials) => DecryptionMaterials
} = {}): FakeKeyring {
  const encryptCalls: FakeKeyring['encryptCalls'] = []
  const decryptCalls: FakeKeyring['decryptCalls'] = []
  return {
    encryptCalls,
    decryptCalls,
    onEncrypt: (materials) => {
      encryptCalls.push(materials)
      return Promise.resolve().then(() => onEncrypt(materials))
    },
    onDecrypt: (materials, keys) => {
      decryptCalls.push([materials, keys])
      return Promise.resolve().then(() => onDecrypt(materials))
    },
  }
}
