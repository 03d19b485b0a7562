import assert from 'node:assert/strict'
import { createCipheriv, createHmac, createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { encodeEncryptionContext } from 'esdk-streams/format'
import {
  unwrapUnderBranchKey,
  versionOfWrapped,
  wrapUnderBranchKey,
  wrappingKeyOf,
} from '#lib/keyrings/kms/hierarchy/branch-key-wrapping'
import type { BranchKeyMaterials } from '#lib/materials/cryptographic-materials-cache'
import { sequence } from '../../../arbitraries.ts'

const branchKey: BranchKeyMaterials = {
  branchKeyId: 'bbb9baf1-03e6-4716-a586-6bf29995314b',
  branchKeyVersion: '83eec007-5659-4554-bf11-699b90f41ac6',
  branchKey: createSecretKey(sequence(0, 32)),
  encryptionContext: {},
}
const context = encodeEncryptionContext({ department: 'admin' })
const dataKey = sequence(0x40, 32)
const salt = sequence(0xb0, 16)
const KNOWN = Buffer.from(
  'b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacb83eec00756594554bf11699b90f41ac6' +
    '970f4158307a176bb51e9e325b7bae2bb719850af937078265e7b16a9fa049c9278e95d6370ab19d24c71d2b0bc65849',
  'hex',
)

/** The specification once more, from the primitives up. */
function wrapped(salt: Buffer, iv: Buffer, key: Buffer, versionHex: string, aad: Buffer): Buffer {
  const label = Buffer.from('aws-kms-hierarchy')
  const fixed = Buffer.concat([
    Buffer.from('00000001', 'hex'),
    label,
    Buffer.alloc(1),
    salt,
    Buffer.from('00000100', 'hex'),
  ])
  const derived = createHmac('sha256', branchKey.branchKey).update(fixed).digest()
  const version = Buffer.from(versionHex, 'hex')
  const cipher = createCipheriv('aes-256-gcm', derived, iv)
  cipher.setAAD(Buffer.concat([label, Buffer.from(branchKey.branchKeyId), version, aad]))
  const ciphertext = Buffer.concat([cipher.update(key), cipher.final()])
  return Buffer.concat([salt, iv, version, ciphertext, cipher.getAuthTag()])
}

describe('keyrings/kms/hierarchy/branch-key-wrapping', () => {
  it('derives the known key', () => {
    const derived = wrappingKeyOf(branchKey, salt).export().toString('hex')
    assert.equal(derived, '80b8a10c6f308f887e95bb677850f3e504b17e674038150db28b6b1c80ddf672')
  })

  it('opens the known answer', () => {
    assert.equal(versionOfWrapped(KNOWN), branchKey.branchKeyVersion)
    assert.equal(unwrapUnderBranchKey(branchKey, context, KNOWN)?.toString('hex'), dataKey.toString('hex'))
    const independent = wrapped(salt, sequence(0xc0, 12), dataKey, '83eec00756594554bf11699b90f41ac6', context)
    assert.equal(independent.toString('hex'), KNOWN.toString('hex'))
  })

  it('wraps byte for byte as the specification does, with a fresh salt and IV', () => {
    const seen = new Set<string>()
    for (const size of [16, 24, 32]) {
      for (const aad of [context, Buffer.alloc(0)]) {
        const key = sequence(1, size)
        const ours = wrapUnderBranchKey(branchKey, aad, key)
        const [ourSalt, iv] = [ours.subarray(0, 16), ours.subarray(16, 28)]
        const independent = wrapped(ourSalt, iv, key, '83eec00756594554bf11699b90f41ac6', aad)
        assert.equal(ours.toString('hex'), independent.toString('hex'))
        assert.equal(ours.length, size + 60)
        assert.equal(unwrapUnderBranchKey(branchKey, aad, ours)?.toString('hex'), key.toString('hex'))
        seen.add(ourSalt.toString('hex')).add(iv.toString('hex'))
      }
    }
    assert.equal(seen.size, 12)
  })

  it('opens nothing of which one bit was changed, be it of the version alone', () => {
    fc.assert(
      fc.property(fc.nat(KNOWN.length * 8 - 1), (bit) => {
        const changed = Buffer.from(KNOWN)
        changed[bit >> 3]! ^= 1 << (bit & 7)
        const version = { ...branchKey, branchKeyVersion: versionOfWrapped(changed) }
        assert.equal(unwrapUnderBranchKey(version, context, changed), undefined)
      }),
      { numRuns: 300 },
    )
  })

  it('opens nothing under another key, id, version or encryption context', () => {
    for (const other of [
      { branchKey: createSecretKey(sequence(1, 32)) },
      { branchKeyId: 'bbb9baf1-03e6-4716-a586-6bf29995314c' },
      { branchKeyId: '' },
      { branchKeyVersion: '83eec007-5659-4554-bf11-699b90f41ac7' },
    ]) {
      assert.equal(unwrapUnderBranchKey({ ...branchKey, ...other }, context, KNOWN), undefined)
    }
    for (const pairs of [{}, { department: 'root' }, { department: 'admin', more: '' }]) {
      assert.equal(unwrapUnderBranchKey(branchKey, encodeEncryptionContext(pairs), KNOWN), undefined)
    }
  })
})
