/** What the protocols do with the frame cipher of the engine: however a message ends, its key is let go. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { DecryptStream, EncryptStream, encrypt } from 'esdk-streams'
import { cryptoEngine } from '#lib/crypto/engine'
import type { FrameCipher } from '#lib/crypto/frame-cipher'
import { aesKeyring } from '../arbitraries.ts'

const keyring = aesKeyring()
const options = { keyring, algorithmSuite: 0x0478, frameLength: 1000 } as const
const FRAMES = 500

describe('streams, and the frame cipher of a message', () => {
  const engine = cryptoEngine()
  const { createFrameCipher } = engine
  let made: FrameCipher[]
  let closed: Set<FrameCipher>
  let message: Buffer

  before(async () => {
    message = (await encrypt(Buffer.alloc(FRAMES * 1000), options)).ciphertext
  })

  beforeEach(() => {
    made = []
    closed = new Set()
    Reflect.set(engine, 'createFrameCipher', (...parameters: Parameters<typeof createFrameCipher>) => {
      const cipher = createFrameCipher(...parameters)
      const close = cipher.close.bind(cipher)
      cipher.close = () => {
        closed.add(cipher)
        close()
      }
      made.push(cipher)
      return cipher
    })
  })

  afterEach(() => {
    Reflect.set(engine, 'createFrameCipher', createFrameCipher)
  })

  /** Closed soon: a stream's own clean-up takes a turn or two. */
  async function assertClosed(): Promise<void> {
    assert.equal(made.length, 1)
    for (let turn = 0; turn < 100 && closed.size === 0; turn++) await wait(5)
    assert.equal(closed.size, 1)
  }

  const CASES = {
    encrypt: { stream: () => new EncryptStream(options), input: () => Buffer.alloc(FRAMES * 1000) },
    decrypt: { stream: () => new DecryptStream({ keyring }), input: () => message },
  } as const

  for (const [direction, { stream, input }] of Object.entries(CASES)) {
    it(`let it go at the end: ${direction}`, async () => {
      await pipeline(Readable.from([input()]), stream(), async (output: AsyncIterable<Buffer>) => {
        for await (const chunk of output) assert.ok(chunk.length > 0)
      })
      await assertClosed()
    })

    it(`let it go when destroyed while they wait for input: ${direction}`, async () => {
      const waiting = stream()
      waiting.on('error', () => undefined).resume()
      waiting.write(input().subarray(0, 20_000))
      await wait(50)
      assert.deepEqual([made.length, closed.size], [1, 0])
      waiting.destroy(new Error('enough'))
      await assertClosed()
    })

    it(`let it go when destroyed while they wait for a reader: ${direction}`, async () => {
      const waiting = stream()
      waiting.on('error', () => undefined)
      waiting.write(input())
      await wait(50)
      assert.deepEqual([made.length, closed.size], [1, 0])
      waiting.destroy()
      await assertClosed()
    })
  }

  it('let it go when a frame is not authentic', async () => {
    const changed = Buffer.from(message)
    changed[Math.floor(message.length / 2)]! ^= 1
    await assert.rejects(
      pipeline(Readable.from([changed]), new DecryptStream({ keyring }), async (output: AsyncIterable<Buffer>) => {
        for await (const chunk of output) assert.ok(chunk.length > 0)
      }),
      { code: 'ERR_ESDK_AUTHENTICATION' },
    )
    await assertClosed()
  })
})
