import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { ChangedError, encrypt, isEncryptionSdkError } from 'esdk-streams'
import { type MessageReader, type OpenMessageOptions, type RandomAccessSource, openMessage } from 'esdk-streams/file'
import { algorithmSuite, bodyAad } from 'esdk-streams/format'
import fc from 'fast-check'
import { aesKeyring, policyOf, sequence, suites } from '../arbitraries.ts'
import { FRAMED_KINDS, framedMessages } from '../framed-messages.ts'
import { CRAFTED_PLAINTEXT, craft, craftingKeyring, signatureOf, hashOf } from '../message-recipe.ts'

const MIB = 1024 * 1024
const UNSIGNED = 0x0478
const HEAD_BYTES = 64 * 1024
const FINAL_OVERHEAD = 40
const keyring = aesKeyring()

interface Request {
  readonly position: number
  readonly length: number
}

/** A message in memory, and what was asked of it. */
class Memory implements RandomAccessSource {
  readonly asked: Request[] = []
  closed = 0
  bytes: Buffer
  /** What happens before a request is answered. */
  before: () => Promise<unknown> = () => Promise.resolve()

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  get size(): number {
    return this.bytes.length
  }

  async read(position: number, length: number): Promise<Buffer> {
    this.asked.push({ position, length })
    await this.before()
    return this.bytes.subarray(position, position + length)
  }

  close(): Promise<void> {
    this.closed += 1
    return Promise.resolve()
  }
}

async function messageOf(plaintext: Buffer, frameLength: number): Promise<Buffer> {
  return (await encrypt(plaintext, { keyring, algorithmSuite: UNSIGNED, frameLength })).ciphertext
}

async function opened(bytes: Buffer, options: Partial<OpenMessageOptions> = {}): Promise<[MessageReader, Memory]> {
  const memory = new Memory(bytes)
  return [await openMessage(memory, { keyring, ...options }), memory]
}

/** It opens with a coded error, or what is read of it does. */
async function refuses(
  bytes: Buffer,
  code: string | RegExp = /^ERR_ESDK_(MALFORMED|TRUNCATED|AUTHENTICATION)$/,
): Promise<void> {
  const memory = new Memory(bytes)
  await assert.rejects(
    async () => {
      const message = await openMessage(memory, { keyring })
      await message.read(0, message.plaintextLength)
    },
    (error) => {
      assert.ok(isEncryptionSdkError(error), String(error))
      assert.match(error.code, new RegExp(code))
      return true
    },
  )
}

