import assert from 'node:assert/strict'
import {
  CachingCryptographicMaterialsManager,
  DefaultCryptographicMaterialsManager,
  LocalCryptographicMaterialsCache,
  RequiredEncryptionContextCryptographicMaterialsManager,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { type KeySource, managerOf } from '#lib/materials/key-source'
import { aesKeyring } from '../arbitraries.ts'
import { fakeKeyring } from './sample.ts'

const keyring = fakeKeyring()
const materialsManager = new DefaultCryptographicMaterialsManager(keyring)

describe('materials/key-source', () => {
  it('is exactly one of three', () => {
    const several: KeySource[] = [
      {},
      { keyring, keyProvider: keyring },
      { keyring, materialsManager },
      { keyProvider: keyring, materialsManager },
      { keyring, keyProvider: keyring, materialsManager },
    ]
    for (const source of several) {
      assert.throws(() => managerOf(source), /exactly one of "keyring", "keyProvider" and "materialsManager"/)
    }
  })

  it('is a manager as it is, or the default one over keys', () => {
    assert.equal(managerOf({ materialsManager }), materialsManager)
    assert.ok(managerOf({ keyring }) instanceof DefaultCryptographicMaterialsManager)
    assert.ok(managerOf({ keyProvider: keyring }) instanceof DefaultCryptographicMaterialsManager)
  })

  it('is refused where it is none', () => {
    for (const value of [null, 'key', {}, { onEncrypt: () => undefined }]) {
      const unfit = value as never // what a caller without types may give
      assert.throws(() => managerOf({ keyring: unfit }), /"keyring" expected a keyring/)
      assert.throws(() => managerOf({ keyProvider: unfit }), /"keyProvider" expected a master key provider/)
      assert.throws(() => managerOf({ materialsManager: unfit }), /"materialsManager" expected an object/)
    }
  })

  it('may be a master key provider in every manager that stands on keys', async () => {
    const keyProvider = aesKeyring()
    const managers = [
      new CachingCryptographicMaterialsManager({
        keyProvider,
        cache: new LocalCryptographicMaterialsCache({ capacity: 1 }),
        maxAgeMs: 1000,
      }),
      new RequiredEncryptionContextCryptographicMaterialsManager({
        keyProvider,
        requiredEncryptionContextKeys: ['tenant'],
      }),
    ]
    const encryptionContext = { tenant: '17' }
    for (const manager of managers) {
      const { ciphertext } = await encrypt('text', { materialsManager: manager, encryptionContext })
      const { plaintext } = await decrypt(ciphertext, { keyProvider, encryptionContext })
      assert.equal(plaintext.toString(), 'text')
    }
  })
})
