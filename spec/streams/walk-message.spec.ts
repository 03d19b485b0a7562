import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ALGORITHM_SUITES } from 'esdk-streams/format'
import { MalformedMessageError, TruncatedMessageError, encrypt, isEncryptionSdkError } from 'esdk-streams'
import { headerLayout } from '#lib/format/header-layout'
import { MessageWalk, type WalkedMessage } from '#lib/streams/walk-message'
import { aesKeyring, cuts, messageCases, messageOf } from '../arbitraries.ts'
import { type Crafted, type FrameRecipe, CRAFTED_PLAINTEXT, craft, framesOf, uint } from '../message-recipe.ts'

async function walk(chunks: Iterable<Uint8Array>): Promise<WalkedMessage> {
  const begun = await MessageWalk.begin(chunks)
  return begun.finish()
}

const messages = (): readonly (readonly [string, Crafted, boolean])[] =>
  ALGORITHM_SUITES.flatMap((suite) =>
    [false, true].map(
      (nonFramed) =>
        [`${suite.name} ${nonFramed ? 'non-framed' : 'framed'}`, craft({ suite, nonFramed }), nonFramed] as const,
    ),
  )

/** The parts of a header where they end, by the names that are told. */
function headerEnds({ parts, header }: Crafted): readonly (readonly [string, number])[] {
  const names: readonly (readonly [keyof Crafted['parts'], string])[] = [
    ['version', 'version'],
    ['type', 'type'],
    ['suite', 'algorithm suite'],
    ['messageId', 'message id'],
    ['context', 'encryption context'],
    ['keys', 'encrypted data keys'],
    ['contentType', 'content type'],
    ['reserved', 'reserved'],
    ['ivLength', 'IV length'],
    ['frameLength', 'frame length'],
    ['commitment', 'commitment'],
  ]
  let end = 0
  const ends = names.map(([part, name]) => [name, (end += parts[part].length)] as const)
  return [...ends, ['header authentication', header.length] as const]
}

/** Parts that lie one after the other, from the header to the end. */
function assertSeamless({ parts, messageLength }: WalkedMessage, headerLength: number): void {
  let at = headerLength
  for (const { offset, length } of parts) {
    assert.equal(offset, at)
    at += length
  }
  assert.equal(at, messageLength)
}

