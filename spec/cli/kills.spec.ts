/**
 * Signals at random moments of the life of the command: "target unchanged, no temporary file", or all of it done. With
 * ESDK_FULL=1 some two hundred of them.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { MultiKeyring, RawAesKeyring, decrypt, encrypt } from 'esdk-streams'
import { AES_JWK, AES_KEY, MAIN, OTHER_JWK, outcome, temporaryFolder } from './command.ts'

const FULL = process.env['ESDK_FULL'] === '1'
/** For each of nine kinds of run. */
const KILLS = FULL ? 24 : 2
const CODES = { SIGINT: 130, SIGTERM: 143 } as const
const FILES = 8

const naming = { keyNamespace: 'esdk', keyName: 'k' } as const
const keyring = new RawAesKeyring({ ...naming, wrappingKey: AES_KEY })
const other = new RawAesKeyring({ ...naming, wrappingKey: Buffer.alloc(32, 7) })
const either = new MultiKeyring({ children: [keyring, other] })
const plaintext = Buffer.alloc(16_000_000, 'plaintext')
const small = plaintext.subarray(0, 2_000_000)

const KEYS = {
  encrypt: ['--key', 'key.jwk'],
  decrypt: ['--key', 'key.jwk', '--verify-first'],
  reencrypt: ['--key', 'key.jwk', '--to-key', 'other.jwk'],
} as const
type Mode = keyof typeof KEYS

describe('esdk, killed at any moment', () => {
  const folder = temporaryFolder()
  let message: Buffer
  let smallMessage: Buffer

  before(async () => {
    message = (await encrypt(plaintext, { keyring })).ciphertext
    smallMessage = (await encrypt(small, { keyring })).ciphertext
  })

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('other.jwk'), OTHER_JWK)
    await mkdir(folder.of('tmp'))
  })

  function begin(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, [MAIN, ...args], {
      cwd: folder.path,
      env: { ...process.env, TMPDIR: folder.of('tmp') },
    })
  }

  interface Ended {
    readonly isDone: boolean
    readonly stdout: Buffer
  }

  async function run(args: readonly string[], input: Buffer | undefined, killAfter?: number): Promise<Ended> {
    const child = begin(args)
    child.stdin!.on('error', () => undefined)
    child.stdin!.end(input)
    const ended = outcome(child)
    const signal = Math.random() < 0.5 ? 'SIGINT' : 'SIGTERM'
    if (killAfter !== undefined) {
      const closed = once(child, 'close')
      await Promise.race([setTimeout(killAfter), closed])
      child.kill(signal)
    }
    const { code, stderr, stdout } = await ended
    assert.equal(stderr, '')
    // Before Node has loaded the command, nobody listens to signals: then nothing was begun either.
    if (code === null) assert.equal(child.signalCode, signal)
    else assert.ok(code === 0 || code === CODES[signal], `code ${code} on ${signal}`)
    assert.deepEqual(await readdir(folder.of('tmp')), [])
    return { isDone: code === 0, stdout }
  }

  /** Runs it once to its end, which says how long that takes, and then again and again, not to its end. */
  async function killed(
    args: readonly string[],
    input: Buffer | undefined,
    prepare: () => Promise<void>,
    check: (ended: Ended) => Promise<void>,
  ): Promise<void> {
    await prepare()
    const started = performance.now()
    const whole = await run(args, input)
    const duration = performance.now() - started
    assert.ok(whole.isDone)
    await check(whole)
    for (let kill = 0; kill < KILLS; kill++) {
      await prepare()
      await check(await run(args, input, Math.random() * duration))
    }
  }

  const isWhole = async (mode: Mode, bytes: Buffer, expected: Buffer): Promise<boolean> =>
    mode === 'decrypt' ? bytes.equals(expected) : (await decrypt(bytes, { keyring: either })).plaintext.equals(expected)

  for (const mode of ['encrypt', 'decrypt', 'reencrypt'] as const) {
    const timeout = 60_000 + KILLS * 10_000

    it(`${mode}s a file, or leaves the target as it was`, async function () {
      this.timeout(timeout)
      const inPlace = mode === 'reencrypt'
      const [target, input] = inPlace ? ['input', message] : ['target', mode === 'encrypt' ? plaintext : message]
      const old = inPlace ? message : Buffer.from('old')
      await writeFile(folder.of('input'), input)
      const names = [...(await folder.names()), ...(inPlace ? [] : ['target'])].sort()
      await killed(
        [mode, 'input', ...(inPlace ? [] : ['-o', 'target']), ...KEYS[mode]],
        undefined,
        () => writeFile(folder.of(target), old),
        async ({ isDone }) => {
          assert.deepEqual(await folder.names(), names)
          const found = await readFile(folder.of(target))
          if (!isDone && found.equals(old)) return
          assert.ok(await isWhole(mode, found, plaintext))
          assert.equal(found.equals(old), false)
        },
      )
    })

    it(`${mode}s a folder, and has written no half file`, async function () {
      this.timeout(timeout)
      const inPlace = mode === 'reencrypt'
      const suffix = mode === 'encrypt' ? '' : '.encrypted'
      const bytes = mode === 'encrypt' ? small : smallMessage
      const names = Array.from({ length: FILES }, (_, index) => `${index % 2}/${index}`)
      const out = inPlace ? 'tree' : 'out'
      await killed(
        [mode, '-r', 'tree', ...(inPlace ? [] : ['-o', out]), ...KEYS[mode]],
        undefined,
        async () => {
          await rm(folder.of(out), { recursive: true, force: true })
          for (const name of ['tree/0', 'tree/1']) await mkdir(folder.of(name), { recursive: true })
          for (const name of names) await writeFile(folder.of(`tree/${name}${suffix}`), bytes)
        },
        async ({ isDone }) => {
          const end = mode === 'decrypt' ? '' : '.encrypted'
          const found = await readdir(folder.of(out), { recursive: true }).catch(() => [])
          const files = found.filter((name) => name.includes('/'))
          const expected = names.map((name) => `${name}${end}`)
          assert.deepEqual(
            files.filter((name) => !expected.includes(name)),
            [],
          )
          if (isDone || inPlace) assert.equal(files.length, FILES)
          for (const name of files) {
            const written = await readFile(folder.of(`${out}/${name}`))
            assert.ok(await isWhole(mode, written, small), name)
            if (isDone && inPlace) assert.equal(written.equals(smallMessage), false)
          }
        },
      )
    })

    it(`${mode}s from stdin to stdout, and leaves nothing behind`, async function () {
      this.timeout(timeout)
      const names = await folder.names()
      await killed(
        [mode, '-', ...KEYS[mode]],
        mode === 'encrypt' ? plaintext : message,
        () => Promise.resolve(),
        async ({ isDone, stdout }) => {
          assert.deepEqual(await folder.names(), names)
          if (isDone) assert.ok(await isWhole(mode, stdout, plaintext))
          else if (mode === 'decrypt') assert.ok(plaintext.subarray(0, stdout.length).equals(stdout))
        },
      )
    })
  }
})
