/** What a stranger's message claims is judged when the claim is read, before any of what it claims is waited for. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import {
  type DecryptOptions,
  DecryptStream,
  EncryptStream,
  EncryptionSdkError,
  type ErrorCode,
  decrypt,
  encrypt,
  readHeader,
} from 'esdk-streams'
import { algorithmSuite, encodeMessageHeader } from 'esdk-streams/format'
import { type Recipe, craft, craftingKeyring, uint } from '../message-recipe.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const keyring = craftingKeyring()
const suite = algorithmSuite(0x0478)

/** The error that a message's first bytes bring about while the source stays open; undefined: none within a while. */
async function errorWhileOpen(bytes: Buffer, options: DecryptOptions): Promise<unknown> {
  const stream = new DecryptStream(options)
  stream.on('end', () => assert.fail('a failed stream ended'))
  stream.resume()
  const failed = new Promise<unknown>((resolve) => stream.on('error', resolve))
  stream.write(bytes)
  const error = await Promise.race([failed, wait(40)])
  stream.destroy()
  return error
}

/** Asserts that a claim is refused once its last byte is there, and not before, though nothing follows. */
async function assertRefused(
  upToClaim: Buffer,
  code: ErrorCode,
  options: Partial<DecryptOptions> = {},
): Promise<EncryptionSdkError> {
  const all = { keyring, ...options }
  assert.equal(await errorWhileOpen(upToClaim.subarray(0, -1), all), undefined, 'refused before the claim was there')
  const error = await errorWhileOpen(upToClaim, all)
  assert.ok(error instanceof EncryptionSdkError, 'nothing was refused')
  assert.equal(error.code, code)
  await assert.rejects(decrypt(endless(upToClaim).source, all), { code })
  return error
}

/** Bytes, and then chunks of 64 KiB for ever; counts what was taken of it, and whether it was closed. */
function endless(first: Buffer, next: (turn: number) => Buffer = () => Buffer.alloc(64 * 1024)): Endless {
  const state: Endless = { taken: 0, closed: false, source: Readable.from([]) }
  const generate = async function* (): AsyncGenerator<Buffer> {
    try {
      state.taken += first.length
      yield first
      for (let turn = 0; ; turn++) {
        const chunk = next(turn)
        state.taken += chunk.length
        yield chunk
        if (turn % 16 === 0) await wait(0)
      }
    } finally {
      state.closed = true
    }
  }
  state.source = Readable.from(generate(), { objectMode: false })
  return state
}

interface Endless {
  taken: number
  closed: boolean
  source: Readable
}

/** Bytes that are still referred to. */
async function memory(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.()
    await wait(2)
  }
  return used()
}

