import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import {
  ChangedError,
  type Keyring,
  TransferError,
  UnsupportedError,
  UnwrapError,
  WrapError,
  decrypt,
} from 'esdk-streams'
import { type ReencryptObjectOptions, reencryptObject } from 'esdk-streams/s3'
import fc from 'fast-check'
import { aesKeyring, policyOf, suites } from '../../arbitraries.ts'
import type { S3Fault } from '../../emulators/s3-fault-proxy.ts'
import { type S3Server, useS3Server } from '../../emulators/s3-setup.ts'
import { FRAMED_KINDS, framedMessages } from '../../framed-messages.ts'
import { craftingKeyring } from '../../message-recipe.ts'
import {
  FaultsByKey,
  KIB,
  MIB,
  PART_BYTES,
  PLAIN,
  askedAbout,
  assertPlaintext,
  codeOf,
  failureOf,
  hashOf,
  keyring,
  store,
} from './objects.ts'

const FULL = process.env['ESDK_FULL'] === '1'
const SMALL = PLAIN.subarray(0, 100 * KIB)
const LARGE = PLAIN.subarray(0, PART_BYTES + 100 * KIB)
const current = aesKeyring('current')

/** A keyring that does something else, once, before it unwraps. */
function interrupted(work: () => Promise<unknown>): Keyring {
  return {
    onEncrypt: (materials) => keyring.onEncrypt(materials),
    onDecrypt: async (materials, keys) => {
      await work()
      return keyring.onDecrypt(materials, keys)
    },
  }
}

