import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { chmod, link, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { decrypt, encrypt } from 'esdk-streams'
import type { FileRecord } from '#lib/cli/record'
import {
  AES_JWK,
  KEYRING as keyring,
  MAIN,
  OTHER_JWK,
  type Outcome,
  esdk,
  outcome,
  start,
  temporaryFolder,
} from './command.ts'

const MIB = 1024 * 1024
const KEY = ['--key', 'key.jwk'] as const
const isLinux = process.platform === 'linux'
const run = promisify(execFile)

function assertDone({ code, stderr }: Outcome): void {
  assert.deepEqual([code, stderr], [0, ''])
}

describe('esdk encrypt and decrypt', () => {
  const folder = temporaryFolder()
  const plaintext = randomBytes(MIB + 5)

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('other.jwk'), OTHER_JWK)
    await writeFile(folder.of('in.bin'), plaintext)
  })

  it('round-trip a file under default names, silently, keeping its permissions', async () => {
    await chmod(folder.of('in.bin'), 0o640)
    const encryption = await esdk(folder.path, ['encrypt', 'in.bin', ...KEY, '-c', 'purpose=backup=daily'])
    assertDone(encryption)
    assert.equal(encryption.stdout.length, 0)
    assert.equal((await stat(folder.of('in.bin.encrypted'))).mode & 0o777, 0o640)
    const message = await readFile(folder.of('in.bin.encrypted'))
    assert.equal((await decrypt(message, { keyring })).header.encryptionContext['purpose'], 'backup=daily')

    await writeFile(folder.of('in.bin'), 'to be replaced')
    assertDone(await esdk(folder.path, ['decrypt', 'in.bin.encrypted', ...KEY, '-c', 'purpose']))
    assert.ok((await readFile(folder.of('in.bin'))).equals(plaintext))
    assert.deepEqual(await folder.names(), ['in.bin', 'in.bin.encrypted', 'key.jwk', 'other.jwk'])
  })

  it('round-trip through pipes, and an empty input', async () => {
    for (const input of [plaintext, Buffer.alloc(0)]) {
      const encryption = await esdk(folder.path, ['encrypt', '-', ...KEY], { input })
      assertDone(encryption)
      const decryption = await esdk(folder.path, ['decrypt', '-', ...KEY], { input: encryption.stdout })
      assertDone(decryption)
      assert.ok(decryption.stdout.equals(input))
    }
  })

  it('round-trip through redirected files, and between a pipe and a file', async () => {
    const stdio = [openSync(folder.of('in.bin'), 'r'), openSync(folder.of('redirected'), 'w'), 'pipe'] as const
    assertDone(await outcome(start(folder.path, ['encrypt', '-', ...KEY], { stdio: [...stdio] })))
    closeSync(stdio[0])
    closeSync(stdio[1])
    const toStdout = await esdk(folder.path, ['decrypt', 'redirected', '-o', '-', ...KEY])
    assert.ok(toStdout.stdout.equals(plaintext))
    const input = await readFile(folder.of('redirected'))
    assertDone(await esdk(folder.path, ['decrypt', '-', '-o', 'out.bin', ...KEY], { input }))
    assert.ok((await readFile(folder.of('out.bin'))).equals(plaintext))
  })

  it('write messages that the options describe', async () => {
    const options = [
      '--suite',
      '0x0178',
      '--commitment-policy',
      'forbid-encrypt-allow-decrypt',
      '--frame-length',
      '100000',
    ]
    assertDone(await esdk(folder.path, ['encrypt', 'in.bin', '-o', 'a', ...KEY, '--key', 'other.jwk', ...options]))
    const commitmentPolicy = 'require-encrypt-allow-decrypt'
    const { header } = await decrypt(await readFile(folder.of('a')), { keyring, commitmentPolicy })
    assert.deepEqual([header.suite.id, header.frameLength, header.encryptedDataKeys.length], [0x0178, 100_000, 2])

    const [random, named] = await Promise.all([
      esdk(folder.path, ['encrypt', 'in.bin', '-o', '-', ...KEY, '--random-access']),
      esdk(folder.path, ['encrypt', 'in.bin', '-o', '-', ...KEY, '--suite', 'AES_256_GCM_HKDF_SHA512_COMMIT_KEY']),
    ])
    for (const { stdout } of [random, named]) {
      assert.equal((await decrypt(stdout, { keyring })).header.suite.id, 0x0478)
    }
  })

  it('open what any one of several keys wrapped', async () => {
    assertDone(await esdk(folder.path, ['encrypt', 'in.bin', '-o', 'a', ...KEY, '--key', 'other.jwk']))
    const results = await Promise.all([
      esdk(folder.path, ['decrypt', 'a', '-o', '-', '--key', 'other.jwk']),
      esdk(folder.path, ['decrypt', 'a', '-o', '-', ...KEY]),
    ])
    for (const { stdout } of results) assert.ok(stdout.equals(plaintext))
  })

  it('leave out of the message the pairs that are only authenticated', async () => {
    const required = ['--required-encryption-context-keys', 'tenant']
    assertDone(
      await esdk(folder.path, ['encrypt', 'in.bin', '-o', 'a', ...KEY, '-c', 'tenant=17', '-c', 'b=2', ...required]),
    )
    assert.equal((await readFile(folder.of('a'))).includes('tenant'), false)
    const [without, right] = await Promise.all([
      esdk(folder.path, ['decrypt', 'a', '-o', 'x', ...KEY]),
      esdk(folder.path, ['decrypt', 'a', '-o', 'y', ...KEY, '-c', 'tenant=17', '-c', 'b']),
    ])
    assert.equal(without.code, 4)
    assertDone(right)
  })

  it('take a key from a named pipe', async function () {
    if (!isLinux) this.skip()
    execFileSync('mkfifo', [folder.of('key-pipe')])
    const writer = run('sh', ['-c', 'cat key.jwk > key-pipe'], { cwd: folder.path })
    assertDone(await esdk(folder.path, ['encrypt', 'in.bin', '-o', 'a', '--key', 'key-pipe']))
    await writer
    assert.ok((await decrypt(await readFile(folder.of('a')), { keyring })).plaintext.equals(plaintext))
  })

  it('read named pipes, and write into them', async function () {
    if (!isLinux) this.skip()
    execFileSync('mkfifo', [folder.of('source'), folder.of('target')])
    const writer = run('sh', ['-c', 'cat in.bin > source'], { cwd: folder.path })
    const reader = run('cat', ['target'], { cwd: folder.path, encoding: 'buffer', maxBuffer: 8 * MIB })
    assertDone(await esdk(folder.path, ['encrypt', 'source', '-o', 'target', ...KEY]))
    await writer
    assert.ok((await decrypt((await reader).stdout, { keyring })).plaintext.equals(plaintext))
  })

  it('refuse that INPUT and OUTPUT are the same file, however they are named', async () => {
    await link(folder.of('in.bin'), folder.of('hard'))
    await symlink('in.bin', folder.of('soft'))
    const stdout = openSync(folder.of('in.bin'), 'a')
    const results = await Promise.all([
      ...['in.bin', './in.bin', 'hard', 'soft'].map((name) =>
        esdk(folder.path, ['encrypt', 'in.bin', '-o', name, ...KEY]),
      ),
      outcome(start(folder.path, ['encrypt', 'in.bin', '-o', '-', ...KEY], { stdio: ['ignore', stdout, 'pipe'] })),
    ])
    closeSync(stdout)
    for (const { code, stderr } of results) {
      assert.equal(code, 2)
      assert.match(stderr, /^esdk: [^\n]+: INPUT and OUTPUT may not be the same file\n$/)
    }
    assert.ok((await readFile(folder.of('in.bin'))).equals(plaintext))
  })

  describe('records', () => {
    it('are printed with --json, one a file', async () => {
      const options = ['-c', 'purpose=spec', '--frame-length', '1000', '--json']
      const { code, stdout, stderr } = await esdk(folder.path, ['encrypt', 'in.bin', ...KEY, ...options])
      assert.deepEqual([code, stderr], [0, ''])
      assert.equal(stdout.toString().split('\n').length, 2)
      const record = JSON.parse(stdout.toString()) as FileRecord // printed by the command
      const { size } = await stat(folder.of('in.bin.encrypted'))
      assert.deepEqual([record.mode, record.input, record.output], ['encrypt', 'in.bin', 'in.bin.encrypted'])
      assert.deepEqual([record.bytesIn, record.bytesOut, record.frames], [plaintext.length, size, 1049])
      assert.ok(Number.isInteger(record.durationMs) && record.durationMs >= 0)
      const { header } = await decrypt(await readFile(folder.of('in.bin.encrypted')), { keyring })
      assert.deepEqual(record.header.algorithmSuite, {
        id: '0x0578',
        name: 'ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384',
        signed: true,
        committing: true,
      })
      assert.equal(record.header.messageId, header.messageId.toString('base64'))
      assert.equal(record.header.encryptionContext['purpose'], 'spec')
      assert.equal(record.header.frameLength, 1000)
      const [key] = record.header.encryptedDataKeys
      assert.deepEqual([key?.keyProviderId, key?.keyName], ['esdk', 'k'])
    })

    it('are appended to the --metadata-output file, which holds nothing of failures', async () => {
      const options = [...KEY, '--metadata-output', 'metadata']
      const failed = await esdk(folder.path, ['decrypt', 'in.bin', ...options])
      assert.equal(failed.code, 1)
      assert.equal((await folder.names()).includes('metadata'), false)
      const encryption = await esdk(folder.path, ['encrypt', '-', ...options], { input: plaintext })
      assertDone(encryption)
      await writeFile(folder.of('a'), encryption.stdout)
      assertDone(await esdk(folder.path, ['decrypt', 'a', ...options]))
      const lines = (await readFile(folder.of('metadata'), 'utf8')).trim().split('\n')
      const records = lines.map((line) => JSON.parse(line) as FileRecord) // written by the command
      assert.deepEqual(
        records.map(({ mode, input, output }) => [mode, input, output]),
        [
          ['encrypt', '-', '-'],
          ['decrypt', 'a', 'a.decrypted'],
        ],
      )
      assert.equal((await stat(folder.of('metadata'))).mode & 0o777, 0o600)
    })

    it('may not go where data goes, or over a file that is used', async () => {
      await link(folder.of('in.bin'), folder.of('hard'))
      const encryptTo = (...args: string[]): Promise<Outcome> =>
        esdk(folder.path, ['encrypt', 'in.bin', ...KEY, ...args])
      const results = await Promise.all([
        encryptTo('-o', '-', '--json'),
        encryptTo('-o', '-', '--metadata-output', '-'),
        encryptTo('--metadata-output', 'in.bin'),
        encryptTo('--metadata-output', 'hard'),
        encryptTo('--metadata-output', 'key.jwk'),
        encryptTo('--metadata-output', './in.bin.encrypted'),
      ])
      assert.deepEqual(
        results.map(({ code }) => code),
        results.map(() => 2),
      )
      const missing = await encryptTo('--metadata-output', 'no/such')
      assert.equal(missing.code, 1)
      assert.match(missing.stderr, /^esdk: no\/such: ENOENT/)
      assert.ok((await readFile(folder.of('in.bin'))).equals(plaintext))
      assert.equal(await readFile(folder.of('key.jwk'), 'utf8'), AES_JWK)
      assert.deepEqual(await folder.names(), ['hard', 'in.bin', 'key.jwk', 'other.jwk'])
    })
  })

  it('show progress on stderr only where that is asked for, or stderr is a terminal', async () => {
    const [always, quiet, coloured] = await Promise.all([
      esdk(folder.path, ['encrypt', 'in.bin', '-o', 'a', ...KEY, '--progress', 'always']),
      esdk(folder.path, ['encrypt', 'in.bin', '-o', 'b', ...KEY, '--progress', 'always', '--quiet']),
      esdk(folder.path, ['encrypt', '-', '-o', 'c', ...KEY, '--progress', 'always'], { input: plaintext }),
    ])
    assert.match(always.stderr, /encrypting █{24} 100% of 1\.0 MB/)
    assert.equal(always.stderr.includes('\u001b'), false)
    assert.equal(always.stdout.length, 0)
    assert.equal(quiet.stderr, '')
    assert.match(coloured.stderr, /encrypting 1\.0 MB/)
  })

  it('have colours on a terminal unless NO_COLOR is set', async function () {
    if (!isLinux) this.skip()
    const command = `${process.execPath} ${MAIN} encrypt in.bin -o a --key key.jwk`
    for (const [env, coloured] of [
      [{}, true],
      [{ NO_COLOR: '1' }, false],
    ] as const) {
      const { stdout } = await run('script', ['-qec', command, '/dev/null'], {
        cwd: folder.path,
        env: { ...process.env, ...env },
      })
      assert.match(stdout, /encrypting/)
      assert.equal(stdout.includes('\u001b[36m'), coloured)
    }
  })

  it('stream a message to stdout as its frames verify, or only when all is verified', async () => {
    const { ciphertext } = await encrypt(plaintext, { keyring })
    ciphertext[ciphertext.length - 1]! ^= 1
    await writeFile(folder.of('a'), ciphertext)
    const [streaming, verifying] = await Promise.all([
      esdk(folder.path, ['decrypt', 'a', '-o', '-', ...KEY]),
      esdk(folder.path, ['decrypt', 'a', '-o', '-', ...KEY, '--verify-first']),
    ])
    assert.equal(streaming.code, 3)
    const { length } = streaming.stdout
    assert.ok(length > 0 && length < plaintext.length && plaintext.subarray(0, length).equals(streaming.stdout))
    assert.equal(verifying.code, 3)
    assert.equal(verifying.stdout.length, 0)
  })
})
