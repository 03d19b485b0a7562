import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { decrypt, encrypt } from 'esdk-streams'
import { ALGORITHM_SUITES } from 'esdk-streams/format'
import { chooseAddon } from '#lib/crypto/addon-choice'
import { type CryptoEngine, type EngineName, cryptoEngine, engineOver } from '#lib/crypto/engine'
import { NativeFrameCipher } from '#lib/crypto/frame-cipher-native'
import { NodeFrameCipher } from '#lib/crypto/frame-cipher-node'
import type { NativeAddon } from '#lib/crypto/native-addon'
import { sequence } from '../arbitraries.ts'
import { CRAFTING_KEY, craftingKeyring } from '../message-recipe.ts'
import { parametersOf } from './parameters.ts'
import { useAddon } from './addon.ts'

const root = resolve(import.meta.dirname, '../..')

/** Round trips of all suites, whole and streamed, of no, one and many frames; takes and gives messages as JSON lines. */
const PROGRAM = `
  import { createHash } from 'node:crypto'
  import { readFileSync } from 'node:fs'
  import { Readable } from 'node:stream'
  import { DecryptStream, EncryptStream, RawAesKeyring, decrypt, encrypt } from 'esdk-streams'
  import { ALGORITHM_SUITES } from 'esdk-streams/format'
  const keyring = new RawAesKeyring({
    keyNamespace: '${CRAFTING_KEY.keyNamespace}',
    keyName: '${CRAFTING_KEY.keyName}',
    wrappingKey: Buffer.from('${CRAFTING_KEY.wrappingKey.toString('hex')}', 'hex'),
  })
  const commitmentPolicy = 'require-encrypt-allow-decrypt'
  const opened = []
  for (const message of JSON.parse(readFileSync(0, 'utf8'))) {
    const { plaintext } = await decrypt(Buffer.from(message, 'base64'), { keyring, commitmentPolicy })
    opened.push(plaintext.toString('base64'))
  }
  const sealed = []
  for (const suite of ALGORITHM_SUITES) {
    for (const length of [0, 100, 12_345]) {
      const options = {
        keyring,
        commitmentPolicy: suite.committing ? 'require-encrypt-require-decrypt' : 'forbid-encrypt-allow-decrypt',
        algorithmSuite: suite.id,
        frameLength: 1000,
      }
      const plaintext = Buffer.alloc(length, 'abcdefg')
      const { ciphertext } = await encrypt(plaintext, options)
      const back = []
      const stream = Readable.from([ciphertext.subarray(0, 777), ciphertext.subarray(777)]).pipe(new DecryptStream({ keyring, commitmentPolicy }))
      for await (const chunk of stream) back.push(chunk)
      if (!Buffer.concat(back).equals(plaintext)) throw new Error('other plaintext')
      sealed.push(ciphertext.toString('base64'))
    }
  }
  process.stdout.write(JSON.stringify({ opened, sealed }))`

const never = (): never => assert.fail('called')

