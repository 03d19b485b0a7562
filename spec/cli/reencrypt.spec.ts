import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { chmod, readFile, stat, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { decrypt, encrypt } from 'esdk-streams'
import type { FileRecord } from '#lib/cli/record'
import { useS3Server } from '../emulators/s3-setup.ts'
import {
  AES_JWK,
  INTERRUPTED,
  KEYRING as keyring,
  OTHER_JWK,
  OTHER_KEYRING as other,
  type Outcome,
  esdk,
  interrupted,
  outcome,
  start,
  temporaryFolder,
} from './command.ts'

const FULL = process.env['ESDK_FULL'] === '1'
const MIB = 1024 * 1024
const KEYS = ['--key', 'old.jwk', '--to-key', 'new.jwk'] as const
const plaintext = randomBytes(6 * MIB)

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('esdk reencrypt', () => {
  const folder = temporaryFolder()
  let message: Buffer

  before(async () => {
    message = (await encrypt(plaintext, { keyring, encryptionContext: { a: '1', b: '2' } })).ciphertext
  })

  beforeEach(async () => {
    await writeFile(folder.of('old.jwk'), AES_JWK)
    await writeFile(folder.of('new.jwk'), OTHER_JWK)
    await writeFile(folder.of('message'), message)
  })

  async function assertReencrypted(bytes: Buffer, pairs: Readonly<Record<string, string>>): Promise<void> {
    const { plaintext: back, header } = await decrypt(bytes, { keyring: other })
    assert.equal(hashOf(back), hashOf(plaintext))
    const stored = Object.entries(header.encryptionContext).filter(([name]) => !name.startsWith('aws-crypto-'))
    assert.deepEqual(Object.fromEntries(stored), pairs)
    await assert.rejects(decrypt(bytes, { keyring }), { code: 'ERR_ESDK_UNWRAP' })
  }

  describe('of files', () => {
    const run = (...args: string[]): Promise<Outcome> => esdk(folder.path, ['reencrypt', ...args])

    it('replaces a message in place, keeping its permissions and its pairs, or writes another', async () => {
      await chmod(folder.of('message'), 0o640)
      const { code, stderr, stdout } = await run('message', ...KEYS, '-c', 'b=3', '-c', 'c=4', '--json')
      assert.deepEqual([stderr, code], ['', 0])
      const record = JSON.parse(stdout.toString()) as FileRecord
      assert.deepEqual([record.mode, record.input, record.output], ['reencrypt', 'message', 'message'])
      await assertReencrypted(await readFile(folder.of('message')), { a: '1', b: '3', c: '4' })
      assert.equal((await stat(folder.of('message'))).mode & 0o777, 0o640)
      await writeFile(folder.of('message'), message)
      assert.equal(
        (await run('message', '-o', 'another', ...KEYS, '--suite', '0x0478', '--frame-length', '999')).code,
        0,
      )
      const { header } = await decrypt(await readFile(folder.of('another')), { keyring: other })
      assert.deepEqual([header.suite.id, header.frameLength], [0x0478, 999])
      assert.deepEqual(await readFile(folder.of('message')), message)
      assert.deepEqual(await folder.names(), ['another', 'message', 'new.jwk', 'old.jwk'])
    })

    it('goes through pipes, and takes raw keys by the names that are given', async () => {
      await writeFile(folder.of('raw'), Buffer.alloc(32, 7))
      const toRaw = ['--to-key', 'raw', '--to-key-namespace', 'esdk', '--to-key-name', 'k']
      const { code, stdout } = await esdk(folder.path, ['reencrypt', '-', '--key', 'old.jwk', ...toRaw], {
        input: message,
      })
      assert.equal(code, 0)
      await assertReencrypted(stdout, { a: '1', b: '2' })
    })

    it('leaves the message as it was where it does not verify, and never writes over a key', async () => {
      const forged = Buffer.from(message)
      forged[forged.length - 1]! ^= 1
      await writeFile(folder.of('message'), forged)
      const failed = await run('message', ...KEYS)
      assert.match(failed.stderr, /^esdk: message: [^\n]+ERR_ESDK_AUTHENTICATION[^\n]+\n$/)
      assert.equal(failed.code, 3)
      assert.deepEqual(await readFile(folder.of('message')), forged)
      await writeFile(folder.of('message'), message)
      assert.equal((await run('message', '--key', 'new.jwk', '--to-key', 'old.jwk')).code, 4)
      const onKey = await run('message', '-o', 'new.jwk', ...KEYS)
      assert.match(onKey.stderr, /OUTPUT may not be a key file/)
      assert.deepEqual(await folder.names(), ['message', 'new.jwk', 'old.jwk'])
    })
  })

  describe('of objects', () => {
    const shared = useS3Server('versitygw', { versioned: true })
    let keys = 0
    let key = ''
    let object = ''

    const environment = (): Record<string, string> => ({ ...shared.server.environment, AWS_MAX_ATTEMPTS: '1' })
    const run = (...args: string[]): Promise<Outcome> =>
      esdk(folder.path, ['reencrypt', ...args], { env: environment() })

    beforeEach(async () => {
      key = `message ${++keys}`
      object = `s3://${shared.server.bucket}/${key}`
      const attributes = { ContentType: 'video/mp4', Metadata: { owner: 'spec' } }
      const params = { Bucket: shared.server.bucket, Key: key, ...attributes, Body: message }
      await shared.server.direct.send(new PutObjectCommand(params))
    })

    afterEach(async () => {
      assert.deepEqual(await shared.server.multipartUploads(), [])
    })

    it('replaces an object in place with all that belongs to it, and names the version before', async () => {
      const found = { Bucket: shared.server.bucket, Key: key }
      const before = await shared.server.direct.send(new HeadObjectCommand(found))
      const { code, stderr, stdout } = await run(object, ...KEYS, '--json', '--part-size', '5242880')
      assert.deepEqual([stderr, code], ['', 0])
      const record = JSON.parse(stdout.toString()) as FileRecord
      assert.equal(record.previousVersionId, before.VersionId)
      const after = await shared.server.direct.send(new HeadObjectCommand(found))
      assert.deepEqual([after.ContentType, after.Metadata?.['owner']], ['video/mp4', 'spec'])
      await assertReencrypted(await shared.server.objectBytes(key), { a: '1', b: '2' })
    })

    it('goes from object to object, from file to object and back', async () => {
      const ways = [
        [object, `${object}.new`],
        ['message', `${object}.file`],
        [object, 'back'],
      ] as const
      const runs = ways.map(async ([input, output]) => {
        const { code, stderr } = await run(input, '-o', output, ...KEYS)
        assert.deepEqual([stderr, code], ['', 0])
      })
      await Promise.all(runs)
      for (const name of ['new', 'file']) {
        await assertReencrypted(await shared.server.objectBytes(`${key}.${name}`), { a: '1', b: '2' })
      }
      await assertReencrypted(await readFile(folder.of('back')), { a: '1', b: '2' })
      assert.deepEqual(await shared.server.objectBytes(key), message)
    })

    it('leaves the object as it was, or the new one whole, when it is interrupted, whenever that is', async function () {
      this.timeout(600_000)
      const { proxy, direct, bucket: Bucket } = shared.server
      const targets = [`${key}.1`, `${key}.2`]
      const put = (Key: string): Promise<unknown> => direct.send(new PutObjectCommand({ Bucket, Key, Body: message }))
      const command = (target: string): ChildProcess => {
        const args = ['reencrypt', `s3://${Bucket}/${target}`, ...KEYS, '--part-size', '5242880']
        return start(folder.path, args, { env: environment() })
      }
      const isAsked = (target: string) => (): boolean => proxy.asked.some((asked) => asked.key === target)

      const takes = async (target: string): Promise<number> => {
        await put(target)
        const uninterrupted = outcome(command(target))
        while (!isAsked(target)()) await setTimeout(2)
        const began = performance.now()
        await uninterrupted
        await put(target)
        return performance.now() - began
      }
      const withinMs = Math.max(...(await Promise.all(targets.map(takes))))

      let inTime = 0
      const kill = async (target: string, signal: 'SIGINT' | 'SIGTERM'): Promise<void> => {
        const { code, stderr } = await interrupted(command(target), signal, { isWorking: isAsked(target), withinMs })
        assert.equal(stderr, '')
        const found = await shared.server.objectBytes(target)
        const isOld = found.equals(message)
        assert.equal(code, isOld ? INTERRUPTED[signal] : 0)
        if (isOld) inTime += 1
        else {
          await assertReencrypted(found, { a: '1', b: '2' })
          await put(target)
        }
      }
      const rounds = FULL ? 25 : 4
      for (let round = 0; round < rounds; round++) {
        proxy.faults()
        await Promise.all([kill(targets[0]!, 'SIGINT'), kill(targets[1]!, 'SIGTERM')])
        assert.deepEqual(await shared.server.multipartUploads(), [])
      }
      if (FULL) console.log(`        ${inTime} of ${2 * rounds} were interrupted in time`)
      assert.ok(inTime >= rounds / 2, `${inTime} of ${2 * rounds} were interrupted in time`)
    })
  })
})
