import assert from 'node:assert/strict'
import fc from 'fast-check'
import { COMMITMENT_POLICIES } from '#lib/materials/commitment-policy'
import {
  decryptionEntryId,
  encryptionEntryId,
  specifiedDecryptionId,
  specifiedEncryptionId,
} from '#lib/materials/cache-entry-id'
import { encryptionContexts } from '../arbitraries.ts'
import { SIGNED, UNSIGNED, decryptionRequest, encryptionRequest, foreignKey } from './sample.ts'

const PARTITION = 'c15b9079-6d0e-42b6-8784-5e804b025692'

describe('materials/cache-entry-id', () => {
  it('has the known answers of encryption', () => {
    assert.equal(
      specifiedEncryptionId(PARTITION, { encryptionContext: {} }).toString('hex'),
      'a9458b764db543ddf62e2341130afc6693a90d1fcabf31d374de92d15f02b8f3aacf44f0687ef191603544156ea7526c',
    )
    assert.equal(
      encryptionEntryId(PARTITION, encryptionRequest({ algorithmSuite: SIGNED })),
      'f6e8f070e38ffbf419f92089f444abb52e0af6cd41ed6fe4a625df4066e6e84f2a6b53c240cb9f4063a0dc42f537b1ab',
    )
  })

  it('has the known answer of decryption, whatever the order of the data keys', () => {
    // SHA-384 of 01 00 02 00 partition 00 0478 00 keys 00 context, with what is below; computed apart from this code.
    const expected = '12a4b7974bcc00ba47cbc63086bb0420036a90cae2b633f9bceb86c74d1cacfed9765e5d0dada7aba087938567d417de'
    const keys = [foreignKey('a'), foreignKey('b')]
    const request = decryptionRequest({ encryptedDataKeys: keys, encryptionContext: { department: 'admin' } })
    assert.equal(decryptionEntryId(PARTITION, request), expected)
    assert.equal(decryptionEntryId(PARTITION, { ...request, encryptedDataKeys: keys.toReversed() }), expected)
  })

  it('is the specified one exactly where only what the formula has is in play', () => {
    const named = encryptionRequest({ algorithmSuite: SIGNED, encryptionContext: { a: '1' } })
    const specified = specifiedEncryptionId(PARTITION, named).toString('hex')
    assert.equal(encryptionEntryId(PARTITION, named), specified)
    assert.notEqual(encryptionEntryId(PARTITION, { ...named, requiredEncryptionContextKeys: ['a'] }), specified)
    const unnamed = encryptionRequest({ encryptionContext: { a: '1' } })
    assert.notEqual(encryptionEntryId(PARTITION, unnamed), specifiedEncryptionId(PARTITION, unnamed).toString('hex'))
    const stored = decryptionRequest({ encryptionContext: { a: '1' } })
    assert.equal(decryptionEntryId(PARTITION, stored), specifiedDecryptionId(PARTITION, stored).toString('hex'))
  })

  it('depends on the required names, as a set', () => {
    const encryptionContext = { a: '1', b: '2', ab: '3' }
    const idOf = (...requiredEncryptionContextKeys: string[]): string =>
      encryptionEntryId(PARTITION, encryptionRequest({ encryptionContext, requiredEncryptionContextKeys }))
    const ids = [idOf(), idOf('a'), idOf('b'), idOf('a', 'b'), idOf('ab'), idOf('a', 'b', 'ab'), idOf('')]
    assert.equal(new Set(ids).size, ids.length)
    assert.equal(idOf('a', 'b', 'a'), idOf('b', 'a'))
  })

  it('depends on the policy where the policy chooses the suite, and only there', () => {
    const idsOf = (request: Parameters<typeof encryptionRequest>[0]): Set<string> =>
      new Set(
        COMMITMENT_POLICIES.map((commitmentPolicy) =>
          encryptionEntryId(PARTITION, { ...encryptionRequest(request), commitmentPolicy }),
        ),
      )
    assert.equal(idsOf({}).size, 3)
    assert.equal(idsOf({ algorithmSuite: SIGNED }).size, 1)
  })

  it('depends on the reproduced pairs', () => {
    const idOf = (reproducedEncryptionContext: Record<string, string>): string =>
      decryptionEntryId(PARTITION, decryptionRequest({ reproducedEncryptionContext }))
    const ids = [idOf({}), idOf({ a: '1' }), idOf({ a: '2' }), idOf({ b: '1' }), idOf({ a: '1', b: '1' })]
    assert.equal(new Set(ids).size, ids.length)
    assert.equal(idOf({ a: '1', b: '2' }), idOf({ b: '2', a: '1' }))
  })

  it('depends on partition, direction, suite, data keys and context', () => {
    const ids = [
      encryptionEntryId('p', encryptionRequest()),
      encryptionEntryId('q', encryptionRequest()),
      encryptionEntryId('p', encryptionRequest({ algorithmSuite: SIGNED })),
      encryptionEntryId('p', encryptionRequest({ algorithmSuite: UNSIGNED })),
      encryptionEntryId('p', encryptionRequest({ encryptionContext: { a: '1' } })),
      decryptionEntryId('p', decryptionRequest()),
      decryptionEntryId('q', decryptionRequest()),
      decryptionEntryId('p', decryptionRequest({ algorithmSuite: SIGNED })),
      decryptionEntryId('p', decryptionRequest({ encryptionContext: { a: '1' } })),
      decryptionEntryId('p', decryptionRequest({ encryptedDataKeys: [foreignKey('other')] })),
      decryptionEntryId('p', decryptionRequest({ encryptedDataKeys: [foreignKey(), foreignKey()] })),
    ]
    assert.equal(new Set(ids).size, ids.length)
    for (const id of ids) assert.match(id, /^[0-9a-f]{96}$/)
  })

  it('is the same for the same context in any order, and another for any other', () => {
    fc.assert(
      fc.property(encryptionContexts, encryptionContexts, (a, b) => {
        const idOf = (encryptionContext: Record<string, string>): string =>
          encryptionEntryId(PARTITION, encryptionRequest({ encryptionContext }))
        const sorted = (context: Record<string, string>): string => JSON.stringify(Object.entries(context).sort())
        assert.equal(idOf(a), idOf(Object.fromEntries(Object.entries(a).reverse())))
        assert.equal(idOf(a) === idOf(b), sorted(a) === sorted(b))
      }),
    )
  })
})