function used(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** Asserts that an endless source is left alone soon, and that it did not make the process grow. */
async function assertBounded(
  source: Endless,
  code: ErrorCode,
  mostBytes: number,
  options: Partial<DecryptOptions> = {},
): Promise<void> {
  const before = await memory()
  let highest = before
  const sampling = setInterval(() => {
    highest = Math.max(highest, used())
  }, 5)
  const stream = new DecryptStream({ keyring, ...options })
  try {
    await assert.rejects(pipeline(source.source, stream.resume()), { code })
  } finally {
    clearInterval(sampling)
  }
  assert.ok(source.taken <= mostBytes, `${source.taken} bytes were taken`)
  assert.ok(highest - before < 128 * MIB, `the process grew by ${highest - before} bytes`)
  assert.ok((await memory()) - before < 8 * MIB, 'memory was not freed')
  for (let turn = 0; turn < 100 && !source.closed; turn++) await wait(1)
  assert.ok(source.closed, 'the source was left open')
}

const V1_START = Buffer.concat([uint(1, 1), uint(0x80, 1), uint(0x0178, 2), Buffer.alloc(16, 7), uint(0, 2)])
const V2_START = Buffer.concat([uint(2, 1), uint(0x0478, 2), Buffer.alloc(32, 7), uint(0, 2)])
const LARGEST_KEY = Buffer.concat([
  ...Array<Buffer>(3).fill(Buffer.concat([uint(0xffff, 2), Buffer.alloc(0xffff, 0x61)])),
])
const v1 = { commitmentPolicy: 'forbid-encrypt-allow-decrypt' } as const

/** The header of a message, up to and with its frame length. */
function upToFrameLength(frameLength: number): Buffer {
  const header = encodeMessageHeader({
    version: 2,
    suite,
    messageId: Buffer.alloc(32),
    encryptionContext: {},
    encryptedDataKeys: [{ keyProviderId: 'a', keyProviderInfo: Buffer.alloc(1), ciphertext: Buffer.alloc(1) }],
    contentType: 'framed',
    frameLength,
    commitment: Buffer.alloc(32),
  })
  return header.subarray(0, -32)
}

/** An authentic header and the first `bodyBytes` of its body. */
function upToBody(recipe: Omit<Recipe, 'suite'>, bodyBytes: number, id = 0x0478): Buffer {
  const { header, message } = craft({ suite: algorithmSuite(id), ...recipe })
  return message.subarray(0, header.length + bodyBytes)
}

function nonFramed(storedLength: bigint, content: Buffer = Buffer.alloc(0)): Buffer {
  const frames = [{ content, kind: 'non-framed', number: 1, storedLength } as const]
  return upToBody({ nonFramed: true, frames }, 20)
}

describe('hostile messages', () => {
  describe('a number of encrypted data keys', () => {
    it('above maxEncryptedDataKeys is refused on the first 24 bytes', async () => {
      const prefix = Buffer.concat([V1_START, uint(3, 2)])
      assert.equal(prefix.length, 24)
      await assertRefused(prefix, 'ERR_ESDK_LIMIT', { ...v1, maxEncryptedDataKeys: 2 })
      assert.equal(await errorWhileOpen(prefix, { keyring, ...v1, maxEncryptedDataKeys: 3 }), undefined)
      await assertRefused(Buffer.concat([V2_START, uint(0xffff, 2)]), 'ERR_ESDK_LIMIT', { maxEncryptedDataKeys: 1 })
    })

    it('that the header’s own limit can’t hold is refused at once', async () => {
      const claim = Buffer.concat([V2_START, uint(0xffff, 2)])
      await assertRefused(claim, 'ERR_ESDK_LIMIT', { maxHeaderBytes: 0xffff * 6 - 1 })
    })

    it('of zero is refused', async () => {
      await assertRefused(Buffer.concat([V2_START, uint(0, 2)]), 'ERR_ESDK_MALFORMED')
    })
  })

  describe('65,535 data keys of 64 KiB', () => {
    const claim = Buffer.concat([V2_START, uint(0xffff, 2)])

    it('are refused at the length that passes the limit of the header', async () => {
      const whole = Math.floor((MIB - claim.length) / LARGEST_KEY.length)
      const keys = Array<Buffer>(whole).fill(LARGEST_KEY)
      assert.ok(claim.length + (whole + 1) * LARGEST_KEY.length > MIB)
      const fields = Math.floor((MIB - claim.length - whole * LARGEST_KEY.length) / (0xffff + 2))
      const last = LARGEST_KEY.subarray(0, fields * (0xffff + 2) + 2)
      const error = await assertRefused(Buffer.concat([claim, ...keys, last]), 'ERR_ESDK_LIMIT')
      assert.match(error.message, /header/)
    })

    it('do not make the process grow, however long the source goes on', async () => {
      await assertBounded(
        endless(claim, () => LARGEST_KEY),
        'ERR_ESDK_LIMIT',
        2 * MIB,
      )
      await assertBounded(
        endless(claim, () => LARGEST_KEY),
        'ERR_ESDK_LIMIT',
        20 * MIB,
        { maxHeaderBytes: 16 * MIB },
      )
    })

    it('are refused by readHeader too', async () => {
      const source = endless(claim, () => LARGEST_KEY)
      await assert.rejects(readHeader(source.source), { code: 'ERR_ESDK_LIMIT' })
      assert.ok(source.taken <= 2 * MIB)
    })
  })

  it('a pair of the encryption context that passes the limit of the header is refused at its length', async () => {
    const claim = Buffer.concat([V2_START.subarray(0, -2), uint(0xffff, 2), uint(1, 2), uint(60_000, 2)])
    await assertRefused(claim, 'ERR_ESDK_LIMIT', { maxHeaderBytes: 60_000 })
  })

  describe('a frame length', () => {
    it('of 4 GiB is refused when it is read', async () => {
      await assertRefused(upToFrameLength(0xffffffff), 'ERR_ESDK_LIMIT')
      await assertBounded(endless(upToFrameLength(0xffffffff)), 'ERR_ESDK_LIMIT', MIB)
      await assertBounded(endless(upToFrameLength(0xffffffff)), 'ERR_ESDK_UNSUPPORTED', MIB, { maxFrameBytes: GIB })
    })

    it('of zero is refused', async () => {
      await assertRefused(upToFrameLength(0), 'ERR_ESDK_MALFORMED')
    })

    it('is held against maxFrameBytes, 64 MiB unless said', async () => {
      assert.equal(await errorWhileOpen(upToFrameLength(64 * MIB), { keyring }), undefined)
      await assertRefused(upToFrameLength(64 * MIB + 1), 'ERR_ESDK_LIMIT')
      await assertRefused(upToFrameLength(17), 'ERR_ESDK_LIMIT', { maxFrameBytes: 16 })
      assert.equal(await errorWhileOpen(upToFrameLength(64 * MIB + 1), { keyring, maxFrameBytes: 65 * MIB }), undefined)
    })

    it('above 1 GiB is not handled, whatever the limit', async () => {
      const options = { maxFrameBytes: GIB }
      assert.equal(await errorWhileOpen(upToFrameLength(GIB), { keyring, ...options }), undefined)
      await assertRefused(upToFrameLength(GIB + 1), 'ERR_ESDK_UNSUPPORTED', options)
      assert.throws(() => new DecryptStream({ keyring, maxFrameBytes: GIB + 1 }), RangeError)
      assert.throws(() => new EncryptStream({ keyring, maxFrameBytes: GIB + 1 }), RangeError)
      assert.throws(() => new EncryptStream({ keyring, frameLength: 64 * MIB + 1 }), RangeError)
    })

    it('that is allowed takes no memory before its bytes are there', async () => {
      const message = upToBody({ frameLength: GIB, plaintext: Buffer.alloc(16) }, 0)
      const before = await memory()
      const stream = new DecryptStream({ keyring, maxFrameBytes: GIB }).resume()
      stream.write(message)
      await new Promise((resolve) => stream.once('header', resolve))
      for (let turn = 0; turn < 16; turn++) {
        stream.write(Buffer.alloc(4096, turn))
        await wait(1)
      }
      assert.ok((await memory()) - before < 2 * MIB)
      stream.destroy()
    })
  })

  describe('the length of a final frame', () => {
    const final = (storedLength: bigint): Buffer =>
      upToBody({ frames: [{ content: Buffer.alloc(0), kind: 'final', number: 1, storedLength }] }, 24)

    it('above the frame length is refused when it is read', async () => {
      await assertRefused(final(17n), 'ERR_ESDK_MALFORMED')
      await assertRefused(final(0xffffffffn), 'ERR_ESDK_MALFORMED')
      await assertBounded(endless(final(0xffffffffn)), 'ERR_ESDK_MALFORMED', MIB)
    })
  })

  describe('the length of a non-framed body', () => {
    it('of 64 GiB is refused when it is read', async () => {
      await assertRefused(nonFramed(2n ** 36n - 32n), 'ERR_ESDK_LIMIT')
      await assertRefused(nonFramed(2n ** 36n - 32n), 'ERR_ESDK_UNSUPPORTED', { maxFrameBytes: GIB })
      await assertBounded(endless(nonFramed(2n ** 36n - 32n)), 'ERR_ESDK_LIMIT', MIB)
    })

    it('that the format can’t hold is refused when it is read', async () => {
      for (const length of [2n ** 36n - 31n, 2n ** 36n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
        await assertRefused(nonFramed(length), 'ERR_ESDK_MALFORMED')
      }
    })

    it('is held against maxFrameBytes, 64 MiB unless said', async () => {
      assert.equal(await errorWhileOpen(nonFramed(64n * BigInt(MIB)), { keyring }), undefined)
      await assertRefused(nonFramed(64n * BigInt(MIB) + 1n), 'ERR_ESDK_LIMIT')
      await assertRefused(nonFramed(17n), 'ERR_ESDK_LIMIT', { maxFrameBytes: 16 })
      const raised = { keyring, maxFrameBytes: GIB }
      assert.equal(await errorWhileOpen(nonFramed(BigInt(GIB)), raised), undefined)
    })

    it('that is allowed takes no memory before its bytes are there', async () => {
      const before = await memory()
      const stream = new DecryptStream({ keyring }).resume()
      stream.write(nonFramed(64n * BigInt(MIB)))
      for (let turn = 0; turn < 16; turn++) {
        stream.write(Buffer.alloc(4096))
        await wait(1)
      }
      assert.ok((await memory()) - before < 2 * MIB)
      stream.destroy()
    })
  })

  describe('the length of a signature', () => {
    for (const id of [0x0378, 0x0578]) {
      it(`of 65,535 bytes is refused when it is read: 0x0${id.toString(16)}`, async () => {
        const options = id === 0x0578 ? {} : v1
        const { header, body, message } = craft({ suite: algorithmSuite(id), sign: () => Buffer.alloc(0xffff) })
        const claim = message.subarray(0, header.length + body.length + 2)
        await assertRefused(claim, 'ERR_ESDK_MALFORMED', options)
        await assertBounded(endless(claim), 'ERR_ESDK_MALFORMED', MIB, options)
      })
    }
  })

  describe('an endless source', () => {
    it('of frames that are not authentic fails at the first', async () => {
      const frame = Buffer.concat([uint(1, 4), Buffer.alloc(12 + 16 + 16)])
      await assertBounded(
        endless(upToBody({}, 0), () => frame),
        'ERR_ESDK_AUTHENTICATION',
        MIB,
      )
    })

    it('of empty final frames fails after the first', async () => {
      const { message, header } = craft({ suite, plaintext: Buffer.alloc(0) })
      const frame = message.subarray(header.length)
      const many = Buffer.concat(Array<Buffer>(1000).fill(frame))
      await assertBounded(
        endless(message, () => frame),
        'ERR_ESDK_MALFORMED',
        MIB,
      )
      await assertBounded(
        endless(message, () => many),
        'ERR_ESDK_MALFORMED',
        MIB,
      )
    })

    it('after the end of a message fails at the first byte', async () => {
      for (const id of [0x0478, 0x0578]) {
        const { message } = craft({ suite: algorithmSuite(id) })
        await assertRefused(Buffer.concat([message, uint(0, 1)]), 'ERR_ESDK_MALFORMED')
        await assertBounded(endless(message), 'ERR_ESDK_MALFORMED', MIB)
      }
    })

    it('of genuine frames of one byte flows, and memory stays as it is', async () => {
      const stop = new Error('enough')
      const source = endless(Buffer.alloc(0), () => Buffer.alloc(1024))
      let received = 0
      let before = 0
      const run = pipeline(
        source.source,
        new EncryptStream({ keyring, algorithmSuite: 0x0478, frameLength: 1 }),
        new DecryptStream({ keyring }),
        async (output: AsyncIterable<Buffer>) => {
          for await (const chunk of output) {
            received += chunk.length
            if (received > 20_000 && before === 0) before = await memory()
            if (received > 200_000) throw stop
          }
        },
      )
      // Node 20 rejects with an AbortError of its own, as with any Transform.
      await assert.rejects(
        run,
        (error: unknown) => error === stop || (error instanceof Error && error.name === 'AbortError'),
      )
      assert.ok((await memory()) - before < 4 * MIB)
      assert.ok(source.taken - received < MIB)
    })

    it('that never gets to a header fails', async () => {
      await assertBounded(endless(Buffer.from('hello')), 'ERR_ESDK_MALFORMED', MIB)
      await assertBounded(endless(Buffer.alloc(0)), 'ERR_ESDK_MALFORMED', MIB)
    })
  })

  describe('maxHeaderBytes', () => {
    const large = Array.from({ length: 24 }, (_, index) => ({
      keyProviderId: `stranger ${index}`,
      keyProviderInfo: Buffer.alloc(10),
      ciphertext: Buffer.alloc(60_000, index),
    }))

    it('is 1 MiB unless said, and may be raised', async () => {
      const known = await readHeader(craft({ suite }).message)
      const { message, header } = craft({ suite, keys: [...large, ...known.header.encryptedDataKeys] })
      assert.ok(header.length > MIB)
      await assert.rejects(decrypt(message, { keyring }), { code: 'ERR_ESDK_LIMIT' })
      await assert.rejects(readHeader(message), { code: 'ERR_ESDK_LIMIT' })
      const { plaintext } = await decrypt(message, { keyring, maxHeaderBytes: 2 * MIB })
      assert.equal(plaintext.length, 40)
      assert.equal((await readHeader(message, { maxHeaderBytes: 2 * MIB })).headerLength, header.length)
    })

    it('holds for what is encrypted too', async () => {
      const encryptionContext = { long: 'x'.repeat(10_000) }
      await assert.rejects(encrypt('', { keyring, encryptionContext, maxHeaderBytes: 10_000 }), {
        code: 'ERR_ESDK_LIMIT',
      })
      await encrypt('', { keyring, encryptionContext, maxHeaderBytes: 11_000 })
    })

    it('stops a header that goes on with the smallest of data keys', async () => {
      const claim = Buffer.concat([V2_START, uint(0xffff, 2)])
      await assertBounded(
        endless(claim, () => Buffer.alloc(6000)),
        'ERR_ESDK_MALFORMED',
        2 * MIB,
      )
    })
  })
})
