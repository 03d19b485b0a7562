/** A signal that lives as long as a service: nothing of what was done under it stays with it. */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setImmediate as turn } from 'node:timers/promises'
import { GetObjectCommand, type GetObjectCommandInput, type S3Client } from '@aws-sdk/client-s3'
import { encrypt } from 'esdk-streams'
import { openMessage } from 'esdk-streams/file'
import { getObject, openObject } from 'esdk-streams/s3'
import { openObjectSource } from '#lib/adapters/s3/object-source'
import { aesKeyring } from '../arbitraries.ts'

const TIMES = 100
const plaintext = Buffer.alloc(100_000, 'plaintext')
const keyring = aesKeyring()
const params = { Bucket: 'bucket', Key: 'key' }

describe('adapters, under a signal that lives long', () => {
  let message: Buffer
  let client: S3Client
  let signal: AbortSignal
  /** All signals that anyone has listened to. */
  const heard = new Set<AbortSignal>()
  const prototype: { addEventListener: (this: EventTarget, ...listener: never) => void } = EventTarget.prototype
  const { addEventListener } = prototype

  before(async () => {
    message = (await encrypt(plaintext, { keyring, randomAccess: true })).ciphertext
    client = { send: ({ input }: GetObjectCommand) => Promise.resolve(answer(input)) } as unknown as S3Client // all that is used of it
  })

  beforeEach(() => {
    signal = new AbortController().signal
    heard.clear()
    prototype.addEventListener = function (...listener) {
      if (this instanceof AbortSignal) heard.add(this)
      addEventListener.apply(this, listener)
    }
  })

  afterEach(() => {
    prototype.addEventListener = addEventListener
    assert.ok(heard.has(signal))
    assertNobodyListens()
    assert.equal(dependents(signal), 0)
  })

  function answer({ Range }: GetObjectCommandInput): Record<string, unknown> {
    const [, start = '0', last] = /^bytes=(\d+)-(\d+)?$/.exec(Range ?? '') ?? []
    const bytes = message.subarray(Number(start), last === undefined ? undefined : Number(last) + 1)
    const ContentRange = `bytes ${start}-${Number(start) + bytes.length - 1}/${message.length}`
    return {
      ETag: '"etag"',
      ContentLength: bytes.length,
      ...(Range !== undefined && { ContentRange }),
      Body: Readable.from([bytes]),
    }
  }

  const listeners = (each: AbortSignal): number => getEventListeners(each, 'abort').length

  /** Nobody to the caller's signal; and to none of our own, but for those that are forgotten together. */
  function assertNobodyListens(): void {
    assert.equal(listeners(signal), 0)
    assert.ok(Math.max(...[...heard].map(listeners)) <= 2)
  }

  async function repeatedly(work: () => Promise<unknown>): Promise<void> {
    for (let count = 0; count < TIMES; count++) await work()
  }

  it('an object is decrypted', async () => {
    await repeatedly(async () => {
      const found = await buffer(await getObject({ client, params, keyring, signal }))
      assert.equal(found.length, plaintext.length)
    })
  })

  it('a download is given up, or fails', async () => {
    await repeatedly(async () => {
      const stream = await getObject({ client, params, keyring, signal })
      await new Promise((resolve) => stream.once('close', resolve).destroy())
    })
    await repeatedly(() =>
      assert.rejects(getObject({ client, params, keyring: aesKeyring('another'), signal }), {
        code: 'ERR_ESDK_UNWRAP',
      }),
    )
  })

  it('ranges of an object are read', async () => {
    const opened = await openObject({ client, params, keyring, signal, cacheBytes: 0 })
    await repeatedly(async () => {
      assert.deepEqual(await opened.read(90_000, 10, { signal }), plaintext.subarray(90_000, 90_010))
      const stream = opened.createReadStream({ start: 80_000, end: 89_999, signal })
      assert.equal((await buffer(stream)).length, 10_000)
    })
    assertNobodyListens()
    await opened.close()
    await repeatedly(async () => (await openObject({ client, params, keyring, signal })).close())
  })

  it('a message is read at any place', async () => {
    const source = { size: message.length, read: (at: number, length: number) => read(at, length) }
    const read = (at: number, length: number): Promise<Buffer> => Promise.resolve(message.subarray(at, at + length))
    const opened = await openMessage(source, { keyring, signal, cacheBytes: 0 })
    await repeatedly(async () => {
      await opened.read(0, 50_000, { signal })
      const stream = opened.createReadStream({ signal })
      stream.read()
      await new Promise((resolve) => stream.once('close', resolve).destroy())
    })
    assertNobodyListens()
    await opened.close()
  })

  it('many requests at once do not make Node warn', async () => {
    const warnings: string[] = []
    const note = ({ name }: Error): void => void warnings.push(name)
    process.on('warning', note)
    const large = (await encrypt(Buffer.alloc(16 * 1024 * 1024), { keyring, randomAccess: true })).ciphertext
    let [now, most] = [0, 0]
    const read = async (at: number, length: number): Promise<Buffer> => {
      most = Math.max(most, ++now)
      await turn()
      now -= 1
      return large.subarray(at, at + length)
    }
    const opened = await openMessage({ size: large.length, read }, { keyring, signal, concurrency: 16 })
    await opened.read(0, opened.plaintextLength, { signal })
    await opened.close()
    await turn() // warnings come a little later
    process.off('warning', note)
    assert.equal(most, 16)
    assert.deepEqual(warnings, [])
  })

  it('an object is a source of bytes', async () => {
    const known = { ETag: '"etag"', length: message.length }
    await repeatedly(async () => {
      const source = await openObjectSource({ client, name: params, known, signal })
      await source.ranges!.read(0, 10, { signal })
      assert.ok(listeners(signal) <= 1) // that of the source itself
      assert.equal((await buffer(source.bytes)).length, message.length)
      await source.close()
    })
  })
})

/** Signals that Node keeps as made of this one, by `AbortSignal.any`; their memory is never given back. */
function dependents(signal: AbortSignal): number {
  const kept = Object.getOwnPropertySymbols(signal).find(({ description }) => description === 'kDependantSignals')
  return kept === undefined ? 0 : ((signal as unknown as Record<symbol, Set<unknown>>)[kept]?.size ?? 0)
}
