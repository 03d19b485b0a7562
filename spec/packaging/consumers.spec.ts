/** The package in the hands of those who use it: installed in an empty folder, in each way in which it can be loaded. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, readdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import ts from 'typescript'
import { root } from '../docs/markdown.ts'
import { PREPARE_TIMEOUT_MS } from '../emulators/emulator.ts'
import { folderFor, installedPackage } from './installed.ts'

const run = promisify(execFile)
const SUBPATHS: readonly string[] = ['', '/format', '/kms', '/pkcs11', '/s3', '/file']

const ROUND_TRIP = `
  const keyring = new RawAesKeyring({ keyNamespace: 'n', keyName: 'k', wrappingKey: new Uint8Array(32) })
  const { ciphertext } = await encrypt('attack at dawn', { keyring })
  const { plaintext } = await decrypt(ciphertext, { keyring })
  console.log(plaintext.toString())`

describe('consumers of the package', () => {
  let folder: string

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    folder = await installedPackage()
  })

  async function output(file: string, code: string, env: Record<string, string> = {}): Promise<string> {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await writeFile(join(folder, file), code)
    const { stdout } = await run(process.execPath, ['--no-warnings', file], {
      cwd: folder,
      env: { ...process.env, ESDK_ENGINE: '', ...env },
    })
    return stdout.trim()
  }

  it('import it', async () => {
    const imports = SUBPATHS.map((path) => `await import('esdk-streams${path}')`).join('\n')
    const code = `import { RawAesKeyring, decrypt, encrypt } from 'esdk-streams'\n${imports}\n${ROUND_TRIP}`
    assert.equal(await output('import.mjs', code), 'attack at dawn')
  })

  it('require it from CommonJS', async () => {
    const requires = SUBPATHS.map((path) => `require('esdk-streams${path}')`).join('\n')
    const code = `const { RawAesKeyring, decrypt, encrypt } = require('esdk-streams')\n${requires}
      async function main() {${ROUND_TRIP}\n}\nmain()`
    assert.equal(await output('require.cjs', code), 'attack at dawn')
  })

  it('call its command', async () => {
    const { stdout } = await run(join(folder, 'node_modules/.bin/esdk'), ['--version'], { cwd: folder })
    assert.match(stdout, /\d+\.\d+\.\d+/)
  })

  for (const [name, options] of [
    ['nodenext', { module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext }],
    ['bundler', { module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler }],
  ] as const) {
    it(`compile against it in TypeScript, as "${name}" resolves it`, async function () {
      this.timeout(60_000)
      const types = join(folder, 'node_modules/@types')
      await mkdir(types, { recursive: true })
      for (const [from, to] of [
        ['@types/node', join(types, 'node')],
        ['undici-types', join(folder, 'node_modules/undici-types')],
      ] as const) {
        await symlink(join(root, 'node_modules', from), to, 'dir').catch((error: unknown) => {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        })
      }
      const imports = SUBPATHS.map((path, index) => `import * as m${index} from 'esdk-streams${path}'`)
      const use = SUBPATHS.map((_path, index) => `m${index}`).join(', ')
      const right = `${imports.join('\n')}
        import { type EncryptResult, RawAesKeyring, encrypt } from 'esdk-streams'
        const keyring = new RawAesKeyring({ keyNamespace: 'n', keyName: 'k', wrappingKey: new Uint8Array(32) })
        export const made: Promise<EncryptResult> = encrypt('text', { keyring })
        export const modules: readonly object[] = [${use}]`
      const wrong = `import { encrypt } from 'esdk-streams'\nexport const made = encrypt(1, {})`
      const faults = async (file: string, code: string): Promise<string[]> => {
        await writeFile(join(folder, file), code)
        const program = ts.createProgram([join(folder, file)], {
          ...options,
          target: ts.ScriptTarget.ES2022,
          strict: true,
          noEmit: true,
          // The declarations of the AWS SDK are most of the work.
          skipLibCheck: process.env['ESDK_FULL'] !== '1',
          types: ['node'],
          typeRoots: [types],
        })
        const ours = ts
          .getPreEmitDiagnostics(program)
          .filter(({ file: of }) => !/@aws-sdk|@smithy|@types/.test(of?.fileName ?? ''))
        return ours.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
      }
      assert.deepEqual(await faults(`${name}.mts`, right), [])
      assert.match((await faults(`${name}-wrong.mts`, wrong)).join(), /number.*not assignable/)
    })
  }

  for (const format of ['cjs', 'esm'] as const) {
    it(`bundle it into one file for AWS Lambda, as ${format}, without the native engine`, async function () {
      this.timeout(60_000)
      const entry = join(folder, 'handler.ts')
      await writeFile(
        entry,
        `import { RawAesKeyring, decrypt, encrypt } from 'esdk-streams'
        import { KmsKeyring } from 'esdk-streams/kms'
        export async function handler(): Promise<void> {${ROUND_TRIP}
          console.log(typeof new KmsKeyring({ generatorKeyId: 'alias/any' }).onEncrypt)
        }
        handler().catch((error: unknown) => { console.log(String(error)) })`,
      )
      const bundle = await folderFor('bundle')
      const outfile = join(bundle, format === 'cjs' ? 'handler.cjs' : 'handler.mjs')
      const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"
      const { warnings } = await build({
        entryPoints: [entry],
        outfile,
        bundle: true,
        minify: true,
        platform: 'node',
        target: 'node20',
        format,
        logLevel: 'silent',
        ...(format === 'esm' && { banner: { js: banner } }),
      })
      assert.deepEqual(
        warnings.map(({ id }) => id).filter((id) => id !== 'empty-import-meta'),
        [],
      )
      assert.equal((await readdir(bundle)).length, 1)
      const ran = async (ESDK_ENGINE: string): Promise<string> => {
        const env = { ...process.env, ESDK_ENGINE }
        return (await run(process.execPath, [outfile], { cwd: bundle, env })).stdout.trim()
      }
      assert.equal(await ran(''), 'attack at dawn\nfunction')
      assert.match(await ran('native'), /the native engine can't be loaded/)
    })
  }
})
