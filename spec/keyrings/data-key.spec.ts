import assert from 'node:assert/strict'
import { ALGORITHM_SUITES } from 'esdk-streams/format'
import { addEncryptedDataKey, addEncryptedDataKeyAsync } from '#lib/keyrings/data-key'
import { encryptionMaterials, foreignKey, secret } from '../materials/sample.ts'

describe('keyrings/data-key', () => {
  it('generates a data key as long as the suite says, another each time, and wraps it', () => {
    for (const suite of ALGORITHM_SUITES) {
      const seen = new Set<string>()
      for (let index = 0; index < 20; index++) {
        let wrapped: string | undefined
        const materials = addEncryptedDataKey(encryptionMaterials({ suite }), (dataKey) => {
          wrapped = dataKey.toString('hex')
          return foreignKey()
        })
        assert.equal(materials.dataKey?.symmetricKeySize, suite.keyBytes)
        assert.equal(materials.dataKey.export().toString('hex'), wrapped)
        assert.deepEqual(materials.encryptedDataKeys, [foreignKey()])
        seen.add(wrapped!)
      }
      assert.equal(seen.size, 20)
    }
  })

  it('wraps the data key that is there, and adds to what is there', () => {
    const before = encryptionMaterials({ dataKey: secret(), encryptedDataKeys: [foreignKey('one')] })
    const after = addEncryptedDataKey(before, (dataKey) => {
      assert.deepEqual(dataKey, secret().export())
      return foreignKey('two')
    })
    assert.equal(after.dataKey, before.dataKey)
    assert.deepEqual(after.encryptedDataKeys, [foreignKey('one'), foreignKey('two')])
    assert.deepEqual(before.encryptedDataKeys, [foreignKey('one')])
  })

  it('clears the raw bytes afterwards, and where wrapping failed', () => {
    let seen: Buffer = Buffer.alloc(0)
    addEncryptedDataKey(encryptionMaterials(), (dataKey) => {
      seen = dataKey
      return foreignKey()
    })
    assert.deepEqual(seen, Buffer.alloc(32))
    assert.throws(() =>
      addEncryptedDataKey(encryptionMaterials(), (dataKey) => {
        seen = dataKey
        throw new Error('failed')
      }),
    )
    assert.deepEqual(seen, Buffer.alloc(32))
  })

  it('does the same where wrapping takes a while, and clears the bytes when it has ended', async () => {
    let seen: Buffer = Buffer.alloc(0)
    const later = async (dataKey: Buffer): Promise<ReturnType<typeof foreignKey>> => {
      seen = dataKey
      await Promise.resolve()
      assert.notDeepEqual(seen, Buffer.alloc(32))
      return foreignKey('two')
    }
    const before = encryptionMaterials({ dataKey: secret(), encryptedDataKeys: [foreignKey('one')] })
    const after = await addEncryptedDataKeyAsync(before, later)
    assert.equal(after.dataKey, before.dataKey)
    assert.deepEqual(after.encryptedDataKeys, [foreignKey('one'), foreignKey('two')])
    assert.deepEqual(seen, Buffer.alloc(32))
    const generated = await addEncryptedDataKeyAsync(encryptionMaterials(), later)
    assert.equal(generated.dataKey?.symmetricKeySize, 32)
    const failing = async (dataKey: Buffer): Promise<never> => {
      await later(dataKey)
      throw new Error('failed')
    }
    await assert.rejects(addEncryptedDataKeyAsync(encryptionMaterials(), failing), /failed/)
    assert.deepEqual(seen, Buffer.alloc(32))
  })
})
