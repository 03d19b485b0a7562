import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync, closeSync } from 'node:fs'
import { chmod, mkdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { encrypt } from 'esdk-streams'
import {
  AES_JWK,
  AES_KEY,
  KEYRING as keyring,
  MAIN,
  OTHER_JWK,
  type Outcome,
  esdk,
  outcome,
  start,
  temporaryFolder,
} from './command.ts'

const KEY = ['--key', 'key.jwk'] as const
const isLinux = process.platform === 'linux'
const plaintext = Buffer.alloc(3_000_000, 'plaintext')

describe('exit codes of esdk', () => {
  const folder = temporaryFolder()
  let message: Buffer

  before(async () => {
    message = (await encrypt(plaintext, { keyring, encryptionContext: { purpose: 'spec' } })).ciphertext
  })

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('other.jwk'), OTHER_JWK)
    await writeFile(folder.of('message'), message)
    await writeFile(folder.of('target'), 'old')
  })

  /** Each ends in the code, says so in one line, and leaves the target as it was and nothing beside it. */
  async function assertEach(
    code: number,
    runs: readonly (readonly [args: readonly string[], text: RegExp])[],
  ): Promise<void> {
    const names = await folder.names()
    for (let index = 0; index < runs.length; index += 4) {
      await Promise.all(
        runs.slice(index, index + 4).map(async ([args, text]) => {
          const result = await esdk(folder.path, args)
          assert.match(result.stderr, text)
          assert.match(result.stderr, /^esdk: [^\n]+\n$/)
          assert.equal(result.code, code, result.stderr)
          assert.equal(result.stdout.length, 0)
        }),
      )
    }
    assert.deepEqual(await folder.names(), names)
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
  }

  const decryptTo = (...args: string[]): string[] => ['decrypt', 'message', '-o', 'target', ...args]
  const encryptTo = (...args: string[]): string[] => ['encrypt', 'message', '-o', 'target', ...args]

  it('0 for help and version', async () => {
    const [help, version, sub] = await Promise.all([
      esdk(folder.path, ['--help']),
      esdk(folder.path, ['--version']),
      esdk(folder.path, ['decrypt', '--help']),
    ])
    assert.deepEqual([help.code, version.code, sub.code], [0, 0, 0])
    assert.match(help.stdout.toString(), /Examples:\n {2}\$ esdk keygen/)
    assert.match(version.stdout.toString(), /^\d+\.\d+\.\d+\n$/)
    assert.match(sub.stdout.toString(), /Examples:\n {2}\$ esdk decrypt/)
  })

  it('1 for files that cannot be read or written', async () => {
    await mkdir(folder.of('folder'))
    await assertEach(1, [
      [['decrypt', 'missing', '-o', 'target', ...KEY], /missing: ENOENT/],
      [['decrypt', 'folder', '-o', 'target', ...KEY], /folder: EISDIR/],
      [['decrypt', 'message', '-o', 'folder', ...KEY], /folder: EISDIR/],
      [['decrypt', 'message', '-o', 'no/such', ...KEY], /no\/such: ENOENT/],
      [decryptTo('--key', 'missing.jwk'), /key file missing\.jwk: ENOENT/],
      [decryptTo('--key', 'folder'), /key file folder: EISDIR/],
    ])
    if (!isLinux) return
    await assertEach(1, [
      [['encrypt', 'message', '-o', '/dev/full', ...KEY], /^esdk: \/dev\/full: ENOSPC.*; free some space/],
      [['decrypt', 'message', '-o', '/dev/full', ...KEY], /^esdk: \/dev\/full: ENOSPC/],
      [['encrypt', '/proc/self/mem', '-o', 'target', ...KEY], /^esdk: \/proc\/self\/mem: EIO/],
    ])
    const full = openSync('/dev/full', 'w')
    const stdio = ['ignore', full, 'pipe'] as const
    const { code, stderr } = await outcome(
      start(folder.path, ['encrypt', 'message', '-o', '-', ...KEY], { stdio: [...stdio] }),
    )
    closeSync(full)
    assert.equal(code, 1)
    assert.match(stderr, /^esdk: standard output: ENOSPC/)
  })

  it('1 for messages that are malformed or cut', async () => {
    await writeFile(folder.of('cut'), message.subarray(0, 2_000_000))
    await writeFile(folder.of('longer'), Buffer.concat([message, message]))
    await writeFile(folder.of('empty'), '')
    await assertEach(1, [
      [['decrypt', 'key.jwk', '-o', 'target', ...KEY], /key\.jwk: .*ERR_ESDK_MALFORMED/],
      [['decrypt', 'cut', '-o', 'target', ...KEY], /cut: .*ERR_ESDK_TRUNCATED.*; the file is incomplete/],
      [['decrypt', 'longer', '-o', 'target', ...KEY], /longer: .*ERR_ESDK_MALFORMED/],
      [['decrypt', 'empty', '-o', 'target', ...KEY], /empty: .*ERR_ESDK_TRUNCATED/],
    ])
  })

  it('2 for a wrong command line', async () => {
    await writeFile(folder.of('raw.key'), AES_KEY)
    await writeFile(folder.of('sparse'), '')
    await truncate(folder.of('sparse'), 5_000_000_000)
    await assertEach(2, [
      [['frobnicate'], /unknown command 'frobnicate'; see "esdk --help"/],
      [['encrypt'], /missing required argument 'INPUT'; see "esdk encrypt --help"/],
      [encryptTo(), /no key: give --key/],
      [encryptTo(...KEY, '--frobnicate'), /unknown option '--frobnicate'/],
      [encryptTo(...KEY, '--frame-length', '1e3'), /--frame-length.*whole number/],
      [encryptTo(...KEY, '--frame-length', '100000000'), /"frameLength" expected integer/],
      [encryptTo(...KEY, '--max-encrypted-data-keys', '0'), /--max-encrypted-data-keys.*whole number/],
      [encryptTo(...KEY, '--suite', '0x9999'), /"algorithmSuite" expected one of 0x0014.*got 0x9999/],
      [encryptTo(...KEY, '--suite', 'nonsense'), /got "nonsense"/],
      [encryptTo(...KEY, '--suite', '0578', '--random-access'), /"randomAccess" goes with unsigned suites only/],
      [encryptTo(...KEY, '--commitment-policy', 'none'), /--commitment-policy.*Allowed choices/],
      [encryptTo(...KEY, '--progress', 'sometimes'), /--progress.*Allowed choices/],
      [encryptTo(...KEY, '-c', 'purpose'), /-c expected NAME=VALUE, got "purpose"/],
      [encryptTo(...KEY, '-c', '=x'), /empty name/],
      [encryptTo(...KEY, '-c', 'a=1', '-c', 'a=2'), /-c names "a" twice/],
      [encryptTo(...KEY, '-c', 'aws-crypto-x=1'), /reserved/],
      [
        encryptTo(...KEY, '--required-encryption-context-keys', 'a'),
        /names "a", which "encryptionContext" does not hold/,
      ],
      [decryptTo(...KEY, '-c', 'a', '-c', 'a=2'), /-c names "a" twice/],
      [decryptTo('--key', 'raw.key'), /key file raw\.key: .*--key-namespace and --key-name/],
      [['encrypt', 'sparse', '-o', 'target', ...KEY, '--frame-length', '1'], /sparse: .*more than 4294967295 frames/],
      [['encrypt', 'message', '-o', './key.jwk', ...KEY], /OUTPUT may not be a key file/],
      [decryptTo('--key', 'message'), /key file message: .*no key file/],
      [decryptTo('--key', 'target'), /key file target: expected a JWK/],
      [
        ['decrypt', 'gs://bucket/key', '-o', 'target', ...KEY],
        /INPUT gs:\/\/bucket\/key: .*files, "-" and s3:\/\/ only/,
      ],
      [['decrypt', 's3://bucket', '-o', 'target', ...KEY], /INPUT s3:\/\/bucket: expected s3:\/\/bucket\/key/],
      [['decrypt', 'message', '-o', 's3://bucket/prefix/', ...KEY], /OUTPUT s3:.*expected s3:\/\/bucket\/key.*with -r/],
      [['decrypt', 'message', '-o', 'target', ...KEY, '--part-size', '6000000'], /--part-size goes with/],
      [['decrypt', 'message', '-o', 'target', ...KEY, '--expected-size', '9'], /--expected-size goes with/],
      [['encrypt', 'message', '-o', 's3://b/k', ...KEY, '--part-size', '9'], /--part-size.*got 9/],
      [['encrypt', 's3://b/k', '-o', 's3://b/k', ...KEY], /may not be the same object/],
      [encryptTo(...KEY, '--concurrency', '2'), /--concurrency goes with -r/],
      [encryptTo(...KEY, '--include', '*'), /--include goes with -r/],
      [['reencrypt', 'message', ...KEY], /no key to encrypt under: give --to-key/],
      [['reencrypt', 'message', '--to-key', 'key.jwk'], /no key: give --key/],
      [['reencrypt', 'message', ...KEY, '--to-key', 'key.jwk', '-c', 'name'], /-c expected NAME=VALUE, got "name"/],
      [['decrypt', '', '-o', 'target', ...KEY], /INPUT expected a path/],
    ])
    const nothing = await esdk(folder.path, [])
    assert.equal(nothing.code, 2)
    assert.match(nothing.stderr, /Usage: esdk/)
  })

  it('3 for messages that are not authentic', async () => {
    for (const [name, at] of [
      ['header', 10],
      ['frame', 2_000_000],
      ['signature', message.length - 1],
    ] as const) {
      const changed = Buffer.from(message)
      changed[at]! ^= 1
      await writeFile(folder.of(name), changed)
    }
    await assertEach(3, [
      [['decrypt', 'header', '-o', 'target', ...KEY], /header: .*ERR_ESDK_AUTHENTICATION/],
      [['decrypt', 'frame', '-o', 'target', ...KEY], /frame: .*ERR_ESDK_AUTHENTICATION/],
      [['decrypt', 'signature', '-o', 'target', ...KEY], /signature: .*ERR_ESDK_AUTHENTICATION.*get it again/],
    ])
  })

  it('4 where no key unwraps a data key', async () => {
    await assertEach(4, [
      [decryptTo('--key', 'other.jwk'), /message: .*ERR_ESDK_UNWRAP.*; give the key.*"esdk inspect"/],
      [decryptTo('--key', 'other.jwk', '--key', 'other.jwk'), /ERR_ESDK_UNWRAP/],
      [decryptTo(...KEY, '-c', 'unknown=pair'), /ERR_ESDK_UNWRAP.*-c pairs/],
    ])
  })

  it('5 for what policy or a limit refuses', async () => {
    const large = 'x'.repeat(70_000)
    const uncommitted = await encrypt(plaintext, {
      keyring,
      commitmentPolicy: 'forbid-encrypt-allow-decrypt',
      algorithmSuite: 0x0178,
    })
    await writeFile(folder.of('uncommitted'), uncommitted.ciphertext)
    await assertEach(5, [
      [decryptTo(...KEY, '--unsigned-only'), /ERR_ESDK_POLICY.*leave out --unsigned-only/],
      [decryptTo(...KEY, '-c', 'purpose=other'), /ERR_ESDK_POLICY.*correct -c/],
      [decryptTo(...KEY, '-c', 'tenant'), /lacks the required name "tenant"/],
      [['decrypt', 'uncommitted', '-o', 'target', ...KEY], /allow it with --commitment-policy/],
      [encryptTo(...KEY, '--suite', '0178'), /ERR_ESDK_POLICY.*another --suite/],
      [encryptTo(...KEY, '-c', `large=${large}`), /ERR_ESDK_LIMIT.*fewer or shorter -c/],
      [encryptTo(...KEY, '--key', 'other.jwk', '--max-encrypted-data-keys', '1'), /ERR_ESDK_LIMIT.*raise --max/],
    ])
    const allowed = ['-o', 'out', ...KEY, '--commitment-policy', 'require-encrypt-allow-decrypt']
    const { code } = await esdk(folder.path, ['decrypt', 'uncommitted', ...allowed])
    assert.equal(code, 0)
  })

  it('0, and nothing on stderr, when the reader of stdout has enough', async () => {
    const enough = async (args: string[]): Promise<Outcome> => {
      const child = start(folder.path, args)
      child.stdout!.once('data', () => child.stdout!.destroy())
      return outcome(child)
    }
    const results = await Promise.all([
      enough(['encrypt', 'message', '-o', '-', ...KEY]),
      enough(['decrypt', 'message', '-o', '-', ...KEY]),
    ])
    for (const { code, stderr } of results) assert.deepEqual([code, stderr], [0, ''])
    const pipe = spawn(
      'sh',
      ['-c', '"$0" "$1" inspect message --json | true; "$0" "$1" --help | true', process.execPath, MAIN],
      {
        cwd: folder.path,
      },
    )
    const stderr: Buffer[] = []
    pipe.stderr.on('data', (bytes: Buffer) => stderr.push(bytes))
    await once(pipe, 'close')
    assert.equal(Buffer.concat(stderr).toString(), '')
  })

  it('0 with a target that was there, which keeps its mode', async () => {
    await chmod(folder.of('target'), 0o604)
    assert.equal((await esdk(folder.path, decryptTo(...KEY))).code, 0)
    assert.equal((await stat(folder.of('target'))).mode & 0o777, 0o604)
    assert.ok((await readFile(folder.of('target'))).equals(plaintext))
  })
})
