/** With `ESDK_FULL=1`: objects of gigabytes, in files of the cache folder, with the memory and the time that they take. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { CreateBucketCommand, DeleteObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { openObject, putObject } from 'esdk-streams/s3'
import { AES_JWK, outcome, start } from '../../cli/command.ts'
import type { Emulator } from '../../emulators/emulator.ts'
import { S3FaultProxy } from '../../emulators/s3-fault-proxy.ts'
import { s3ClientAt } from '../../emulators/s3-setup.ts'
import { BUILD_TIMEOUT_MS, S3_CREDENTIALS, startVersitygw } from '../../emulators/versitygw.ts'
import { preparedOrPending } from '../../interop/pending.ts'
import { runProgram } from './child.ts'
import { KIB, MIB, UNSIGNED, keyring } from './objects.ts'

const FULL = process.env['ESDK_FULL'] === '1'
const GIB = 1024 * MIB
const HUGE_BYTES = 5 * GIB
const MOST_BYTES = 256 * MIB
const cache = resolve(import.meta.dirname, '..', '..', '..', '.cache')

/** What every program of these specs begins with. */
const PROGRAM = `
import { CreateMultipartUploadCommand, CompleteMultipartUploadCommand, GetObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'
import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
const timed = async (work) => { const began = performance.now(); await work(); return Math.round(performance.now() - began) }
const peak = () => process.resourceUsage().maxRSS * 1024
`

/** The same bytes without this library: parts of 8 MiB, four at once, and a plain GetObject. */
const PLAIN_LOOP = `
const plainPut = async (path, Key) => {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'CRC32' }))
  const [Parts, sending] = [[], new Set()]
  for await (const Body of createReadStream(path, { highWaterMark: 8 * 1024 * 1024 })) {
    const PartNumber = Parts.push(undefined)
    const send = client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }))
      .then((part) => { Parts[PartNumber - 1] = { ...part, PartNumber }; sending.delete(send) })
    sending.add(send)
    if (sending.size >= 4) await Promise.race(sending)
  }
  await Promise.all(sending)
  await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }))
}
const plainGet = async (Key, path) => pipeline((await client.send(new GetObjectCommand({ Bucket, Key }))).Body, createWriteStream(path))
`

/** Has a process say at its end, on its fourth descriptor, how much memory it took at most, in KiB. */
const TELLS_PEAK = `data:text/javascript,${encodeURIComponent(
  `import { writeSync } from 'node:fs'; process.on('exit', () => writeSync(3, String(process.resourceUsage().maxRSS)))`,
)}`

async function hashOfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path, { highWaterMark: MIB }), hash)
  return hash.digest('hex')
}

