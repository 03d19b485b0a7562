import assert from 'node:assert/strict'
import { encodeHeaderAuthentication, readFrom, readHeaderAuthentication } from 'esdk-streams/format'
import { sequence } from '../arbitraries.ts'
import { assertPrefixesTruncated } from './feed.ts'

const iv = sequence(1, 12)
const tag = sequence(0x40, 16)

describe('format/header-authentication', () => {
  it('stores IV and tag in version 1', () => {
    const encoded = encodeHeaderAuthentication(1, { iv, tag })
    assert.deepEqual(encoded, Buffer.concat([iv, tag]))
    assert.deepEqual(readFrom(readHeaderAuthentication(1), encoded), { value: { iv, tag }, length: 28 })
  })

  it('stores only the tag in version 2, whose IV is all zero', () => {
    const encoded = encodeHeaderAuthentication(2, { iv: Buffer.alloc(12), tag })
    assert.deepEqual(encoded, tag)
    assert.deepEqual(readFrom(readHeaderAuthentication(2), encoded), {
      value: { iv: Buffer.alloc(12), tag },
      length: 16,
    })
  })

  it('refuses every true prefix as truncated', () => {
    assertPrefixesTruncated(() => readHeaderAuthentication(1), Buffer.concat([iv, tag]))
    assertPrefixesTruncated(() => readHeaderAuthentication(2), tag)
  })
})
