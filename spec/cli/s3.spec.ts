import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { decrypt, encrypt } from 'esdk-streams'
import { getObject, putObject } from 'esdk-streams/s3'
import type { FileRecord } from '#lib/cli/record'
import type { AnswerHead } from '../emulators/s3-fault-proxy.ts'
import { useS3Server } from '../emulators/s3-setup.ts'
import {
  AES_JWK,
  INTERRUPTED,
  KEYRING as keyring,
  OTHER_JWK,
  type Outcome,
  esdk,
  interrupted,
  start,
  temporaryFolder,
} from './command.ts'

const MIB = 1024 * 1024
const KEY = ['--key', 'key.jwk'] as const
const plaintext = randomBytes(12 * MIB + 5)
const small = plaintext.subarray(0, 10_000)

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('esdk with objects of Amazon S3', () => {
  const folder = temporaryFolder()
  const shared = useS3Server('versitygw')
  let keys = 0
  let key = ''
  let object = ''
  const quick = { AWS_MAX_ATTEMPTS: '1' }

  const run = (args: readonly string[], input?: Buffer): Promise<Outcome> =>
    esdk(folder.path, args, { env: { ...shared.server.environment, ...quick }, ...(input && { input }) })

  async function done(args: readonly string[], input?: Buffer): Promise<Buffer> {
    const { code, stderr, stdout } = await run(args, input)
    assert.deepEqual([stderr, code], ['', 0])
    return stdout
  }

  async function fails(expected: number, text: RegExp, args: readonly string[]): Promise<void> {
    const { code, stderr } = await run(args)
    assert.match(stderr, text)
    assert.match(stderr, /^esdk: [^\n]+\n$/)
    assert.equal(code, expected, stderr)
  }

  const put = (Key: string, Body: Uint8Array): Promise<unknown> =>
    shared.server.direct.send(new PutObjectCommand({ Bucket: shared.server.bucket, Key, Body }))

  beforeEach(async () => {
    key = `objects ${++keys}/ä+%.bin`
    object = `s3://${shared.server.bucket}/${key}`
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('other.jwk'), OTHER_JWK)
    await writeFile(folder.of('in'), plaintext)
    await writeFile(folder.of('small'), small)
  })

  afterEach(async () => {
    assert.deepEqual(await shared.server.multipartUploads(), [])
  })

  it('encrypts a file into an object in parts, and decrypts it into a file for its owner alone', async () => {
    const args = ['encrypt', 'in', '-o', object, ...KEY, '--part-size', '6000000', '--json', '-c', 'a=b']
    const record = JSON.parse((await done(args)).toString()) as FileRecord
    assert.deepEqual([record.output, record.bytesIn], [object, plaintext.length])
    assert.equal(shared.server.proxy.operations.filter((name) => name === 'UploadPart').length, 3)
    const message = await shared.server.objectBytes(key)
    assert.equal(message.length, record.bytesOut)
    const { Metadata } = await shared.server.direct.send(
      new HeadObjectCommand({ Bucket: shared.server.bucket, Key: key }),
    )
    assert.equal(Metadata?.['esdk-plaintext-length'], String(plaintext.length))
    assert.equal(hashOf((await decrypt(message, { keyring })).plaintext), hashOf(plaintext))
    await done(['decrypt', object, '-o', 'back', ...KEY, '-c', 'a'])
    assert.equal(hashOf(await readFile(folder.of('back'))), hashOf(plaintext))
    assert.equal((await stat(folder.of('back'))).mode & 0o777, 0o600)
  })

  it('reads what the library wrote, and writes what it reads', async () => {
    const { client, bucket: Bucket } = shared.server
    await putObject({ client, params: { Bucket, Key: key }, body: small, keyring })
    assert.deepEqual(await done(['decrypt', object, '-o', '-', ...KEY]), small)
    await done(['encrypt', object, '-o', `${object}.twice`, ...KEY])
    const read = await getObject({ client, params: { Bucket, Key: `${key}.twice` }, keyring })
    const chunks: Buffer[] = []
    for await (const chunk of read as AsyncIterable<Buffer>) chunks.push(chunk)
    assert.equal(hashOf((await decrypt(Buffer.concat(chunks), { keyring })).plaintext), hashOf(small))
  })

  it('goes from a pipe into an object, under default names from object to object, and reads the empty', async () => {
    const fromPipe = async (): Promise<void> => {
      await done(['encrypt', '-', '-o', `${object}.encrypted`, ...KEY, '--expected-size', '10000'], small)
      await done(['decrypt', `${object}.encrypted`, ...KEY])
      assert.equal(hashOf(await shared.server.objectBytes(key)), hashOf(small))
    }
    const fromObject = async (name: string, bytes: Buffer): Promise<void> => {
      await put(`${key}.${name}`, bytes)
      await done(['encrypt', `${object}.${name}`, ...KEY])
      assert.deepEqual(await done(['decrypt', `${object}.${name}.encrypted`, '-o', '-', ...KEY]), bytes)
    }
    await Promise.all([fromPipe(), fromObject('full', small), fromObject('empty', Buffer.alloc(0))])
    await fails(1, /\.empty: .*ERR_ESDK_TRUNCATED/, ['decrypt', `${object}.empty`, '-o', 'target', ...KEY])
  })

  it('inspects an object by its first bytes, and reads a range by its frames', async () => {
    await done(['encrypt', 'in', '-o', object, ...KEY, '--random-access'])
    shared.server.proxy.faults()
    const inspected = JSON.parse((await done(['inspect', object, '--json'])).toString()) as Record<string, unknown>
    assert.equal(inspected['plaintextLength'], plaintext.length)
    shared.server.proxy.faults()
    const range = await done(['decrypt', object, '-o', '-', ...KEY, '--range', '5000000-5000099'])
    assert.deepEqual(range, plaintext.subarray(5_000_000, 5_000_100))
    const { asked } = shared.server.proxy
    assert.ok(asked.every(({ operation, headers }) => operation === 'HeadObject' || headers['if-match'] !== undefined))
    assert.ok(asked.reduce((sum, { bytesOut }) => sum + bytesOut, 0) < 100_000)
    await done(['decrypt', object, '-o', `${object}.part`, ...KEY, '--range', '-10'])
    assert.deepEqual(await shared.server.objectBytes(`${key}.part`), plaintext.subarray(-10))
  })

  it('says in one line what Amazon S3 refuses, and ends with 1', async () => {
    const missing = new RegExp(
      `^esdk: ${object.replace(/[+.]/g, '\\$&')}: there is no such object \\(ERR_ESDK_TRANSFER\\)`,
    )
    await Promise.all([
      fails(1, missing, ['decrypt', object, '-o', 'target', ...KEY]),
      fails(1, missing, ['inspect', object]),
      fails(1, /^esdk: s3:\/\/no-such-bucket\/x: NoSuchBucket: .*TRANSFER/, [
        ...['encrypt', 'in', '-o', 's3://no-such-bucket/x', ...KEY],
      ]),
    ])
    shared.server.proxy.faults(({ operation }) =>
      operation === 'UploadPart' || operation === 'HeadObject' ? { error: 'AccessDenied', status: 403 } : undefined,
    )
    await Promise.all([
      fails(1, /^esdk: s3:[^\n]+\.bin part \d: AccessDenied.*permissions/, ['encrypt', 'in', '-o', object, ...KEY]),
      fails(1, /\.bin: access is denied/, ['decrypt', object, '-o', 'target', ...KEY]),
    ])
    shared.server.proxy.faults()
    assert.equal(await shared.server.objectExists(key), false)
    assert.ok(!(await folder.names()).includes('target'))
  })

  it('leaves no object where INPUT does not verify to its last byte', async () => {
    const { ciphertext } = await encrypt(plaintext, { keyring })
    ciphertext[ciphertext.length - 1]! ^= 1
    await writeFile(folder.of('forged'), ciphertext)
    await put(`${key}.forged`, ciphertext)
    await Promise.all(
      ['forged', `${object}.forged`].flatMap((input) => {
        const args = ['decrypt', input, '-o', object, '--part-size', '5242880']
        return [
          fails(3, /forged: .*ERR_ESDK_AUTHENTICATION/, [...args, ...KEY]),
          fails(4, /forged: .*ERR_ESDK_UNWRAP/, [...args, '--key', 'other.jwk']),
        ]
      }),
    )
    assert.ok(shared.server.proxy.operations.includes('HeadObject'))
    assert.equal(await shared.server.objectExists(key), false)
  })

  it('keeps the object that is there where the new one fails', async () => {
    await put(key, Buffer.from('old'))
    shared.server.proxy.faults(({ operation, partNumber }) =>
      operation === 'UploadPart' && partNumber === 2 ? { error: 'InternalError', status: 500 } : undefined,
    )
    await fails(1, /part 2: InternalError/, ['encrypt', 'in', '-o', object, ...KEY, '--part-size', '5242880'])
    assert.equal((await shared.server.objectBytes(key)).toString(), 'old')
  })

  it('says that an object changed while it was read', async () => {
    await put(key, plaintext)
    const head = (answer: AnswerHead): AnswerHead => ({ ...answer, headers: { ...answer.headers, etag: '"old"' } })
    shared.server.proxy.faults(({ operation }) => (operation === 'HeadObject' ? { head } : undefined))
    await fails(1, /\.bin: .*ERR_ESDK_CHANGED/, ['encrypt', object, '-o', 'target', ...KEY])
    assert.deepEqual(shared.server.proxy.asked.at(-1)?.headers['if-match'], '"old"')
    assert.ok(!(await folder.names()).includes('target'))
  })

  it('leaves nothing behind when it is interrupted, whenever that is', async () => {
    await put(`${key}.in`, plaintext)
    const { environment, proxy, direct, bucket: Bucket } = shared.server
    let inTime = 0
    const kill = async (target: string, signal: 'SIGINT' | 'SIGTERM', input: string): Promise<void> => {
      const args = ['encrypt', input, '-o', `s3://${Bucket}/${target}`, ...KEY, '--part-size', '5242880']
      const child = start(folder.path, args, { env: { ...environment, ...quick } })
      const isWorking = (): boolean => proxy.asked.some((asked) => asked.key === target)
      const { code, stderr } = await interrupted(child, signal, { isWorking, withinMs: 150 })
      assert.equal(stderr, '')
      // It may have been done already: then all of it is there.
      const exists = await shared.server.objectExists(target)
      assert.equal(code, exists ? 0 : INTERRUPTED[signal])
      if (!exists) inTime += 1
      else await direct.send(new DeleteObjectCommand({ Bucket, Key: target }))
    }
    for (let round = 0; round < 4; round++) {
      proxy.faults()
      const input = round % 2 === 0 ? `${object}.in` : 'in'
      await Promise.all([kill(`${key}.1`, 'SIGINT', input), kill(`${key}.2`, 'SIGTERM', input)])
      assert.deepEqual(await shared.server.multipartUploads(), [])
    }
    assert.ok(inTime > 0)
  })
})