describe('adapters/open-message', () => {
  it('reads any range of any message, around the boundaries of its frames', async () => {
    const cases = fc.record({
      suite: suites,
      frameLength: fc.integer({ min: 1, max: 50 }),
      frames: fc.nat(6),
      offset: fc.integer({ min: -1, max: 1 }),
      ranges: fc.array(fc.tuple(fc.nat(330), fc.nat(330)), { minLength: 1, maxLength: 20 }),
      cacheBytes: fc.constantFrom(undefined, 0, 1, 60, 1000),
      concurrency: fc.integer({ min: 1, max: 5 }),
    })
    await fc.assert(
      fc.asyncProperty(cases, async ({ suite, frameLength, frames, offset, ranges, cacheBytes, concurrency }) => {
        const plaintext = randomBytes(Math.max(0, frames * frameLength + offset))
        const shared = { keyring, commitmentPolicy: policyOf(suite) }
        const { ciphertext } = await encrypt(plaintext, { ...shared, algorithmSuite: suite.id, frameLength })
        const [message] = await opened(ciphertext, {
          ...shared,
          allowUnverifiedSignature: true,
          concurrency,
          ...(cacheBytes !== undefined && { cacheBytes }),
        })
        assert.equal(message.plaintextLength, plaintext.length)
        assert.equal(message.header.suite.id, suite.id)
        for (const [position, length] of ranges) {
          const expected = plaintext.toString('hex', position, position + length)
          assert.equal((await message.read(position, length)).toString('hex'), expected)
          const end = position + length
          const stream = message.createReadStream({ start: position, end })
          assert.equal((await buffer(stream)).toString('hex'), plaintext.toString('hex', position, end + 1))
        }
        assert.equal((await buffer(message.createReadStream())).toString('hex'), plaintext.toString('hex'))
      }),
      { numRuns: 150 },
    )
  })

  it('reads any range of both versions, signed and not, with a full final frame and with an empty one', async () => {
    const ranges = fc.array(fc.tuple(fc.nat(400), fc.nat(400)), { minLength: 1, maxLength: 10 })
    for (const kind of FRAMED_KINDS) {
      await fc.assert(
        fc.asyncProperty(framedMessages(kind), ranges, async ({ message: bytes, plaintext }, wanted) => {
          const options = { commitmentPolicy: policyOf(kind.suite), allowUnverifiedSignature: true }
          const [message] = await opened(bytes, { ...options, keyring: craftingKeyring() })
          assert.deepEqual([message.plaintextLength, message.header.suite.id], [plaintext.length, kind.suite.id])
          const last = Math.max(0, plaintext.length - 1)
          for (const [position, length] of [...wanted, [last, 1], [plaintext.length, 1]] as const) {
            const found = await message.read(position, length)
            assert.equal(found.toString('hex'), plaintext.toString('hex', position, position + length))
          }
          assert.equal((await buffer(message.createReadStream())).toString('hex'), plaintext.toString('hex'))
        }),
        { numRuns: 12 },
      )
    }
  })

  it('finds the footer of a signed message, whatever its length, by the final frame', async () => {
    const suite = algorithmSuite(0x0578)
    for (const length of [102, 103, 104]) {
      const sign = (signed: Buffer): Buffer => signatureOf(suite.signature!, hashOf(suite.signature!, signed), length)
      const { message: bytes } = craft({ suite, sign })
      const options = { keyring: craftingKeyring(), allowUnverifiedSignature: true }
      const [message] = await opened(bytes, options)
      assert.equal((await message.read(0, 100)).toString(), CRAFTED_PLAINTEXT.toString())
    }
    // A signature that itself looks like a footer of every shorter length is no way in, nor a way to fail.
    const misleading = Buffer.alloc(103)
    for (let at = 0; at + 2 < misleading.length; at += 2) misleading.writeUInt16BE(misleading.length - at - 2, at)
    const { message: bytes } = craft({ suite, sign: () => misleading })
    const [message] = await opened(bytes, { keyring: craftingKeyring(), allowUnverifiedSignature: true })
    assert.equal(message.plaintextLength, CRAFTED_PLAINTEXT.length)
    for (const footer of [Buffer.alloc(105), Buffer.alloc(50, 0xff)]) {
      const cut = Buffer.concat([bytes.subarray(0, bytes.length - 105), footer])
      const options = { keyring: craftingKeyring(), allowUnverifiedSignature: true }
      await assert.rejects(opened(cut, options), { code: 'ERR_ESDK_MALFORMED' })
    }
  })

  it('refuses a signed message unless that is allowed, and one without frames, before any key is asked for', async () => {
    const asked: string[] = []
    const noKeyring = {
      onEncrypt: () => Promise.reject(new Error('not asked')),
      onDecrypt: () => Promise.reject(new Error(String(asked.push('asked')))),
    }
    const signed = (await encrypt('text', { keyring })).ciphertext
    await assert.rejects(opened(signed, { keyring: noKeyring }), {
      code: 'ERR_ESDK_POLICY',
      message: /"allowUnverifiedSignature".*"randomAccess"/,
    })
    await assert.rejects(opened(signed, { keyring: noKeyring, allowUnverifiedSignature: true, unsignedOnly: true }), {
      code: 'ERR_ESDK_POLICY',
    })
    const { message } = craft({ suite: algorithmSuite(UNSIGNED), nonFramed: true })
    await assert.rejects(opened(message, { keyring: noKeyring }), {
      code: 'ERR_ESDK_UNSUPPORTED',
      message: /not framed/,
    })
    assert.deepEqual(asked, [])
  })

  it('closes the source once: at the end, or when it does not open', async () => {
    const bytes = await messageOf(randomBytes(100), 10)
    const [message, memory] = await opened(bytes)
    await Promise.all([message.close(), message.close(), message[Symbol.asyncDispose]()])
    assert.equal(memory.closed, 1)
    await assert.rejects(message.read(0, 1), { name: 'TypeError', message: 'the message was closed' })
    const broken = new Memory(bytes.subarray(1))
    await assert.rejects(openMessage(broken, { keyring }), { code: 'ERR_ESDK_MALFORMED' })
    assert.equal(broken.closed, 1)
  })

  it('fails what is being read when it is closed', async () => {
    const [message, memory] = await opened(await messageOf(randomBytes(200_000), 10_000))
    memory.before = () => setTimeout(20)
    const reads = Promise.allSettled([message.read(100_000, 50_000), buffer(message.createReadStream())])
    await message.close()
    for (const { status } of await reads) assert.equal(status, 'rejected')
  })

  describe('asks its source', () => {
    const frameLength = 4096
    const size = frameLength + 32
    const plaintext = randomBytes(2 * MIB + 5)
    let bytes: Buffer

    before(async () => {
      bytes = await messageOf(plaintext, frameLength)
    })

    it('for the front and the final frame, to open', async () => {
      const [, memory] = await opened(bytes)
      const tail = frameLength + FINAL_OVERHEAD
      assert.deepEqual(memory.asked, [
        { position: 0, length: HEAD_BYTES },
        { position: bytes.length - tail, length: tail },
      ])
    })

    it('for the front alone, where that is all', async () => {
      const small = await messageOf(randomBytes(10_000), frameLength)
      const [message, memory] = await opened(small)
      assert.deepEqual(memory.asked, [{ position: 0, length: small.length }])
      assert.equal((await message.read(0, 20_000)).length, 10_000)
    })

    it('for the frames of a range and no others, neighbours in one request', async () => {
      const [message, memory] = await opened(bytes, { cacheBytes: 0 })
      const start = bytes.length - (plaintext.length % frameLength) - FINAL_OVERHEAD - 512 * size
      for (const [position, length, first, count] of [
        [0, 1, 0, 1],
        [4095, 2, 0, 2],
        [10 * frameLength, frameLength, 10, 1],
        [10 * frameLength - 1, frameLength + 2, 9, 3],
        [100 * frameLength, 100 * frameLength, 100, 100],
      ] as const) {
        memory.asked.length = 0
        const range = await message.read(position, length)
        assert.ok(range.equals(plaintext.subarray(position, position + length)))
        assert.deepEqual(memory.asked, [{ position: start + first * size, length: count * size }])
      }
      memory.asked.length = 0
      assert.equal((await message.read(2 * MIB, 5)).length, 5)
      assert.equal((await message.read(5 * MIB, 5)).length, 0)
      assert.deepEqual(memory.asked, [], 'the final frame is known')
    })

    it('for large ranges piece by piece, several at once, each frame once', async () => {
      for (const concurrency of [1, 3]) {
        const [message, memory] = await opened(bytes, { concurrency })
        memory.asked.length = 0
        let [under, most] = [0, 0]
        memory.before = async () => {
          most = Math.max(most, ++under)
          await setTimeout(5)
          under -= 1
        }
        assert.ok((await message.read(1, 2 * MIB)).equals(plaintext.subarray(1, 2 * MIB + 1)))
        assert.equal(most, Math.min(concurrency, 2))
        assert.ok(memory.asked.every(({ length }) => length <= MIB + 256 * 32))
        memory.asked.length = 0
        assert.ok((await buffer(message.createReadStream({ start: 1 }))).equals(plaintext.subarray(1)))
        const total = memory.asked.reduce((sum, { length }) => sum + length, 0)
        assert.ok(total <= 512 * size, 'no frame twice')
      }
    })

    it('not again for a frame that it has just read', async () => {
      const [message, memory] = await opened(bytes)
      await message.read(50 * frameLength + 10, 2 * frameLength)
      memory.asked.length = 0
      for (let at = 0; at < 10; at++) {
        const position = 52 * frameLength + at
        assert.ok((await message.read(position, 1)).equals(plaintext.subarray(position, position + 1)))
      }
      assert.deepEqual(memory.asked, [])
      const range = await message.read(49 * frameLength, 4 * frameLength)
      assert.ok(range.equals(plaintext.subarray(49 * frameLength, 53 * frameLength)))
      range.fill(0) // the caller's to change
      assert.ok((await message.read(52 * frameLength, 9)).equals(plaintext.subarray(52 * frameLength).subarray(0, 9)))
    })

    it('at most so much ahead as a stream may hold, and nothing after it is destroyed', async () => {
      const [message, memory] = await opened(await messageOf(Buffer.alloc(12 * MIB), 65_536))
      memory.asked.length = 0
      const stream = message.createReadStream()
      stream.once('readable', () => undefined)
      await setTimeout(100)
      const sum = (): number => memory.asked.reduce((total, { length }) => total + length, 0)
      assert.ok(sum() <= 7 * MIB, `${sum()} bytes`)
      stream.destroy()
      const asked = memory.asked.length
      await setTimeout(50)
      assert.equal(memory.asked.length, asked)
    })
  })

  describe('gives a coded error and no plaintext', () => {
    const frameLength = 50
    const size = frameLength + 32
    const plaintext = randomBytes(5 * frameLength + 7)
    let bytes: Buffer
    let start: number
    let end: number

    before(async () => {
      bytes = await messageOf(plaintext, frameLength)
      end = bytes.length - FINAL_OVERHEAD - 7
      start = end - 5 * size
    })

    it('when any bit is changed', async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (at, bit) => {
          const changed = Buffer.from(bytes)
          changed[at]! ^= 1 << bit
          await refuses(changed, /^ERR_ESDK_/)
        }),
        { numRuns: 300 },
      )
    })

    it('when it was cut or has grown, wherever', async () => {
      for (let length = 0; length < bytes.length; length++) await refuses(bytes.subarray(0, length))
      for (const more of [1, 8, size, size - 1, frameLength]) {
        await refuses(Buffer.concat([bytes, Buffer.alloc(more)]))
        await refuses(Buffer.concat([bytes, bytes.subarray(-more)]))
      }
    })

    it('when the final frame says another length than it has, even authentically', async () => {
      const suite = algorithmSuite(UNSIGNED)
      const aad = bodyAad(sequence(0xa0, 32), 'final', 1, 7)
      const frame = { content: Buffer.alloc(8), kind: 'final', number: 1, storedLength: 7n, aad } as const
      const { message } = craft({ suite, frames: [frame] })
      await assert.rejects(opened(message, { keyring: craftingKeyring() }), { code: 'ERR_ESDK_MALFORMED' })
    })

    it('when frames were removed, repeated or exchanged, even whole', async () => {
      const frames = Array.from({ length: 5 }, (_, index) => bytes.subarray(start + index * size).subarray(0, size))
      const [head, tail] = [bytes.subarray(0, start), bytes.subarray(end)]
      const orders = [
        [0, 1, 2, 3],
        [1, 2, 3, 4],
        [],
        [0, 1, 2, 3, 4, 4],
        [0, 0, 1, 2, 3, 4],
        [1, 0, 2, 3, 4],
        [0, 1, 2, 4, 3],
        [0, 1, 2, 2, 4],
      ]
      for (const order of orders) await refuses(Buffer.concat([head, ...order.map((index) => frames[index]!), tail]))
    })

    it('only for the frame that is broken', async () => {
      const changed = Buffer.from(bytes)
      changed[start + 2 * size + 20]! ^= 1
      const [message] = await opened(changed)
      const whole = { code: 'ERR_ESDK_AUTHENTICATION', part: 'frame' }
      await assert.rejects(message.read(0, 1000), whole)
      await assert.rejects(message.read(2 * frameLength, 1), whole)
      assert.ok((await message.read(0, 2 * frameLength)).equals(plaintext.subarray(0, 2 * frameLength)))
      assert.ok((await message.read(3 * frameLength, 999)).equals(plaintext.subarray(3 * frameLength)))
      const released: Buffer[] = []
      const stream = message.createReadStream().on('data', (chunk: Buffer) => released.push(chunk))
      await assert.rejects(buffer(stream), whole)
      assert.equal(Buffer.concat(released).length, 0)
    })

    it('when the source changes while it is open', async () => {
      const [message, memory] = await opened(bytes, { cacheBytes: 0 })
      memory.bytes = bytes.subarray(0, start + size + 1)
      assert.equal((await message.read(0, 50)).length, 50)
      await assert.rejects(message.read(0, 51), ChangedError)
      memory.bytes = await messageOf(plaintext, frameLength)
      await assert.rejects(message.read(0, 50), { code: 'ERR_ESDK_AUTHENTICATION' })
      const grown = new Memory(bytes)
      grown.read = () => Promise.resolve(bytes)
      await assert.rejects(
        openMessage(grown, { keyring }).then((open) => open.read(60, 3)),
        ChangedError,
      )
    })

    it('under another key, another context, a limit, or a policy', async () => {
      const cases: readonly (readonly [Partial<OpenMessageOptions>, string])[] = [
        [{ keyring: aesKeyring('other') }, 'ERR_ESDK_UNWRAP'],
        [{ encryptionContext: { purpose: 'none' } }, 'ERR_ESDK_'],
        [{ requiredEncryptionContextKeys: ['purpose'] }, 'ERR_ESDK_POLICY'],
        [{ maxFrameBytes: 49 }, 'ERR_ESDK_LIMIT'],
        [{ maxHeaderBytes: 20 }, 'ERR_ESDK_LIMIT'],
      ]
      for (const [options, code] of cases) {
        await assert.rejects(
          opened(bytes, options),
          (error) => isEncryptionSdkError(error) && error.code.startsWith(code),
        )
      }
    })
  })

  it('passes on what its source throws, and what a caller does wrong at once', async () => {
    const bytes = await messageOf(randomBytes(300_000), 1000)
    const [message, memory] = await opened(bytes)
    memory.before = () => Promise.reject(new Error('EIO: the disk is gone'))
    await assert.rejects(message.read(200_000, 5000), /EIO: the disk is gone/)
    await assert.rejects(buffer(message.createReadStream()), /EIO: the disk is gone/)
    for (const [position, length] of [
      [-1, 1],
      [0, -1],
      [0.5, 1],
      [0, Number.NaN],
      [0, 2 ** 60],
      ['0' as never, 1],
    ] as const) {
      await assert.rejects(message.read(position, length), RangeError)
    }
    assert.throws(() => message.createReadStream({ start: 5, end: 4 }), /"end" expected integer in 5\.\./)
    assert.throws(() => message.createReadStream({ start: -5 }), RangeError)
    await assert.rejects(opened(bytes, { concurrency: 0 }), RangeError)
    await assert.rejects(opened(bytes, { cacheBytes: -1 }), RangeError)
    await assert.rejects(opened(bytes, { keyring: undefined as never }), TypeError)
    await assert.rejects(openMessage({ size: -1, read: () => Promise.resolve(bytes) }, { keyring }), TypeError)
  })

  it('stops when it is aborted: the opening, a read, a stream', async () => {
    const bytes = await messageOf(randomBytes(300_000), 1000)
    const never = (): Promise<never> => new Promise(() => undefined)
    const aborted = { name: 'AbortError', code: 'ABORT_ERR' }
    const stuck = new Memory(bytes)
    stuck.before = never
    await assert.rejects(openMessage(stuck, { keyring, signal: AbortSignal.timeout(20) }), aborted)
    assert.equal(stuck.closed, 1)
    await assert.rejects(openMessage(stuck, { keyring, signal: AbortSignal.abort() }), aborted)
    const [message, memory] = await opened(bytes)
    memory.before = never
    await assert.rejects(message.read(200_000, 5000, { signal: AbortSignal.timeout(20) }), aborted)
    await assert.rejects(message.read(200_000, 5000, { signal: AbortSignal.abort() }), aborted)
    await assert.rejects(buffer(message.createReadStream({ signal: AbortSignal.timeout(20) })), aborted)
  })

  describe('of a file', () => {
    let folder: string

    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'esdk-open-'))
    })

    afterEach(() => rm(folder, { recursive: true }))

    it('reads 1,000 random ranges of a large one', async () => {
      const plaintext = randomBytes(8 * MIB + 123)
      const path = join(folder, 'message')
      await writeFile(path, await messageOf(plaintext, 4096))
      const message = await openMessage(pathToFileURL(path), { keyring })
      await fc.assert(
        fc.asyncProperty(fc.nat(plaintext.length), fc.nat(20_000), async (position, length) => {
          const range = await message.read(position, length)
          assert.equal(range.compare(plaintext.subarray(position, position + length)), 0)
        }),
        { numRuns: 1000 },
      )
      await message.close()
    })

    it('holds the file that it opened, and notices that it shrinks', async () => {
      const plaintext = randomBytes(MIB)
      const path = join(folder, 'message')
      await writeFile(path, await messageOf(plaintext, 4096))
      const message = await openMessage(path, { keyring })
      await rm(path)
      assert.equal((await message.read(500_000, 100_000)).compare(plaintext.subarray(500_000, 600_000)), 0)
      await message.close()
      await writeFile(path, await messageOf(plaintext, 4096))
      const other = await openMessage(path, { keyring })
      await truncate(path, 600_000)
      await assert.rejects(other.read(590_000, 50_000), ChangedError)
      await other.close()
    })

    it('refuses what is no file', async () => {
      await mkdir(join(folder, 'sub'))
      await assert.rejects(openMessage(join(folder, 'sub'), { keyring }), { code: 'EISDIR' })
      await assert.rejects(openMessage(join(folder, 'none'), { keyring }), { code: 'ENOENT' })
      await assert.rejects(openMessage('', { keyring }), /"message" expected a path/)
      if (process.platform !== 'win32') await assert.rejects(openMessage('/dev/null', { keyring }), TypeError)
    })
  })
})
