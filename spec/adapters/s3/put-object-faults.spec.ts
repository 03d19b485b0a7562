/** What may go wrong with an upload, at each of its steps: it always settles, and leaves nothing behind. */
import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { AbortMultipartUploadCommand, ListMultipartUploadsCommand } from '@aws-sdk/client-s3'
import { ChangedError, type Keyring, TransferError } from 'esdk-streams'
import { type PutObjectOptions, putObject } from 'esdk-streams/s3'
import type { AskedOfS3, S3Fault } from '../../emulators/s3-fault-proxy.ts'
import { type S3Server, useS3Server } from '../../emulators/s3-setup.ts'
import { runProgram } from './child.ts'
import {
  type Faults,
  FaultsByKey,
  KIB,
  MIB,
  PART_BYTES,
  PLAIN,
  WatchedSource,
  askedAbout,
  assertPlaintext,
  codeOf,
  failureOf,
  first,
  keyring,
  store,
} from './objects.ts'

/** Long enough for a server on a machine that is busy; where nothing shall stall, the default is. */
const IDLE_MS = 1500

/** A few cases of the matrix at once: all of them would take the machine's time from each other. */
const AT_ONCE = 12

/** However slow the machine is: three attempts, the delays between them, and the removal. */
const MOST_MS = 15_000

/** Three parts, the last of which is cut off in the middle too. */
const LARGE = PLAIN.subarray(0, 2 * PART_BYTES + 300 * KIB)
const SMALL = PLAIN.subarray(0, 200 * KIB)

/** The requests of an upload in three parts, and of a small one. */
const STEPS: Readonly<Record<string, (asked: AskedOfS3) => boolean>> = {
  create: ({ operation }) => operation === 'CreateMultipartUpload',
  'first part': ({ operation, partNumber }) => operation === 'UploadPart' && partNumber === 1,
  'middle part': ({ operation, partNumber }) => operation === 'UploadPart' && partNumber === 2,
  'last part': ({ operation, partNumber }) => operation === 'UploadPart' && partNumber === 3,
  complete: ({ operation }) => operation === 'CompleteMultipartUpload',
  small: ({ operation }) => operation === 'PutObject',
}

const FAULTS: Readonly<Record<string, S3Fault>> = {
  drop: 'drop',
  reset: 'reset',
  stall: 'stall',
  500: { error: 'InternalError', status: 500 },
  503: { error: 'SlowDown', status: 503 },
}

/** Of a request with a body. */
const CUTS: Readonly<Record<string, S3Fault>> = {
  'cut by a drop': { cut: 'request', after: 150 * KIB, by: 'drop' },
  'cut by a reset': { cut: 'request', after: 150 * KIB, by: 'reset' },
  'cut by a stall': { cut: 'request', after: 150 * KIB, by: 'stall' },
}

interface Case {
  readonly step: string
  readonly what: string
  readonly fault: S3Fault
}

const CASES: readonly Case[] = Object.keys(STEPS)
  .flatMap((step) =>
    Object.entries({ ...FAULTS, ...(/part|small/.test(step) && CUTS) }).map(([what, fault]) => ({ step, what, fault })),
  )
  .sort((a, b) => Number(b.what.includes('stall')) - Number(a.what.includes('stall'))) // these take their time

/** Does the same with each, some at once. */
async function eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items]
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item)
    }),
  )
}

