import assert from 'node:assert/strict'
import { buffer } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import {
  AuthenticationError,
  ChangedError,
  PolicyError,
  TransferError,
  TruncatedMessageError,
  UnsupportedError,
} from 'esdk-streams'
import type { MessageReader } from 'esdk-streams/file'
import { type OpenObjectOptions, openObject } from 'esdk-streams/s3'
import fc from 'fast-check'
import type { S3Fault } from '../../emulators/s3-fault-proxy.ts'
import { type S3Server, useS3Server } from '../../emulators/s3-setup.ts'
import {
  FaultsByKey,
  KIB,
  MIB,
  PLAIN,
  askedAbout,
  codeOf,
  failureOf,
  first,
  hashOf,
  keyring,
  messageOf,
  store,
} from './objects.ts'

const FRAME = 64 * KIB
const OVERHEAD = 32
const HEAD = 64 * KIB
const IDLE_MS = 1000
const PLAINTEXT = PLAIN.subarray(0, 3 * MIB + 5)

describe('adapters/s3/open-object', function () {
  this.timeout(60_000)
  const shared = useS3Server('versitygw')
  const versioned = useS3Server('versitygw', { versioned: true })
  const faults = new FaultsByKey()
  let server: S3Server
  let size: number
  /** Where the first frame begins. */
  let bodyStart: number

  before(async () => {
    size = (await messageOf(PLAINTEXT)).length
    bodyStart = size - PLAINTEXT.length - 48 * OVERHEAD - 40
  })

  beforeEach(() => {
    server = shared.server
    faults.install(server)
  })

  function options(Key: string, rest: Partial<OpenObjectOptions> = {}): OpenObjectOptions {
    return { client: server.client, params: { Bucket: server.bucket, Key }, keyring, ...rest }
  }

  async function opened(rest: Partial<OpenObjectOptions> = {}): Promise<{ key: string; message: MessageReader }> {
    const key = faults.key()
    await store(server, key, PLAINTEXT)
    return { key, message: await openObject(options(key, rest)) }
  }

  async function storeBytes(key: string, Body: Uint8Array, Metadata: Record<string, string> = {}): Promise<void> {
    await server.direct.send(new PutObjectCommand({ Bucket: server.bucket, Key: key, Body, Metadata }))
  }

  /** The Range of some frames that follow each other; the first is number 0. */
  function frames(index: number, count: number): string {
    const start = bodyStart + index * (FRAME + OVERHEAD)
    return `bytes=${start}-${start + count * (FRAME + OVERHEAD) - 1}`
  }

  async function assertRange(message: MessageReader, position: number, length: number): Promise<void> {
    const found = await message.read(position, length)
    assert.equal(hashOf(found), hashOf(PLAINTEXT.subarray(position, position + length)))
  }

  it('asks for the header, the end, and the frames that are wanted, and no others', async () => {
    const { key, message } = await opened({ cacheBytes: 0 })
    assert.equal(message.plaintextLength, PLAINTEXT.length)
    const tail = `bytes=${size - 40 - FRAME}-${size - 1}`
    const ranges = (): (string | undefined)[] => askedAbout(server, key).map(({ range }) => range)
    assert.deepEqual(ranges(), [`bytes=0-${HEAD - 1}`, tail])
    await assertRange(message, 1_000_000, 10)
    await assertRange(message, 3 * FRAME - 1, 2)
    await assertRange(message, 3 * FRAME, FRAME)
    await assertRange(message, 5 * FRAME, 7 * FRAME)
    await assertRange(message, PLAINTEXT.length - 1, 10) // of the final frame, which is there already
    await assertRange(message, 100, 0)
    const wanted = [frames(15, 1), frames(2, 2), frames(3, 1), frames(5, 7)]
    assert.deepEqual(ranges().slice(2), wanted)
    const [opening, ...others] = askedAbout(server, key)
    assert.equal(opening!.headers['if-match'], undefined)
    const pinned = new Set(others.map(({ headers }) => headers['if-match']))
    assert.equal(pinned.size, 1)
    assert.match([...pinned][0]!, /^"[0-9a-f-]+"$/)
    const bytes = others.slice(1).map(({ bytesOut }) => bytesOut / (FRAME + OVERHEAD))
    assert.deepEqual(bytes, [1, 2, 1, 7])
    await message.close()
  })

  it('asks once where the message is short', async () => {
    const key = faults.key()
    const plaintext = PLAIN.subarray(0, 10_000)
    await store(server, key, plaintext, { frameLength: 1000 })
    const message = await openObject(options(key, { cacheBytes: 0 }))
    assert.equal(hashOf(await message.read(0, 20_000)), hashOf(plaintext))
    assert.equal(hashOf(await buffer(message.createReadStream({ start: 500 }))), hashOf(plaintext.subarray(500)))
    assert.deepEqual(server.proxy.operations, ['GetObject'])
  })

  it('reads any range, as a stream too', async () => {
    const { message } = await opened()
    const edges = fc.tuple(fc.nat(49), fc.integer({ min: -2, max: 2 }))
    const at = ([frame, offset]: [number, number]): number => Math.max(0, frame * FRAME + offset)
    await fc.assert(
      fc.asyncProperty(edges, edges, async (one, other) => {
        const [start, end] = [at(one), at(other)].sort((a, b) => a - b) as [number, number] // two of two
        await assertRange(message, start, end - start)
        const stream = message.createReadStream({ start, end })
        assert.equal(hashOf(await buffer(stream)), hashOf(PLAINTEXT.subarray(start, end + 1)))
      }),
      { numRuns: 30 },
    )
    await message.close()
  })

  it('goes on where a range breaks off', async () => {
    for (const by of ['drop', 'reset', 'stall'] as const) {
      for (const after of [0, 100_000]) {
        const { key, message } = await opened({ ...(by === 'stall' && { idleTimeoutMs: IDLE_MS }), cacheBytes: 0 })
        faults.set(
          key,
          first(1, { cut: 'response', after, by }, () => true),
        )
        const before = server.proxy.asked.length
        await assertRange(message, 4 * FRAME + 1, 3 * FRAME)
        const [broken, rest, ...more] = server.proxy.asked.slice(before)
        assert.deepEqual([broken!.range, more.length], [frames(4, 4), 0])
        const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(rest!.range!)!.map(Number) as [number, number, number] // it matched
        const from = bodyStart + 4 * (FRAME + OVERHEAD)
        assert.equal(end, from + 4 * (FRAME + OVERHEAD) - 1)
        if (by === 'stall') assert.equal(start, from + after)
        else assert.ok(start >= from && start <= from + after)
        assert.ok(rest!.headers['if-match'])
      }
    }
  })

  it('fails with a coded error when S3 does, and can be asked again', async () => {
    const { key, message } = await opened({ idleTimeoutMs: 300 })
    const all: S3Fault[] = [
      'drop',
      'stall',
      { error: 'InternalError', status: 500 },
      { error: 'AccessDenied', status: 403 },
    ]
    for (const fault of all) {
      faults.set(key, () => fault)
      const failure = await failureOf(message.read(1_000_000, 1))
      assert.ok(failure instanceof TransferError, failure.stack)
      faults.set(key, () => undefined)
    }
    await assertRange(message, 1_000_000, 1)
  })

  it('notices that the object was replaced or removed since', async () => {
    const changes: Record<string, (key: string) => Promise<unknown>> = {
      replaced: (key) => store(server, key, PLAIN.subarray(1, 1 + PLAINTEXT.length)),
      'replaced by a short one': (key) => store(server, key, Buffer.from('short')),
      removed: (Key) => server.direct.send(new DeleteObjectCommand({ Bucket: server.bucket, Key })),
    }
    for (const [what, change] of Object.entries(changes)) {
      const { key, message } = await opened()
      await change(key)
      const failure = await failureOf(message.read(1_000_000, 10))
      assert.ok(failure instanceof ChangedError, `${what}: ${failure.stack!}`)
    }
    const { key, message } = await opened()
    const etag = '"00000000000000000000000000000000"' // of a server that knows no If-Match
    faults.set(key, () => ({ head: ({ status, headers }) => ({ status, headers: { ...headers, etag } }) }))
    assert.ok((await failureOf(message.read(1_000_000, 10))) instanceof ChangedError)
  })

  it('stays with the version that it opened', async () => {
    server = versioned.server
    faults.install(server)
    const { key, message } = await opened()
    await store(server, key, Buffer.from('another'))
    await assertRange(message, 1_000_000, 100_000)
    const [opening, ...others] = askedAbout(server, key).filter(({ operation }) => operation === 'GetObject')
    assert.equal(opening!.versionId, undefined)
    assert.ok(others.every(({ versionId }) => versionId !== undefined && versionId !== ''))
  })

  it('insists on the range that it asked for', async () => {
    const { key, message } = await opened()
    const answers: readonly Readonly<Record<string, string | undefined>>[] = [
      { 'content-range': undefined },
      { 'content-range': `bytes 0-9/${size}` },
      { 'content-range': `bytes ${size}-${size + 10}/${size}` },
    ]
    for (const changed of answers) {
      faults.set(key, () => ({ head: ({ headers }) => ({ status: 200, headers: { ...headers, ...changed } }) }))
      for (const work of [() => message.read(1_000_000, 10), () => openObject(options(key))]) {
        // The first is right for whoever opens the message.
        const failure = await work().then(
          () => undefined,
          (error: unknown) => error,
        )
        if (failure === undefined) assert.equal(changed['content-range'], `bytes 0-9/${size}`)
        else assert.equal(codeOf(failure as Error), 'ERR_ESDK_TRANSFER')
      }
    }
  })

  it('refuses what can not be read at random', async () => {
    const empty = faults.key()
    await storeBytes(empty, Buffer.alloc(0))
    const failure = await failureOf(openObject(options(empty)))
    assert.ok(failure instanceof TruncatedMessageError, failure.stack)
    const foreign = faults.key()
    await storeBytes(foreign, PLAINTEXT, { 'x-amz-key-v2': 'AAAA' })
    assert.ok((await failureOf(openObject(options(foreign)))) instanceof UnsupportedError)
    const signed = faults.key()
    await store(server, signed, PLAINTEXT, { algorithmSuite: 0x0578 })
    assert.ok((await failureOf(openObject(options(signed)))) instanceof PolicyError)
    await assertRange(await openObject(options(signed, { allowUnverifiedSignature: true })), 1_000_000, 10)
    const truncated = faults.key()
    await storeBytes(truncated, (await messageOf(PLAINTEXT)).subarray(0, -FRAME - OVERHEAD))
    assert.match(
      codeOf(await failureOf(openObject(options(truncated)))),
      /^ERR_ESDK_(TRUNCATED|MALFORMED|AUTHENTICATION)$/,
    )
    assert.ok((await failureOf(openObject(options('missing')))) instanceof TransferError)
    for (const name of ['Range', 'PartNumber']) {
      const params = { Bucket: server.bucket, Key: 'x', [name]: 1 }
      await assert.rejects(openObject(options('x', { params })), TypeError)
    }
    await assert.rejects(openObject(options('x', { concurrency: 0 })), RangeError)
  })

  it('gives nothing of a frame that is not authentic', async () => {
    const { key } = await opened()
    const bytes = await server.objectBytes(key)
    bytes[bodyStart + 20 * (FRAME + OVERHEAD) + 100]! ^= 1
    await storeBytes(key, bytes)
    const message = await openObject(options(key))
    await assertRange(message, 19 * FRAME, FRAME)
    assert.ok((await failureOf(message.read(20 * FRAME, 1))) instanceof AuthenticationError)
  })

  it('ends what is under way when it is closed or aborted', async () => {
    const slow: S3Fault = { slow: 'response', bytesPerSecond: 100 * KIB }
    const { key, message } = await opened()
    faults.set(key, () => slow)
    const abort = new AbortController()
    const aborted = failureOf(message.read(0, MIB, { signal: abort.signal }))
    const closed = failureOf(message.read(MIB, MIB))
    const stream = message.createReadStream({ start: 2 * MIB })
    const ended = failureOf(buffer(stream))
    await setTimeout(300)
    const began = Date.now()
    abort.abort(new Error('enough'))
    assert.equal(codeOf(await aborted), 'ABORT_ERR')
    await message.close()
    for (const failure of [await closed, await ended, await failureOf(message.read(0, 1))]) {
      assert.ok(failure instanceof TypeError, failure.stack)
      assert.match(failure.message, /the message was closed/)
    }
    assert.ok(Date.now() - began < 3000) // and not when all has come, at this speed
    await setTimeout(200)
    const sent = server.proxy.asked.map(({ bytesOut }) => bytesOut)
    await setTimeout(200)
    assert.deepEqual(
      server.proxy.asked.map(({ bytesOut }) => bytesOut),
      sent,
    )
    const signal = AbortSignal.abort()
    assert.equal(codeOf(await failureOf(openObject(options(key, { signal })))), 'ABORT_ERR')
    faults.set(key, () => 'stall')
    const stuck = failureOf(openObject(options(key, { signal: AbortSignal.timeout(200) })))
    assert.equal(codeOf(await stuck), 'ABORT_ERR')
  })
})
