import assert from 'node:assert/strict'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { type ErrorCode, isEncryptionSdkError } from 'esdk-streams'
import {
  ALGORITHM_SUITES,
  type HeaderLimits,
  type MessageHeader,
  algorithmSuite,
  encodeMessageHeader,
  readFrom,
  readMessageHeader,
} from 'esdk-streams/format'
import { DEFAULT_HEADER_LIMITS, MAX_FRAME_BYTES, checkFrameBytes } from '#lib/format/message-header'
import { recorded } from '#lib/format/reading'
import { bytes, encryptionContexts, sequence, suites, texts } from '../arbitraries.ts'
import { type HeaderParts, craft, joinParts, uint } from '../message-recipe.ts'
import { assertPrefixesTruncated, feed } from './feed.ts'

const headers: fc.Arbitrary<MessageHeader> = fc
  .record({
    suite: suites,
    random: bytes(64, 64),
    encryptionContext: encryptionContexts,
    encryptedDataKeys: fc.array(
      fc.record({ keyProviderId: texts, keyProviderInfo: bytes(30), ciphertext: bytes(60) }, { noNullPrototype: true }),
      { minLength: 1, maxLength: 4 },
    ),
    frameLength: fc.integer({ min: 0, max: 2 ** 26 }),
  })
  .map(({ suite, random, frameLength, ...rest }) => {
    const contentType = frameLength === 0 ? 'non-framed' : 'framed'
    const fields = { suite, contentType, frameLength, ...rest } as const
    return suite.committing
      ? { version: 2, messageId: random.subarray(0, 32), ...fields, commitment: random.subarray(32) }
      : { version: 1, messageId: random.subarray(0, 16), ...fields }
  })

const V1 = craft({ suite: algorithmSuite(0x0178) }).parts
const V2 = craft({ suite: algorithmSuite(0x0478) }).parts

const ORDER = [
  ...(['version', 'type', 'suite', 'messageId', 'context', 'keys', 'contentType'] as const),
  ...(['reserved', 'ivLength', 'frameLength', 'commitment'] as const),
]

/** A header body up to and with one of its parts, which is replaced. */
function upTo(parts: HeaderParts, last: keyof HeaderParts, value: Buffer): Buffer {
  const before = ORDER.slice(0, ORDER.indexOf(last)).map((part) => parts[part])
  return Buffer.concat([...before, value])
}

/** Asserts that a header is refused by a field at once, without asking for the bytes after it. */
function refuses(
  parts: HeaderParts,
  field: keyof HeaderParts,
  value: Buffer,
  code: ErrorCode,
  text: RegExp,
  limits?: HeaderLimits,
): void {
  const claim = upTo(parts, field, value)
  assert.throws(
    () => feed(readMessageHeader(limits), claim),
    (error) => {
      assert.ok(isEncryptionSdkError(error), String(error))
      assert.equal(error.code, code)
      assert.match(error.message, text)
      return true
    },
  )
}

/** Asserts that a header with that field is read on. */
function goesOn(parts: HeaderParts, field: keyof HeaderParts, value: Buffer, limits?: HeaderLimits): void {
  const whole = Buffer.concat([
    upTo(parts, field, value),
    ...ORDER.slice(ORDER.indexOf(field) + 1).map((part) => parts[part]),
  ])
  assert.equal(readFrom(readMessageHeader(limits), whole).length, whole.length)
}

