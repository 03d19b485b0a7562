import assert from 'node:assert/strict'
import fc from 'fast-check'
import { LimitError, MalformedMessageError } from 'esdk-streams'
import { encodeEncryptionContext, readEncryptionContext, readFrom } from 'esdk-streams/format'
import { encodePairs, encryptionContextOf, selectPairs } from '#lib/format/encryption-context'
import { encryptionContexts } from '../arbitraries.ts'
import { prefixed } from '../message-recipe.ts'
import { assertPrefixesTruncated, feed } from './feed.ts'

function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(' ', ''), 'hex')
}

function read(bytes: Buffer): Record<string, string> {
  const { value, length } = readFrom(readEncryptionContext(), bytes)
  assert.equal(length, bytes.length)
  return value
}

/** A context of one pair that takes so many bytes. */
function contextOfBytes(total: number): Record<string, string> {
  return { n: 'v'.repeat(total - 7) }
}

describe('format/encryption-context', () => {
  it('comes back as it was, whatever its names', () => {
    fc.assert(
      fc.property(encryptionContexts, (context) => {
        const decoded = read(prefixed(encodeEncryptionContext(context)))
        assert.deepEqual(new Map(Object.entries(decoded)), new Map(Object.entries(context)))
      }),
    )
  })

  it('is the same bytes whatever the order of a caller’s pairs, ascending by UTF-8', () => {
    fc.assert(
      fc.property(encryptionContexts, fc.integer(), (context, seed) => {
        const pairs = Object.entries(context)
        const turned = [...pairs.slice(Math.abs(seed) % (pairs.length + 1)), ...pairs].reverse()
        const encoded = encodeEncryptionContext(context)
        assert.deepEqual(encodeEncryptionContext(Object.fromEntries(turned)), encoded)
        const names = Object.keys(read(prefixed(encoded))).filter((name) => !/^\d+$/.test(name)) // those JavaScript moves
        const sorted = names.map((name) => Buffer.from(name)).sort((a, b) => Buffer.compare(a, b))
        assert.deepEqual(
          names,
          sorted.map((name) => name.toString()),
        )
      }),
    )
  })

  it('has the known answer of six names that other orders sort otherwise', () => {
    const context = { Zebra: '1', apple: '2', '\u00e9clair': '3', '\u{1f600}': '4', '\uff5e': '5', '': 'x' }
    const expected =
      '0006 0000 0001 78 0005 5a65627261 0001 31 0005 6170706c65 0001 32 ' +
      '0007 c3a9636c616972 0001 33 0003 efbd9e 0001 35 0004 f09f9880 0001 34'
    assert.deepEqual(encodeEncryptionContext(context), hex(expected))
  })

  it('is nothing at all where it is empty', () => {
    assert.equal(encodeEncryptionContext({}).length, 0)
    assert.deepEqual({ ...read(hex('0000')) }, {})
  })

  it('is frozen and has no prototype', () => {
    const context = read(
      prefixed(
        encodeEncryptionContext(JSON.parse('{"__proto__": "a", "toString": "b"}') as object as Record<string, string>),
      ),
    ) // JSON makes names of both
    assert.equal(Object.getPrototypeOf(context), null)
    assert.ok(Object.isFrozen(context))
    assert.deepEqual(Object.entries(context).sort(), [
      ['__proto__', 'a'],
      ['toString', 'b'],
    ])
    assert.equal('hasOwnProperty' in context, false)
    assert.ok(Object.isFrozen(encryptionContextOf([])))
  })

  it('keeps a byte order mark', () => {
    const bytes = prefixed(encodeEncryptionContext({ '\ufeffname': '\ufeff' }))
    assert.deepEqual({ ...read(bytes) }, { '\ufeffname': '\ufeff' })
    assert.ok(bytes.includes(hex('efbbbf6e616d65')))
  })

  it('reads pairs in any order', () => {
    const pairs = [['b', '1'] as const, ['a', '2'] as const]
    const bytes = encodePairs(pairs.map(([name, value]) => [Buffer.from(name), Buffer.from(value)]))
    assert.deepEqual({ ...read(prefixed(bytes)) }, { a: '2', b: '1' })
  })

  it('reads an expanded empty section, and no other that is longer than its pairs', () => {
    assert.deepEqual({ ...read(hex('0002 0000')) }, {})
    for (const longer of ['0003 0000 00', '0004 0000 0000', '0006 0000 0000 0000', '0009 0001 0001 61 0001 62 00']) {
      assert.throws(() => read(hex(longer)), { code: 'ERR_ESDK_MALFORMED', message: /longer than its pairs/ })
    }
  })

  it('refuses every true prefix as truncated', () => {
    assertPrefixesTruncated(readEncryptionContext, prefixed(encodeEncryptionContext({ a: 'b', é: '\u{1f600}' })))
  })

  describe('refuses at once', () => {
    const CASES: Readonly<Record<string, [claim: string, text: RegExp]>> = {
      'a section of one byte': ['0001', /too short for its pair count/],
      'a count without pairs': ['0002 0001', /ends inside a pair/],
      'a count of more pairs than there are': ['0008 0002 0001 61 0001 62', /ends inside a pair/],
      'a name past the end': ['0005 0001 0002', /ends inside a pair/],
      'a value past the end': ['0008 0001 0001 61 0002', /ends inside a pair/],
      'half a length field': ['0003 0001', /ends inside a pair/],
      'a pair without value': ['0005 0001 0001 61', /ends inside a pair/],
      'a name that is not UTF-8': ['0007 0001 0001 ff', /a name in the encryption context is not valid UTF-8/],
      'a value that is not UTF-8': [
        '0008 0001 0001 61 0001 80',
        /a value in the encryption context is not valid UTF-8/,
      ],
      'an overlong zero': ['0009 0001 0001 61 0002 c080', /not valid UTF-8/],
      'a lone surrogate': ['000a 0001 0001 61 0003 eda080', /not valid UTF-8/],
      'a code point above the last': ['000b 0001 0001 61 0004 f4908080', /not valid UTF-8/],
      'half a character': ['0009 0001 0001 61 0002 e282', /not valid UTF-8/],
      'a name twice': ['0010 0002 0001 61 0001 31 0001 61 0001 32', /the same name twice/],
      'an empty name twice': ['000e 0002 0000 0001 31 0000 0001 32', /the same name twice/],
      'a name twice, apart': ['0014 0003 0001 61 0000 0001 62 0000 0001 61 0000', /the same name twice/],
    }
    for (const [what, [claim, text]] of Object.entries(CASES)) {
      it(what, () => {
        assert.throws(
          () => feed(readEncryptionContext(), hex(claim)),
          (error) => {
            assert.ok(error instanceof MalformedMessageError)
            assert.match(error.message, text)
            return true
          },
        )
      })
    }
  })

  it('reports two different invalid names as such, not as the same name twice', () => {
    const bytes = hex('0010 0002 0001 fe 0001 31 0001 ff 0001 32')
    assert.throws(() => read(bytes), /not valid UTF-8/)
  })

  it('does not ask for more than its length allows', () => {
    assert.deepEqual(feed(readEncryptionContext(), hex('000a 0001 0001 61')), { asks: 2, given: 7 })
    assert.deepEqual(feed(readEncryptionContext(), hex('000a 0001 0001 61 0003')), { asks: 3, given: 9 })
  })

  it('takes 65,535 bytes and no more', () => {
    const longest = contextOfBytes(0xffff)
    assert.equal(encodeEncryptionContext(longest).length, 0xffff)
    assert.deepEqual({ ...read(prefixed(encodeEncryptionContext(longest))) }, longest)
    assert.throws(() => encodeEncryptionContext(contextOfBytes(0x10000)), LimitError)
    assert.throws(() => encodeEncryptionContext({ ['x'.repeat(0x10000)]: '' }), LimitError)
    assert.throws(() => encodePairs([[Buffer.alloc(0), Buffer.alloc(0xfffa)]]), LimitError)
    assert.equal(encodePairs([[Buffer.alloc(0), Buffer.alloc(0xfff9)]]).length, 0xffff)
    const most = Array.from({ length: 16_383 }, () => [Buffer.alloc(0), Buffer.alloc(0)] as const)
    assert.equal(encodePairs(most).length, 2 + 4 * 16_383)
    assert.throws(() => encodePairs([...most, most[0]!]), LimitError)
  })

  it('selects pairs by name, or all others', () => {
    const context = encryptionContextOf([
      ['a', '1'],
      ['b', '2'],
      ['constructor', '3'],
    ])
    assert.deepEqual({ ...selectPairs(context, ['a', 'constructor', 'none']) }, { a: '1', constructor: '3' })
    assert.deepEqual({ ...selectPairs(context, ['a', 'constructor', 'none'], false) }, { b: '2' })
    assert.deepEqual(
      {
        ...encryptionContextOf([
          ['a', '1'],
          ['a', '2'],
        ]),
      },
      { a: '2' },
    )
  })
})
