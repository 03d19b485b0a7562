import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { type AskedOfS3, type S3Fault, S3FaultProxy } from './s3-fault-proxy.ts'
import { type S3Server, s3ClientAt, useS3Server } from './s3-setup.ts'

const MIB = 1024 * 1024

/** Sent only once the server wants it: the AWS SDK asks first from 2 MiB on. */
const bytes = randomBytes(3 * MIB)

const PAUSE_MS = 100

for (const kind of ['versitygw', 'moto'] as const) {
  describe(`S3 proxy before ${kind}`, () => {
    const shared = useS3Server(kind)
    let client: S3Client
    let server: S3Server
    let Key: string
    let keys = 0

    beforeEach(() => {
      server = shared.server
      client = s3ClientAt(server.endpoint, { maxAttempts: 1 })
      Key = `key ${++keys}/ä+%.bin`
    })

    afterEach(() => {
      client.destroy()
    })

    /** From now on, this goes wrong with this operation. */
    function fail(operation: string, fault: S3Fault): void {
      server.proxy.faults((asked) => (asked.operation === operation ? fault : undefined))
    }

    async function put(body: Buffer = bytes, signal?: AbortSignal): Promise<string> {
      const command = new PutObjectCommand({ Bucket: server.bucket, Key, Body: body })
      const { ETag } = await client.send(command, signal && { abortSignal: signal })
      return ETag!
    }

    /** The object's bytes until they end or fail, and how they failed. */
    async function get(signal?: AbortSignal): Promise<{ got: Buffer; failure?: unknown }> {
      const command = new GetObjectCommand({ Bucket: server.bucket, Key })
      const { Body } = await client.send(command, signal && { abortSignal: signal })
      const chunks: Buffer[] = []
      try {
        for await (const chunk of Body as Readable) chunks.push(chunk as Buffer) // as it is on Node
      } catch (failure) {
        return { got: Buffer.concat(chunks), failure }
      }
      return { got: Buffer.concat(chunks) }
    }

    function last(): AskedOfS3 {
      return server.proxy.asked.at(-1)!
    }

    it('passes everything on, and records it', async () => {
      const { bucket: Bucket, proxy, bucket } = server
      await put(bytes)
      const { got } = await get()
      assert.equal(got.compare(bytes), 0)
      const ranged = await client.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=5-9' }))
      assert.equal((await ranged.Body!.transformToByteArray()).length, 5)
      await client.send(new HeadObjectCommand({ Bucket, Key }))
      await client.send(new GetObjectTaggingCommand({ Bucket, Key }))
      await client.send(new ListObjectsV2Command({ Bucket }))
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
      const of = { Bucket, Key, UploadId }
      const { ETag } = await client.send(new UploadPartCommand({ ...of, PartNumber: 1, Body: bytes }))
      await client.send(new ListPartsCommand(of))
      assert.deepEqual(await server.multipartUploads(), [Key])
      await client.send(new ListMultipartUploadsCommand({ Bucket }))
      await client.send(
        new CompleteMultipartUploadCommand({ ...of, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }),
      )
      assert.deepEqual(await server.multipartUploads(), [])
      const aborted = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
      await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: aborted.UploadId }))

      const operations = ['PutObject', 'GetObject', 'GetObject', 'HeadObject', 'GetObjectTagging', 'ListObjectsV2']
      const multipart = ['CreateMultipartUpload', 'UploadPart', 'ListParts', 'ListMultipartUploads']
      const ends = ['CompleteMultipartUpload', 'CreateMultipartUpload', 'AbortMultipartUpload']
      assert.deepEqual(proxy.operations, [...operations, ...multipart, ...ends])
      assert.deepEqual([...new Set(proxy.asked.map((asked) => asked.bucket))], [bucket])
      const [written, whole, part] = proxy.asked
      assert.deepEqual([written!.key, written!.bytesIn, written!.status], [Key, bytes.length, 200])
      assert.equal(written!.headers['x-amz-checksum-crc32'] !== undefined, true)
      assert.deepEqual([whole!.bytesOut, whole!.range], [bytes.length, undefined])
      assert.deepEqual([part!.bytesOut, part!.range, part!.status], [5, 'bytes=5-9', 206])
      const uploaded = proxy.asked.find(({ operation }) => operation === 'UploadPart')!
      assert.deepEqual([uploaded.partNumber, uploaded.uploadId, uploaded.bytesIn], [1, UploadId, bytes.length])
    })

    it('passes on a body of chunks with a checksum behind them', async () => {
      const body = Readable.from([bytes.subarray(0, MIB), bytes.subarray(MIB)])
      const input = { Bucket: server.bucket, Key, Body: body, ContentLength: bytes.length }
      await client.send(new PutObjectCommand({ ...input, ChecksumAlgorithm: 'CRC64NVME' }))
      assert.equal((await server.objectBytes(Key)).compare(bytes), 0)
      assert.equal(last().headers['x-amz-trailer'], 'x-amz-checksum-crc64nvme')
      assert.equal(last().bytesIn > bytes.length, true)
    })

    for (const fault of ['drop', 'reset'] as const) {
      it(`${fault}: the connection ends, and nothing reaches the server`, async () => {
        fail('PutObject', fault)
        await assert.rejects(put(), /ECONNRESET|EPIPE|socket hang up/)
        assert.equal(await server.objectExists(Key), false)
        assert.deepEqual([last().bytesIn, last().status], [0, undefined])
      })
    }

    it('stall: no answer comes, and nothing reaches the server', async () => {
      fail('PutObject', 'stall')
      await assert.rejects(put(Buffer.from('x'), AbortSignal.timeout(PAUSE_MS)), { name: 'AbortError' })
      assert.equal(await server.objectExists(Key), false)
      assert.deepEqual([last().bytesIn, last().status], [0, undefined])
    })

    it('drop-reply: the server does its work, and the connection ends', async () => {
      fail('PutObject', 'drop-reply')
      await assert.rejects(put(), /ECONNRESET|socket hang up/)
      assert.equal((await server.objectBytes(Key)).compare(bytes), 0)
    })

    it('stall-reply: the server does its work, and no answer comes', async () => {
      fail('PutObject', 'stall-reply')
      const aborter = new AbortController()
      const settled = put(bytes, aborter.signal).then(
        () => 'answered',
        (error: unknown) => (error as Error).name, // of the SDK
      )
      while (!(await server.objectExists(Key))) await setTimeout(10)
      assert.equal(await Promise.race([settled, setTimeout(PAUSE_MS, 'nothing')]), 'nothing')
      aborter.abort()
      assert.equal(await settled, 'AbortError')
    })

    for (const by of ['drop', 'reset'] as const) {
      it(`cut request by ${by}: the server gets so many bytes and keeps none`, async () => {
        fail('PutObject', { cut: 'request', after: MIB + 7, by })
        await assert.rejects(put(), /ECONNRESET|EPIPE|socket hang up/)
        assert.equal(last().bytesIn, MIB + 7)
        await setTimeout(PAUSE_MS)
        assert.equal(await server.objectExists(Key), false)
      })

      it(`cut response by ${by}: the client gets so many bytes and an error`, async () => {
        await put()
        fail('GetObject', { cut: 'response', after: MIB + 7, by })
        const { got, failure } = await get()
        assert.match(String(failure), /ECONNRESET|aborted/)
        assert.equal(last().bytesOut, MIB + 7)
        if (by === 'drop') assert.equal(got.length, MIB + 7)
        assert.equal(got.compare(bytes, 0, got.length), 0)
      })
    }

    it('cut request by stall: nothing more is taken', async () => {
      fail('PutObject', { cut: 'request', after: MIB + 7, by: 'stall' })
      await assert.rejects(put(bytes, AbortSignal.timeout(PAUSE_MS * 5)), { name: 'AbortError' })
      assert.equal(last().bytesIn, MIB + 7)
      assert.equal(await server.objectExists(Key), false)
    })

    it('cut response by stall: nothing more comes', async () => {
      await put()
      fail('GetObject', { cut: 'response', after: MIB + 7, by: 'stall' })
      const { Body } = await client.send(new GetObjectCommand({ Bucket: server.bucket, Key }))
      const body = Body as Readable // as it is on Node
      let received = 0
      body.on('data', (chunk: Buffer) => (received += chunk.length))
      while (received < MIB + 7) await setTimeout(10)
      await setTimeout(PAUSE_MS)
      assert.deepEqual([received, body.readableEnded, body.errored], [MIB + 7, false, null])
      body.destroy()
    })

    it('cut after 0 bytes: the head is all', async () => {
      await put(bytes)
      fail('GetObject', { cut: 'response', after: 0, by: 'drop' })
      const { got, failure } = await get()
      assert.deepEqual([got.length, last().status], [0, 200])
      assert.match(String(failure), /ECONNRESET|aborted/)
    })

    it('error: the client is answered one, before it sends a large body', async () => {
      fail('PutObject', { error: 'SlowDown', status: 503 })
      for (const body of [bytes, Buffer.from('small')]) {
        const error = await put(body).then(
          () => assert.fail('answered'),
          (reason: unknown) => reason,
        )
        assert.ok(error instanceof S3ServiceException)
        assert.deepEqual([error.name, error.$metadata.httpStatusCode], ['SlowDown', 503])
        assert.deepEqual([last().bytesIn, last().status], [0, 503])
      }
      assert.equal(await server.objectExists(Key), false)
      fail('HeadObject', { error: 'NotFound', status: 404 })
      await assert.rejects(client.send(new HeadObjectCommand({ Bucket: server.bucket, Key })), { name: 'NotFound' })
    })

    it('forwarded error: the server does its work, and the client is answered one', async () => {
      fail('PutObject', { error: 'InternalError', status: 500, forwarded: true })
      await assert.rejects(put(), { name: 'InternalError' })
      assert.equal(await server.objectExists(Key), true)
    })

    it('error with status 200: Complete fails after its answer has begun', async () => {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket: server.bucket, Key }))
      const of = { Bucket: server.bucket, Key, UploadId }
      const { ETag } = await client.send(new UploadPartCommand({ ...of, PartNumber: 1, Body: 'x' }))
      const command = new CompleteMultipartUploadCommand({
        ...of,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
      })
      fail('CompleteMultipartUpload', { error: 'InternalError', status: 200 })
      await assert.rejects(client.send(command), { name: 'InternalError' })
      assert.deepEqual(await server.multipartUploads(), [Key])
      server.proxy.faults()
      await client.send(command)
    })

    it('slow: a body comes no faster', async () => {
      const body = bytes.subarray(0, 100_000)
      fail('PutObject', { slow: 'request', bytesPerSecond: 200_000 })
      let begun = performance.now()
      await put(body)
      assert.equal(performance.now() - begun > 450, true)
      fail('GetObject', { slow: 'response', bytesPerSecond: 200_000 })
      begun = performance.now()
      const { got } = await get()
      assert.equal(performance.now() - begun > 450, true)
      assert.equal(got.compare(body), 0)
    })

    it('change: the answer has another head or other bytes', async () => {
      await put()
      const { ETag } = await client.send(new HeadObjectCommand({ Bucket: server.bucket, Key }))
      fail('HeadObject', { head: ({ status, headers }) => ({ status, headers: { ...headers, etag: '"other"' } }) })
      assert.notEqual(ETag, '"other"')
      assert.equal((await client.send(new HeadObjectCommand({ Bucket: server.bucket, Key }))).ETag, '"other"')
      const at = 2 * MIB + 1
      fail('GetObject', {
        bytes: (chunk, position) => {
          const changed = Buffer.from(chunk)
          if (at >= position && at < position + chunk.length)
            changed.writeUInt8(chunk[at - position]! ^ 1, at - position)
          return changed
        },
      })
      const trusting = s3ClientAt(server.endpoint, { responseChecksumValidation: 'WHEN_REQUIRED' })
      const command = new GetObjectCommand({ Bucket: server.bucket, Key })
      const got = Buffer.from(await (await trusting.send(command)).Body!.transformToByteArray())
      trusting.destroy()
      const expected = Buffer.from(bytes)
      expected.writeUInt8(bytes[at]! ^ 1, at)
      assert.equal(got.compare(expected), 0)
    })

    if (kind === 'versitygw') {
      it('keeps a signature as right or wrong as it was', async () => {
        const credentials = { accessKeyId: 'spec', secretAccessKey: 'wrong' }
        const wrong = s3ClientAt(server.endpoint, { credentials, maxAttempts: 1 })
        const command = new PutObjectCommand({ Bucket: server.bucket, Key, Body: 'x' })
        await assert.rejects(wrong.send(command), { name: 'SignatureDoesNotMatch' })
        wrong.destroy()
      })
    }
  })
}

