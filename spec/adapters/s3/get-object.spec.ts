import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { HeadObjectCommand, DeleteObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import {
  AuthenticationError,
  ChangedError,
  MalformedMessageError,
  TransferError,
  TruncatedMessageError,
  UnsupportedError,
} from 'esdk-streams'
import { type GetObjectOptions, getObject } from 'esdk-streams/s3'
import { type Cut, type S3Fault, S3FaultProxy } from '../../emulators/s3-fault-proxy.ts'
import { type S3Server, s3ClientAt, useS3Server } from '../../emulators/s3-setup.ts'
import { runProgram } from './child.ts'
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

const IDLE_MS = 1000
const PLAINTEXT = PLAIN.subarray(0, 3 * MIB)
const NEVER = {
  onEncrypt: () => Promise.reject(new Error('asked')),
  onDecrypt: () => Promise.reject(new Error('asked')),
}

describe('adapters/s3/get-object', function () {
  this.timeout(60_000)
  const shared = useS3Server('versitygw')
  const versioned = useS3Server('versitygw', { versioned: true })
  const faults = new FaultsByKey()
  let server: S3Server
  /** Of a message of PLAINTEXT in frames of 64 KiB. */
  let size: number

  beforeEach(async () => {
    server = shared.server
    faults.install(server)
    size = (await messageOf(PLAINTEXT)).length
  })

  function options(Key: string, rest: Partial<GetObjectOptions> = {}): GetObjectOptions {
    return { client: server.client, params: { Bucket: server.bucket, Key }, keyring, ...rest }
  }

  /** A new object of PLAINTEXT. */
  async function stored(plaintext: Buffer = PLAINTEXT): Promise<string> {
    const key = faults.key()
    await store(server, key, plaintext)
    return key
  }

  async function storeBytes(key: string, Body: Uint8Array, Metadata: Record<string, string> = {}): Promise<void> {
    await server.direct.send(new PutObjectCommand({ Bucket: server.bucket, Key: key, Body, Metadata }))
  }

  /** All plaintext, at once. */
  async function get(key: string, rest: Partial<GetObjectOptions> = {}): Promise<Buffer> {
    return buffer(await getObject(options(key, rest)))
  }

  /** Where the answers after the first were to begin. */
  function resumedAt(key: string): number[] {
    const [, ...resumed] = askedAbout(server, key)
    return resumed.map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1]))
  }

  it('gives the plaintext, the header, and what S3 says of the object', async () => {
    const key = faults.key()
    const params = { Bucket: server.bucket, Key: key, ContentType: 'text/plain', Metadata: { a: 'b' } }
    await store(server, key, PLAINTEXT, { params, encryptionContext: { purpose: 'spec' } })
    const stream = await getObject(options(key, { encryptionContext: { purpose: 'spec' } }))
    assert.equal(stream.header!.encryptionContext['purpose'], 'spec')
    const { ContentLength, ContentType, Metadata, ETag } = stream.object
    assert.deepEqual([ContentLength, ContentType, Metadata!['a']], [size + 17, 'text/plain', 'b'])
    assert.equal(typeof ETag, 'string')
    assert.equal('Body' in stream.object, false)
    assert.equal(hashOf(await buffer(stream)), hashOf(PLAINTEXT))
    assert.deepEqual(server.proxy.operations, ['GetObject'])
    assert.equal(stream.stats.bytesIn, size + 17)
  })

  describe('resumes', () => {
    const places = { 'the beginning': 0, 'the header': 50, 'mid-frame': 1_000_000, 'the last byte': -1 }
    const ways = ['drop', 'reset', 'stall'] as const
    const clients: (() => S3Client)[] = [
      () => server.client,
      () => s3ClientAt(server.endpoint, { responseChecksumValidation: 'WHEN_REQUIRED' }),
    ]

    it('at the next byte, wherever it breaks off, and however', async () => {
      const cases = clients.flatMap((client) =>
        Object.entries(places).flatMap(([place, at]) => ways.map((by) => ({ client: client(), place, at, by }))),
      )
      await Promise.all(
        cases.map(async ({ client, place, at, by }) => {
          const key = await stored()
          const after = at < 0 ? size + at : at
          faults.set(
            key,
            first(1, { cut: 'response', after, by }, () => true),
          )
          const found = await get(key, { client, ...(by === 'stall' && { idleTimeoutMs: IDLE_MS }) })
          assert.equal(hashOf(found), hashOf(PLAINTEXT))
          const [start, ...more] = resumedAt(key)
          assert.deepEqual(more, [])
          // A connection that breaks may take bytes with it that were on their way.
          if (by === 'stall') assert.equal(start, after, place)
          else assert.ok(start! <= after, place)
          const [whole, rest] = askedAbout(server, key)
          assert.equal(whole!.headers['if-match'], undefined)
          assert.match(rest!.headers['if-match']!, /^"[0-9a-f-]+"$/)
          assert.equal(rest!.status, 206)
          assert.equal(rest!.bytesOut, size - start!)
        }),
      )
    })

    it('as often as it breaks off, while there is progress', async () => {
      const key = await stored()
      faults.set(key, ({ range }) => {
        const left = size - Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
        return left > 300_000 ? { cut: 'response', after: 300_000, by: 'drop' } : undefined
      })
      assert.equal(hashOf(await get(key)), hashOf(PLAINTEXT))
      const starts = resumedAt(key)
      assert.ok(starts.length > 8)
      assert.deepEqual(
        starts,
        starts.toSorted((a, b) => a - b),
      )
    })

    it('after other failures in between', async () => {
      const key = await stored()
      const turns: S3Fault[] = [
        { cut: 'response', after: 100_000, by: 'drop' },
        'drop',
        { error: 'SlowDown', status: 503 },
        'reset',
        { cut: 'response', after: 0, by: 'reset' },
        { error: 'InternalError', status: 500 },
      ]
      faults.set(key, () => turns.shift())
      assert.equal(hashOf(await get(key)), hashOf(PLAINTEXT))
      assert.equal(turns.length, 0)
    })

    it('the same version of an object, though there is another by now', async () => {
      server = versioned.server
      faults.install(server)
      const key = await stored()
      faults.set(
        key,
        first(1, { cut: 'response', after: 100_000, by: 'stall' }, () => true),
      )
      const stream = await getObject(options(key, { idleTimeoutMs: IDLE_MS }))
      await store(server, key, PLAIN.subarray(7))
      assert.equal(hashOf(await buffer(stream)), hashOf(PLAINTEXT))
      assert.equal(askedAbout(server, key)[1]!.versionId, stream.object.VersionId)
      assert.equal(askedAbout(server, key)[1]!.headers['if-match'], stream.object.ETag)
    })
  })

  it('fails with a coded error when nothing comes any more', async () => {
    const cases: readonly (readonly [S3Fault, number])[] = [
      [{ cut: 'response', after: 1000, by: 'drop' }, 1000],
      [{ cut: 'response', after: 0, by: 'reset' }, 0],
    ]
    await Promise.all(
      cases.map(async ([fault]) => {
        const key = await stored()
        let asked = 0
        faults.set(key, () => (++asked === 1 ? { cut: 'response', after: 100_000, by: 'drop' } : fault))
        const stream = await getObject(options(key))
        const failure = await failureOf(buffer(stream))
        assert.ok(failure instanceof TransferError, failure.stack)
        assert.equal(asked, 6)
      }),
    )
    const key = await stored()
    for (const fault of ['drop', 'stall', 'reset', { error: 'InternalError', status: 500 }] as const) {
      faults.set(key, () => fault)
      const failure = await failureOf(getObject(options(key, { idleTimeoutMs: 200 })))
      assert.ok(failure instanceof TransferError, failure.stack)
    }
  })

  it('does not go on with what it can not tell apart from another object', async () => {
    const outer = new S3FaultProxy(server.endpoint)
    const client = s3ClientAt(await outer.start())
    try {
      for (const header of ['etag', 'content-length']) {
        const key = await stored()
        faults.set(key, () => ({
          head: ({ status, headers }) => ({ status, headers: { ...headers, [header]: undefined } }),
        }))
        outer.faults()
        assert.equal(hashOf(await get(key, { client })), hashOf(PLAINTEXT))
        outer.faults(() => ({ cut: 'response', after: 500_000, by: 'drop' }))
        const failure = await failureOf(get(key, { client }))
        assert.ok(failure instanceof TransferError, failure.stack)
        assert.equal(outer.asked.length, 1)
      }
    } finally {
      client.destroy()
      await outer.stop()
    }
  })

  it('waits for a slow server as long as something comes', async () => {
    const key = await stored()
    faults.set(key, () => ({ slow: 'response', bytesPerSecond: 1.5 * MIB }))
    assert.equal(hashOf(await get(key, { idleTimeoutMs: 1000 })), hashOf(PLAINTEXT))
    assert.equal(server.proxy.asked.length, 1)
  })

  it('waits for a slow reader as long as that takes', async () => {
    const key = await stored(PLAIN)
    const stream = await getObject(options(key, { idleTimeoutMs: 300 }))
    const chunks: Buffer[] = []
    let pauses = 1
    const sink = new Writable({
      highWaterMark: 1,
      write: (chunk: Buffer, _encoding, done) => {
        chunks.push(chunk)
        void setTimeout(pauses-- > 0 ? 1000 : 0).then(() => {
          done()
        })
      },
    })
    await pipeline(stream, sink)
    assert.equal(hashOf(Buffer.concat(chunks)), hashOf(PLAIN))
    assert.equal(server.proxy.asked.length, 1)
  })

  it('does not take a process that is busy for a connection that is dead', async () => {
    const key = await stored(PLAIN)
    const stream = await getObject(options(key, { idleTimeoutMs: 150 }))
    let turns = 0
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (turns++ % 100 === 0) {
        await setTimeout(1) // it has asked for more meanwhile
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400)
      }
      assert.ok(chunk.length > 0)
    }
    assert.ok(turns > 100)
    assert.equal(server.proxy.asked.length, 1)
  })

  it('notices that the object was replaced or removed meanwhile', async () => {
    const changes: Record<string, (key: string) => Promise<unknown>> = {
      replaced: (key) => store(server, key, PLAIN.subarray(1, 1 + PLAINTEXT.length)),
      'replaced by a short one': (key) => store(server, key, Buffer.from('short')),
      removed: (Key) => server.direct.send(new DeleteObjectCommand({ Bucket: server.bucket, Key })),
    }
    await Promise.all(
      Object.entries(changes).map(async ([what, change]) => {
        const key = await stored()
        faults.set(
          key,
          first(1, { cut: 'response', after: 100_000, by: 'stall' }, () => true),
        )
        const stream = await getObject(options(key, { idleTimeoutMs: IDLE_MS }))
        await change(key)
        const failure = await failureOf(buffer(stream))
        assert.ok(failure instanceof ChangedError, `${what}: ${failure.stack!}`)
        assert.match(failure.message, /s3:\/\//)
      }),
    )
  })

  it('insists on the rest of the same object, whatever the server gives', async () => {
    const rests: Record<string, Readonly<Record<string, string | undefined>>> = {
      'no range': { 'content-range': undefined },
      'another range': { 'content-range': 'bytes 0-99/100' },
      'a range that begins elsewhere': { 'content-range': `bytes 99999-${size - 1}/${size}` },
      'a range that ends elsewhere': { 'content-range': `bytes 100000-${size - 2}/${size}` },
      'a range of another length': { 'content-range': `bytes 100000-${size - 1}/${size + 1}` },
      'another object': { etag: '"00000000000000000000000000000000"' },
    }
    await Promise.all(
      Object.entries(rests).map(async ([what, changed]) => {
        const key = await stored()
        let asked = 0
        faults.set(key, () =>
          ++asked === 1
            ? ({ cut: 'response', after: 100_000, by: 'stall' } satisfies Cut)
            : { head: ({ status, headers }) => ({ status, headers: { ...headers, ...changed } }) },
        )
        const stream = await getObject(options(key, { idleTimeoutMs: IDLE_MS }))
        const failure = await failureOf(buffer(stream))
        assert.ok(failure instanceof ChangedError, `${what}: ${failure.stack!}`)
        assert.equal(asked, 2)
      }),
    )
  })

  it('refuses objects of the Amazon S3 Encryption Client by name, before any key is asked for', async () => {
    for (const name of ['x-amz-key', 'x-amz-key-v2', 'x-amz-iv', 'x-amz-cek-alg', 'x-amz-3', 'x-amz-c']) {
      const key = faults.key()
      await storeBytes(key, PLAINTEXT, { [name]: 'AAAA' })
      const failure = await failureOf(getObject(options(key, { keyring: NEVER })))
      assert.ok(failure instanceof UnsupportedError, failure.stack)
      assert.ok(failure.message.includes(`Amazon S3 Encryption Client (its metadata has "${name}")`), failure.message)
    }
  })

  it('says what S3 does not have or does not give', async () => {
    const missing = await failureOf(getObject(options('missing')))
    assert.ok(missing instanceof TransferError)
    assert.match(missing.message, /^s3:\/\/spec-[\d-]+\/missing: NoSuchKey/)
    const { bucket: Bucket } = server
    const bucket = await failureOf(getObject(options('x', { params: { Bucket: 'no-such-bucket', Key: 'x' } })))
    assert.ok(bucket instanceof TransferError && bucket.message.includes('NoSuchBucket'), bucket.message)
    const key = await stored()
    const other = { Bucket, Key: key, IfMatch: '"00000000000000000000000000000000"' }
    assert.ok((await failureOf(getObject(options(key, { params: other })))) instanceof ChangedError)
    const { ETag } = await server.direct.send(new HeadObjectCommand({ Bucket, Key: key }))
    const same = await failureOf(getObject(options(key, { params: { Bucket, Key: key, IfNoneMatch: ETag } })))
    assert.ok(same instanceof ChangedError, same.stack)
    assert.match(same.message, /still the one that was not wanted/)
    faults.set(key, () => ({ error: 'AccessDenied', status: 403 }))
    assert.match((await failureOf(getObject(options(key)))).message, /AccessDenied/)
  })

  it('refuses at once what can not be, and asks nothing', async () => {
    const { bucket: Bucket } = server
    const refused = [
      [{ params: { Bucket, Key: '' } }, TypeError, /"Key"/],
      [{ params: { Bucket, Key: 'x', Range: 'bytes=0-1' } }, TypeError, /"Range".*openObject/],
      [{ params: { Bucket, Key: 'x', PartNumber: 1 } }, TypeError, /"PartNumber"/],
      [{ params: undefined as never }, TypeError, /"params" expected/],
      [{ client: {} as never }, TypeError, /"client" expected/],
      [{ idleTimeoutMs: 1.5 }, RangeError, /"idleTimeoutMs" expected/],
      [{ maxHeaderBytes: 0 }, RangeError, /"maxHeaderBytes" expected/],
    ] as const
    for (const [wrong, kind, text] of refused) {
      await assert.rejects(getObject(options('x', wrong)), (error) => {
        assert.ok(error instanceof kind, String(error))
        assert.match(error.message, text)
        return true
      })
    }
    assert.deepEqual(server.proxy.operations, [])
  })

  it('can be aborted at any time', async () => {
    const key = await stored(PLAIN)
    const { direct: client } = server
    const aborted = await failureOf(getObject(options(key, { signal: AbortSignal.abort(), client })))
    assert.equal(codeOf(aborted), 'ABORT_ERR')
    await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const work = getObject(options(key, { signal: AbortSignal.timeout(index * 5), client })).then(buffer)
        const failure = await work.then(
          () => undefined,
          (error: unknown) => error as Error,
        )
        if (failure !== undefined) assert.equal(codeOf(failure), 'ABORT_ERR')
      }),
    )
    // While nothing comes: before the header, after it, and between two attempts.
    const stuck: S3Fault[][] = [
      ['stall'],
      [{ cut: 'response', after: 10, by: 'stall' }],
      [{ cut: 'response', after: 900_000, by: 'stall' }],
      [{ cut: 'response', after: 900_000, by: 'drop' }, 'stall'],
      [{ cut: 'response', after: 900_000, by: 'drop' }, 'drop', 'drop', 'drop', 'drop', 'drop', 'drop', 'drop'],
    ]
    await Promise.all(
      stuck.map(async (turns) => {
        const other = await stored()
        faults.set(other, () => turns.shift())
        const abort = new AbortController()
        const reason = new Error('enough')
        const began = Date.now()
        void setTimeout(400).then(() => {
          abort.abort(reason)
        })
        const failure = await failureOf(getObject(options(other, { signal: abort.signal })).then(buffer))
        assert.equal(codeOf(failure), 'ABORT_ERR')
        assert.equal(failure.cause, reason)
        assert.ok(Date.now() - began < 5000)
      }),
    )
  })

  it('releases of a signed message all but the last frame before the signature, and with verifyFirst nothing', async () => {
    const key = faults.key()
    const plaintext = PLAIN.subarray(0, 200_000)
    await store(server, key, plaintext, { algorithmSuite: 0x0578, frameLength: 64 * KIB })
    const bytes = await server.objectBytes(key)
    bytes[bytes.length - 1]! ^= 1
    await storeBytes(key, bytes)
    const released: Buffer[] = []
    const failure = await failureOf(
      (async () => {
        for await (const chunk of await getObject(options(key))) released.push(chunk as Buffer)
      })(),
    )
    assert.ok(failure instanceof AuthenticationError && failure.part === 'signature', failure.stack)
    assert.equal(hashOf(Buffer.concat(released)), hashOf(plaintext.subarray(0, 3 * 64 * KIB)))
    const nothing = await failureOf(getObject(options(key, { verifyFirst: true })))
    assert.ok(nothing instanceof AuthenticationError && nothing.part === 'signature', nothing.stack)
    const genuine = await stored()
    faults.set(
      genuine,
      first(1, { cut: 'response', after: 100_000, by: 'drop' }, () => true),
    )
    assert.equal(hashOf(await get(genuine, { verifyFirst: true })), hashOf(PLAINTEXT))
  })

  it('keeps an error after the header for whoever reads later', async () => {
    const key = await stored()
    const tampered = 10 * 64 * KIB
    faults.set(key, () => ({
      bytes: (chunk, position) => {
        const changed = Buffer.from(chunk)
        if (position <= tampered && tampered < position + chunk.length) changed[tampered - position]! ^= 1
        return changed
      },
    }))
    const sink = (): Writable =>
      new Writable({
        write: (_chunk, _encoding, done) => {
          done()
        },
      })
    const readers = [
      (stream: Awaited<ReturnType<typeof getObject>>) => pipeline(stream, sink()),
      (stream: Awaited<ReturnType<typeof getObject>>) => buffer(stream),
    ]
    for (const read of readers) {
      const stream = await getObject(options(key, { highWaterMark: 4 * MIB }))
      while (!stream.destroyed) await setTimeout(5)
      await setTimeout(50)
      const failure = await failureOf(read(stream))
      assert.ok(failure instanceof AuthenticationError, failure.stack)
    }
  })

  it('closes the connection when it is destroyed early', async () => {
    const key = await stored(PLAIN)
    faults.set(key, () => ({ slow: 'response', bytesPerSecond: 8 * MIB }))
    for (const client of [
      server.client,
      s3ClientAt(server.endpoint, { responseChecksumValidation: 'WHEN_REQUIRED' }),
    ]) {
      const stream = await getObject(options(key, { client }))
      stream.destroy()
      await setTimeout(200)
      const asked = askedAbout(server, key).at(-1)!
      const { bytesOut } = asked
      await setTimeout(300)
      assert.equal(asked.bytesOut, bytesOut)
      assert.ok(bytesOut < PLAIN.length)
    }
    assert.equal(askedAbout(server, key).length, 2)
  })

  it('closes the connection where there is no message, no key, or no such option', async () => {
    const foreign = faults.key()
    await storeBytes(foreign, PLAIN)
    const genuine = await stored(PLAIN)
    const cases = [
      [foreign, {}, 'ERR_ESDK_MALFORMED'],
      [genuine, { keyring: NEVER }, 'ERR_ESDK_UNWRAP'],
      [genuine, { highWaterMark: -1 }, 'ERR_INVALID_ARG_VALUE'],
    ] as const
    for (const [key, rest, code] of cases) {
      faults.set(key, () => ({ slow: 'response', bytesPerSecond: 8 * MIB }))
      assert.equal(codeOf(await failureOf(getObject(options(key, rest)))), code)
      await setTimeout(200)
      const asked = askedAbout(server, key).at(-1)!
      const { bytesOut } = asked
      await setTimeout(200)
      assert.equal(asked.bytesOut, bytesOut, code)
      assert.ok(bytesOut < PLAIN.length)
    }
  })

  it('reports what is no whole message', async () => {
    const message = await messageOf(PLAINTEXT)
    const cases = [
      [Buffer.alloc(0), TruncatedMessageError],
      [message.subarray(0, 50), TruncatedMessageError],
      [message.subarray(0, -1), TruncatedMessageError],
      [Buffer.concat([message, Buffer.from('x')]), MalformedMessageError],
    ] as const
    for (const [bytes, kind] of cases) {
      const key = faults.key()
      await storeBytes(key, bytes)
      const failure = await failureOf(get(key))
      assert.ok(failure instanceof kind, failure.stack)
    }
  })

  it('leaves no handle open: a process ends by itself', async () => {
    const [key, stalled] = [await stored(PLAIN), await stored()]
    faults.set(stalled, ({ range }) =>
      range === undefined ? { cut: 'response', after: 500_000, by: 'drop' } : 'stall',
    )
    const output = await runProgram(
      server,
      `
      const params = (Key) => ({ Bucket, Key })
      const destroyed = await getObject({ client, params: params('${key}'), keyring })
      destroyed.destroy()
      const resuming = await getObject({ client, params: params('${stalled}'), keyring })
      resuming.on('error', (error) => console.log(error.message))
      resuming.resume()
      setTimeout(() => resuming.destroy(new Error('destroyed')), 300)
      const opened = await openObject({ client, params: params('${key}'), keyring })
      const reading = opened.read(1_000_000, 10_000_000)
      await opened.close()
      await reading.catch((error) => console.log(error.message))
      const began = Date.now()
      process.on('exit', () => console.log(Date.now() - began < 2000))
      `,
    )
    assert.deepEqual(output.trim().split('\n'), ['the message was closed', 'destroyed', 'true'])
  })
})
