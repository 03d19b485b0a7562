import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { ChangedError, TransferError } from 'esdk-streams'
import { putObject } from 'esdk-streams/s3'
import { IdleWatch, LaterSignal, request } from '#lib/adapters/s3/s3-request'
import { type S3Server, useS3Server } from '../../emulators/s3-setup.ts'
import { FaultsByKey, MIB, PLAIN, askedAbout, assertPlaintext, codeOf, failureOf, keyring } from './objects.ts'

describe('adapters/s3/s3-request', () => {
  describe('a body on its way', function () {
    this.timeout(60_000)
    const shared = useS3Server('versitygw')
    const faults = new FaultsByKey()
    let server: S3Server

    beforeEach(() => {
      server = shared.server
      faults.install(server)
    })

    it('may take its time while it moves, but not stand still', async () => {
      const put = (Key: string, idleTimeoutMs: number): Promise<unknown> => {
        const params = { Bucket: server.bucket, Key }
        return putObject({ client: server.client, params, body: PLAIN, keyring, partBytes: 32 * MIB, idleTimeoutMs })
      }
      // What the sockets between hold takes a second or so at this speed.
      const slow = faults.key(() => ({ slow: 'request', bytesPerSecond: 5 * MIB }))
      const stuck = faults.key(({ method }) =>
        method === 'PUT' ? { cut: 'request', after: 12 * MIB, by: 'stall' } : undefined,
      )
      const began = Date.now()
      const [, failure] = await Promise.all([put(slow, 2500), failureOf(put(stuck, 1000))])
      assert.ok(Date.now() - began > 4000)
      assert.equal(askedAbout(server, slow).length, 1)
      await assertPlaintext(server, slow, PLAIN)
      assert.ok(failure instanceof TransferError, failure.stack)
      assert.match(failure.message, /nothing came for 1000 ms/)
      assert.equal(askedAbout(server, stuck, 'PutObject').length, 3)
      assert.equal(await server.objectExists(stuck), false)
    })
  })

  it('gives up what stands still, tries again, and says so', async () => {
    let attempts = 0
    const stuck = request('it', { idleTimeoutMs: 20 }, () => (attempts++, new Promise<never>(() => undefined)))
    const failure = await failureOf(stuck)
    assert.ok(failure instanceof TransferError)
    assert.equal(failure.message, 'it: Error: nothing came for 20 ms')
    assert.equal(attempts, 3)
    const once = request('it', { idleTimeoutMs: 20 }, () => (attempts++, new Promise<never>(() => undefined)), 1)
    await failureOf(once)
    assert.equal(attempts, 4)
    const second = request('it', { idleTimeoutMs: 20 }, () =>
      attempts++ === 4 ? new Promise<string>(() => undefined) : Promise.resolve('there'),
    )
    assert.equal(await second, 'there')
  })

  it('gives coded errors, and passes on those that are', async () => {
    const failing = (error: unknown): Promise<Error> =>
      failureOf(request('it', { idleTimeoutMs: 1000 }, () => Promise.reject(error as Error)))
    assert.equal((await failing('text')).message, 'it: text')
    const precondition = Object.assign(new Error('no'), { $metadata: { httpStatusCode: 412 } })
    assert.ok((await failing(precondition)) instanceof ChangedError)
    const coded = new ChangedError('so')
    assert.equal(await failing(coded), coded)
  })

  it('ends with the signal, before and meanwhile', async () => {
    const reason = new Error('enough')
    const before = request('it', { idleTimeoutMs: 1000, signal: AbortSignal.abort(reason) }, () => Promise.resolve())
    const abort = new AbortController()
    const meanwhile = request('it', { idleTimeoutMs: 1000, signal: abort.signal }, () => new Promise(() => undefined))
    abort.abort(reason)
    for (const failure of [await failureOf(before), await failureOf(meanwhile)]) {
      assert.deepEqual([codeOf(failure), failure.cause], ['ABORT_ERR', reason])
    }
  })

  it('sees what came while the process was busy', async () => {
    const idle = new IdleWatch({ idleTimeoutMs: 10 })
    setImmediate(() => {
      idle.seen() // as a socket does, in the turn in which the timer is late
    })
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    await setTimeout(3)
    assert.equal(idle.expired, false)
    await setTimeout(100)
    assert.equal(idle.expired, true)
    idle.stop()
    idle.seen() // means nothing afterwards
  })

  it('gives an abort some time', async () => {
    const abort = new AbortController()
    const later = new LaterSignal(abort.signal, 50)
    abort.abort()
    assert.equal(later.signal.aborted, false)
    await setTimeout(100)
    assert.equal(later.signal.aborted, true)
    const stopped = new LaterSignal(AbortSignal.abort(), 20)
    stopped.stop()
    await setTimeout(60)
    assert.equal(stopped.signal.aborted, false)
  })
})