describe('S3 proxy before a server of the spec', () => {
  let upstream: Server
  let proxy: S3FaultProxy
  let endpoint: string
  let gone: number
  let before: number

  beforeEach(async () => {
    gone = 0
    upstream = createServer((_, response) => {
      response.on('close', () => (gone += response.writableFinished ? 0 : 1))
      response.writeHead(200, { 'content-length': 1e12 })
      const fill = (): void => {
        while (response.write(bytes));
      }
      response.on('drain', fill)
      fill()
    })
    await once(upstream.listen(0, '127.0.0.1'), 'listening')
    before = connections()
    proxy = new S3FaultProxy(`http://127.0.0.1:${(upstream.address() as AddressInfo).port}`) // it listens on TCP
    endpoint = await proxy.start()
  })

  afterEach(async () => {
    await proxy.stop()
    upstream.closeAllConnections()
    await new Promise((resolve) => upstream.close(resolve))
  })

  it('takes no more of an answer than the client does', async () => {
    const answer = await fetch(`${endpoint}/bucket/key`)
    const asked = proxy.asked[0]!
    let taken: number
    do {
      taken = asked.bytesOut
      await setTimeout(PAUSE_MS * 2)
    } while (taken < asked.bytesOut && taken < 64 * MIB)
    assert.equal(taken > 0 && taken < 64 * MIB, true, `${taken} bytes`)
    await answer.body!.cancel()
  })

  it('lets the server know that the client has gone', async () => {
    const answer = await fetch(`${endpoint}/bucket/key`)
    await answer.body!.cancel()
    while (gone === 0) await setTimeout(10)
    assert.equal(gone, 1)
  })

  it('ends whatever is under way when it is stopped, and refuses connections', async () => {
    proxy.faults(({ key }) => (key === 'stalled' ? 'stall' : undefined))
    const stalled = fetch(`${endpoint}/bucket/stalled`, { method: 'PUT', body: bytes }).catch((error: unknown) => error)
    const flowing = await fetch(`${endpoint}/bucket/key`)
    while (proxy.asked.length < 2) await setTimeout(10)
    await proxy.stop()
    assert.ok((await stalled) instanceof TypeError)
    await assert.rejects(flowing.arrayBuffer())
    await assert.rejects(fetch(`${endpoint}/bucket/key`), ({ cause }: Error) => /ECONNREFUSED/.test(String(cause)))
    while (gone === 0 || connections() > before) await setTimeout(10)
    assert.deepEqual([gone, connections()], [1, before])
  })
})

/** How many sockets this process has open, listening ones too. */
function connections(): number {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length
}
