import assert from 'node:assert/strict'
import fc from 'fast-check'
import { LimitError, MalformedMessageError } from 'esdk-streams'
import { type EncryptedDataKey, encodeEncryptedDataKeys, readEncryptedDataKeys, readFrom } from 'esdk-streams/format'
import { bytes, texts } from '../arbitraries.ts'
import { assertPrefixesTruncated, feed } from './feed.ts'

const keys: fc.Arbitrary<EncryptedDataKey[]> = fc.array(
  fc.record({ keyProviderId: texts, keyProviderInfo: bytes(40), ciphertext: bytes(60) }, { noNullPrototype: true }),
  { minLength: 1, maxLength: 6 },
)

const NO_LIMITS = [0xffff, Number.MAX_SAFE_INTEGER] as const

function read(encoded: Buffer): readonly EncryptedDataKey[] {
  const { value, length } = readFrom(readEncryptedDataKeys(...NO_LIMITS), encoded)
  assert.equal(length, encoded.length)
  return value
}

function keyOf(field: keyof EncryptedDataKey, length: number): EncryptedDataKey {
  const key = { keyProviderId: 'id', keyProviderInfo: Buffer.from('info'), ciphertext: Buffer.alloc(1) }
  return { ...key, [field]: field === 'keyProviderId' ? 'i'.repeat(length) : Buffer.alloc(length) }
}

describe('format/encrypted-data-key', () => {
  it('comes back as it was, in the same order, equal ones too', () => {
    fc.assert(
      fc.property(keys, (list) => {
        const twice = [...list, ...list]
        assert.deepEqual(read(encodeEncryptedDataKeys(twice)), twice)
      }),
    )
  })

  it('has the known layout', () => {
    const key = { keyProviderId: 'é', keyProviderInfo: Buffer.from([0xff]), ciphertext: Buffer.from([1, 2, 3]) }
    assert.equal(encodeEncryptedDataKeys([key]).toString('hex'), '0001' + '0002c3a9' + '0001ff' + '0003010203')
  })

  it('keeps provider info that is no text', () => {
    const keyProviderInfo = Buffer.from('ff00c080', 'hex')
    const [key] = read(encodeEncryptedDataKeys([{ ...keyOf('ciphertext', 3), keyProviderInfo }]))
    assert.deepEqual(key!.keyProviderInfo, keyProviderInfo)
  })

  it('refuses every true prefix as truncated', () => {
    const list = [keyOf('ciphertext', 4), keyOf('keyProviderInfo', 0)]
    assertPrefixesTruncated(() => readEncryptedDataKeys(...NO_LIMITS), encodeEncryptedDataKeys(list))
  })

  it('refuses a provider id that is not UTF-8', () => {
    for (const id of ['ff', 'c080', 'eda080', 'e282']) {
      const size = (id.length / 2).toString(16).padStart(4, '0')
      const encoded = Buffer.from(`0001${size}${id}0000` + '0000', 'hex')
      assert.throws(() => read(encoded), { code: 'ERR_ESDK_MALFORMED', message: /key provider id is not valid UTF-8/ })
    }
  })

  describe('judges the count as soon as it is read', () => {
    const count = (value: number): Buffer => Buffer.from(value.toString(16).padStart(4, '0'), 'hex')

    it('of none', () => {
      assert.throws(() => feed(readEncryptedDataKeys(...NO_LIMITS), count(0)), MalformedMessageError)
    })

    it('above the limit of keys', () => {
      assert.throws(() => feed(readEncryptedDataKeys(10, 2 ** 20), count(11)), {
        code: 'ERR_ESDK_LIMIT',
        message: 'the header has 11 encrypted data keys; the limit is 10',
      })
      assert.throws(() => feed(readEncryptedDataKeys(10, 2 ** 20), count(0xffff)), LimitError)
      assert.deepEqual(feed(readEncryptedDataKeys(10, 2 ** 20), count(10)), { asks: 2, given: 2 })
    })

    it('whose shortest entries would pass the limit of bytes', () => {
      assert.throws(() => feed(readEncryptedDataKeys(0xffff, 600), count(101)), {
        code: 'ERR_ESDK_LIMIT',
        message: /claims 101 encrypted data keys, which its limit of 600 bytes can't hold/,
      })
      assert.deepEqual(feed(readEncryptedDataKeys(0xffff, 600), count(100)), { asks: 2, given: 2 })
    })
  })

  it('takes fields of 65,535 bytes and no longer ones', () => {
    for (const field of ['keyProviderId', 'keyProviderInfo', 'ciphertext'] as const) {
      const longest = keyOf(field, 0xffff)
      assert.deepEqual(read(encodeEncryptedDataKeys([longest])), [longest])
      assert.throws(() => encodeEncryptedDataKeys([keyOf(field, 0x10000)]), LimitError)
    }
  })

  it('measures a provider id in bytes, not characters', () => {
    assert.throws(
      () => encodeEncryptedDataKeys([{ ...keyOf('ciphertext', 1), keyProviderId: 'é'.repeat(0x8000) }]),
      LimitError,
    )
  })

  it('takes 65,535 keys and no more', () => {
    const key = keyOf('ciphertext', 0)
    const most = Array.from({ length: 0xffff }, () => key)
    assert.equal(read(encodeEncryptedDataKeys(most)).length, 0xffff)
    assert.throws(() => encodeEncryptedDataKeys([...most, key]), LimitError)
  })
})