describe('a walk through a message without keys', () => {
  it('finds every whole message whole, however its bytes come', async () => {
    const property = fc.asyncProperty(messageCases, cuts, async (sample, cut) => {
      const message = await messageOf(sample)
      const begun = await MessageWalk.begin(cut(message))
      const found = await begun.finish()
      assert.deepEqual(found.faults, [])
      assert.equal(found.complete, true)
      assert.equal(found.contentLength, sample.plaintext.length)
      assert.equal(found.messageLength, message.length)
      assert.equal(found.signatureLength !== undefined, sample.suite.signature !== undefined)
      assertSeamless(found, begun.headerBytes.length)
    })
    await fc.assert(property, { numRuns: 50 })
    for (const [name, { message }] of messages()) assert.equal((await walk([message])).complete, true, name)
  })

  it('says of every proper beginning, of every suite and both kinds of content, where it was cut', async () => {
    for (const [name, crafted, nonFramed] of messages()) {
      const { message, header, body } = crafted
      const ends = headerEnds(crafted)
      const bodyEnd = header.length + body.length
      const size = 48
      for (let length = 0; length < message.length; length++) {
        const about = `${name}, ${length} bytes`
        const beginning = message.subarray(0, length)
        if (length < header.length) {
          await assert.rejects(walk([beginning]), (error) => {
            assert.ok(error instanceof TruncatedMessageError, about)
            const where = length === 0 ? 'is empty' : ends.find(([, end]) => length < end)![0]
            assert.ok(error.message.includes(where), `${about}: ${error.message}`)
            return true
          })
          continue
        }
        const found = await walk([beginning])
        const fault = found.faults.at(-1)!
        assert.deepEqual(
          [found.complete, fault.code, fault.offset, found.faultCount],
          [false, 'ERR_ESDK_TRUNCATED', length, 1],
          about,
        )
        assertSeamless(found, header.length)
        const bodyBytes = length - header.length
        if (length >= bodyEnd) assert.match(fault.message, /footer|signature/, about)
        else if (nonFramed) assert.match(fault.message, /content/, about)
        else {
          const frame = Math.floor(bodyBytes / size) + 1
          assert.equal(found.regularFrames, frame - 1, about)
          const isTold =
            fault.message.includes(`frame ${frame}`) || (frame === 3 && fault.message.includes('final frame'))
          assert.ok(isTold, `${about}: ${fault.message}`)
          const at = bodyBytes % size
          if (frame < 3 && at >= 4) {
            const field = at < 16 ? 'IV' : at < 32 ? 'content' : 'tag'
            assert.ok(fault.message.includes(`in the ${field} of`), `${about}: ${fault.message}`)
          }
        }
      }
    }
  }).timeout(120_000)

  it('knows where each part of a header stands', () => {
    for (const [name, crafted] of messages()) {
      const layout = headerLayout(crafted.header)
      let at = 0
      for (const { offset, length, expectedLength } of layout) {
        assert.deepEqual([offset, expectedLength], [at, undefined], name)
        at += length
      }
      assert.equal(at, crafted.header.length)
      const authentication = layout.filter(({ section }) => section === 'header authentication')
      const expected = crafted.parts.version[0] === 1 ? ['IV 12', 'tag 16'] : ['tag 16']
      assert.deepEqual(
        authentication.map((part) => `${part.name} ${part.length}`),
        expected,
      )
    }
  })

  it('throws nothing but coded errors, whatever was damaged', async () => {
    const all = messages()
    const property = fc.asyncProperty(
      fc.nat(),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (which, where, mask) => {
        const { message } = all[which % all.length]![1]
        const damaged = Buffer.from(message)
        const at = where % damaged.length
        damaged[at] = damaged[at]! ^ mask
        try {
          const begun = await MessageWalk.begin([damaged])
          const found = await begun.finish()
          assert.equal(found.messageLength, damaged.length)
          assertSeamless(found, begun.headerBytes.length)
        } catch (error) {
          assert.ok(isEncryptionSdkError(error), String(error))
        }
      },
    )
    await fc.assert(property, { numRuns: 500 })
  })

  const suite = ALGORITHM_SUITES.find(({ id }) => id === 0x0578)!
  const whole = framesOf(Buffer.alloc(16 * 10), 16)

  for (const [what, frames, expected] of [
    ['bears another number', replaced(whole, 3, 99), ['frame 4 bears the number 99']],
    ['is missing', whole.filter((_, index) => index !== 3), ['frame 4 bears the number 5']],
    ['is there twice', [...whole.slice(0, 4), ...whole.slice(3)], ['frame 5 bears the number 4']],
    [
      'is the last and bears another number',
      replaced(whole, 9, 7),
      ['the final frame, which is frame 10, bears the number 7'],
    ],
    ['is number 0', replaced(whole, 0, 0), ['frame 1 bears the number 0']],
  ] as const) {
    it(`names a frame that ${what}, and goes on`, async () => {
      const { message, header } = craft({ suite, frames })
      const found = await walk([message])
      assert.deepEqual(
        found.faults.map((fault) => fault.message),
        expected,
      )
      assert.ok(found.finalFrame !== undefined && found.signatureLength !== undefined)
      assertSeamless(found, header.length)
    })
  }

  it('gives up where numbers make no sense any more, and counts the rest', async () => {
    const { message, header } = craft({ suite, frames: whole })
    const at = header.length + 2 * 48
    const torn = Buffer.concat([message.subarray(0, at), message.subarray(at + 7)])
    const found = await walk([torn])
    assert.equal(found.parts.at(-1)!.kind, 'unread')
    assert.equal(found.faults[0]!.offset, at)
    assert.equal(found.messageLength, torn.length)
    assertSeamless(found, header.length)
  })

  it('names a final frame, content and footer that claim what can not be, and bytes after the end', async () => {
    for (const [recipe, expected] of [
      [
        { suite, frames: [{ ...framesOf(CRAFTED_PLAINTEXT, 64)[0]!, storedLength: 4000n }] },
        /final frame claims 4000 bytes/,
      ],
      [
        {
          suite,
          nonFramed: true,
          frames: [{ content: Buffer.alloc(3), kind: 'non-framed', number: 1, storedLength: 2n ** 60n }],
        },
        /content claims/,
      ],
      [{ suite, sign: () => Buffer.alloc(105) }, /footer claims a signature of 105 bytes/],
      [{ suite, sign: () => Buffer.alloc(0) }, /footer claims a signature of 0 bytes/],
      [{ suite, trailing: Buffer.alloc(9) }, /9 bytes after the end/],
    ] as const) {
      const { message, header } = craft(recipe)
      const found = await walk([message])
      assert.deepEqual([found.complete, found.faults[0]!.code], [false, 'ERR_ESDK_MALFORMED'])
      assert.match(found.faults[0]!.message, expected)
      assertSeamless(found, header.length)
    }
    await assert.rejects(walk([Buffer.from('hello')]), MalformedMessageError)
  })

  it('takes the same memory whatever the size', async () => {
    const { ciphertext } = await encrypt('', { keyring: aesKeyring(), algorithmSuite: 0x0478 })
    const header = ciphertext.subarray(0, (await MessageWalk.begin([ciphertext])).headerBytes.length)
    const frames = 100_000
    const run = async function* (): AsyncGenerator<Buffer> {
      yield header
      const frame = Buffer.alloc(4096 + 32)
      for (let number = 1; number <= frames; number++) {
        frame.writeUInt32BE(number)
        yield await Promise.resolve(frame)
      }
      yield Buffer.concat([uint(0xffffffff, 4), uint(frames + 1, 4), Buffer.alloc(12), uint(0, 4), Buffer.alloc(16)])
    }
    gc!()
    const before = process.memoryUsage()
    const begun = await MessageWalk.begin(run())
    const found = await begun.finish()
    gc!()
    const after = process.memoryUsage()
    assert.deepEqual([found.complete, found.regularFrames], [true, frames])
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers
    assert.ok(grown < 8e6, `${grown} bytes more`)
  })
})

/** Frames of which one says another number. */
function replaced(frames: readonly FrameRecipe[], index: number, storedNumber: number): FrameRecipe[] {
  return frames.map((frame, at) => (at === index ? { ...frame, storedNumber } : frame))
}