interface Child {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

interface ChildOptions {
  readonly engine?: string
  readonly flags?: readonly string[]
  readonly input?: string
  readonly cwd?: string
}

/** Runs a module in a process of its own, under an engine. */
function run(code: string, { engine, flags = [], input = '[]', cwd = root }: ChildOptions = {}): Child {
  const env = { ...process.env, NODE_OPTIONS: '', ESDK_ENGINE: engine ?? '' }
  const args = ['--no-warnings', ...flags, '--input-type=module', '--eval', code]
  return spawnSync(process.execPath, args, { cwd, env, input, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
}

/** What the engine is called where `esdk --version --json` runs. */
function engineOf(options: ChildOptions = {}): string {
  const code = `process.argv.push('--version', '--json'); await import('#lib/cli/main')`
  const { status, stdout, stderr } = run(code, options)
  assert.equal(status, 0, stderr)
  assert.equal(stderr, '')
  return (JSON.parse(stdout) as { engine: string }).engine // our own record
}

async function messages(): Promise<string[]> {
  const sealed = ALGORITHM_SUITES.map(async (suite) => {
    const commitmentPolicy = suite.committing ? 'require-encrypt-require-decrypt' : 'forbid-encrypt-allow-decrypt'
    const options = { keyring: craftingKeyring(), commitmentPolicy, algorithmSuite: suite.id, frameLength: 50 } as const
    return (await encrypt(sequence(0, 251), options)).ciphertext.toString('base64')
  })
  return Promise.all(sealed)
}

/** Another process, under that engine, reads what this one writes, and the other way round. */
async function passesMessages(engine: EngineName): Promise<void> {
  const ours = await messages()
  const { status, stdout, stderr } = run(PROGRAM, { engine, input: JSON.stringify(ours) })
  assert.equal(status, 0, stderr)
  const { opened, sealed } = JSON.parse(stdout) as { opened: string[]; sealed: string[] } // the program's own
  assert.deepEqual(opened, Array(11).fill(sequence(0, 251).toString('base64')))
  assert.equal(sealed.length, 33)
  for (const [index, message] of sealed.entries()) {
    const options = { keyring: craftingKeyring(), commitmentPolicy: 'require-encrypt-allow-decrypt' } as const
    const { plaintext } = await decrypt(Buffer.from(message, 'base64'), options)
    assert.equal(plaintext.compare(Buffer.alloc([0, 100, 12_345][index % 3]!, 'abcdefg')), 0)
  }
}

describe('crypto/engine', () => {
  const addon = (): NativeAddon => ({
    create: never,
    seal: never,
    open: never,
    end: never,
    sealOnce: never,
    openOnce: never,
    deriveTwo: never,
    random: never,
    signDigest: never,
  })
  const chooseEngine = (asked: string | undefined, load: () => NativeAddon): CryptoEngine =>
    engineOver(chooseAddon(asked, load))
  const unavailable = (): never => {
    throw new Error('no addon here')
  }

  it('is the addon where that loads', () => {
    for (const asked of [undefined, '', 'native']) {
      const engine = chooseEngine(asked, addon)
      assert.equal(engine.name, 'native')
      assert.ok(engine.createFrameCipher(parametersOf(16)) instanceof NativeFrameCipher)
    }
  })

  it('is node:crypto where it does not, or where that is asked for', () => {
    for (const engine of [
      chooseEngine(undefined, unavailable),
      chooseEngine('', unavailable),
      chooseEngine('node', addon),
    ]) {
      assert.equal(engine.name, 'node')
      assert.ok(engine.createFrameCipher(parametersOf(16)) instanceof NodeFrameCipher)
    }
  })

  it('does not even try the addon where node:crypto is asked for', () => {
    chooseEngine('node', () => assert.fail('loaded'))
  })

  it('is refused where the addon is asked for and does not load', () => {
    assert.throws(() => chooseEngine('native', unavailable), {
      name: 'Error',
      message: `"ESDK_ENGINE" is native, but the native engine can't be loaded: no addon here`,
    })
  })

  it('is refused where there is none of that name', () => {
    for (const asked of ['Native', 'wasm', ' node', 'true']) {
      assert.throws(() => chooseEngine(asked, addon), {
        name: 'RangeError',
        message: `"ESDK_ENGINE" expected native or node, got ${JSON.stringify(asked)}`,
      })
    }
  })

  it('is the same at any time', () => {
    assert.equal(cryptoEngine(), cryptoEngine())
  })

  describe('in a process', () => {
    useAddon()

    it('is told by the command', () => {
      assert.equal(engineOf(), 'native')
      assert.equal(engineOf({ engine: 'native' }), 'native')
      assert.equal(engineOf({ engine: 'node' }), 'node')
    })

    it('reads and writes messages of all suites: native', () => passesMessages('native'))
  })

  it('reads and writes messages of all suites: node', () => passesMessages('node'))

  it('is refused by the constructors of the streams, at once', () => {
    const code = `
      import { DecryptStream, EncryptStream } from 'esdk-streams'
      const keyring = { onEncrypt() {}, onDecrypt() {} }
      for (const Stream of [EncryptStream, DecryptStream]) try { new Stream({ keyring }) } catch (error) { console.log(String(error)) }`
    const line = 'RangeError: "ESDK_ENGINE" expected native or node, got "wasm"\n'
    assert.equal(run(code, { engine: 'wasm' }).stdout, line + line)
  })

  it('is refused by the command as wrong usage', () => {
    const code = `process.argv.push('--version', '--json'); await import('#lib/cli/main')`
    const { status, stderr } = run(code, { engine: 'wasm' })
    assert.equal(status, 2)
    assert.match(stderr, /^esdk: "ESDK_ENGINE" expected native or node, got "wasm"\n$/)
  })

  describe('where addons are not allowed', () => {
    const permission = ['--permission', '--experimental-permission'].find((flag) =>
      process.allowedNodeEnvironmentFlags.has(flag),
    )
    for (const flags of [['--no-addons'], ...(permission === undefined ? [] : [[permission, '--allow-fs-read=*']])]) {
      it(`is node:crypto, without a word: ${flags[0]!}`, () => {
        assert.equal(engineOf({ flags }), 'node')
        assert.deepEqual(run(PROGRAM, { flags }).stderr, '')
        const { status, stderr } = run(PROGRAM, { flags, engine: 'native' })
        assert.equal(status, 1)
        assert.match(stderr, /"ESDK_ENGINE" is native, but the native engine can't be loaded: /)
      })
    }
  })

  describe('where the addon was not built', () => {
    let folder: string

    before(() => {
      folder = mkdtempSync(join(tmpdir(), 'esdk-no-addon-'))
      for (const name of ['dist', 'package.json']) cpSync(join(root, name), join(folder, name), { recursive: true })
      symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'junction')
    })

    after(() => {
      rmSync(folder, { recursive: true })
    })

    it('is node:crypto, without a word', () => {
      assert.equal(engineOf({ cwd: folder }), 'node')
      const { status, stderr } = run(PROGRAM, { cwd: folder })
      assert.deepEqual([status, stderr], [0, ''])
    })

    it('says so where the addon is asked for', () => {
      const { status, stderr } = run(PROGRAM, { cwd: folder, engine: 'native' })
      assert.equal(status, 1)
      assert.match(stderr, /the native engine can't be loaded: it was not built for this platform/)
    })
  })
})
