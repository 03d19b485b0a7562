import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import {
  type CryptographicMaterialsManager,
  type DecryptOptions,
  DecryptStream,
  EncryptStream,
  EncryptionSdkError,
  type ErrorCode,
  type Keyring,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { algorithmSuite, bodyAad, readFrom, readMessageHeader } from 'esdk-streams/format'
import { aesKeyring, cuts, messageCases, messageOf, policyOf, sequence, through } from '../arbitraries.ts'
import {
  type FrameRecipe,
  type Recipe,
  craft,
  craftingKeyring,
  framesOf,
  prefixed,
  uint,
  wrap,
} from '../message-recipe.ts'

const FRAME = 16

/** Messages of every kind that any implementation writes: suites × framed with either last frame, or not framed. */
const KINDS = [0x0014, 0x0178, 0x0214, 0x0378, 0x0478, 0x0578].flatMap((suite) =>
  (['full', 'empty', 'non-framed'] as const).map((last) => ({ suite, last })),
)

interface Kind {
  readonly suite: number
  readonly last: 'full' | 'empty' | 'non-framed'
}

const kinds = fc.constantFrom(...KINDS)

interface Prepared {
  readonly message: Buffer
  readonly headerLength: number
  readonly footerOffset: number
  readonly plaintext: Buffer
  readonly options: DecryptOptions
}

function prepare({ suite: id, last }: Kind, plaintext: Buffer, changes: Partial<Recipe> = {}): Prepared {
  const suite = algorithmSuite(id)
  const shape = last === 'non-framed' ? { nonFramed: true, frameLength: 0 } : { frames: frames(plaintext, last) }
  const { message, header, body } = craft({
    suite,
    plaintext,
    context: { kind: last },
    frameLength: FRAME,
    ...shape,
    ...changes,
  })
  const options = { keyring: craftingKeyring(), commitmentPolicy: policyOf(suite) }
  return { message, headerLength: header.length, footerOffset: header.length + body.length, plaintext, options }
}

/** The frames of a plaintext; one that divides evenly ends in a full or in an empty one. */
function frames(plaintext: Buffer, last: 'full' | 'empty'): FrameRecipe[] {
  const cut = framesOf(plaintext, FRAME)
  const final = cut.at(-1)!
  if (last === 'full' || final.content.length < FRAME) return cut
  const number = final.number + 1
  return [...cut.slice(0, -1), { ...final, kind: 'regular' }, { content: Buffer.alloc(0), kind: 'final', number }]
}

/** Asserts that a message fails with a code, whole and streamed, and that only a true prefix leaves the stream. */
async function assertFails(
  { options, plaintext }: Pick<Prepared, 'options' | 'plaintext'>,
  chunks: Buffer[],
  code: ErrorCode | readonly ErrorCode[],
): Promise<{ released: Buffer; error: EncryptionSdkError }> {
  const expected = (error: unknown): boolean =>
    error instanceof EncryptionSdkError && ([] as ErrorCode[]).concat(code).includes(error.code)
  await assert.rejects(decrypt(chunks, options), expected)
  const released: Buffer[] = []
  const stream = new DecryptStream(options)
  stream.on('data', (chunk) => released.push(chunk)) // flowing: what is pushed leaves at once
  stream.on('end', () => assert.fail('a failed stream ended'))
  let error: unknown
  await assert.rejects(pipeline(Readable.from(chunks), stream), (thrown) => {
    error = thrown
    return expected(thrown)
  })
  const prefix = Buffer.concat(released)
  assert.deepEqual(prefix, plaintext.subarray(0, prefix.length))
  return { released: prefix, error: error as EncryptionSdkError } // checked above
}

const ANY_CODE = [
  'ERR_ESDK_AUTHENTICATION',
  'ERR_ESDK_MALFORMED',
  'ERR_ESDK_TRUNCATED',
  'ERR_ESDK_UNSUPPORTED',
  'ERR_ESDK_LIMIT',
  'ERR_ESDK_UNWRAP',
  'ERR_ESDK_POLICY',
] as const

describe('DecryptStream', () => {
  it('undoes EncryptStream, for every suite and keyring, under any cutting and any delays', async () => {
    const delays = fc.array(fc.constantFrom(0, 0, 0, 1), { maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(messageCases, cuts, cuts, delays, async (message, cutPlain, cutMessage, waits) => {
        const slowly = async function* (chunks: readonly Buffer[]): AsyncGenerator<Buffer> {
          for (const [index, chunk] of chunks.entries()) {
            if (waits[index] === 1) await setTimeout(1)
            yield chunk
          }
        }
        const sealed: Buffer[] = []
        await pipeline(
          slowly(cutPlain(message.plaintext)),
          new EncryptStream(message.encryptOptions),
          async (output: AsyncIterable<Buffer>) => {
            for await (const chunk of output) sealed.push(chunk)
          },
        )
        const opened: Buffer[] = []
        await pipeline(
          slowly(cutMessage(Buffer.concat(sealed))),
          new DecryptStream(message.decryptOptions),
          async (output: AsyncIterable<Buffer>) => {
            for await (const chunk of output) opened.push(chunk)
          },
        )
        assert.deepEqual(Buffer.concat(opened), message.plaintext)
      }),
      { numRuns: 150 },
    )
  })

  it('reads every kind of message, signed or not, framed or not, with either last frame', async () => {
    await fc.assert(
      fc.asyncProperty(kinds, fc.nat(4 * FRAME), cuts, async (kind, length, cut) => {
        const { message, plaintext, options } = prepare(kind, sequence(0, length))
        assert.deepEqual((await decrypt(message, options)).plaintext, plaintext)
        assert.deepEqual(await through(cut(message), new DecryptStream(options)), plaintext)
        assert.deepEqual(await through(cut(message), new DecryptStream({ ...options, verifyFirst: true })), plaintext)
      }),
      { numRuns: 150 },
    )
  })

  it('takes a message cut at every place, and byte by byte', async () => {
    for (const kind of KINDS) {
      const { message, plaintext, options } = prepare(kind, sequence(0, 2 * FRAME))
      const single = Array.from(message, (byte) => Buffer.from([byte]))
      assert.deepEqual(await through(single, new DecryptStream(options)), plaintext)
      for (let at = 1; at < message.length; at += 3) {
        const parts = [message.subarray(0, at), message.subarray(at)]
        assert.deepEqual(await through(parts, new DecryptStream(options)), plaintext, `cut at ${at}`)
      }
    }
  })

  it('finds every proper prefix truncated, and releases only a true prefix', async () => {
    for (const kind of KINDS) {
      const prepared = prepare(kind, sequence(0, 2 * FRAME))
      for (let length = 0; length < prepared.message.length; length++) {
        await assertFails(prepared, [prepared.message.subarray(0, length)], 'ERR_ESDK_TRUNCATED')
      }
    }
  })

  it('finds any one changed byte, and releases only a true prefix', async () => {
    await fc.assert(
      fc.asyncProperty(
        kinds,
        fc.nat(4 * FRAME),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        cuts,
        async (kind, length, at, flip, cut) => {
          const prepared = prepare(kind, sequence(0, length))
          prepared.message[at % prepared.message.length]! ^= flip
          await assertFails(prepared, cut(prepared.message), ANY_CODE)
        },
      ),
      { numRuns: 400 },
    )
  })

  it('finds every flipped bit of a message of every suite under a real keyring', async () => {
    await fc.assert(
      fc.asyncProperty(messageCases, fc.nat(), fc.nat(7), async (message, at, bit) => {
        const bytes = await messageOf(message)
        bytes[at % bytes.length]! ^= 1 << bit
        await assertFails({ options: message.decryptOptions, plaintext: message.plaintext }, [bytes], ANY_CODE)
      }),
      { numRuns: 150 },
    )
  })

  it('refuses bytes after the message, be it one or a whole further message', async () => {
    for (const kind of KINDS) {
      const prepared = prepare(kind, sequence(0, FRAME + 3))
      for (const more of [Buffer.from([0]), prepared.message, Buffer.alloc(500_000)]) {
        await assertFails(prepared, [prepared.message, more], 'ERR_ESDK_MALFORMED')
        await assertFails(prepared, [Buffer.concat([prepared.message, more])], 'ERR_ESDK_MALFORMED')
      }
    }
  })

  it('gives the plaintext of nothing as nothing, and ends', async () => {
    for (const kind of KINDS) {
      const { message, options } = prepare(kind, Buffer.alloc(0))
      assert.equal((await decrypt(message, options)).plaintext.length, 0)
      assert.equal((await through([message], new DecryptStream(options))).length, 0)
    }
  })

  it('finds an empty input truncated, not an empty plaintext', async () => {
    const prepared = prepare({ suite: 0x0478, last: 'full' }, Buffer.alloc(0))
    const { error } = await assertFails(prepared, [], 'ERR_ESDK_TRUNCATED')
    assert.match(error.message, /empty/)
  })

  describe('of a signed message', () => {
    const signed = KINDS.filter(({ suite }) => algorithmSuite(suite).signature !== undefined)

    it('holds the last frame that is not empty until the signature has verified', async () => {
      for (const kind of signed) {
        for (const length of [1, FRAME - 1, FRAME, 2 * FRAME, 2 * FRAME + 1, 40 * FRAME]) {
          const prepared = prepare(kind, sequence(0, length))
          const last = kind.last === 'non-framed' ? length : length % FRAME || FRAME
          const tampered = Buffer.from(prepared.message)
          tampered[tampered.length - 1]! ^= 1
          const { released, error } = await assertFails(prepared, [tampered], 'ERR_ESDK_AUTHENTICATION')
          assert.equal('part' in error && error.part, 'signature')
          assert.equal(released.length, length - last, `${kind.last} ${length}`)
          const cut = await assertFails(
            prepared,
            [prepared.message.subarray(0, prepared.footerOffset)],
            'ERR_ESDK_TRUNCATED',
          )
          assert.equal(cut.released.length, length - last)
        }
      }
    })

    it('refuses a signature over anything but all its bytes', async () => {
      for (const kind of signed) {
        const other = prepare(kind, sequence(1, FRAME))
        const prepared = prepare(kind, sequence(0, FRAME), {
          sign: () => other.message.subarray(other.footerOffset + 2),
        })
        const { released } = await assertFails(prepared, [prepared.message], 'ERR_ESDK_AUTHENTICATION')
        assert.equal(released.length, 0)
      }
    })

    it('refuses a signature of a length that none can have, as soon as it is read', async () => {
      for (const kind of signed) {
        for (const length of [0, algorithmSuite(kind.suite).signature!.maxSignatureBytes + 1, 65535]) {
          const prepared = prepare(kind, sequence(0, FRAME), { sign: () => Buffer.alloc(length, 0x30) })
          await assertFails(prepared, [prepared.message.subarray(0, prepared.footerOffset + 2)], 'ERR_ESDK_MALFORMED')
        }
      }
    })

    it('is refused by unsignedOnly after its header, before any key is asked for', async () => {
      for (const kind of signed) {
        const { message, options } = prepare(kind, sequence(0, FRAME))
        await assertNotAsked(message, { ...options, unsignedOnly: true }, 'ERR_ESDK_POLICY')
      }
      const unsigned = prepare({ suite: 0x0478, last: 'full' }, sequence(0, FRAME))
      assert.deepEqual(
        (await decrypt(unsigned.message, { ...unsigned.options, unsignedOnly: true })).plaintext,
        unsigned.plaintext,
      )
    })
  })

  describe('finds frames', () => {
    const kind = { suite: 0x0478, last: 'full' } as const
    const three = sequence(0, 3 * FRAME)
    const [first, second, final] = frames(three, 'full') as [FrameRecipe, FrameRecipe, FrameRecipe] // three frames

    const WRONG: Readonly<Record<string, { frames: FrameRecipe[]; code: ErrorCode; released: number }>> = {
      'out of order': { frames: [second, first, final], code: 'ERR_ESDK_AUTHENTICATION', released: 0 },
      repeated: { frames: [first, first, second, final], code: 'ERR_ESDK_AUTHENTICATION', released: FRAME },
      missing: { frames: [first, final], code: 'ERR_ESDK_AUTHENTICATION', released: FRAME },
      'that begin with 2': {
        frames: [first, second, final].map((frame) => ({ ...frame, number: frame.number + 1 })),
        code: 'ERR_ESDK_AUTHENTICATION',
        released: 0,
      },
      'numbered other than they are authenticated': {
        frames: [{ ...first, storedNumber: 9 }, second, final],
        code: 'ERR_ESDK_AUTHENTICATION',
        released: 0,
      },
      'authenticated under a number that they do not bear': {
        frames: [{ ...first, number: 9, storedNumber: 1 }, second, final],
        code: 'ERR_ESDK_AUTHENTICATION',
        released: 0,
      },
      'of which the final one is numbered wrong': {
        frames: [first, second, { ...final, number: 7 }],
        code: 'ERR_ESDK_AUTHENTICATION',
        released: 2 * FRAME,
      },
      'of which the final one is longer than the frame length': {
        frames: [{ content: three.subarray(0, FRAME + 1), kind: 'final', number: 1 }],
        code: 'ERR_ESDK_MALFORMED',
        released: 0,
      },
      'without a final one': { frames: [first, second], code: 'ERR_ESDK_TRUNCATED', released: 2 * FRAME },
      'after the final one': {
        frames: [first, second, final, final],
        code: 'ERR_ESDK_MALFORMED',
        released: 3 * FRAME,
      },
      'with regular content relabelled as final': {
        frames: [{ ...first, kind: 'final', aad: bodyAad(sequence(0xa0, 32), 'regular', 1, FRAME) }],
        code: 'ERR_ESDK_AUTHENTICATION',
        released: 0,
      },
    }

    for (const [name, { frames: wrong, code, released: most }] of Object.entries(WRONG)) {
      it(name, async () => {
        const prepared = prepare(kind, three, { frames: wrong })
        const { released } = await assertFails(prepared, [prepared.message], code)
        assert.ok(released.length <= most)
        const parts = Array.from(prepared.message, (byte) => Buffer.from([byte]))
        assert.equal((await assertFails(prepared, parts, code)).released.length, most)
      })
    }

    it('genuine whose IV is not the sequence number: the stored one counts', async () => {
      for (const suite of [0x0178, 0x0478]) {
        const { message, plaintext, options } = prepare({ suite, last: 'full' }, three, {
          frames: [first, second, final].map((frame, index) => ({ ...frame, iv: Buffer.alloc(12, 0xf0 + index) })),
        })
        assert.deepEqual((await decrypt(message, options)).plaintext, plaintext)
      }
    })

    it('releases nothing of a frame before its tag', async () => {
      const prepared = prepare(kind, three)
      const tampered = Buffer.from(prepared.message)
      tampered[prepared.headerLength + 2 * (FRAME + 32) - 1]! ^= 1 // the last byte of the second frame's tag
      const parts = Array.from(tampered, (byte) => Buffer.from([byte]))
      const { released } = await assertFails(prepared, parts, 'ERR_ESDK_AUTHENTICATION')
      assert.equal(released.length, FRAME)
    })
  })

  describe('checks the header', () => {
    it('commitment before all else that is derived', async () => {
      for (const suite of [0x0478, 0x0578]) {
        const prepared = prepare({ suite, last: 'full' }, sequence(0, FRAME), {
          header: { commitment: Buffer.alloc(32, 1) },
        })
        const { error } = await assertFails(prepared, [prepared.message], 'ERR_ESDK_AUTHENTICATION')
        assert.equal('part' in error && error.part, 'commitment')
      }
    })

    it('tag, and tells nobody of a header that is not authentic', async () => {
      for (const kind of KINDS) {
        const prepared = prepare(kind, sequence(0, FRAME))
        const tampered = Buffer.from(prepared.message)
        tampered[prepared.headerLength - 1]! ^= 1
        const stream = new DecryptStream(prepared.options)
        stream.on('header', () => assert.fail('a header was announced'))
        await assert.rejects(through([tampered], stream), { code: 'ERR_ESDK_AUTHENTICATION', part: 'header' })
        assert.equal(stream.header, undefined)
      }
    })

    it('of bytes as received: unsorted pairs and an expanded empty context are genuine', async () => {
      const pair = (name: string): Buffer => Buffer.concat([prefixed(Buffer.from(name)), prefixed(Buffer.from('1'))])
      const unsorted = Buffer.concat([uint(2, 2), pair('b'), pair('a')])
      for (const suite of [0x0178, 0x0478]) {
        for (const [bytes, context] of [
          [unsorted, { a: '1', b: '1' }],
          [uint(0, 2), {}],
        ] as const) {
          const { message, plaintext, options } = prepare({ suite, last: 'full' }, sequence(0, FRAME), {
            keys: [wrap(sequence(0x40, 32), context)],
            header: { context: prefixed(bytes) },
          })
          const result = await decrypt(message, options)
          assert.deepEqual(result.plaintext, plaintext)
          assert.deepEqual({ ...result.header.encryptionContext }, context)
        }
      }
    })

    it('of version 4.0.0 of the SDK for .NET only where that is allowed, and says so', async () => {
      const { message, plaintext, options } = prepare({ suite: 0x0478, last: 'full' }, sequence(0, FRAME))
      assert.deepEqual((await decrypt(message, { ...options, allowNet400Messages: true })).plaintext, plaintext)
      const old = prepare({ suite: 0x0178, last: 'full' }, sequence(0, FRAME), {
        requiredBytes: Buffer.alloc(2),
        bindMessageId: false,
      })
      await assert.rejects(decrypt(old.message, old.options), /"allowNet400Messages: true" opens such messages/)
      assert.deepEqual(
        (await decrypt(old.message, { ...old.options, allowNet400Messages: true })).plaintext,
        old.plaintext,
      )
      old.message[old.headerLength - 1]! ^= 1
      await assert.rejects(decrypt(old.message, { ...old.options, allowNet400Messages: true }), {
        code: 'ERR_ESDK_AUTHENTICATION',
      })
    })
  })

  describe('refuses, before any key is asked for,', () => {
    it('a suite that the commitment policy forbids', async () => {
      for (const suite of [0x0014, 0x0178, 0x0378]) {
        const { message, options } = prepare({ suite, last: 'full' }, sequence(0, FRAME))
        await assertNotAsked(
          message,
          { ...options, commitmentPolicy: 'require-encrypt-require-decrypt' },
          'ERR_ESDK_POLICY',
        )
        await decrypt(message, { ...options, commitmentPolicy: 'require-encrypt-allow-decrypt' })
      }
    })

    it('another value in the encryption context than was expected', async () => {
      const { message, options } = prepare({ suite: 0x0478, last: 'full' }, sequence(0, FRAME))
      await decrypt(message, { ...options, encryptionContext: { kind: 'full' } })
      await assertNotAsked(message, { ...options, encryptionContext: { kind: 'empty' } }, 'ERR_ESDK_POLICY')
    })

    it('a context without a required name', async () => {
      const { message, options } = prepare({ suite: 0x0478, last: 'full' }, sequence(0, FRAME))
      await decrypt(message, { ...options, requiredEncryptionContextKeys: ['kind'] })
      await assertNotAsked(
        message,
        { ...options, requiredEncryptionContextKeys: ['kind', 'toString'] },
        'ERR_ESDK_POLICY',
      )
    })

    it('more encrypted data keys than are allowed', async () => {
      const { message, options } = prepare({ suite: 0x0478, last: 'full' }, sequence(0, FRAME), {
        keys: Array.from({ length: 3 }, () => wrap(sequence(0x40, 32), { kind: 'full' })),
      })
      await decrypt(message, { ...options, maxEncryptedDataKeys: 3 })
      await assertNotAsked(message, { ...options, maxEncryptedDataKeys: 2 }, 'ERR_ESDK_LIMIT')
    })
  })

  it('refuses an extra reproduced pair that was never authenticated', async () => {
    const { message, options } = prepare({ suite: 0x0478, last: 'full' }, sequence(0, FRAME))
    const wrong = { ...options, encryptionContext: { extra: '1' } }
    await assert.rejects(decrypt(message, wrong), { code: 'ERR_ESDK_UNWRAP' })
    // A keyring that does not bind the context itself leaves that to the header.
    const dataKey = createSecretKey(sequence(0x40, 32))
    const keyring: Keyring = {
      ...refusingKeyring,
      onDecrypt: (materials) => Promise.resolve({ ...materials, dataKey }),
    }
    await assert.rejects(decrypt(message, { ...wrong, keyring }), { code: 'ERR_ESDK_AUTHENTICATION', part: 'header' })
  })

  it('opens a message whose pairs are required and not stored only with just those pairs', async () => {
    const keyring = aesKeyring()
    const encryptionContext = { tenant: '17', purpose: 'backup' }
    for (const suite of [0x0478, 0x0578]) {
      const { ciphertext, header } = await encrypt('text', {
        keyring,
        encryptionContext,
        requiredEncryptionContextKeys: ['tenant'],
        algorithmSuite: suite,
      })
      assert.equal(header.encryptionContext['tenant'], undefined)
      const opened = await decrypt(ciphertext, {
        keyring,
        encryptionContext: { tenant: '17' },
        requiredEncryptionContextKeys: ['tenant'],
      })
      assert.equal(opened.plaintext.toString(), 'text')
      for (const wrong of [{}, { tenant: '18' }, { tenant: '17', more: '' }]) {
        await assert.rejects(decrypt(ciphertext, { keyring, encryptionContext: wrong }), EncryptionSdkError)
      }
    }
  })

  it('refuses materials of another suite, or that the policy forbids, whatever the manager says', async () => {
    const { message, options } = prepare({ suite: 0x0478, last: 'full' }, sequence(0, FRAME))
    const manager = (suite: number): CryptographicMaterialsManager => ({
      getEncryptionMaterials: () => Promise.reject(new Error('unused')),
      decryptMaterials: (request) =>
        Promise.resolve({
          suite: algorithmSuite(suite),
          encryptionContext: request.encryptionContext,
          requiredEncryptionContextKeys: [],
          disproved: [],
          dataKey: createSecretKey(randomBytes(32)),
        }),
    })
    await assert.rejects(decrypt(message, { materialsManager: manager(0x0178) }), { code: 'ERR_ESDK_POLICY' })
    await assert.rejects(
      decrypt(message, { materialsManager: manager(0x0178), commitmentPolicy: 'require-encrypt-allow-decrypt' }),
      { code: 'ERR_ESDK_UNWRAP', message: /0x0178/ },
    )
    await assert.rejects(decrypt(message, { materialsManager: manager(0x0478) }), { part: 'commitment' })
    assert.ok(options.keyring !== undefined)
  })

  it('does not ask for ever a manager that repeats a disproved data key', async () => {
    const { message } = prepare({ suite: 0x0478, last: 'full' }, sequence(0, FRAME))
    let asked = 0
    const unwrappedBy = {}
    const keyring: Keyring = {
      ...refusingKeyring,
      onDecrypt: (materials, [key]) => {
        asked++
        const unconfirmed = { unwrappedBy, attempt: { key: key!, reason: 'not unwrapped' } }
        return Promise.resolve({ ...materials, dataKey: createSecretKey(randomBytes(32)), unconfirmed })
      },
    }
    await assert.rejects(decrypt(message, { keyring }), { code: 'ERR_ESDK_UNWRAP', message: /not unwrapped/ })
    assert.equal(asked, 2)
  })

  it('announces the header before any plaintext, once, and counts bytes and frames', async () => {
    const plaintext = sequence(0, 100)
    const { message, options } = prepare({ suite: 0x0578, last: 'empty' }, plaintext)
    const stream = new DecryptStream(options)
    const events: string[] = []
    stream.on('header', (header) => {
      events.push('header')
      assert.equal(header, stream.header)
    })
    stream.on('data', () => events.push('data'))
    await pipeline(Readable.from([message]), stream)
    assert.equal(events.filter((event) => event === 'header').length, 1)
    assert.equal(events[0], 'header')
    assert.deepEqual({ ...stream.stats }, { bytesIn: message.length, bytesOut: 100, frames: 7 })
    assert.deepEqual(stream.header!.messageId, readFrom(readMessageHeader(), message).value.messageId)
  })
})

const refusingKeyring: Keyring = {
  onEncrypt: () => Promise.reject(new Error('unused')),
  onDecrypt: () => Promise.reject(new Error('unused')),
}

/** Asserts that a message is refused with a code and that no manager, and so no keyring, was asked. */
async function assertNotAsked(
  message: Buffer,
  { keyring, ...options }: DecryptOptions,
  code: ErrorCode,
): Promise<void> {
  assert.ok(keyring !== undefined)
  let asked = false
  const materialsManager: CryptographicMaterialsManager = {
    getEncryptionMaterials: () => Promise.reject(new Error('unused')),
    decryptMaterials: () => {
      asked = true
      return Promise.reject(new Error('asked'))
    },
  }
  await assert.rejects(decrypt(message, { ...options, materialsManager }), { code })
  assert.equal(asked, false)
}
