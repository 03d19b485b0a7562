import assert from 'node:assert/strict'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import type { Readable } from 'node:stream'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { listObjects } from '#lib/adapters/s3/list-objects'
import { openObjectSource } from '#lib/adapters/s3/object-source'
import { ObjectTarget, type ObjectTargetOptions } from '#lib/adapters/s3/object-target'
import { s3ClientAt, useS3Server } from '../../emulators/s3-setup.ts'
import { KIB, PART_BYTES, PLAIN, hashOf } from './objects.ts'

const LARGE = PLAIN.subarray(0, 2 * PART_BYTES + 5)
const SMALL = PLAIN.subarray(0, 10 * KIB)

describe('objects as sources and targets', () => {
  const shared = useS3Server('versitygw')
  let keys = 0
  let key = ''

  beforeEach(() => {
    key = `places ${++keys}`
  })

  const name = (): { Bucket: string; Key: string } => ({ Bucket: shared.server.bucket, Key: key })
  const put = (Key: string, Body: Uint8Array): Promise<unknown> =>
    shared.server.direct.send(new PutObjectCommand({ Bucket: shared.server.bucket, Key, Body }))
  const target = (options: Partial<ObjectTargetOptions> = {}): ObjectTarget =>
    new ObjectTarget({ client: shared.server.client, name: name(), partBytes: PART_BYTES, ...options })

  async function assertNothing(): Promise<void> {
    assert.equal(await shared.server.objectExists(key), false)
    assert.deepEqual(await shared.server.multipartUploads(), [])
  }

  describe('ObjectTarget', () => {
    for (const [size, bytes] of [
      ['small', SMALL],
      ['in parts', LARGE],
    ] as const) {
      it(`appears when it is committed, and not before: ${size}`, async () => {
        const { sink, commit } = bound(target())
        await pipeline([bytes], sink)
        await setTimeout(200)
        assert.ok(!shared.server.proxy.operations.some((operation) => /^(Put|Complete)/.test(operation)))
        assert.equal(await shared.server.objectExists(key), false)
        await commit()
        assert.equal(hashOf(await shared.server.objectBytes(key)), hashOf(bytes))
      })

      it(`is not there, nor any part of it, when it is discarded after all was written: ${size}`, async () => {
        const { sink, discard } = bound(target())
        await pipeline([bytes], sink)
        await discard()
        const removal = shared.server.proxy.asked.find(({ operation }) => operation === 'AbortMultipartUpload')
        assert.equal(removal?.status, bytes === LARGE ? 204 : undefined)
        await assertNothing()
      })

      it(`is not there when the writing fails: ${size}`, async () => {
        const made = target()
        made.sink.write(bytes)
        const closed = new Promise((resolve) => made.sink.once('close', resolve))
        made.sink.destroy(new Error('the writer failed'))
        await closed
        await assert.rejects(made.commit(), /the writer failed/)
        await assertNothing()
      })

      it(`is not there when the signal is aborted before it is committed: ${size}`, async () => {
        const controller = new AbortController()
        const { sink, commit, discard } = bound(target())
        await pipeline([bytes], sink)
        controller.abort()
        await assert.rejects(commit(controller.signal), { name: 'AbortError' })
        await discard()
        await assertNothing()
      })
    }

    it('ends the writing when the upload fails', async () => {
      const denied = { error: 'AccessDenied', status: 403 }
      shared.server.proxy.faults(({ operation }) => (operation === 'UploadPart' ? denied : undefined))
      const made = target()
      const endless = async function* (): AsyncGenerator<Buffer> {
        for (;;) yield await Promise.resolve(PLAIN.subarray(0, 1024 * KIB))
      }
      await assert.rejects(pipeline(endless(), made.sink), { code: 'ERR_ESDK_TRANSFER' })
      await made.discard()
      await assertNothing()
    })

    it('tells what could not be removed, and what belongs to nobody is removed again', async () => {
      const remains: string[] = []
      const denied = { error: 'AccessDenied', status: 403 }
      shared.server.proxy.faults(({ operation }) => (operation === 'AbortMultipartUpload' ? denied : undefined))
      const failing = target({ onRemains: (message) => remains.push(message) })
      await pipeline([LARGE], failing.sink)
      await failing.discard()
      assert.equal(remains.length, 1)
      assert.match(remains[0]!, /could not be removed: abort the multipart upload/)

      key = `${key} again`
      let removals = 0
      const client = s3ClientAt(shared.server.endpoint, { maxAttempts: 1 })
      shared.server.proxy.faults(({ operation, partNumber }) => {
        if (operation === 'UploadPart') return partNumber === 1 ? 'stall' : undefined
        const isFirst = operation === 'AbortMultipartUpload' && ++removals === 1
        return isFirst ? { error: 'InternalError', status: 500 } : undefined
      })
      const made = target({ client, onRemains: (message) => remains.push(message) })
      made.sink.write(LARGE)
      while (!shared.server.proxy.operations.includes('UploadPart')) await setTimeout(5)
      await made.discard()
      client.destroy()
      assert.ok(removals > 1)
      assert.equal(remains.length, 1)
      const left = await shared.server.multipartUploads()
      assert.ok(!left.includes(key))
    })
  })

  it('are read as they were when they were opened, from the beginning and anywhere', async () => {
    await put(key, LARGE)
    const source = await openObjectSource({ client: shared.server.client, name: name() })
    assert.equal(source.length, LARGE.length)
    const chunks: Buffer[] = []
    for await (const chunk of source.bytes as Readable) chunks.push(chunk as Buffer) // no encoding is set
    assert.equal(hashOf(Buffer.concat(chunks)), hashOf(LARGE))
    const read = (): Promise<Uint8Array> => source.ranges!.read(1000, 50, {})
    assert.deepEqual(Buffer.from(await read()), LARGE.subarray(1000, 1050))
    await put(key, SMALL)
    await assert.rejects(read(), { code: 'ERR_ESDK_CHANGED' })
    await source.close()
    await assert.rejects(read(), { name: 'AbortError' })
  })

  it('are listed to the last page, and only those with the prefix', async () => {
    const all = Array.from({ length: 7 }, (_, index) => `${key}/x/${index}`)
    for (const each of [...all, `${key}/y`]) await put(each, SMALL)
    const client = s3ClientAt(shared.server.endpoint)
    client.middlewareStack.add((next) => (args) => next({ ...args, input: { ...args.input, MaxKeys: 3 } }), {
      step: 'initialize',
    })
    const found: string[] = []
    for await (const { Key, ETag, length } of listObjects({
      client,
      Bucket: shared.server.bucket,
      Prefix: `${key}/x/`,
    })) {
      assert.ok(ETag !== undefined && length === SMALL.length)
      found.push(Key)
    }
    client.destroy()
    assert.deepEqual(found, all)
    assert.deepEqual(shared.server.proxy.operations, ['ListObjectsV2', 'ListObjectsV2', 'ListObjectsV2'])
  })
})

/** A target's methods by themselves. */
function bound(target: ObjectTarget): Pick<ObjectTarget, 'sink' | 'commit' | 'discard'> {
  return { sink: target.sink, commit: (signal) => target.commit(signal), discard: () => target.discard() }
}
