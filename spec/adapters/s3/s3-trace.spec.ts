import assert from 'node:assert/strict'
import { buffer } from 'node:stream/consumers'
import type { GetObjectCommand } from '@aws-sdk/client-s3'
import type { S3Trace, Trace } from 'esdk-streams'
import { getObject, openObject, putObject } from 'esdk-streams/s3'
import { useS3Server } from '../../emulators/s3-setup.ts'
import { heard } from '../../materials/listening.ts'
import { FaultsByKey, MIB, PART_BYTES, UNSIGNED, keyring } from './objects.ts'

describe('adapters/s3, as it is told', () => {
  const s3 = useS3Server('versitygw')
  const faults = new FaultsByKey()

  beforeEach(() => {
    faults.install(s3.server)
  })

  const ended = (events: readonly { event: string; context: S3Trace }[]): S3Trace[] =>
    events.filter(({ event }) => event === 'asyncEnd').map(({ context }) => context)

  it('tells of each part, of what is read and of which range', async function () {
    this.timeout(60_000)
    const { client, bucket: Bucket } = s3.server
    const params = { Bucket, Key: 'traced' }
    const put = await heard<S3Trace>(['s3'], () =>
      putObject({
        client,
        params,
        body: Buffer.alloc(2 * PART_BYTES + MIB),
        keyring,
        algorithmSuite: UNSIGNED,
        partBytes: PART_BYTES,
      }),
    )
    assert.equal(put.failure, undefined)
    const uploads = ended(put.events)
    assert.ok(uploads.every(({ bucket, key, attempt }) => bucket === Bucket && key === 'traced' && attempt === 1))
    assert.deepEqual(
      [uploads[0]!.operation, uploads.at(-1)!.operation],
      ['CreateMultipartUpload', 'CompleteMultipartUpload'],
    )
    const parts = uploads
      .filter(({ operation }) => operation === 'UploadPart')
      .sort((a, b) => a.partNumber! - b.partNumber!)
    assert.deepEqual(
      parts.map(({ partNumber }) => partNumber),
      [1, 2, 3],
    )
    assert.equal(parts[0]!.bytes, PART_BYTES)
    assert.equal(parts[0]!.httpStatusCode, 200)
    const total = parts.reduce((sum, { bytes }) => sum + bytes!, 0)

    const got = await heard<S3Trace>(['s3'], async () => buffer(await getObject({ client, params, keyring })))
    assert.deepEqual(
      ended(got.events).map(({ operation, bytes, range }) => [operation, bytes, range]),
      [['GetObject', total, undefined]],
    )
    const read = await heard<S3Trace>(['s3'], async () => {
      const object = await openObject({ client, params, keyring })
      await object.read(5_000_000, 10)
      await object.close()
    })
    assert.match(ended(read.events).at(-1)!.range!, /^bytes=\d+-\d+$/)
  })

  it('tells why a request failed, and that it was aborted', async () => {
    const { client, bucket: Bucket } = s3.server
    const missing = await heard<S3Trace>(['s3'], () => getObject({ client, params: { Bucket, Key: 'none' }, keyring }))
    assert.deepEqual(
      missing.events.map(({ event }) => event),
      ['start', 'end', 'error', 'asyncStart', 'asyncEnd'],
    )
    const { context } = missing.events.at(-1)!
    assert.deepEqual([(context.error as Error).name, context.httpStatusCode], ['NoSuchKey', 404])

    const signal = AbortSignal.abort()
    const aborted = await heard<Trace>(['s3'], () =>
      getObject({ client, params: { Bucket, Key: 'none' }, keyring, signal }),
    )
    assert.equal((aborted.failure as Error).name, 'AbortError')
    assert.deepEqual(aborted.events, []) // no request was made

    const controller = new AbortController()
    const stuck = Object.assign(Object.create(client) as typeof client, { send: () => new Promise(() => undefined) })
    const late = await heard<Trace>(
      ['s3'],
      () => getObject({ client: stuck, params: { Bucket, Key: 'none' }, keyring, signal: controller.signal }),
      ({ event }) => {
        if (event === 'end') controller.abort()
      },
    )
    assert.equal((late.failure as Error).name, 'AbortError')
    assert.equal(late.events.at(-1)!.event, 'asyncEnd')
    assert.equal((late.events.at(-1)!.context.error as Error).name, 'AbortError')
  })

  it('tells of an attempt that was given up because nothing came, and of the next', async () => {
    const { client, bucket: Bucket } = s3.server
    let asked = 0
    const stuckOnce = Object.assign(Object.create(client) as typeof client, {
      send: (...args: [GetObjectCommand]): Promise<unknown> => {
        asked += 1
        return asked === 1 ? new Promise(() => undefined) : client.send(...args)
      },
    })
    const { events } = await heard<S3Trace>(['s3'], () =>
      putObject({ client: stuckOnce, params: { Bucket, Key: 'again' }, body: 'text', keyring, idleTimeoutMs: 300 }),
    )
    assert.deepEqual(
      ended(events).map(({ operation, attempt, error }) => [operation, attempt, error !== undefined]),
      [
        ['PutObject', 1, true],
        ['PutObject', 2, false],
      ],
    )
  })
})