describe('adapters/s3/put-object, when something goes wrong', function () {
  this.timeout(120_000)
  const shared = useS3Server('versitygw')
  const faults = new FaultsByKey()
  let server: S3Server

  beforeEach(() => {
    server = shared.server
    faults.install(server)
  })

  afterEach(async () => {
    assert.deepEqual(await server.multipartUploads(), [])
  })

  function options(Key: string, body: PutObjectOptions['body'], fault?: S3Fault): PutObjectOptions {
    return {
      client: server.client,
      params: { Bucket: server.bucket, Key },
      body,
      keyring,
      frameLength: 64 * KIB,
      partBytes: PART_BYTES,
      queueSize: 2,
      ...(/stall/.test(JSON.stringify(fault ?? '')) && { idleTimeoutMs: IDLE_MS }),
    }
  }

  function plaintextOf(step: string): Buffer {
    return step === 'small' ? SMALL : LARGE
  }

  /** It fails in time, with this; and nothing of it is there. */
  async function assertNothing(
    key: string,
    body: WatchedSource,
    put: Promise<unknown>,
    code: string,
    what: string,
  ): Promise<void> {
    const late = setTimeout(MOST_MS, new Error(`${what}: does not settle`), { ref: false })
    const failure = await failureOf(Promise.race([put, late.then((error) => Promise.reject(error))]))
    assert.equal(codeOf(failure), code, `${what}: ${failure.stack!}`)
    assert.equal(body.destroyed, true, what)
    assert.equal(await server.objectExists(key), false, what)
    assert.ok(!(await server.multipartUploads()).includes(key), what)
  }

  it('fails with a coded error while S3 fails', () =>
    eachOf(CASES, async ({ step, what, fault }) => {
      const key = faults.key((asked) => (STEPS[step]!(asked) ? fault : undefined))
      const body = new WatchedSource(plaintextOf(step))
      await assertNothing(key, body, putObject(options(key, body, fault)), 'ERR_ESDK_TRANSFER', `${what} at ${step}`)
    }))

  it('succeeds when every request of an upload fails once', () =>
    eachOf(Object.entries({ ...FAULTS, ...CUTS }), async ([what, fault]) => {
      for (const plaintext of [LARGE, SMALL]) {
        const failures = Object.values(STEPS).map((step) =>
          first(
            1,
            fault,
            (asked) => step(asked) && (what in FAULTS || /^(UploadPart|PutObject)$/.test(asked.operation)),
          ),
        )
        const key = faults.key((asked) => failures.map((fails) => fails(asked)).find((found) => found !== undefined))
        await putObject(options(key, new WatchedSource(plaintext), fault)).catch((error: unknown) => {
          throw new Error(what, { cause: error })
        })
        const failed = askedAbout(server, key).length
        assert.equal(failed, plaintext === SMALL ? 2 : what in FAULTS ? 10 : 8, what)
        await assertPlaintext(server, key, plaintext)
      }
    }))

  it('fails with an AbortError when it is aborted', () =>
    eachOf(Object.keys(STEPS), async (step) => {
      for (const fault of ['stall', undefined, { cut: 'request', after: 150 * KIB, by: 'stall' }] as const) {
        const abort = new AbortController()
        const key = faults.key((asked) => {
          if (!STEPS[step]!(asked)) return undefined
          abort.abort(new Error('enough'))
          return fault
        })
        const body = new WatchedSource(plaintextOf(step))
        const put = putObject({ ...options(key, body, fault), signal: abort.signal })
        if (step === 'complete' && fault !== 'stall') {
          await put // too late, and it says so
          await assertPlaintext(server, key, LARGE)
        } else await assertNothing(key, body, put, 'ABORT_ERR', `${JSON.stringify(fault)} at ${step}`)
      }
    }))

  it('fails with an AbortError when it is aborted at any other time', async () => {
    const source = (): WatchedSource => new WatchedSource(LARGE)
    const before = AbortSignal.abort()
    let [key, body] = [faults.key(), source()]
    await assertNothing(key, body, putObject({ ...options(key, body), signal: before }), 'ABORT_ERR', 'before')
    assert.deepEqual(askedAbout(server, key), [])
    const moments = Array.from({ length: 20 }, (_, index) => index * 7)
    await eachOf(moments, async (moment) => {
      const key = faults.key()
      const body = source()
      const signal = AbortSignal.timeout(moment)
      const outcome = await putObject({ ...options(key, body), signal }).then(
        () => undefined,
        (error: unknown) => error as Error,
      )
      assert.equal(await server.objectExists(key), outcome === undefined)
      if (outcome !== undefined) assert.equal(codeOf(outcome), 'ABORT_ERR')
      assert.equal(body.destroyed, true)
    })
    ;[key, body] = [faults.key(), source()]
    const abort = new AbortController()
    await putObject({ ...options(key, body), signal: abort.signal })
    abort.abort() // afterwards it means nothing
    await assertPlaintext(server, key, LARGE)
  })

  it('passes on the error of the source, wherever that fails', () =>
    eachOf([0, 1000, PART_BYTES - MIB, PART_BYTES + MIB, 2 * PART_BYTES + 1, 12 * MIB], async (length) => {
      const key = faults.key()
      const failure = Object.assign(new Error('the disk broke'), { code: 'EIO' })
      const body = new WatchedSource(PLAIN.subarray(0, length), () => failure)
      await assertNothing(key, body, putObject(options(key, body)), 'EIO', `after ${length} bytes`)
      const generator = (async function* () {
        yield await Promise.resolve(PLAIN.subarray(0, length))
        throw failure
      })()
      assert.equal(await failureOf(putObject(options(key, generator))), failure)
    }))

  it('fails when no key wraps the data key, at once or late, without a request', () =>
    eachOf([0, 50], async (delay) => {
      const failing: Keyring = {
        onEncrypt: async () => {
          await setTimeout(delay)
          throw new Error('AccessDeniedException')
        },
        onDecrypt: () => Promise.reject(new Error('not asked for')),
      }
      const key = faults.key()
      const body = new WatchedSource(LARGE)
      const put = putObject({ ...options(key, body), keyring: failing })
      await assertNothing(key, body, put, 'ERR_ESDK_WRAP', `a keyring that fails after ${delay} ms`)
      assert.deepEqual(askedAbout(server, key), [])
    }))

  it('settles what became of a request whose answer was lost', () =>
    eachOf(
      ['small', 'middle part', 'complete'].flatMap((step) =>
        (['drop-reply', 'stall-reply', { error: 'InternalError', status: 200, forwarded: true }] as const).flatMap(
          (fault) =>
            ([{}, { IfNoneMatch: '*' }, { IfMatch: '' }] as const).flatMap((condition) =>
              [1, Infinity].map((times) => ({ step, fault, condition, times })),
            ),
        ),
      ),
      async ({ step, fault, condition, times }) => {
        // A 200 with an error behind it is a thing of Complete.
        if (typeof fault === 'object' && step !== 'complete') return
        if (fault === 'stall-reply' && !('IfNoneMatch' in condition)) return // these take their time
        const key = faults.key(first(times, fault, STEPS[step]!))
        const what = `${JSON.stringify(fault)} ${times} times at ${step} with ${JSON.stringify(condition)}`
        const body = new WatchedSource(plaintextOf(step))
        const asked = options(key, body, fault)
        if ('IfMatch' in condition) {
          const { client, ...old } = options(key, 'old')
          const { output } = await putObject({ ...old, client: server.direct })
          Object.assign(asked.params, { IfMatch: output.ETag })
        } else Object.assign(asked.params, condition)
        const put = putObject(asked)
        if (step === 'middle part' && times === Infinity) {
          assert.equal(codeOf(await failureOf(put)), 'ERR_ESDK_TRANSFER', what)
          if ('IfMatch' in condition) await assertPlaintext(server, key, Buffer.from('old'))
          else assert.equal(await server.objectExists(key), false, what)
          return
        }
        const { output } = await put.catch((error: unknown) => {
          throw new Error(what, { cause: error })
        })
        assert.ok(output.ETag, what)
        await assertPlaintext(server, key, plaintextOf(step))
      },
    ))

  it('does not take the object of another writer for its own when an answer was lost', () =>
    eachOf(['small', 'complete'], async (step) => {
      const key = faults.key()
      await store(server, key, Buffer.from('theirs'))
      faults.set(key, (asked) => (STEPS[step]!(asked) ? 'drop' : undefined))
      const failure = await failureOf(putObject(options(key, plaintextOf(step))))
      assert.ok(failure instanceof TransferError, failure.stack)
      const other = options(key, plaintextOf(step))
      faults.set(key, () => undefined)
      const refused = await failureOf(putObject({ ...other, params: { ...other.params, IfNoneMatch: '*' } }))
      assert.ok(refused instanceof ChangedError, refused.stack)
      await assertPlaintext(server, key, Buffer.from('theirs'))
    }))

  it('takes a conflict with another writer for a change', async () => {
    const key = faults.key(({ operation }) =>
      operation === 'PutObject' ? { error: 'ConditionalRequestConflict', status: 409 } : undefined,
    )
    const { params, ...rest } = options(key, SMALL)
    const failure = await failureOf(putObject({ ...rest, params: { ...params, IfNoneMatch: '*' } }))
    assert.ok(failure instanceof ChangedError, failure.stack)
  })

  it('says what it could not remove, and why it failed', async () => {
    const denied = { error: 'AccessDenied', status: 403 } as const
    const abort = new AbortController()
    const cases = [
      { signal: undefined, code: 'ERR_ESDK_TRANSFER', reason: /^s3:.*AccessDenied.*; and what/ },
      { signal: abort.signal, code: 'ABORT_ERR', reason: /^The operation was aborted; and what/ },
    ]
    for (const { signal, code, reason } of cases) {
      const key = faults.key(({ operation }) => {
        if (operation === 'UploadPart' && signal !== undefined) abort.abort()
        return operation === 'UploadPart' || operation === 'AbortMultipartUpload' ? denied : undefined
      })
      const failure = await failureOf(putObject({ ...options(key, LARGE), ...(signal !== undefined && { signal }) }))
      const { Uploads } = await server.direct.send(new ListMultipartUploadsCommand({ Bucket: server.bucket }))
      const { UploadId } = Uploads!.find((upload) => upload.Key === key)!
      assert.equal(codeOf(failure), code)
      assert.match(failure.message, reason)
      const said = `could not be removed: abort the multipart upload ${UploadId!} of s3://${server.bucket}/${key}`
      assert.ok(failure.message.endsWith(said), failure.message)
      await server.direct.send(new AbortMultipartUploadCommand({ Bucket: server.bucket, Key: key, UploadId }))
    }
  })

  it('leaves no handle open: a process ends by itself', async () => {
    const steps: Record<string, Faults> = {}
    for (const [step, matches] of Object.entries(STEPS)) {
      for (const fault of ['drop', 'stall'] as const) {
        steps[`${step} ${fault}`] = (asked) => (matches(asked) ? fault : undefined)
      }
    }
    for (const [name, fault] of Object.entries(steps)) faults.set(name, fault)
    const output = await runProgram(
      server,
      `
      const plaintext = Buffer.alloc(${12 * MIB})
      const put = (Key) => putObject({ client, params: { Bucket, Key }, keyring, partBytes: ${PART_BYTES}, idleTimeoutMs: ${IDLE_MS},
        body: (function* () { yield Key.startsWith('small') ? plaintext.subarray(0, 1000) : plaintext })() })
      const settled = await Promise.allSettled(${JSON.stringify(Object.keys(steps))}.map(put))
      console.log(JSON.stringify(settled.map(({ reason }) => reason?.code)))
      const began = Date.now()
      process.on('exit', () => console.log(Date.now() - began < 2000))
      `,
    )
    const [codes, soon] = output.trim().split('\n')
    assert.deepEqual(
      JSON.parse(codes!),
      Object.keys(steps).map(() => 'ERR_ESDK_TRANSFER'),
    )
    assert.equal(soon, 'true')
  })
})