describe('format/message-header', () => {
  it('comes back as it was, of both versions', () => {
    fc.assert(
      fc.property(headers, (header) => {
        const encoded = encodeMessageHeader(header)
        const { value, length } = readFrom(readMessageHeader(), encoded)
        assert.equal(length, encoded.length)
        const { encryptionContext, ...rest } = value
        const { encryptionContext: expected, ...others } = header
        assert.deepEqual(rest, others)
        assert.deepEqual(new Map(Object.entries(encryptionContext)), new Map(Object.entries(expected)))
      }),
    )
  })

  it('has the lengths of the format: 34 and 76 bytes, context and keys', () => {
    for (const suite of ALGORITHM_SUITES) {
      const { parts } = craft({ suite, context: {}, publicKey: null })
      assert.equal(parts.context.toString('hex'), '0000')
      const fixed = suite.messageVersion === 1 ? 34 : 76
      assert.equal(joinParts(parts).length, fixed + parts.keys.length - 2)
      const { value } = readFrom(readMessageHeader(), joinParts(parts))
      assert.deepEqual(encodeMessageHeader(value), joinParts(parts))
    }
  })

  it('stores an empty context as a length of 0, and the count of keys follows at once', () => {
    for (const [id, at] of [
      [0x0178, 20],
      [0x0478, 35],
    ] as const) {
      const { header } = craft({ suite: algorithmSuite(id), context: {} })
      assert.equal(header.toString('hex', at, at + 4), '00000001')
    }
  })

  it('has the known layout of version 1', () => {
    const suite = algorithmSuite(0x0014)
    const key = { keyProviderId: 'p', keyProviderInfo: Buffer.from('i'), ciphertext: Buffer.from([1]) }
    const header = { version: 1, suite, messageId: sequence(0, 16), encryptionContext: { a: 'b' } } as const
    const encoded = encodeMessageHeader({
      ...header,
      encryptedDataKeys: [key],
      contentType: 'framed',
      frameLength: 4096,
    })
    const expected =
      '01 80 0014 000102030405060708090a0b0c0d0e0f 0008 0001 0001 61 0001 62 ' +
      '0001 0001 70 0001 69 0001 01 02 00000000 0c 00001000'
    assert.equal(encoded.toString('hex'), expected.replaceAll(' ', ''))
  })

  it('has the known layout of version 2', () => {
    const suite = algorithmSuite(0x0478)
    const key = { keyProviderId: 'p', keyProviderInfo: Buffer.from('i'), ciphertext: Buffer.from([1]) }
    const header = { version: 2, suite, messageId: sequence(0, 32), encryptionContext: {}, frameLength: 0 } as const
    const commitment = sequence(0x20, 32)
    const encoded = encodeMessageHeader({ ...header, encryptedDataKeys: [key], contentType: 'non-framed', commitment })
    const expected = ['02 0478', header.messageId.toString('hex'), '0000 0001 0001 70 0001 69 0001 01 01 00000000']
    assert.equal(encoded.toString('hex'), [...expected, commitment.toString('hex')].join('').replaceAll(' ', ''))
  })

  it('refuses every true prefix as truncated', () => {
    for (const parts of [V1, V2]) assertPrefixesTruncated(readMessageHeader, joinParts(parts))
  })

  describe('judges at once', () => {
    it('the version', () => {
      for (const version of [0, 3, 4, 0x40, 0x7f, 0xff]) {
        refuses(V2, 'version', uint(version, 1), 'ERR_ESDK_MALFORMED', /no such message format version/)
      }
    })

    it('the type of version 1', () => {
      for (const type of [0, 1, 0x7f, 0x81, 0xff]) {
        refuses(V1, 'type', uint(type, 1), 'ERR_ESDK_MALFORMED', new RegExp(`unknown message type ${type}$`))
      }
    })

    it('the suite, which goes with one version', () => {
      for (const { id, messageVersion } of ALGORITHM_SUITES) {
        const [right, wrong] = messageVersion === 1 ? [V1, V2] : [V2, V1]
        refuses(wrong, 'suite', uint(id, 2), 'ERR_ESDK_MALFORMED', /does not go with message format version/)
        assert.equal(feed(readMessageHeader(), upTo(right, 'suite', uint(id, 2))).asks, right.messageId.length)
      }
      for (const id of [0, 0x0215, 0x0579, 0xffff]) {
        refuses(V1, 'suite', uint(id, 2), 'ERR_ESDK_MALFORMED', /unknown algorithm suite/)
        refuses(V2, 'suite', uint(id, 2), 'ERR_ESDK_MALFORMED', /unknown algorithm suite/)
      }
      for (const id of [0x0070, 0x0071, 0x0072, 0x0073, 0x0074, 0x6700, 0x6701]) {
        refuses(V2, 'suite', uint(id, 2), 'ERR_ESDK_UNSUPPORTED', /belongs to/)
      }
    })

    it('the count of keys, with the limits of the caller', () => {
      const limits = { ...DEFAULT_HEADER_LIMITS, maxEncryptedDataKeys: 10 }
      for (const parts of [V1, V2]) {
        refuses(parts, 'keys', uint(0, 2), 'ERR_ESDK_MALFORMED', /no encrypted data key/)
        refuses(parts, 'keys', uint(0xffff, 2), 'ERR_ESDK_LIMIT', /the limit is 10$/, limits)
        const bytesLimit = { ...DEFAULT_HEADER_LIMITS, maxHeaderBytes: 1000 }
        refuses(parts, 'keys', uint(0xffff, 2), 'ERR_ESDK_LIMIT', /limit of 1000 bytes/, bytesLimit)
      }
    })

    it('the content type', () => {
      for (const type of [0, 3, 0x80, 0xff]) {
        for (const parts of [V1, V2]) {
          refuses(
            parts,
            'contentType',
            uint(type, 1),
            'ERR_ESDK_MALFORMED',
            new RegExp(`unknown content type ${type}$`),
          )
        }
      }
    })

    it('each reserved byte', () => {
      for (const shift of [0, 8, 16, 24]) {
        refuses(V1, 'reserved', uint(2 ** shift, 4), 'ERR_ESDK_MALFORMED', /the reserved field/)
      }
    })

    it('the IV length', () => {
      for (const length of [0, 11, 13, 255]) {
        refuses(V1, 'ivLength', uint(length, 1), 'ERR_ESDK_MALFORMED', new RegExp(`IV length ${length}, expected 12`))
      }
    })

    it('the frame length against the content type', () => {
      for (const parts of [V1, V2]) {
        refuses(parts, 'frameLength', uint(0, 4), 'ERR_ESDK_MALFORMED', /frame length 0/)
        const nonFramed = { ...parts, contentType: uint(1, 1) }
        refuses(nonFramed, 'frameLength', uint(1, 4), 'ERR_ESDK_MALFORMED', /a non-framed message with a frame length/)
        goesOn(nonFramed, 'frameLength', uint(0, 4))
      }
    })

    it('the frame length against the limit of the caller', () => {
      for (const parts of [V1, V2]) {
        goesOn(parts, 'frameLength', uint(2 ** 26, 4))
        refuses(parts, 'frameLength', uint(2 ** 26 + 1, 4), 'ERR_ESDK_LIMIT', /"maxFrameBytes" is 67108864/)
        const limits = { ...DEFAULT_HEADER_LIMITS, maxFrameBytes: 100 }
        goesOn(parts, 'frameLength', uint(100, 4), limits)
        refuses(parts, 'frameLength', uint(101, 4), 'ERR_ESDK_LIMIT', /101 bytes; "maxFrameBytes" is 100/, limits)
        const most = { ...DEFAULT_HEADER_LIMITS, maxFrameBytes: MAX_FRAME_BYTES }
        goesOn(parts, 'frameLength', uint(2 ** 30, 4), most)
        refuses(parts, 'frameLength', uint(2 ** 30 + 1, 4), 'ERR_ESDK_UNSUPPORTED', /most that is handled/, most)
        refuses(parts, 'frameLength', uint(2 ** 32 - 1, 4), 'ERR_ESDK_UNSUPPORTED', /most that is handled/, most)
      }
    })

    it('a field that would pass the limit of the whole header', () => {
      const claim = upTo(V2, 'context', uint(5000, 2))
      assert.throws(
        () => feed(recorded(readMessageHeader(), 100, 'header'), Buffer.concat([claim, uint(1, 2), uint(4000, 2)])),
        {
          code: 'ERR_ESDK_LIMIT',
          message: /the header is longer than the limit of 100 bytes/,
        },
      )
    })
  })

  it('knows what it sees: base64 of every kind of message, and gzip', () => {
    for (const suite of ALGORITHM_SUITES) {
      const text = craft({ suite }).message.toString('base64')
      const base64 = { code: 'ERR_ESDK_MALFORMED', message: /base64-encoded message; decode it first/ }
      assert.throws(() => readFrom(readMessageHeader(), Buffer.from(text)), base64)
      assert.throws(() => feed(readMessageHeader(), Buffer.from(text.slice(0, 2))), base64)
    }
    const gzip = gzipSync(craft({ suite: algorithmSuite(0x0578) }).message)
    assert.throws(() => readFrom(readMessageHeader(), gzip), /gzip data; decompress it first/)
    assert.throws(() => feed(readMessageHeader(), gzip.subarray(0, 1)), /gzip/)
    assert.throws(() => readFrom(readMessageHeader(), Buffer.from('AX')), /starts with the byte 65/)
    assert.throws(() => readFrom(readMessageHeader(), Buffer.from('A')), { code: 'ERR_ESDK_TRUNCATED' })
  })

  it('checks lengths against a limit in both of its kinds', () => {
    checkFrameBytes(100, 100, 'content')
    assert.throws(() => {
      checkFrameBytes(101, 100, 'content')
    }, /the message has content of 101 bytes; "maxFrameBytes" is 100/)
    assert.throws(
      () => {
        checkFrameBytes(MAX_FRAME_BYTES + 1, MAX_FRAME_BYTES, 'content')
      },
      { code: 'ERR_ESDK_UNSUPPORTED' },
    )
  })
})
