/** Runs the built command as a process of its own, as a shell would. */
import assert from 'node:assert/strict'
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { RawAesKeyring } from 'esdk-streams'

/** The built command. */
export const MAIN: string = resolve(import.meta.dirname, '../../dist/cli/main.js')

export interface Outcome {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
}

export interface CommandOptions {
  readonly input?: Uint8Array
  readonly env?: Readonly<Record<string, string>>
  readonly stdio?: SpawnOptions['stdio']
}

/** Starts `esdk` in a folder. */
export function start(
  folder: string,
  args: readonly string[],
  { env, stdio = 'pipe' }: CommandOptions = {},
): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { cwd: folder, stdio, env: { ...process.env, ...env } })
}

/** Runs `esdk` in a folder to its end. */
export async function esdk(folder: string, args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
  const child = start(folder, args, options)
  child.stdin?.on('error', () => undefined) // a command that fails need not read its input
  child.stdin?.end(options.input)
  return outcome(child)
}

/** Commands in a folder, and how they end. */
export interface Commands {
  readonly run: (...args: string[]) => Promise<Outcome>
  /** What one prints that ends well and says nothing. */
  readonly done: (...args: string[]) => Promise<Buffer>
  /** Of one that fails, says so in one line, and leaves the file "target" as it was: `old`. */
  readonly fails: (code: number, text: RegExp, ...args: string[]) => Promise<void>
}

/** Runs commands in a folder, which a suite may make anew for each test. */
export function commandsIn(folder: () => string, options: () => CommandOptions = () => ({})): Commands {
  const run: Commands['run'] = (...args) => esdk(folder(), args, options())
  return {
    run,
    done: async (...args) => {
      const { code, stderr, stdout } = await run(...args)
      assert.deepEqual([stderr, code], ['', 0])
      return stdout
    },
    fails: async (code, text, ...args) => {
      const result = await run(...args)
      assert.match(result.stderr, text)
      assert.match(result.stderr, /^esdk: [^\n]+\n$/)
      assert.equal(result.code, code)
      assert.equal(await readFile(join(folder(), 'target'), 'utf8'), 'old')
    },
  }
}

/** Waits for a command to end. */
export async function outcome(child: ChildProcess): Promise<Outcome> {
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout?.on('data', (bytes: Buffer) => stdout.push(bytes))
  child.stderr?.on('data', (bytes: Buffer) => stderr.push(bytes))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString('utf8') }
}

/** Exit codes of a command that was interrupted. */
export const INTERRUPTED = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** Sends a signal to a command at a random moment after it began to work, and waits for its end. */
export async function interrupted(
  child: ChildProcess,
  signal: keyof typeof INTERRUPTED,
  { isWorking, withinMs }: { readonly isWorking: () => boolean | Promise<boolean>; readonly withinMs: number },
): Promise<Outcome> {
  const ended = outcome(child)
  while (child.exitCode === null && !(await isWorking())) await setTimeout(2)
  await setTimeout(Math.random() * withinMs)
  child.kill(signal)
  return ended
}

/** A temporary folder for each test of a suite. */
export function temporaryFolder(): {
  readonly path: string
  readonly of: (name: string) => string
  readonly names: () => Promise<string[]>
} {
  const folder = {
    path: '',
    of: (name: string) => join(folder.path, name),
    names: async () => (await readdir(folder.path)).sort(),
  }
  beforeEach(async () => {
    folder.path = await mkdtemp(join(tmpdir(), 'esdk-cli-'))
  })
  afterEach(() => rm(folder.path, { recursive: true }))
  return folder
}

/** Key files of all kinds are of this key, under this name. */
export const AES_KEY: Buffer = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex')
export const AES_JWK: string = JSON.stringify({ kty: 'oct', kid: 'k', k: AES_KEY.toString('base64url') })
/** A key of the same name. */
const OTHER_KEY = Buffer.alloc(32, 7)
export const OTHER_JWK: string = JSON.stringify({ kty: 'oct', kid: 'k', k: OTHER_KEY.toString('base64url') })

/** Of the keys in the key files. */
const keyringOf = (wrappingKey: Buffer): RawAesKeyring =>
  new RawAesKeyring({ keyNamespace: 'esdk', keyName: 'k', wrappingKey })
export const KEYRING: RawAesKeyring = keyringOf(AES_KEY)
export const OTHER_KEYRING: RawAesKeyring = keyringOf(OTHER_KEY)
