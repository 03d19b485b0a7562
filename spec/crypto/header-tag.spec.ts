import assert from 'node:assert/strict'
import { createCipheriv, createSecretKey } from 'node:crypto'
import { encodeEncryptionContext } from 'esdk-streams/format'
import { isHeaderAuthentic, sealHeader } from '#lib/crypto/header-tag'
import { sequence } from '../arbitraries.ts'

const key = createSecretKey(sequence(0, 32))
const body = Buffer.from('header body')
const required = encodeEncryptionContext({ left: 'out' })
const NONE = Buffer.alloc(0)

/** The tag of nothing, over these bytes. */
function tagOver(iv: Buffer, ...aad: Buffer[]): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  cipher.setAAD(Buffer.concat(aad))
  cipher.final()
  return cipher.getAuthTag()
}

describe('crypto/header-tag', () => {
  it('is over the body alone where all pairs are stored: zero bytes follow, not a count of zero', () => {
    const iv = Buffer.alloc(12)
    assert.deepEqual(sealHeader(key, body, NONE), { iv, tag: tagOver(iv, body) })
    assert.ok(!isHeaderAuthentic(key, body, NONE, { iv, tag: tagOver(iv, body, Buffer.alloc(2)) }))
  })

  it('is over body and pairs that are not stored', () => {
    const iv = Buffer.alloc(12)
    assert.deepEqual(sealHeader(key, body, required), { iv, tag: tagOver(iv, body, required) })
    assert.ok(isHeaderAuthentic(key, body, required, sealHeader(key, body, required)))
    const others = [NONE, encodeEncryptionContext({ left: 'in' }), encodeEncryptionContext({ left: 'out', more: '' })]
    for (const other of others) assert.ok(!isHeaderAuthentic(key, body, other, sealHeader(key, body, required)))
  })

  it('is read under the IV that is stored', () => {
    const iv = sequence(0x70, 12)
    assert.ok(isHeaderAuthentic(key, body, required, { iv, tag: tagOver(iv, body, required) }))
    assert.ok(!isHeaderAuthentic(key, body, required, { iv: Buffer.alloc(12), tag: tagOver(iv, body, required) }))
  })

  it('does not hold when any bit of body, pairs, IV or tag is changed, or under another key', () => {
    const { iv, tag } = sealHeader(key, body, required)
    const parts = { body, required, iv, tag }
    for (const [part, whole] of Object.entries(parts)) {
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const changed = Buffer.from(whole)
        changed[bit >> 3]! ^= 1 << (bit & 7)
        const all = { ...parts, [part]: changed }
        assert.ok(!isHeaderAuthentic(key, all.body, all.required, all), `${part}, bit ${bit}`)
      }
    }
    assert.ok(!isHeaderAuthentic(createSecretKey(sequence(1, 32)), body, required, { iv, tag }))
    assert.ok(isHeaderAuthentic(key, body, required, { iv, tag }))
  })
})