;(FULL ? describe : describe.skip)('adapters/s3, large objects', function () {
  this.timeout(1_800_000)
  const Bucket = 'large'
  let folder: string
  let emulator: Emulator | undefined
  let client: S3Client
  let server: { readonly environment: Record<string, string>; readonly bucket: string }

  before(async function () {
    this.timeout(BUILD_TIMEOUT_MS)
    await mkdir(cache, { recursive: true })
    folder = await mkdtemp(join(cache, 'large-'))
    emulator = await preparedOrPending(this, () => startVersitygw(folder))
    client = s3ClientAt(emulator.endpoint)
    await client.send(new CreateBucketCommand({ Bucket }))
    const { accessKeyId, secretAccessKey } = S3_CREDENTIALS
    const environment = {
      AWS_ENDPOINT_URL_S3: emulator.endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    }
    server = { environment, bucket: Bucket }
  })

  after(async () => {
    if (emulator === undefined) return
    client.destroy()
    await emulator.stop()
    await rm(folder, { recursive: true, force: true })
  })

  /** A file no two blocks of which are the same. */
  async function fileOf(name: string, bytes: number): Promise<string> {
    const path = join(folder, name)
    const file = await open(path, 'wx')
    const block = randomBytes(16 * MIB)
    for (let written = 0; written < bytes; written += block.length) {
      block.writeDoubleBE(written)
      await file.write(block)
    }
    await file.close()
    return path
  }

  describe('of 5 GiB', () => {
    const MS_A_SECOND = 1000
    let path: string
    let hash: string
    /** How long the same bytes take without this library, in milliseconds. */
    let plain: Times

    interface Times {
      readonly put: number
      readonly get: number
    }

    before(async function () {
      this.timeout(1_800_000)
      path = await fileOf('five', HUGE_BYTES)
      hash = await hashOfFile(path)
    })

    after(() => rm(path, { force: true }))

    /** The bytes came back, in little memory; says how fast. */
    async function assertBack(back: string, most: number, times: Times): Promise<void> {
      const rate = (ms: number): string => `${Math.round(HUGE_BYTES / MIB / (ms / MS_A_SECOND))} MiB/s`
      const shown = (['put', 'get'] as const).map(
        (way) => `${way} ${rate(times[way])} (${(plain[way] / times[way]).toFixed(2)} of plain)`,
      )
      console.log(`        ${shown.join(', ')}, peak ${Math.round(most / MIB)} MiB`)
      assert.equal(await hashOfFile(back), hash)
      assert.ok(most < MOST_BYTES, `peak memory: ${most / MIB} MiB`)
      await rm(back)
    }

    it('go there and back', async () => {
      const back = join(folder, 'back')
      const output = await runProgram(
        server,
        `${PROGRAM} ${PLAIN_LOOP}
        const [path, back] = ${JSON.stringify([path, back])}
        const params = { Bucket, Key: 'five' }
        const put = await timed(() => putObject({ client, params, body: createReadStream(path, { highWaterMark: 1024 * 1024 }), keyring }))
        const get = await timed(async () => pipeline(await getObject({ client, params, keyring }), createWriteStream(back)))
        const most = peak() // the loops below count no more
        const plain = { put: await timed(() => plainPut(path, 'plain')), get: await timed(() => plainGet('plain', path + '-plain')) }
        console.log(JSON.stringify({ most, times: { put, get }, plain }))`,
        1_500_000,
      )
      const found = JSON.parse(output) as { most: number; times: Times; plain: Times }
      plain = found.plain
      await rm(`${path}-plain`)
      for (const Key of ['five', 'plain']) await client.send(new DeleteObjectCommand({ Bucket, Key }))
      await assertBack(back, found.most, found.times)
    })

    it('go there and back by the command', async function () {
      if ((plain as Times | undefined) === undefined) this.skip() // there is nothing to compare with
      await writeFile(join(folder, 'key.jwk'), AES_JWK)
      const run = async (...args: string[]): Promise<{ most: number; took: number }> => {
        const env = { ...server.environment, NODE_OPTIONS: `--import=${TELLS_PEAK}` }
        const began = performance.now()
        const child = start(folder, [...args, '--key', 'key.jwk'], { env, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] })
        const most = text(child.stdio[3] as Readable) // a pipe, as was asked for
        const { code, stderr } = await outcome(child)
        assert.deepEqual([stderr, code], ['', 0])
        return { most: Number(await most) * KIB, took: Math.round(performance.now() - began) }
      }
      const put = await run('encrypt', path, '-o', `s3://${Bucket}/command`)
      const get = await run('decrypt', `s3://${Bucket}/command`, '-o', 'back')
      await client.send(new DeleteObjectCommand({ Bucket, Key: 'command' }))
      await assertBack(join(folder, 'back'), Math.max(put.most, get.most), { put: put.took, get: get.took })
    })
  })

  it('of 1 GiB give 1,000 ranges, and fetch no more than the frames that hold them', async () => {
    const path = await fileOf('one', GIB)
    const params = { Bucket, Key: 'one' }
    const body = createReadStream(path, { highWaterMark: MIB })
    const { header } = await putObject({
      client,
      params,
      body,
      keyring,
      algorithmSuite: UNSIGNED,
      frameLength: 16 * KIB,
    })
    const proxy = new S3FaultProxy(emulator!.endpoint)
    const asking = s3ClientAt(await proxy.start())
    const file = await open(path)
    try {
      const message = await openObject({ client: asking, params, keyring, cacheBytes: 0 })
      const fetched = (): number => proxy.asked.reduce((sum, { bytesOut }) => sum + bytesOut, 0)
      assert.ok(fetched() <= 64 * KIB + header.frameLength + 40)
      assert.equal(message.plaintextLength, GIB)
      const began = performance.now()
      for (let count = 0; count < 1000; count++) {
        const position = Math.floor(Math.random() * GIB)
        const length = Math.min(GIB - position, Math.floor(2 ** (Math.random() * 20)))
        const frames =
          Math.floor((position + length - 1) / header.frameLength) - Math.floor(position / header.frameLength) + 1
        proxy.faults()
        const found = await message.read(position, length)
        assert.ok(fetched() <= frames * (header.frameLength + 32))
        const { buffer: expected } = await file.read(Buffer.alloc(length), 0, length, position)
        assert.equal(found.compare(expected), 0)
      }
      console.log(`      1,000 ranges in ${Math.round(performance.now() - began)} ms`)
      await message.close()
    } finally {
      asking.destroy()
      await proxy.stop()
      await file.close()
      await client.send(new DeleteObjectCommand(params))
      await rm(path)
    }
  })

  it('of 2 GiB are re-encrypted in little memory', async () => {
    const path = await fileOf('two', 2 * GIB)
    const back = join(folder, 'two-back')
    const params = { Bucket, Key: 'two' }
    await putObject({ client, params, body: createReadStream(path, { highWaterMark: MIB }), keyring })
    const output = await runProgram(
      server,
      `${PROGRAM}
      const params = { Bucket, Key: 'two' }
      const to = new RawAesKeyring({ keyNamespace: 'spec', keyName: 'new', wrappingKey: new Uint8Array(32) })
      const took = await timed(() => reencryptObject({ client, params, from: { keyring }, to: { keyring: to } }))
      const most = peak()
      await pipeline(await getObject({ client, params, keyring: to }), createWriteStream(${JSON.stringify(back)}))
      const old = await getObject({ client, params, keyring }).catch((error) => error.code)
      console.log(JSON.stringify({ took, most, old }))`,
      1_500_000,
    )
    const { took, most, old } = JSON.parse(output) as { took: number; most: number; old: string }
    console.log(`      ${Math.round(2048 / (took / 1000))} MiB/s, peak ${most / MIB} MiB`)
    assert.equal(old, 'ERR_ESDK_UNWRAP')
    assert.equal(await hashOfFile(back), await hashOfFile(path))
    assert.ok(most < MOST_BYTES, `peak memory: ${most / MIB} MiB`)
  })
})
