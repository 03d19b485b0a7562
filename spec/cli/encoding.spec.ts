/** `--encode` and `--decode`. */
import assert from 'node:assert/strict'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { decrypt } from 'esdk-streams'
import type { FileRecord } from '#lib/cli/record'
import {
  AES_JWK,
  KEYRING as keyring,
  OTHER_JWK,
  type Outcome,
  commandsIn,
  esdk,
  outcome,
  start,
  temporaryFolder,
} from './command.ts'

const KEY = ['--key', 'key.jwk'] as const
const plaintext = Buffer.alloc(1_000_001, 'plaintext')

describe('esdk --encode and --decode', () => {
  const folder = temporaryFolder()

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('other.jwk'), OTHER_JWK)
    await writeFile(folder.of('in'), plaintext)
    await writeFile(folder.of('target'), 'old')
  })

  const { done } = commandsIn(() => folder.path)

  it('write messages in base64, and read them, wrapped or not', async () => {
    await done('encrypt', 'in', ...KEY, '--encode')
    const text = await readFile(folder.of('in.encrypted'), 'latin1')
    assert.match(text, /^[A-Za-z0-9+/]+={0,2}$/)
    assert.deepEqual((await decrypt(Buffer.from(text, 'base64'), { keyring })).plaintext, plaintext)
    assert.deepEqual(await done('decrypt', 'in.encrypted', '-o', '-', ...KEY, '--decode'), plaintext)
    const wrapped = text.replace(/.{76}/g, '$&\n')
    const { stdout } = await esdk(folder.path, ['decrypt', '-', ...KEY, '--decode'], { input: Buffer.from(wrapped) })
    assert.deepEqual(stdout, plaintext)
    const shown = (await done('inspect', 'in.encrypted', '--decode')).toString()
    assert.match(shown, /^in\.encrypted: header of a message/)
    assert.doesNotMatch(shown, /message length/)
  })

  it('also the plaintext, and with -r', async () => {
    await writeFile(folder.of('in.b64'), plaintext.toString('base64'))
    const record = await done('encrypt', 'in.b64', '-o', 'message', ...KEY, '--decode', '--json')
    assert.equal((JSON.parse(record.toString()) as FileRecord).bytesIn, plaintext.length)
    assert.equal(
      (await done('decrypt', 'message', '-o', '-', ...KEY, '--encode')).toString(),
      plaintext.toString('base64'),
    )
    // With a cache as well, which wants to know of a bound beforehand.
    await done('encrypt', 'in.b64', '-o', 'message', ...KEY, '--decode', '--caching', 'max_age=60')
    await mkdir(folder.of('tree'))
    await rename(folder.of('in'), folder.of('tree/in'))
    await done('encrypt', '-r', 'tree', '-o', 'out', ...KEY, '--encode')
    await done('decrypt', '-r', 'out', '-o', 'back', ...KEY, '--decode')
    assert.deepEqual(await readFile(folder.of('back/in')), plaintext)
  })

  it('re-encrypt base64 in place', async () => {
    await done('encrypt', 'in', ...KEY, '--encode')
    await done('reencrypt', 'in.encrypted', ...KEY, '--to-key', 'other.jwk', '--decode', '--encode')
    assert.deepEqual(await done('decrypt', 'in.encrypted', '-o', '-', '--key', 'other.jwk', '--decode'), plaintext)
  })

  it('fail on what is no base64, or was cut, and leave the target as it was', async () => {
    await done('encrypt', 'in', ...KEY, '--encode')
    const text = await readFile(folder.of('in.encrypted'), 'latin1')
    await writeFile(folder.of('cut'), text.slice(0, -1))
    await writeFile(folder.of('shorter'), text.slice(0, -8))
    await done('encrypt', 'in', '-o', 'binary', ...KEY)
    const names = await folder.names()
    const cases: readonly (readonly [args: readonly string[], code: number, text: RegExp])[] = [
      [['decrypt', 'cut', '-o', 'target', ...KEY, '--decode'], 1, /cut: .*ERR_ESDK_TRUNCATED.*leave out --decode/],
      [['decrypt', 'shorter', '-o', 'target', ...KEY, '--decode'], 1, /shorter: .*ERR_ESDK_(TRUNCATED|MALFORMED)/],
      [['decrypt', 'binary', '-o', 'target', ...KEY, '--decode'], 1, /binary: this is not base64.*leave out --decode/],
      [['decrypt', 'in.encrypted', '-o', 'target', ...KEY], 1, /in\.encrypted: .*base64.*; give --decode/],
      [['decrypt', 'binary', '-o', 'target', ...KEY, '--decode', '--range', '0-1'], 2, /--range is of positions/],
      [
        ['reencrypt', 's3://b/k', ...KEY, '--to-key', 'other.jwk', '--decode'],
        2,
        /--decode and --encode do not go from object to object/,
      ],
    ]
    for (const [args, code, text] of cases) {
      const result = await esdk(folder.path, args)
      assert.match(result.stderr, text)
      assert.match(result.stderr, /^esdk: [^\n]+\n$/)
      assert.equal(result.code, code)
    }
    assert.deepEqual(await folder.names(), names)
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
  })

  it('end at once when they are interrupted while they wait for stdin', async () => {
    const child = start(folder.path, ['encrypt', '-', '-o', 'target', ...KEY, '--decode', '--encode'])
    const ended: Promise<Outcome> = outcome(child)
    child.stdin!.write('QUJD')
    while (!(await folder.names()).some((name) => name.endsWith('.tmp'))) await setTimeout(2)
    child.kill('SIGTERM')
    const { code, stderr } = await ended
    assert.deepEqual([code, stderr], [143, ''])
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
    assert.deepEqual(await folder.names(), ['in', 'key.jwk', 'other.jwk', 'target'])
  })
})
