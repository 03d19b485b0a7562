import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { chmod, mkdir, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DeleteObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { decrypt, encrypt } from 'esdk-streams'
import type { TransferFlags } from '#lib/cli/options'
import type { FileRecord } from '#lib/cli/record'
import { runFleet } from '#lib/cli/run-fleet'
import type { ReportLine } from '#lib/adapters/fleet/report'
import { useS3Server } from '../emulators/s3-setup.ts'
import { useKmsServer } from '../keyrings/kms/setup.ts'
import {
  AES_JWK,
  INTERRUPTED,
  KEYRING as keyring,
  OTHER_JWK,
  OTHER_KEYRING as other,
  commandsIn,
  esdk,
  interrupted,
  start,
  temporaryFolder,
} from './command.ts'

const MIB = 1024 * 1024
const KEY = ['--key', 'key.jwk'] as const
const TO = ['--to-key', 'other.jwk'] as const

const FILES: Readonly<Record<string, Buffer>> = {
  'a.txt': Buffer.from('a'),
  'b/empty': Buffer.alloc(0),
  'b/c/ä +%.bin': randomBytes(100_000),
  'b/c/d.txt': Buffer.from('d'),
  'e.log': randomBytes(5000),
}
const NAMES = Object.keys(FILES).sort()

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

describe('esdk -r', () => {
  const folder = temporaryFolder()

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('other.jwk'), OTHER_JWK)
    await makeTree('in')
  })

  async function makeTree(root: string, files: Readonly<Record<string, Uint8Array>> = FILES): Promise<void> {
    for (const [name, bytes] of Object.entries(files)) {
      await mkdir(dirname(folder.of(`${root}/${name}`)), { recursive: true })
      await writeFile(folder.of(`${root}/${name}`), bytes)
    }
  }

  /** The files in a folder, by their relative names. */
  async function filesIn(root: string): Promise<string[]> {
    const entries = await readdir(folder.of(root), { recursive: true, withFileTypes: true })
    const prefix = folder.of(root).length + 1
    return entries
      .filter((entry) => !entry.isDirectory())
      .map(({ parentPath, name }) => `${parentPath}/${name}`.slice(prefix))
      .sort()
  }

  async function assertTree(root: string): Promise<void> {
    assert.deepEqual(await filesIn(root), NAMES)
    for (const name of NAMES)
      assert.equal(hashOf(await readFile(folder.of(`${root}/${name}`))), hashOf(FILES[name]!), name)
  }

  async function linesOf(name: string): Promise<ReportLine[]> {
    const text = await readFile(folder.of(name), 'utf8')
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as ReportLine)
  }

  describe('with folders', () => {
    const { run, done } = commandsIn(() => folder.path)

    it('encrypts a tree into another and decrypts that, keeping permissions', async () => {
      await chmod(folder.of('in/b'), 0o700)
      await chmod(folder.of('in/b/c/d.txt'), 0o640)
      const records = (await done('encrypt', '-r', 'in', '-o', 'new/out', ...KEY, '--json', '-c', 'a=b')).toString()
      const inputs = records
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as FileRecord).input)
      assert.deepEqual(
        inputs.sort(),
        NAMES.map((name) => `in/${name}`),
      )
      assert.deepEqual(await filesIn('new/out'), NAMES.map((name) => `${name}.encrypted`).sort())
      const { plaintext } = await decrypt(await readFile(folder.of('new/out/b/c/d.txt.encrypted')), { keyring })
      assert.equal(plaintext.toString(), 'd')
      assert.equal((await stat(folder.of('new/out/b'))).mode & 0o777, 0o700)
      await done(
        'decrypt',
        '-r',
        'new/out',
        '-o',
        'back',
        ...KEY,
        '-c',
        'a=b',
        '--metadata-output',
        'records',
        '--concurrency',
        '64',
      )
      await assertTree('back')
      assert.equal((await stat(folder.of('back/b/c/d.txt'))).mode & 0o777, 0o640)
      assert.equal((await stat(folder.of('back/b'))).mode & 0o777, 0o700)
      assert.equal((await linesOf('records')).length, NAMES.length)
    })

    it('takes what is included and not excluded, and follows no link', async () => {
      await symlink(folder.of('key.jwk'), folder.of('in/b/link'))
      await symlink(folder.path, folder.of('in/out-of-it'))
      const { code, stderr } = await run(
        'encrypt',
        '-r',
        'in',
        '-o',
        'out',
        ...KEY,
        '--exclude',
        'b/c/**',
        '--exclude',
        '*.log',
      )
      assert.deepEqual(stderr.trimEnd().split('\n').sort(), [
        'esdk: in/b/link: skipped: links are not followed',
        'esdk: in/out-of-it: skipped: links are not followed',
      ])
      assert.equal(code, 0)
      assert.deepEqual(await filesIn('out'), ['a.txt.encrypted', 'b/empty.encrypted'])
      await done('encrypt', '-r', 'in', '-o', 'texts', ...KEY, '--include', '*.txt', '--quiet')
      assert.deepEqual(await filesIn('texts'), ['a.txt.encrypted', 'b/c/d.txt.encrypted'])
    })

    it('goes on where a file fails, says so, and ends with the worst kind', async () => {
      await done('encrypt', '-r', 'in', '-o', 'out', ...KEY)
      const forged = await readFile(folder.of('out/e.log.encrypted'))
      forged[forged.length - 1]! ^= 1
      await writeFile(folder.of('out/e.log.encrypted'), forged)
      await writeFile(folder.of('out/letter'), 'no message')
      const { code, stderr } = await run(
        'decrypt',
        '-r',
        'out',
        '-o',
        'back',
        ...KEY,
        '--progress',
        'always',
        '--report',
        'report',
      )
      const lines = stderr.trimEnd().split('\n')
      assert.equal(code, 3)
      assert.equal(lines.filter((line) => /^decrypted out\/.+ → back\/.+ \d+(\.\d)? k?B$/.test(line)).length, 4)
      assert.ok(lines.some((line) => /^esdk: out\/letter: .*ERR_ESDK_MALFORMED/.test(line)))
      assert.ok(lines.some((line) => /^esdk: out\/e\.log\.encrypted: .*ERR_ESDK_AUTHENTICATION/.test(line)))
      assert.match(lines.at(-2)!, /^total: 4 of 6 files, \d+ kB, \d+\.\d s$/)
      assert.equal(lines.at(-1), 'esdk: 2 of 6 files failed')
      assert.deepEqual(
        await filesIn('back'),
        NAMES.filter((name) => name !== 'e.log'),
      )
      const failed = (await linesOf('report')).filter(({ status }) => status === 'failed')
      assert.deepEqual(failed.map(({ error }) => (error as { code: string }).code).sort(), [
        'ERR_ESDK_AUTHENTICATION',
        'ERR_ESDK_MALFORMED',
      ])
    })

    it('does not do again what the report says is done, as long as it did not change', async () => {
      const args = ['encrypt', '-r', 'in', '-o', 'out', ...KEY, '--report', 'report', '--json'] as const
      assert.equal((await done(...args, '--include', '*.txt')).toString().trimEnd().split('\n').length, 2)
      const before = await readFile(folder.of('out/a.txt.encrypted'))
      await writeFile(folder.of('in/b/c/d.txt'), 'changed')
      const again = (await done(...args))
        .toString()
        .trimEnd()
        .split('\n')
        .map((line) => (JSON.parse(line) as FileRecord).input)
      assert.deepEqual(
        again.sort(),
        NAMES.filter((name) => name !== 'a.txt').map((name) => `in/${name}`),
      )
      assert.deepEqual(await readFile(folder.of('out/a.txt.encrypted')), before)
      const { plaintext } = await decrypt(await readFile(folder.of('out/b/c/d.txt.encrypted')), { keyring })
      assert.equal(plaintext.toString(), 'changed')
      assert.equal((await done(...args)).length, 0)
      assert.equal((await linesOf('report')).length, 6)
    })

    it('re-encrypts in place, and goes on from the report', async () => {
      await done('encrypt', '-r', 'in', '-o', 'out', ...KEY)
      const args = ['reencrypt', '-r', 'out', ...KEY, ...TO, '--report', 'report'] as const
      await done(...args, '--include', '*.txt.encrypted')
      await done(...args) // under the old key alone, those could not be read again
      await done(...args)
      assert.equal((await linesOf('report')).length, NAMES.length)
      await done('decrypt', '-r', 'out', '-o', 'back', '--key', 'other.jwk')
      await assertTree('back')
    })

    it('refuses what makes no sense, or would write over what it reads', async () => {
      await symlink(folder.of('in'), folder.of('link'))
      await writeFile(folder.of('letter'), 'dear')
      const { path, of } = folder
      const out = of('out')
      const cases: readonly (readonly [string, Partial<TransferFlags>, RegExp])[] = [
        [of('in'), { output: '-' }, /OUTPUT expected a folder/],
        ['-', { output: out }, /INPUT expected a folder/],
        [of('in'), { output: of('in') }, /OUTPUT may not lie in INPUT/],
        [of('in'), { output: of('link/new/deep') }, /OUTPUT may not lie in INPUT/],
        ['s3://b/p', { output: 's3://b/p/q' }, /OUTPUT may not lie in INPUT/],
        [of('in'), { output: out, concurrency: 65 }, /at most 64/],
        [of('in'), { output: out, report: of('in/report') }, /may not lie in INPUT or OUTPUT/],
        [of('in'), { output: out, metadataOutput: `${out}/records` }, /may not lie in INPUT or OUTPUT/],
        [of('in'), { output: out, report: of('key.jwk') }, /may not be a key file/],
        [of('in'), { output: out, report: of('x'), metadataOutput: `${path}/./x` }, /may not be the same file/],
        [of('in'), { output: out, report: of('letter') }, /line 1 is not one of a report/],
        [of('letter'), { output: out }, /letter: with -r, INPUT is a folder/],
      ]
      for (const [input, more, text] of cases) {
        const flags: TransferFlags = { recursive: true, progress: 'never', key: [of('key.jwk')], ...more }
        const work = (): Promise<never> => Promise.reject(new Error('nothing is worked on'))
        await assert.rejects(runFleet({ mode: 'encrypt', flags, signal: new AbortController().signal, work }, input), {
          name: 'UsageError',
          message: text,
        })
      }
      const refused = [
        run('encrypt', '-r', 'in', ...KEY),
        run('decrypt', '-r', 'in', '-o', 'out', ...KEY, '--range', '0-1'),
      ]
      for (const { code, stderr } of await Promise.all(refused)) {
        assert.match(stderr, /^esdk: (-r needs an OUTPUT: give -o|--range is of one message, -r of many)\n$/)
        assert.equal(code, 2)
      }
      await assertTree('in')
      assert.equal(await readFile(folder.of('letter'), 'utf8'), 'dear')
      assert.equal((await run('encrypt', '-r', 'nothing', '-o', 'out', ...KEY)).code, 1)
    })

    it('writes no two files to one place, and none over one of INPUT that lies in OUTPUT', async () => {
      const { ciphertext } = await encrypt('one', { keyring })
      await makeTree('x/enc', { a: ciphertext, 'a.decrypted.encrypted': ciphertext, 'enc/a.encrypted': ciphertext })
      const { code, stderr } = await run('decrypt', '-r', 'x/enc', '-o', 'x', ...KEY)
      assert.match(stderr, /x\/a\.decrypted: another file of INPUT goes there too/)
      assert.match(stderr, /x\/enc\/a: OUTPUT of this file would lie in INPUT/)
      assert.match(stderr, /2 of 3 files failed/)
      assert.equal(code, 2)
      assert.deepEqual(await readFile(folder.of('x/enc/a')), ciphertext)
    })

    it('leaves no half files and a whole report when it is interrupted, and goes on from there', async () => {
      const bytes = randomBytes(MIB)
      const many = Object.fromEntries(Array.from({ length: 24 }, (_, index) => [`${index % 3}/${index}`, bytes]))
      await makeTree('many', many)
      const args = ['encrypt', '-r', 'many', '-o', 'out', ...KEY, '--report', 'report', '--suite', '0x0478'] as const
      let inTime = 0
      for (let kill = 0; kill < 4; kill++) {
        const signal = kill % 2 === 0 ? 'SIGINT' : 'SIGTERM'
        const isWorking = async (): Promise<boolean> =>
          (await folder.names()).includes('out') && (await filesIn('out')).some((name) => name.endsWith('.tmp'))
        const { code, stderr } = await interrupted(start(folder.path, args), signal, { isWorking, withinMs: 60 })
        assert.equal(stderr, '')
        if (code !== 0) assert.equal(code, INTERRUPTED[signal])
        if (code !== 0) inTime += 1
        const files = await filesIn('out')
        assert.ok(
          files.every((name) => name.endsWith('.encrypted')),
          files.join(),
        )
        const lines = files.length === 0 ? [] : await linesOf('report')
        assert.deepEqual(
          lines.map(({ output }) => output).sort(),
          files.map((name) => folder.of(`out/${name}`)),
        )
      }
      assert.ok(inTime > 0)
      await done(...args)
      assert.equal((await filesIn('out')).length, 24)
      await done('decrypt', '-r', 'out', '-o', 'back', ...KEY, '--concurrency', '24')
      for (const name of await filesIn('back'))
        assert.equal(hashOf(await readFile(folder.of(`back/${name}`))), hashOf(bytes))
    })
  })

  describe('with prefixes of Amazon S3', () => {
    const shared = useS3Server('versitygw')
    let prefixes = 0
    let prefix = ''

    const environment = (): Record<string, string> => ({ ...shared.server.environment, AWS_MAX_ATTEMPTS: '1' })
    const { run, done } = commandsIn(
      () => folder.path,
      () => ({ env: environment() }),
    )
    const at = (name: string): string => `s3://${shared.server.bucket}/${prefix}/${name}`

    const put = (name: string, Body: Uint8Array): Promise<unknown> =>
      shared.server.direct.send(new PutObjectCommand({ Bucket: shared.server.bucket, Key: `${prefix}/${name}`, Body }))

    async function keysIn(folderName: string): Promise<string[]> {
      const Prefix = `${prefix}/${folderName}/`
      const { Contents = [] } = await shared.server.direct.send(
        new ListObjectsV2Command({ Bucket: shared.server.bucket, Prefix }),
      )
      return Contents.map(({ Key }) => Key!.slice(Prefix.length)).sort()
    }

    beforeEach(() => {
      prefix = `tree ${++prefixes}`
    })

    afterEach(async () => {
      assert.deepEqual(await shared.server.multipartUploads(), [])
    })

    it('encrypts a folder into a prefix, re-encrypts that in place from a report, and decrypts it by another', async () => {
      await done('encrypt', '-r', 'in', '-o', at('enc'), ...KEY)
      assert.deepEqual(await keysIn('enc'), NAMES.map((name) => `${name}.encrypted`).sort())
      const rotate = ['reencrypt', '-r', at('enc/'), ...KEY, ...TO, '--report', 'report'] as const
      await done(...rotate, '--include', '*.txt.encrypted')
      await done(...rotate)
      assert.equal((await linesOf('report')).length, NAMES.length)
      const { plaintext } = await decrypt(await shared.server.objectBytes(`${prefix}/enc/b/c/d.txt.encrypted`), {
        keyring: other,
      })
      assert.equal(plaintext.toString(), 'd')
      await Promise.all(
        [at('plain'), 'back'].map((to) => done('decrypt', '-r', at('enc'), '-o', to, '--key', 'other.jwk')),
      )
      assert.deepEqual(await keysIn('plain'), NAMES)
      await assertTree('back')
    })

    it('asks for no object that did not change since it was listed, and does it again when it did', async () => {
      await put('x/a', Buffer.from('a'))
      await put('x/b', Buffer.from('b'))
      const args = ['encrypt', '-r', at('x/'), '-o', at('y/'), ...KEY, '--report', 'report'] as const
      await done(...args)
      assert.ok(!shared.server.proxy.operations.includes('HeadObject'))
      await put('x/b', Buffer.from('c'))
      shared.server.proxy.faults()
      await done(...args)
      assert.deepEqual(shared.server.proxy.operations, ['ListObjectsV2', 'GetObject', 'PutObject'])
      assert.ok(shared.server.proxy.asked[1]?.headers['if-match'] !== undefined)
      const { plaintext } = await decrypt(await shared.server.objectBytes(`${prefix}/y/b.encrypted`), { keyring })
      assert.equal(plaintext.toString(), 'c')
    })

    it('writes nothing outside of OUTPUT, whatever an object is called', async () => {
      await put('x/good', Buffer.from('good'))
      // The server has no such names: the answers of its list get them.
      const bytes = (chunk: Buffer): Buffer =>
        Buffer.from(chunk.toString('latin1').replaceAll(`<Key>${prefix}/x/good<`, `<Key>${prefix}/x/../a<`), 'latin1')
      shared.server.proxy.faults(({ operation }) => (operation === 'ListObjectsV2' ? { bytes } : undefined))
      const { code, stderr } = await run('encrypt', '-r', at('x'), '-o', 'deep/out', ...KEY)
      assert.match(stderr, /"\.\.\/a\.encrypted" is no name of a file in a folder/)
      assert.equal(code, 1)
      assert.ok(!(await folder.names()).includes('deep'))
    })

    it('fails where there is nothing, or the list fails', async () => {
      const { code, stderr } = await run('decrypt', '-r', at('none'), '-o', 'out', ...KEY)
      assert.match(stderr, /^esdk: s3:[^\n]+\/none\/: no object is there/)
      assert.equal(code, 1)
      shared.server.proxy.faults(() => ({ error: 'AccessDenied', status: 403 }))
      const denied = await run('decrypt', '-r', at('x'), '-o', 'out', ...KEY)
      assert.match(denied.stderr, /^esdk: s3:[^\n]+\/x\/: AccessDenied[^\n]+ERR_ESDK_TRANSFER[^\n]+\n$/)
      assert.equal(denied.code, 1)
    })

    it('leaves no multipart upload and no half object when it is interrupted', async () => {
      const bytes = randomBytes(7 * MIB)
      await makeTree('large', Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`${index}`, bytes])))
      let inTime = 0
      for (let kill = 0; kill < 3; kill++) {
        shared.server.proxy.faults()
        const args = [
          'encrypt',
          '-r',
          'large',
          '-o',
          at('large'),
          ...KEY,
          '--part-size',
          '5242880',
          '--suite',
          '0x0478',
        ]
        const child = start(folder.path, args, { env: environment() })
        const isWorking = (): boolean => shared.server.proxy.asked.length > 0
        const { code, stderr } = await interrupted(child, 'SIGINT', { isWorking, withinMs: 200 })
        assert.equal(stderr, '')
        if (code === 130) inTime += 1
        assert.deepEqual(await shared.server.multipartUploads(), [])
        for (const name of await keysIn('large')) {
          const Key = `${prefix}/large/${name}`
          const { plaintext } = await decrypt(await shared.server.objectBytes(Key), { keyring })
          assert.equal(hashOf(plaintext), hashOf(bytes))
          await shared.server.direct.send(new DeleteObjectCommand({ Bucket: shared.server.bucket, Key }))
        }
      }
      assert.ok(inTime > 0)
      await rm(folder.of('large'), { recursive: true })
    })
  })

  describe('with keys of AWS KMS', () => {
    const kms = useKmsServer()

    it('asks for one data key for many files with --caching', async () => {
      const env = {
        AWS_ACCESS_KEY_ID: 'spec',
        AWS_SECRET_ACCESS_KEY: 'spec',
        AWS_REGION: 'us-east-1',
        AWS_ENDPOINT_URL: kms.server.endpoint,
      }
      const asked = async (...args: string[]): Promise<string[]> => {
        kms.server.proxy.faults()
        const { code, stderr } = await esdk(folder.path, [...args, '--concurrency', '1'], { env })
        assert.equal(code, 0, stderr)
        return kms.server.proxy.asked.map(({ operation }) => operation)
      }
      const [key] = kms.server.keys
      const caching = ['--caching', 'max_age=60'] as const
      const without = await asked('encrypt', '-r', 'in', '-o', 'out', '--kms', key!)
      assert.deepEqual(
        without,
        NAMES.map(() => 'GenerateDataKey'),
      )
      assert.deepEqual(await asked('encrypt', '-r', 'in', '-o', 'out', '--kms', key!, ...caching), ['GenerateDataKey'])
      const to = ['--to-kms', kms.server.keys[1]!]
      const reencrypted = await asked('reencrypt', '-r', 'out', '--kms', key!, ...to, ...caching)
      assert.deepEqual(reencrypted.sort(), ['Decrypt', 'GenerateDataKey'])
      assert.deepEqual(await asked('decrypt', '-r', 'out', '-o', 'back', '--discovery', ...caching), ['Decrypt'])
      await assertTree('back')
    })
  })
})
