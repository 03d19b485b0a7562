/** Options that fit nowhere else: limits, encryption contexts, records that replace others. */
import assert from 'node:assert/strict'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decrypt, encrypt } from 'esdk-streams'
import { program } from '#lib/cli/program'
import type { FileRecord } from '#lib/cli/record'
import {
  AES_JWK,
  AES_KEY,
  KEYRING as keyring,
  OTHER_JWK,
  OTHER_KEYRING as other,
  commandsIn,
  temporaryFolder,
} from './command.ts'

const KEY = ['--key', 'key.jwk'] as const
const TO = ['--to-key', 'other.jwk'] as const

describe('options of esdk', () => {
  const folder = temporaryFolder()

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('other.jwk'), OTHER_JWK)
    await writeFile(folder.of('in'), 'plaintext')
    await writeFile(folder.of('target'), 'old')
  })

  const { run, done, fails } = commandsIn(() => folder.path)

  it('--max-length: how long frames may be', async () => {
    await done('encrypt', 'in', ...KEY, '--frame-length', '1000')
    await done('decrypt', 'in.encrypted', '-o', 'back', ...KEY, '--max-length', '1000')
    const message = ['in.encrypted', '-o', 'target', ...KEY] as const
    const text = /in\.encrypted: the message has a frame length of 1000 bytes.*ERR_ESDK_LIMIT\); raise --max-length/
    await fails(5, text, 'decrypt', ...message, '--max-length', '999')
    await fails(5, text, 'reencrypt', ...message, ...TO, '--max-length', '999')
    await fails(2, /--max-length.*whole number/, 'decrypt', ...message, '--max-length', 'many')
    await fails(
      2,
      /"maxFrameBytes" expected integer in 1\.\.1073741824/,
      'decrypt',
      ...message,
      '--max-length',
      '2000000000',
    )
  })

  it('--buffer: --verify-first by the name that aws-encryption-cli has for it', async () => {
    const { ciphertext } = await encrypt(Buffer.alloc(100_000), { keyring })
    ciphertext[ciphertext.length - 1]! ^= 1
    await writeFile(folder.of('forged'), ciphertext)
    const [streamed, ...buffered] = await Promise.all(
      [[], ['-b'], ['--buffer']].map((option) => run('decrypt', 'forged', '-o', '-', ...KEY, ...option)),
    )
    assert.ok(streamed!.stdout.length > 0)
    for (const { stdout, code } of buffered) assert.deepEqual([stdout.length, code], [0, 3])
    await fails(
      2,
      /--verify-first reads all of a message/,
      'decrypt',
      'in',
      '-o',
      'target',
      ...KEY,
      '-b',
      '--range',
      '0-1',
    )
  })

  it('--required-encryption-context-keys: names that a message must hold, or that are not stored', async () => {
    const required = ['--required-encryption-context-keys', 'tenant'] as const
    await done('encrypt', 'in', ...KEY, '-c', 'a=1')
    await done('decrypt', 'in.encrypted', '-o', 'back', ...KEY, '--required-encryption-context-keys', 'a')
    const message = ['in.encrypted', '-o', 'target', ...KEY] as const
    await fails(5, /lacks the required name "tenant"/, 'decrypt', ...message, ...required)
    // Under other keys, with a pair more, which is not stored.
    const record = await done('reencrypt', 'in.encrypted', ...KEY, ...TO, '-c', 'tenant=t', ...required, '--json')
    assert.equal('tenant' in (JSON.parse(record.toString()) as FileRecord).header.encryptionContext, false)
    const bytes = await readFile(folder.of('in.encrypted'))
    const opened = await decrypt(bytes, { keyring: other, encryptionContext: { tenant: 't', a: '1' } })
    assert.equal(opened.plaintext.toString(), 'plaintext')
    // And back again: who re-encrypts has to know the pair.
    const back = ['reencrypt', 'in.encrypted', '-o', 'target', '--key', 'other.jwk', '--to-key', 'key.jwk'] as const
    await fails(4, /ERR_ESDK_UNWRAP/, ...back)
    await fails(
      5,
      /lacks the required name "b"/,
      ...back,
      '--from-encryption-context',
      'tenant=t',
      '--from-encryption-context',
      'b',
    )
    await done(...back.slice(0, 2), ...back.slice(4), '--from-encryption-context', 'tenant=t')
    assert.equal(
      (await decrypt(await readFile(folder.of('in.encrypted')), { keyring })).plaintext.toString(),
      'plaintext',
    )
  })

  it('--overwrite-metadata: the first record replaces what was there', async () => {
    await writeFile(folder.of('records'), 'older\n')
    const overwriting = ['--metadata-output', 'records', '--overwrite-metadata'] as const
    await fails(1, /nothing: ENOENT/, 'encrypt', 'nothing', '-o', 'target', ...KEY, ...overwriting)
    const { ciphertext } = await encrypt('secret', { keyring })
    ciphertext[ciphertext.length - 1]! ^= 1
    await writeFile(folder.of('forged'), ciphertext)
    await fails(3, /forged: .*ERR_ESDK_AUTHENTICATION/, 'decrypt', 'forged', '-o', 'target', ...KEY, ...overwriting)
    assert.equal(await readFile(folder.of('records'), 'utf8'), 'older\n')
    await done('encrypt', 'in', ...KEY, ...overwriting)
    const [record, ...rest] = (await readFile(folder.of('records'), 'utf8')).split('\n')
    assert.equal((JSON.parse(record!) as FileRecord).input, 'in')
    assert.deepEqual(rest, [''])
    await mkdir(folder.of('tree'))
    for (const name of ['a', 'b']) await writeFile(folder.of(`tree/${name}`), name)
    await done('encrypt', '-r', 'tree', '-o', 'out', ...KEY, ...overwriting)
    const records = (await readFile(folder.of('records'), 'utf8')).trimEnd().split('\n')
    assert.deepEqual(records.map((text) => (JSON.parse(text) as FileRecord).input).sort(), ['tree/a', 'tree/b'])
    await fails(
      2,
      /--overwrite-metadata goes with --metadata-output FILE/,
      'encrypt',
      'in',
      '-o',
      'target',
      ...KEY,
      '--overwrite-metadata',
    )
  })

  it('--suite: by id, by name, and by the names of the SDK for Python', async () => {
    for (const [suite, id, ...policy] of [
      ['0478', '0x0478'],
      ['ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY', '0x0478'],
      ['AES_256_GCM_HKDF_SHA512_COMMIT_KEY', '0x0478'],
      ['AES_256_GCM_IV12_TAG16', '0x0078', '--commitment-policy', 'forbid-encrypt-allow-decrypt'],
    ] as const) {
      const record = await done('encrypt', 'in', ...KEY, '--suite', suite, ...policy, '--json')
      assert.equal((JSON.parse(record.toString()) as FileRecord).header.algorithmSuite.id, id)
    }
    await fails(
      2,
      /"algorithmSuite" expected one of 0x0014.*got "AES_1"/,
      'encrypt',
      'in',
      '-o',
      'target',
      ...KEY,
      '--suite',
      'AES_1',
    )
  })

  it('--key-namespace and --key-name: of keys that have neither', async () => {
    await writeFile(folder.of('raw'), AES_KEY)
    const raw = ['--key', 'raw', '--key-namespace', 'esdk', '--key-name', 'k'] as const
    await done('encrypt', 'in', ...raw)
    assert.equal((await done('decrypt', 'in.encrypted', '-o', '-', ...KEY)).toString(), 'plaintext')
    const other = raw.map((text) => (text === 'esdk' ? 'others' : text))
    await fails(4, /"esdk": another key namespace|ERR_ESDK_UNWRAP/, 'decrypt', 'in.encrypted', '-o', 'target', ...other)
    await fails(
      2,
      /key file raw: raw key bytes have no name: give --key-namespace/,
      'encrypt',
      'in',
      '-o',
      'target',
      '--key',
      'raw',
    )
  })

  it('suggest what may be meant by an option that there is not', async () => {
    await fails(
      2,
      /unknown option '--verify-frist' \(Did you mean --verify-first\?\)/,
      'decrypt',
      'in',
      '--verify-frist',
    )
  })

  it('are each tried by a spec of this folder', async () => {
    const files = (await readdir(import.meta.dirname)).filter((name) => name.endsWith('.spec.ts'))
    const texts = await Promise.all(files.map((name) => readFile(join(import.meta.dirname, name), 'utf8')))
    const tried = new Set(texts.join().match(/(?<=['" `])(--[a-z][a-z-]+|-[a-zA-Z]\b)/g))
    const options = program().commands.flatMap(({ options: own }) => own)
    assert.ok(options.length > 100)
    const untried = options.filter(({ short = '', long = '' }) => !tried.has(long) && !tried.has(short))
    assert.deepEqual([...new Set(untried.map(({ long }) => long))], [])
  })

  it('have help with examples, for each command', async () => {
    for (const command of ['keygen', 'encrypt', 'decrypt', 'reencrypt', 'inspect', 'profiles', 'completion']) {
      const help = (await done(command, '--help')).toString()
      assert.match(help, /\nExamples?:\n {2}\$ /, command)
      assert.match(help, /^Usage: esdk /)
    }
  })
})