describe('adapters/s3/reencrypt-object', function () {
  this.timeout(60_000)
  const shared = useS3Server('versitygw')
  const versioned = useS3Server('versitygw', { versioned: true })
  const locked = useS3Server('moto', { locks: true })
  const plain = useS3Server('moto')
  const faults = new FaultsByKey()
  let server: S3Server

  beforeEach(() => {
    use(shared.server)
  })

  afterEach(async () => {
    assert.deepEqual(await server.multipartUploads(), [])
  })

  function use(other: S3Server): void {
    server = other
    faults.install(server)
  }

  function options(Key: string, rest: Partial<ReencryptObjectOptions> = {}): ReencryptObjectOptions {
    const to = { keyring: current, frameLength: 64 * KIB }
    const params = { Bucket: server.bucket, Key }
    return { client: server.client, params, from: { keyring }, to, partBytes: PART_BYTES, ...rest }
  }

  async function stored(plaintext: Buffer, more: Parameters<typeof store>[3] = {}): Promise<string> {
    const key = faults.key()
    await store(server, key, plaintext, more)
    return key
  }

  async function head(Key: string, { direct, bucket: Bucket }: S3Server = server): Promise<HeadObjectCommandOutput> {
    return direct.send(new HeadObjectCommand({ Bucket, Key }))
  }

  /** It fails, and the old object is as it was. */
  async function assertUntouched(key: string, options: ReencryptObjectOptions): Promise<Error> {
    const [before, { ETag }] = [hashOf(await server.objectBytes(key)), await head(key)]
    const failure = await failureOf(reencryptObject(options))
    assert.equal(hashOf(await server.objectBytes(key)), before)
    assert.equal((await head(key)).ETag, ETag)
    assert.deepEqual(await server.multipartUploads(), [])
    return failure
  }

  const CONTENT = {
    CacheControl: 'no-cache',
    ContentDisposition: 'attachment; filename="a.txt"',
    ContentEncoding: 'identity',
    ContentLanguage: 'de',
    ContentType: 'application/x-message',
    Expires: new Date('2030-01-02T03:04:05Z'),
  } as const

  it('puts a message under new keys in the place of the old one, with all that S3 keeps of it', async () => {
    for (const plaintext of [SMALL, LARGE, Buffer.alloc(0)]) {
      const params = {
        Bucket: server.bucket,
        Key: '',
        ...CONTENT,
        Metadata: { one: '1' },
        Tagging: 'a=1&b=%C3%A4%20%2B',
      }
      const key = faults.key()
      await store(server, key, plaintext, { params: { ...params, Key: key }, encryptionContext: { purpose: 'spec' } })
      const before = await head(key)
      const progress: number[] = []
      const to = { keyring: current, encryptionContext: { by: 'spec' }, frameLength: 1000 }
      const onProgress: ReencryptObjectOptions['onProgress'] = ({ bytesIn }) => progress.push(bytesIn)
      const { header, previous, stats, output } = await reencryptObject(options(key, { to, onProgress }))
      assert.deepEqual(previous, { ETag: before.ETag, VersionId: undefined })
      const after = await head(key)
      assert.equal(output.ETag, after.ETag)
      assert.notEqual(after.ETag, before.ETag)
      const { 'aws-crypto-public-key': signing, ...context } = header.encryptionContext
      assert.equal(typeof signing, 'string')
      assert.deepEqual({ ...context }, { purpose: 'spec', by: 'spec' })
      assert.deepEqual([stats.bytesIn, stats.bytesOut], [before.ContentLength, after.ContentLength])
      assert.equal(stats.parts, plaintext === LARGE ? 2 : 1)
      assert.equal(progress.at(-1), before.ContentLength)
      for (const [name, value] of Object.entries(CONTENT)) assert.deepEqual(after[name as keyof typeof CONTENT], value)
      assert.deepEqual(
        [after.Metadata!['one'], after.Metadata!['esdk-plaintext-length']],
        ['1', String(plaintext.length)],
      )
      assert.notEqual(after.Metadata!['esdk-upload-id'], before.Metadata!['esdk-upload-id'])
      const { TagSet } = await server.direct.send(new GetObjectTaggingCommand({ Bucket: server.bucket, Key: key }))
      assert.deepEqual(TagSet!.map((tag) => [tag.Key, tag.Value]).sort(), [
        ['a', '1'],
        ['b', 'ä +'],
      ])
      await assertPlaintext(server, key, plaintext, current)
      await assert.rejects(decrypt(await server.objectBytes(key), { keyring }), UnwrapError)
      const condition = askedAbout(server, key).at(-1)!
      assert.match(condition.operation, /^(PutObject|CompleteMultipartUpload)$/)
      assert.equal(condition.headers['if-match'], before.ETag)
    }
  })

  it('carries over storage class, server-side encryption and object lock', async () => {
    use(locked.server)
    const until = new Date(Date.now() + 86_400_000)
    until.setMilliseconds(0)
    const kept = {
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: 'arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab',
      StorageClass: 'STANDARD_IA',
      WebsiteRedirectLocation: '/elsewhere',
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate: until,
      ObjectLockLegalHoldStatus: 'ON',
    } as const
    const Key = faults.key()
    await store(server, Key, SMALL, { params: { Bucket: server.bucket, Key, ...kept } })
    const before = await head(Key)
    const { previous } = await reencryptObject(options(Key))
    const after = await head(Key)
    for (const [name, value] of Object.entries(kept)) assert.deepEqual(after[name as keyof typeof kept], value, name)
    assert.notEqual(after.VersionId, before.VersionId)
    assert.equal(previous.VersionId, before.VersionId)
    await assertPlaintext(server, Key, SMALL, current)

    // S3 takes no retention that is over, and there is nothing of it left to keep.
    const over = new Date(Date.now() - 86_400_000).toISOString()
    const ended = { 'x-amz-object-lock-retain-until-date': over }
    faults.set(Key, ({ operation }) =>
      operation === 'GetObject'
        ? { head: ({ status, headers }) => ({ status, headers: { ...headers, ...ended } }) }
        : undefined,
    )
    await reencryptObject(options(Key, { from: { keyring: current } }))
    const put = askedAbout(server, Key, 'PutObject').at(-1)!
    assert.equal(put.headers['x-amz-object-lock-mode'], undefined)
    assert.equal(put.headers['x-amz-object-lock-retain-until-date'], undefined)
    assert.equal(put.headers['x-amz-object-lock-legal-hold'], 'ON')

    // Parameters of the caller's count more, and those that don't fit them are left out.
    faults.set(Key, () => undefined)
    const params = { Bucket: server.bucket, Key: 'target', ServerSideEncryption: 'AES256', Tagging: 'x=y' } as const
    await reencryptObject(options(Key, { from: { keyring: current }, target: { params } }))
    const { headers } = askedAbout(server, 'target', 'PutObject').at(-1)!
    assert.equal(headers['x-amz-server-side-encryption'], 'AES256')
    assert.equal(headers['x-amz-server-side-encryption-aws-kms-key-id'], undefined)
    assert.equal(headers['x-amz-tagging'], 'x=y')
    assert.equal(headers['x-amz-storage-class'], 'STANDARD_IA')
    assert.equal(headers['if-match'], undefined)
  })

  it('refuses what can not be carried over, by name', async () => {
    const cases = [
      [{ 'x-amz-missing-meta': '2' }, /metadata that S3 can't give/],
      [{ expires: 'soon' }, /"Expires: soon"/],
    ] as const
    for (const [changed, text] of cases) {
      const key = await stored(SMALL)
      faults.set(key, () => ({ head: ({ status, headers }) => ({ status, headers: { ...headers, ...changed } }) }))
      const failure = await assertUntouched(key, options(key))
      assert.ok(failure instanceof UnsupportedError, failure.stack)
      assert.match(failure.message, text)
      assert.deepEqual(server.proxy.operations.at(-1), 'GetObject')
    }
    const tagged = faults.key()
    await store(server, tagged, SMALL, { params: { Bucket: server.bucket, Key: tagged, Tagging: 'a=1' } })
    faults.set(tagged, ({ operation }) =>
      operation === 'GetObjectTagging' ? { error: 'AccessDenied', status: 403 } : undefined,
    )
    const failure = await assertUntouched(tagged, options(tagged))
    assert.ok(failure instanceof TransferError, failure.stack)
    assert.match(failure.message, /tags: AccessDenied/)
  })

  it('writes another object, in another bucket of another client', async () => {
    for (const plaintext of [SMALL, LARGE]) {
      const key = faults.key()
      await store(server, key, plaintext, { params: { Bucket: server.bucket, Key: key, ...CONTENT } })
      const { client, bucket: Bucket } = plain.server
      const target = { client, params: { Bucket, Key: 'moved', ContentType: 'text/plain', IfNoneMatch: '*' } }
      await reencryptObject(options(key, { target }))
      const { ContentType, ContentLanguage } = await head('moved', plain.server)
      assert.deepEqual([ContentType, ContentLanguage], ['text/plain', 'de'])
      await assertPlaintext(plain.server, 'moved', plaintext, current)
      await assertPlaintext(server, key, plaintext)
      const again = await assertUntouched(key, options(key, { target }))
      assert.ok(again instanceof ChangedError, again.stack)
      await plain.server.direct.send(new DeleteObjectCommand({ Bucket, Key: 'moved' }))
      assert.deepEqual(await plain.server.multipartUploads(), [])
    }
  })

  it('leaves the old object where it is not authentic to its last byte', async () => {
    for (const plaintext of [SMALL, LARGE]) {
      for (const algorithmSuite of [0x0478, 0x0578]) {
        const Key = await stored(plaintext, { algorithmSuite, frameLength: 64 * KIB })
        const bytes = await server.objectBytes(Key)
        for (const [Body, code] of [
          [Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes.at(-1)! ^ 1])]), 'ERR_ESDK_AUTHENTICATION'],
          [bytes.subarray(0, -1), 'ERR_ESDK_TRUNCATED'],
          [Buffer.concat([bytes, Buffer.from('x')]), 'ERR_ESDK_MALFORMED'],
        ] as const) {
          await server.direct.send(new PutObjectCommand({ Bucket: server.bucket, Key, Body }))
          const failure = await assertUntouched(Key, options(Key))
          assert.equal(codeOf(failure), code, failure.stack)
          const wrote = server.proxy.operations.filter((name) => /^(PutObject|CompleteMultipartUpload)$/.test(name))
          assert.deepEqual(wrote, [])
        }
      }
    }
  })

  it('never writes over what another writer has put there, or took away', async () => {
    for (const plaintext of [SMALL, LARGE]) {
      for (const target of [false, true]) {
        const key = faults.key()
        const params = { Bucket: server.bucket, Key: key }
        const rest = target ? { target: { params } } : {}
        await store(server, key, plaintext)
        const theirs = Buffer.from('theirs')
        const from = { keyring: interrupted(() => store(server, key, theirs)) }
        const replaced = await failureOf(reencryptObject(options(key, { from, ...rest })))
        assert.ok(replaced instanceof ChangedError, replaced.stack)
        await assertPlaintext(server, key, theirs)

        await store(server, key, plaintext)
        const removing = interrupted(() => server.direct.send(new DeleteObjectCommand(params)))
        const removed = await failureOf(reencryptObject(options(key, { from: { keyring: removing }, ...rest })))
        assert.ok(removed instanceof ChangedError, removed.stack)
        assert.equal(await server.objectExists(key), false)
        assert.deepEqual(await server.multipartUploads(), [])
      }
    }
  })

  it('names the old version, which still opens under the old key', async () => {
    use(versioned.server)
    for (const plaintext of [SMALL, LARGE]) {
      const Key = await stored(plaintext)
      const { VersionId } = await head(Key)
      const { previous, output } = await reencryptObject(options(Key))
      assert.equal(previous.VersionId, VersionId)
      assert.equal((await head(Key)).VersionId, output.VersionId)
      assert.notEqual(output.VersionId, VersionId)
      await assertPlaintext(server, Key, plaintext, current)
      const old = { Bucket: server.bucket, Key, VersionId }
      const { Body } = await server.direct.send(new GetObjectCommand(old))
      const found = await decrypt(Body as AsyncIterable<Uint8Array>, { keyring }) // as it is on Node
      assert.equal(hashOf(found.plaintext), hashOf(plaintext))
      const target = { params: { Bucket: server.bucket, Key } }
      await reencryptObject(options(Key, { params: old, target, to: { keyring: aesKeyring('third') } }))
      await assertPlaintext(server, Key, plaintext, aesKeyring('third'))
      await assert.rejects(reencryptObject(options(Key, { params: old })), (error) => {
        assert.ok(error instanceof TypeError)
        assert.match(error.message, /"VersionId".*"target"/)
        return true
      })
    }
  })

  it('goes on after what S3 loses', async () => {
    const faulty: Record<string, S3Fault[]> = {
      GetObject: [
        { cut: 'response', after: 3 * MIB, by: 'drop' },
        'reset',
        { cut: 'response', after: MIB, by: 'reset' },
      ],
      CreateMultipartUpload: [{ error: 'SlowDown', status: 503 }],
      UploadPart: ['drop-reply', { error: 'InternalError', status: 500 }],
      CompleteMultipartUpload: ['drop-reply', 'drop-reply'],
    }
    const key = await stored(LARGE)
    faults.set(key, ({ operation }) => faulty[operation]?.shift())
    await reencryptObject(options(key))
    assert.deepEqual(Object.values(faulty).flat(), [])
    await assertPlaintext(server, key, LARGE, current)
  })

  it('leaves the old object when a key fails, or S3', async () => {
    const failing: Keyring = {
      onEncrypt: () => Promise.reject(new Error('AccessDeniedException')),
      onDecrypt: () => Promise.reject(new Error('AccessDeniedException')),
    }
    for (const plaintext of [SMALL, LARGE]) {
      const key = await stored(plaintext)
      assert.ok((await assertUntouched(key, options(key, { from: { keyring: failing } }))) instanceof UnwrapError)
      assert.ok((await assertUntouched(key, options(key, { to: { keyring: failing } }))) instanceof WrapError)
      faults.set(key, ({ method }) => (method === 'GET' ? undefined : { error: 'AccessDenied', status: 403 }))
      const failure = await failureOf(reencryptObject(options(key)))
      assert.ok(failure instanceof TransferError, failure.stack)
      await assertPlaintext(server, key, plaintext)
    }
  })

  it('takes messages of any kind, around the boundaries of their frames', async () => {
    const { bucket: Bucket } = server
    for (const kind of FRAMED_KINDS) {
      await fc.assert(
        fc.asyncProperty(
          framedMessages(kind),
          suites,
          fc.integer({ min: 1, max: 60 }),
          async (made, suite, frameLength) => {
            const key = faults.key()
            await server.direct.send(new PutObjectCommand({ Bucket, Key: key, Body: made.message }))
            const from = { keyring: craftingKeyring(), commitmentPolicy: policyOf(kind.suite) }
            const under = { keyring: current, commitmentPolicy: policyOf(suite) }
            await reencryptObject(options(key, { from, to: { ...under, algorithmSuite: suite.id, frameLength } }))
            const { plaintext, header } = await decrypt(await server.objectBytes(key), under)
            assert.equal(plaintext.toString('hex'), made.plaintext.toString('hex'))
            assert.deepEqual([header.suite.id, header.frameLength], [suite.id, frameLength])
            const { 'aws-crypto-public-key': signing, ...stored } = header.encryptionContext
            assert.deepEqual({ ...stored }, made.context)
          },
        ),
        { numRuns: FULL ? 5 : 2 },
      )
    }
  })

  it('leaves the old object, or the new one, whole when it is aborted at any moment', async () => {
    const timed = await stored(LARGE)
    const began = Date.now()
    await reencryptObject(options(timed))
    const most = Date.now() - began // several at once take longer than one
    const times = FULL ? 50 : 6
    const moments = Array.from({ length: times }, (_, index) => Math.random() * most * (index % 2 === 0 ? 1 : 4))
    let aborted = 0
    const work = async (): Promise<void> => {
      for (let moment = moments.pop(); moment !== undefined; moment = moments.pop()) {
        const key = await stored(LARGE)
        const before = hashOf(await server.objectBytes(key))
        const abort = new AbortController()
        const timer = setTimeout(moment).then(() => {
          abort.abort()
        })
        const failure = await reencryptObject(options(key, { signal: abort.signal })).then(
          () => undefined,
          (error: unknown) => error as Error,
        )
        if (failure === undefined) await assertPlaintext(server, key, LARGE, current)
        else {
          aborted += 1
          assert.equal(codeOf(failure), 'ABORT_ERR', failure.stack)
          assert.equal(hashOf(await server.objectBytes(key)), before)
        }
        await timer
      }
    }
    await Promise.all(Array.from({ length: 3 }, work))
    if (FULL) console.log(`      ${aborted} of ${times} were aborted in time`)
    assert.ok(aborted >= times / 6, `${aborted} of ${times} were aborted in time`)
  })

  it('refuses at once what can not be, and asks nothing', async () => {
    const { bucket: Bucket } = server
    const refused = [
      [{ params: { Bucket, Key: '' } }, TypeError, /"Key"/],
      [{ params: { Bucket, Key: 'x', Range: 'bytes=0-1' } }, TypeError, /"Range"/],
      [{ target: { params: { Bucket, Key: '' } } }, TypeError, /"Key"/],
      [{ target: { params: { Bucket, Key: 'x', ContentMD5: 'x' } } }, TypeError, /"ContentMD5"/],
      [
        { params: { Bucket, Key: 'x', SSECustomerAlgorithm: 'AES256' }, target: { params: { Bucket, Key: 'y' } } },
        TypeError,
        /"SSECustomerAlgorithm".*"ServerSideEncryption"/,
      ],
      [{ client: undefined as never }, TypeError, /"client" expected/],
      [{ target: { client: {} as never, params: { Bucket, Key: 'y' } } }, TypeError, /"client" expected/],
      [{ partBytes: 1 }, RangeError, /"partBytes" expected/],
      [{ queueSize: 0 }, RangeError, /"queueSize" expected/],
      [{ idleTimeoutMs: 0 }, RangeError, /"idleTimeoutMs" expected/],
      [{ to: { keyring: current, frameLength: 0 } }, RangeError, /"frameLength" expected/],
      [{ from: { keyring, maxHeaderBytes: 0 } }, RangeError, /"maxHeaderBytes" expected/],
    ] as const
    for (const [wrong, kind, text] of refused) {
      await assert.rejects(reencryptObject(options('x', wrong)), (error) => {
        assert.ok(error instanceof kind, String(error))
        assert.match(error.message, text)
        return true
      })
    }
    assert.deepEqual(server.proxy.operations, [])
    const missing = await failureOf(reencryptObject(options('missing')))
    assert.ok(missing instanceof TransferError)
  })
})
