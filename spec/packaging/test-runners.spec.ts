/** The package under Jest and Vitest, which run tests in contexts of their own. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PREPARE_TIMEOUT_MS } from '../emulators/emulator.ts'
import { cachedFolder, lastLine } from '../interop/cached-folder.ts'
import { UnavailableError, preparedOrPending } from '../interop/pending.ts'
import { installedPackage } from './installed.ts'

const run = promisify(execFile)
const PACKAGES: readonly string[] = ['jest@30.5.2', 'vitest@3.2.7']

const TEST = `
import { createSecretKey, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { RawAesKeyring, EncryptStream, decrypt, encrypt, isEncryptionSdkError } from 'esdk-streams'
import { encryptFile } from 'esdk-streams/file'
import { KmsKeyring } from 'esdk-streams/kms'

const keyring = new RawAesKeyring({ keyNamespace: 'n', keyName: 'k', wrappingKey: createSecretKey(randomBytes(32)) })

test('takes bytes of every kind', async () => {
  const bytes = new Uint8Array([1, 2, 3])
  for (const given of [bytes, bytes.buffer, Buffer.from(bytes), new DataView(bytes.buffer), [bytes]]) {
    const { ciphertext } = await encrypt(given, { keyring })
    const { plaintext } = await decrypt(new Uint8Array(ciphertext), { keyring })
    expect([...plaintext]).toEqual([1, 2, 3])
  }
  new RawAesKeyring({ keyNamespace: 'n', keyName: 'k', wrappingKey: new Uint8Array(32) })
  new KmsKeyring({ generatorKeyId: 'alias/any', grantTokens: ['token'] })
})

test('gives errors that are known', async () => {
  const { ciphertext } = await encrypt('text', { keyring })
  ciphertext[ciphertext.length - 1] ^= 1
  const error = await decrypt(ciphertext, { keyring }).catch((thrown) => thrown)
  expect(isEncryptionSdkError(error)).toBe(true)
  expect(error.code).toBe('ERR_ESDK_AUTHENTICATION')
  expect(() => new EncryptStream({})).toThrow(/keyring/)
})

test('passes on the errors of the file system and of a source', async () => {
  const missing = await pipeline(createReadStream('/none'), new EncryptStream({ keyring }), async () => {}).catch((thrown) => thrown)
  expect(missing.code).toBe('ENOENT')
  const read = await encrypt(createReadStream('/none'), { keyring }).catch((thrown) => thrown)
  expect(read.code).toBe('ENOENT')
  const file = await encryptFile('/none', '/nowhere', { keyring }).catch((thrown) => thrown)
  expect(file.code).toBe('ENOENT')
})

test('is aborted by a signal', async () => {
  const never = (async function* () { yield Buffer.alloc(1); await new Promise(() => {}) })()
  const error = await encrypt(never, { keyring, signal: AbortSignal.timeout(20) }).catch((thrown) => thrown)
  expect([error.name, error.code]).toEqual(['AbortError', 'ABORT_ERR'])
})
`

describe('under a test runner', () => {
  let runners: string
  let folder: string

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    runners = await preparedOrPending(this, installRunners)
    folder = await installedPackage()
    await mkdir(join(folder, 'tests'), { recursive: true })
    await writeFile(join(folder, 'tests/realm.test.mjs'), TEST)
  })

  async function summary(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    const options = { cwd: folder, env: { ...process.env, NO_COLOR: '1', ...env } }
    const { stdout, stderr } = await run(process.execPath, [join(runners, 'node_modules', program), ...args], options)
    return stdout + stderr
  }

  it('Jest, with its modules of ECMAScript', async function () {
    this.timeout(120_000)
    const config = JSON.stringify({
      testMatch: ['**/tests/*.test.mjs'],
      transform: {},
      moduleFileExtensions: ['js', 'mjs', 'json'],
    })
    const env = { NODE_OPTIONS: '--experimental-vm-modules --no-warnings' }
    const output = await summary(
      'jest/bin/jest.js',
      ['--rootDir', folder, '--config', config, '--runInBand', '--watchman=false'],
      env,
    )
    assert.match(output, /Tests: +4 passed, 4 total/)
  })

  for (const pool of ['forks', 'vmThreads']) {
    if (pool === 'forks' && process.env['ESDK_FULL'] !== '1') continue
    it(`Vitest, in its pool "${pool}"`, async function () {
      this.timeout(120_000)
      const output = await summary('vitest/vitest.mjs', ['run', '--root', folder, '--globals', '--pool', pool])
      assert.match(output, /Tests +4 passed/)
    })
  }
})

/** Into the cache folder, since they bring hundreds of packages. */
function installRunners(): Promise<string> {
  return cachedFolder({
    name: 'test-runners',
    stamp: PACKAGES.join(' '),
    proof: 'node_modules/vitest/vitest.mjs',
    make: async (folder) => {
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, 'package.json'), '{ "private": true }')
      const args = ['install', '--no-save', '--no-audit', '--no-fund', ...PACKAGES]
      try {
        await run('npm', args, { cwd: folder, maxBuffer: 2 ** 26 })
      } catch (error) {
        throw new UnavailableError(`Jest and Vitest can't be installed: ${lastLine(error)}`)
      }
    },
  })
}
