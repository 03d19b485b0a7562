import assert from 'node:assert/strict'
import {
  activeEntryId,
  partitionIdBytes,
  uuidBytes,
  uuidText,
  versionEntryId,
} from '#lib/keyrings/kms/hierarchy/branch-key-entry-id'

const PARTITION = 'c15b9079-6d0e-42b6-8784-5e804b025692'
const VERSION = '83eec007-5659-4554-bf11-699b90f41ac6'

describe('keyrings/kms/hierarchy/branch-key-entry-id', () => {
  const scope = { partitionId: partitionIdBytes(PARTITION), logicalKeyStoreName: 'Store' }

  it('has the known answers', () => {
    assert.equal(
      activeEntryId(scope, 'bk'),
      '0019c20e8c8cbec3ab381aa5698109dfb26091a8be55f658a56fc90810c402207baa4cb0cf0f67568259309c7c130fff',
    )
    assert.equal(
      versionEntryId(scope, 'bk', VERSION),
      'bfdaa3c4a076587c24ecaee2542fafdb91ac3fcc6d4e9160d36ca567b11245c11aa5312775a6f2484c39dc6f6aac1412',
    )
  })

  it('depends on every field, and on where it ends', () => {
    const ids = [
      activeEntryId(scope, 'bk'),
      activeEntryId(scope, 'bl'),
      activeEntryId({ ...scope, logicalKeyStoreName: 'Storeb' }, 'k'),
      activeEntryId({ ...scope, partitionId: Buffer.from('other') }, 'bk'),
      versionEntryId(scope, 'bk', VERSION),
      versionEntryId(scope, 'bk', VERSION.replace('8', '9')),
      versionEntryId(scope, 'bl', VERSION),
    ]
    assert.equal(new Set(ids).size, ids.length)
  })

  it('takes a partition as its bytes of UTF-8, and else 16 random ones', () => {
    assert.equal(partitionIdBytes('é').toString('hex'), 'c3a9')
    const [a, b] = [partitionIdBytes(undefined), partitionIdBytes(undefined)]
    assert.deepEqual([a.length, b.length], [16, 16])
    assert.notEqual(a.toString('hex'), b.toString('hex'))
    assert.equal(a[6]! >> 4, 4) // a UUID of version 4
    for (const wrong of ['', 'a\0b', '\ud800', 1]) assert.throws(() => partitionIdBytes(wrong as string), TypeError) // what types would refuse
  })

  it('writes UUIDs as 16 bytes and as text', () => {
    assert.equal(uuidBytes(VERSION).toString('hex'), '83eec00756594554bf11699b90f41ac6')
    assert.equal(uuidText(uuidBytes(VERSION)), VERSION)
  })
})
