import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { GetObjectTaggingCommand, HeadObjectCommand, type HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import { ChangedError, LengthError, LimitError, TransferError } from 'esdk-streams'
import { type ObjectParams, type PutObjectOptions, type UploadStats, getObject, putObject } from 'esdk-streams/s3'
import { bodyLength } from '#lib/format/message-size'
import { type S3Server, s3ClientAt, useS3Server } from '../../emulators/s3-setup.ts'
import { memoryOf } from './child.ts'
import {
  FaultsByKey,
  KIB,
  MIB,
  PART_BYTES,
  PLAIN,
  UNSIGNED,
  WatchedSource,
  askedAbout,
  assertPlaintext,
  codeOf,
  failureOf,
  first,
  hashOf,
  keyring,
  store,
} from './objects.ts'

const FRAME = 64 * KIB
const QUEUE = 2

describe('adapters/s3/put-object', () => {
  const shared = useS3Server('versitygw')
  const faults = new FaultsByKey()
  let server: S3Server

  beforeEach(() => {
    server = shared.server
    faults.install(server)
  })

  function options(Key: string, body: PutObjectOptions['body'], params: Partial<ObjectParams> = {}): PutObjectOptions {
    return {
      client: server.client,
      params: { Bucket: server.bucket, Key, ...params },
      body,
      keyring,
      algorithmSuite: UNSIGNED,
      frameLength: FRAME,
      partBytes: PART_BYTES,
    }
  }

  async function head(Key: string): Promise<HeadObjectCommandOutput> {
    return server.direct.send(new HeadObjectCommand({ Bucket: server.bucket, Key, ChecksumMode: 'ENABLED' }))
  }

  it('stores messages of every length around the boundaries of parts, and gives them back', async function () {
    this.timeout(120_000)
    const tiny = faults.key()
    await putObject(options(tiny, 'x'))
    const headerLength = (await server.objectBytes(tiny)).length - bodyLength(1, FRAME)
    const frameLength = 32 * MIB // one frame, so that any length of a message can be had
    const overhead = headerLength + bodyLength(1, frameLength) - 1
    const lengths = [PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES - 1, 2 * PART_BYTES, 2 * PART_BYTES + 1]
    for (const length of lengths) {
      const plaintext = PLAIN.subarray(0, length - overhead)
      const parts = Math.ceil(length / PART_BYTES)
      const [known, unknown] = [faults.key(), faults.key()]
      const results = await Promise.all([
        putObject({ ...options(known, plaintext), frameLength }),
        putObject({
          ...options(unknown, Readable.from([plaintext.subarray(0, 7), plaintext.subarray(7)])),
          frameLength,
        }),
      ])
      for (const [index, key] of [known, unknown].entries()) {
        const { stats, header } = results[index]!
        assert.deepEqual(stats, { bytesIn: plaintext.length, bytesOut: length, frames: 1, parts })
        assert.equal(header.frameLength, frameLength)
        const { ContentLength, Metadata } = await head(key)
        assert.equal(ContentLength, length)
        assert.equal(Metadata!['esdk-plaintext-length'], key === known ? String(plaintext.length) : undefined)
        const operations = askedAbout(server, key).map(({ operation }) => operation)
        const uploaded = [
          'CreateMultipartUpload',
          ...Array<string>(parts).fill('UploadPart'),
          'CompleteMultipartUpload',
        ]
        assert.deepEqual(operations, parts === 1 ? ['PutObject'] : uploaded)
        const object = await getObject({ client: server.client, params: { Bucket: server.bucket, Key: key }, keyring })
        assert.equal(hashOf(await buffer(object)), hashOf(plaintext))
      }
    }
  })

  it('takes any source of bytes, and nothing at all', async () => {
    const text = 'Grüße'
    const bytes = Buffer.from(text)
    const sources = {
      text,
      bytes,
      iterable: [bytes.subarray(0, 2), bytes.subarray(2)],
      node: Readable.from([bytes]),
      web: new Blob([bytes]).stream(),
    }
    await Promise.all(
      Object.entries(sources).map(async ([name, source]) => {
        const { output } = await putObject(options(name, source))
        await assertPlaintext(server, name, bytes)
        assert.equal(output.ETag, (await head(name)).ETag)
      }),
    )
    for (const nothing of ['', Readable.from([])]) {
      const key = faults.key()
      const { stats } = await putObject(options(key, nothing))
      assert.deepEqual([stats.bytesIn, stats.parts], [0, 1])
      await assertPlaintext(server, key, Buffer.alloc(0))
    }
  })

  it('takes the length of the plaintext from "ContentLength", and holds the source to it', async () => {
    const key = faults.key()
    await putObject(options(key, Readable.from([PLAIN.subarray(0, 1000)]), { ContentLength: 1000 }))
    assert.equal((await head(key)).Metadata!['esdk-plaintext-length'], '1000')
    await assertPlaintext(server, key, PLAIN.subarray(0, 1000))
    for (const ContentLength of [999, 1001]) {
      const other = faults.key()
      const source = Readable.from([PLAIN.subarray(0, 1000)])
      await assert.rejects(putObject(options(other, source, { ContentLength })), LengthError)
      assert.equal(await server.objectExists(other), false)
      assert.equal(source.destroyed, true)
    }
  })

  it('sends checksums of the kind that was asked for, with parts too', async () => {
    for (const ChecksumAlgorithm of ['CRC64NVME', 'SHA256', 'CRC32'] as const) {
      for (const length of [100 * KIB, 6 * MIB]) {
        const key = faults.key()
        await putObject(options(key, PLAIN.subarray(0, length), { ChecksumAlgorithm }))
        const sent = askedAbout(server, key).filter(({ operation }) => /^(PutObject|UploadPart)$/.test(operation))
        assert.equal(sent.length, length > PART_BYTES ? 2 : 1)
        for (const { headers } of sent) assert.ok(headers[`x-amz-checksum-${ChecksumAlgorithm.toLowerCase()}`])
        assert.ok((await head(key))[`Checksum${ChecksumAlgorithm}`], ChecksumAlgorithm)
        await assertPlaintext(server, key, PLAIN.subarray(0, length))
      }
    }
  })

  it('does without checksums where the client is told so', async () => {
    const client = s3ClientAt(server.endpoint, { requestChecksumCalculation: 'WHEN_REQUIRED' })
    for (const length of [100, 6 * MIB]) {
      const key = faults.key()
      await putObject({ ...options(key, PLAIN.subarray(0, length)), client })
      await assertPlaintext(server, key, PLAIN.subarray(0, length))
      for (const { headers } of askedAbout(server, key)) {
        assert.deepEqual(
          Object.keys(headers).filter((name) => name.startsWith('x-amz-checksum')),
          [],
        )
      }
    }
    client.destroy()
  })

  it('keeps to conditions: the object that is there stays', async () => {
    for (const length of [1000, 6 * MIB]) {
      const key = faults.key()
      const plaintext = PLAIN.subarray(0, length)
      const { output } = await putObject(options(key, plaintext, { IfNoneMatch: '*' }))
      const before = hashOf(await server.objectBytes(key))
      const source = (): WatchedSource => new WatchedSource(PLAIN.subarray(1, length))
      for (const condition of [{ IfNoneMatch: '*' }, { IfMatch: '"00000000000000000000000000000000"' }]) {
        const body = source()
        await assert.rejects(putObject(options(key, body, condition)), ChangedError)
        assert.equal(hashOf(await server.objectBytes(key)), before)
        assert.equal(body.destroyed, true)
      }
      assert.deepEqual(await server.multipartUploads(), [])
      await putObject(options(key, source(), { IfMatch: output.ETag }))
      await assertPlaintext(server, key, PLAIN.subarray(1, length))
      const gone = faults.key()
      const failure = await failureOf(putObject(options(gone, source(), { IfMatch: output.ETag })))
      assert.ok(failure instanceof ChangedError, String(failure))
    }
    assert.deepEqual(await server.multipartUploads(), [])
  })

  it('tags what it stores', async () => {
    for (const length of [10, 6 * MIB]) {
      const Key = faults.key()
      await putObject(options(Key, PLAIN.subarray(0, length), { Tagging: 'a=1&b=%C3%A4%20%2B' }))
      const { TagSet } = await server.direct.send(new GetObjectTaggingCommand({ Bucket: server.bucket, Key }))
      const pairs = TagSet!.map((tag) => `${tag.Key!}: ${tag.Value!}`)
      assert.deepEqual(pairs.sort(), ['a: 1', 'b: ä +'])
    }
  })

  it('refuses at once what can not be, and asks nothing', async () => {
    const source = new WatchedSource(PLAIN)
    const refused = [
      [{ params: { Bucket: server.bucket, Key: '' } }, TypeError, /"Key"/],
      [{ params: { Bucket: '', Key: 'x' } }, TypeError, /"Bucket"/],
      ...['Body', 'ContentMD5', 'ChecksumSHA256', 'ChecksumCRC64NVME', 'WriteOffsetBytes'].map(
        (name) => [{ params: { Bucket: server.bucket, Key: 'x', [name]: 'x' } }, TypeError, new RegExp(name)] as const,
      ),
      [{ partBytes: PART_BYTES - 1 }, RangeError, /"partBytes" expected/],
      [{ queueSize: 0 }, RangeError, /"queueSize" expected/],
      [{ idleTimeoutMs: 0 }, RangeError, /"idleTimeoutMs" expected/],
      [{ frameLength: 0 }, RangeError, /"frameLength" expected/],
      [{ plaintextLength: 2 ** 34, frameLength: 1 }, RangeError, /frames/],
      [{ plaintextLength: 2 ** 46, frameLength: 2 ** 26 }, LimitError, /parts/],
      [{ expectedBytes: 2 ** 46 }, LimitError, /parts/],
      [{ expectedBytes: -1 }, RangeError, /"expectedBytes" expected/],
      [{ client: undefined as never }, TypeError, /"client" expected/],
      [{ params: undefined as never }, TypeError, /"params" expected/],
    ] as const
    for (const [wrong, kind, text] of refused) {
      await assert.rejects(putObject({ ...options('x', source), ...wrong }), (error) => {
        assert.ok(error instanceof kind, String(error))
        assert.match(error.message, text)
        return true
      })
    }
    assert.deepEqual([server.proxy.operations, source.given], [[], 0])
  })

  it('makes parts as long as 10,000 of them need', async () => {
    const key = faults.key(() => ({ error: 'AccessDenied', status: 403 }))
    const source = new WatchedSource(PLAIN)
    const plaintextLength = 64 * KIB * MIB // in 8 MiB parts only some would fit
    await assert.rejects(putObject({ ...options(key, source), plaintextLength }), TransferError)
    assert.ok(source.given > 12 * MIB && source.destroyed, `${source.given} bytes for two parts of 7 MiB`)
  })

  it('tells its progress, and how it ended', async () => {
    const key = faults.key()
    const seen: UploadStats[] = []
    const { stats } = await putObject({
      ...options(key, new WatchedSource(PLAIN.subarray(0, 12 * MIB))),
      onProgress: (now) => seen.push(now),
    })
    assert.deepEqual(stats, { bytesIn: 12 * MIB, bytesOut: (await head(key)).ContentLength, frames: 192, parts: 3 })
    assert.deepEqual(seen.at(-1), stats)
    assert.ok(
      seen.every(
        ({ bytesIn, parts }, index) =>
          index === 0 || (bytesIn >= seen[index - 1]!.bytesIn && parts >= seen[index - 1]!.parts),
      ),
    )
    for (const parts of [1, 2, 3]) assert.ok(seen.some((now) => now.parts === parts))
  })

  it('sends at most as many parts at once as it may', async () => {
    for (const queueSize of [1, 2]) {
      let [under, most] = [0, 0]
      const key = faults.key((asked) => {
        if (asked.operation !== 'UploadPart') return undefined
        most = Math.max(most, ++under)
        return { head: (answer) => (under--, answer) }
      })
      await putObject({ ...options(key, new WatchedSource(PLAIN)), queueSize })
      assert.equal(most, queueSize)
    }
  })

  it('sends the same bytes when a part is sent again', async () => {
    const key = faults.key()
    let attempts = 0
    faults.set(key, ({ operation, partNumber }) => {
      if (operation !== 'UploadPart' || partNumber !== 2) return undefined
      const turn = (['drop-reply', 'stall', { error: 'SlowDown', status: 503 }] as const)[attempts++]
      return turn
    })
    const plaintext = PLAIN.subarray(0, 12 * MIB)
    const body = new WatchedSource(plaintext)
    const { stats } = await putObject({ ...options(key, body, { ChecksumAlgorithm: 'SHA256' }), idleTimeoutMs: 1500 })
    const sent = askedAbout(server, key, 'UploadPart').filter(({ partNumber }) => partNumber === 2)
    assert.equal(sent.length, 4)
    for (const name of ['x-amz-checksum-sha256', 'content-length']) {
      assert.ok(sent[0]!.headers[name])
      assert.deepEqual([...new Set(sent.map(({ headers }) => headers[name]))].length, 1)
    }
    assert.equal(stats.parts, 3)
    await assertPlaintext(server, key, plaintext)
  })

  it('does not read ahead where S3 is slow', async () => {
    const key = faults.key(({ operation }) =>
      operation === 'UploadPart' ? { slow: 'request', bytesPerSecond: 64 * KIB } : undefined,
    )
    const body = new WatchedSource(PLAIN)
    const abort = new AbortController()
    const put = putObject({ ...options(key, body), queueSize: 1, signal: abort.signal })
    put.catch(() => undefined)
    while (body.given < 2 * PART_BYTES) await setTimeout(10)
    await setTimeout(500)
    // One is sent, one waits, and the streams hold a little.
    assert.ok(body.given < 2 * PART_BYTES + 2 * MIB, `${body.given} bytes were read`)
    assert.equal(body.destroyed, false)
    abort.abort()
    assert.equal(codeOf(await failureOf(put)), 'ABORT_ERR')
    assert.equal(body.destroyed, true)
  })

  it('notices that S3 fails while the source has nothing to give', async () => {
    const key = faults.key(({ operation }) =>
      operation === 'UploadPart' ? { error: 'AccessDenied', status: 403 } : undefined,
    )
    const body = new Readable({ read: () => undefined })
    body.push(PLAIN.subarray(0, 11 * MIB)) // two parts, and then nothing
    const failure = await failureOf(putObject(options(key, body)))
    assert.ok(failure instanceof TransferError, String(failure))
    assert.match(failure.message, /AccessDenied/)
    if (!body.closed) await once(body, 'close').catch(() => undefined)
    assert.deepEqual(await server.multipartUploads(), [])
  })

  it('needs memory for the parts that are sent at once only', async function () {
    this.timeout(120_000)
    const key = faults.key()
    const growth = await memoryOf(server, {
      warmUp: `await put('warm-up', 20)`,
      work: `await put('${key}', 300)`,
      shared: `
        async function* zeros(mib) { for (let i = 0; i < mib * 16; i++) yield Buffer.alloc(65536) }
        const put = (Key, mib) => putObject({ client, params: { Bucket, Key }, body: zeros(mib), keyring, queueSize: ${QUEUE} })`,
    })
    assert.ok((await head(key)).ContentLength! > 300 * MIB)
    assert.ok(growth < 80 * MIB, `peak memory grew by ${Math.round(growth / MIB)} MiB`)
  })

  it('stores nothing where there is no bucket', async () => {
    const body = new WatchedSource(PLAIN)
    const put = putObject({ ...options('x', body), params: { Bucket: 'no-such-bucket', Key: 'x' } })
    await assert.rejects(put, (error) => {
      assert.ok(error instanceof TransferError)
      assert.match(error.message, /s3:\/\/no-such-bucket\/x.*NoSuchBucket/)
      return true
    })
    assert.equal(body.destroyed, true)
  })

  it('stores under an existing key only what is whole', async () => {
    const key = faults.key()
    await store(server, key, PLAIN.subarray(0, 10))
    const failure = new Error('the disk broke')
    const body = new WatchedSource(PLAIN.subarray(0, 7 * MIB), () => failure)
    assert.equal(await failureOf(putObject(options(key, body))), failure)
    await assertPlaintext(server, key, PLAIN.subarray(0, 10))
    assert.deepEqual(await server.multipartUploads(), [])
  })

  it('sends again what was cut off on its way, slice by slice', async () => {
    const plaintext = PLAIN.subarray(0, 3 * MIB)
    for (const by of ['drop', 'reset', 'stall'] as const) {
      const key = faults.key()
      faults.set(
        key,
        first(1, { cut: 'request', after: MIB, by }, ({ operation }) => operation === 'PutObject'),
      )
      await putObject({ ...options(key, plaintext), partBytes: 8 * MIB, idleTimeoutMs: 1500 })
      assert.equal(askedAbout(server, key, 'PutObject').length, 2)
      await assertPlaintext(server, key, plaintext)
    }
  })

  describe('parameters', () => {
    const moto = useS3Server('moto', { locks: true })

    it('pass through, with parts too', async () => {
      const { client, bucket, direct } = moto.server
      const until = new Date(Date.now() + 86_400_000)
      until.setMilliseconds(0)
      const params = {
        Bucket: bucket,
        CacheControl: 'no-cache',
        ContentDisposition: 'attachment',
        ContentEncoding: 'identity',
        ContentLanguage: 'de',
        ContentType: 'application/x-message',
        Metadata: { one: '1', two: 'zwei' },
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: 'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab',
        StorageClass: 'STANDARD_IA',
        Tagging: 'a=1&b=%C3%A4%20%26',
        WebsiteRedirectLocation: '/elsewhere',
        ObjectLockMode: 'GOVERNANCE',
        ObjectLockRetainUntilDate: until,
        ObjectLockLegalHoldStatus: 'ON',
        ExpectedBucketOwner: '123456789012',
        RequestPayer: 'requester',
      } as const
      for (const [Key, length] of [
        ['small', 10],
        ['large', 6 * MIB],
      ] as const) {
        await putObject({ ...options(Key, PLAIN.subarray(0, length)), client, params: { ...params, Key } })
        const { Metadata, ...found } = await direct.send(new HeadObjectCommand({ Bucket: bucket, Key }))
        const { Tagging, Bucket: at, ExpectedBucketOwner, RequestPayer, Metadata: given, ...kept } = params
        for (const [name, value] of Object.entries(kept)) {
          if (Key === 'large' && name.startsWith('ObjectLock')) continue // moto loses it with parts
          assert.deepEqual(found[name as keyof typeof kept], value, `${name} of ${Key}`)
        }
        assert.deepEqual({ ...Metadata, ...given }, Metadata)
        const { headers: begun } = askedAbout(moto.server, Key)[0]!
        assert.equal(begun['x-amz-tagging'], Tagging) // moto loses the tags of what it locks
        assert.equal(begun['x-amz-object-lock-mode'], 'GOVERNANCE')
        assert.equal(begun['x-amz-object-lock-legal-hold'], 'ON')
        assert.equal(at, bucket)
        for (const { headers } of askedAbout(moto.server, Key)) {
          assert.equal(headers['x-amz-expected-bucket-owner'], ExpectedBucketOwner)
          assert.equal(headers['x-amz-request-payer'], RequestPayer)
        }
      }
    })

    it('of a key of the caller for server-side encryption go with every request', async () => {
      const { client, bucket } = moto.server
      const SSECustomerKey = Buffer.alloc(32, 7).toString('base64')
      const params = { Bucket: bucket, SSECustomerAlgorithm: 'AES256', SSECustomerKey }
      // The AWS SDK sends such a key over TLS only, were it not for an endpoint of the caller's.
      for (const [Key, length] of [
        ['sse-small', 10],
        ['sse-large', 6 * MIB],
      ] as const) {
        await putObject({ ...options(Key, PLAIN.subarray(0, length)), client, params: { ...params, Key } })
        const asked = askedAbout(moto.server, Key).filter(({ operation }) => operation !== 'CompleteMultipartUpload')
        assert.ok(asked.length > 0)
        for (const { headers } of asked) {
          assert.equal(headers['x-amz-server-side-encryption-customer-algorithm'], 'AES256')
          assert.ok(headers['x-amz-server-side-encryption-customer-key-md5'])
        }
      }
    })
  })
})
