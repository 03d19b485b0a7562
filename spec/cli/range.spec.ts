import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { encrypt } from 'esdk-streams'
import type { FileRecord } from '#lib/cli/record'
import { AES_JWK, KEYRING as keyring, type Outcome, esdk, temporaryFolder } from './command.ts'

const KEY = ['--key', 'key.jwk'] as const

describe('esdk decrypt --range', () => {
  const folder = temporaryFolder()
  const plaintext = randomBytes(300_000)
  let message: Buffer

  before(async () => {
    message = (await encrypt(plaintext, { keyring, algorithmSuite: 0x0478 })).ciphertext
  })

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('message'), message)
    await writeFile(folder.of('target'), 'old')
  })

  const decrypt = (range: string, ...args: string[]): Promise<Outcome> =>
    esdk(folder.path, ['decrypt', 'message', ...KEY, `--range=${range}`, ...args])

  it('gives those bytes, as HTTP counts them', async () => {
    for (const [range, start, end] of [
      ['0-0', 0, 1],
      ['0-99', 0, 100],
      ['4090-4100', 4090, 4101],
      ['299990-', 299_990, 300_000],
      ['299990-999999999', 299_990, 300_000],
      ['-5', 299_995, 300_000],
      ['-400000', 0, 300_000],
      ['100-250000', 100, 250_001],
    ] as const) {
      const { code, stdout, stderr } = await decrypt(range, '-o', '-')
      assert.deepEqual([code, stderr], [0, ''], range)
      assert.equal(stdout.compare(plaintext.subarray(start, end)), 0, range)
    }
  })

  it('writes them to a file whole, and reads little more than them', async () => {
    const { code, stdout } = await decrypt('200000-200999', '-o', 'target', '--json')
    assert.equal(code, 0)
    assert.equal((await readFile(folder.of('target'))).compare(plaintext.subarray(200_000, 201_000)), 0)
    const record = JSON.parse(stdout.toString()) as FileRecord
    assert.deepEqual([record.bytesOut, record.frames], [1000, 2])
    assert.ok(record.bytesIn < 64 * 1024 + 4 * 4200, String(record.bytesIn))
  })

  it('refuses a signed message, unless told not to', async () => {
    await writeFile(folder.of('message'), (await encrypt(plaintext, { keyring })).ciphertext)
    const refused = await decrypt('5-9', '-o', 'target')
    assert.match(refused.stderr, /^esdk: message: the message is signed[^\n]+--allow-unverified-signature\n$/)
    assert.equal(refused.code, 5)
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
    const { code, stdout } = await decrypt('5-9', '-o', '-', '--allow-unverified-signature')
    assert.equal(code, 0)
    assert.equal(stdout.toString('hex'), plaintext.toString('hex', 5, 10))
  })

  it('leaves the target as it was where a frame is not authentic or the message was cut', async () => {
    const changed = Buffer.from(message)
    changed[150_000]! ^= 1
    for (const [bytes, code] of [
      [changed, 3],
      [message.subarray(0, -1), 1],
    ] as const) {
      await writeFile(folder.of('message'), bytes)
      const result = await decrypt('100000-200000', '-o', 'target')
      assert.equal(result.code, code, result.stderr)
      assert.match(result.stderr, /^esdk: message: [^\n]+\n$/)
      assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
    }
    assert.deepEqual(await folder.names(), ['key.jwk', 'message', 'target'])
  })

  it('ends with 2 for what is no range, or not of this plaintext, or makes no sense', async () => {
    for (const range of [
      '',
      '-',
      '5',
      'a-b',
      '5-4',
      '1-2-3',
      '99999999999999999999-',
      '-0',
      '300000-',
      '300000-300001',
    ]) {
      const { code, stderr } = await decrypt(range, '-o', 'target')
      assert.equal(code, 2, `${range}: ${stderr}`)
      assert.match(stderr, /^esdk: [^\n]*--range[^\n]*\n$/)
    }
    for (const args of [
      ['decrypt', 'message', ...KEY, '--allow-unverified-signature'],
      ['decrypt', 'message', ...KEY, '--range', '0-1', '--verify-first'],
      ['decrypt', '-', ...KEY, '--range', '0-1'],
    ]) {
      assert.equal((await esdk(folder.path, [...args, '-o', 'target'])).code, 2)
    }
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
  })

  it('needs a file: a pipe has no positions', async function () {
    if (process.platform !== 'linux') return this.skip()
    execFileSync('mkfifo', [folder.of('pipe')])
    const { code, stderr } = await esdk(folder.path, ['decrypt', 'pipe', ...KEY, '--range', '0-1', '-o', 'target'])
    assert.match(stderr, /^esdk: pipe: ranges can be read of files only\n$/)
    assert.equal(code, 1)
  })
})
