import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import * as constants from '#lib/keyrings/pkcs11/pkcs11-constants'
import { pkcs11js } from '../../emulators/softhsm.ts'
import { preparedOrPending } from '../../interop/pending.ts'

const root = resolve(import.meta.dirname, '../../..')
const run = promisify(execFile)

const KEYRING = `{
  library: '/nowhere/lib.so',
  tokenLabel: 'token',
  keyLabel: 'key',
  keyNamespace: 'namespace',
  keyName: 'key1',
  wrappingAlgorithm: 'aes-gcm',
}`

/** A program that says why it can neither encrypt nor decrypt. */
const PROGRAM = `
import { RawAesKeyring, decrypt, encrypt } from 'esdk-streams'
import { Pkcs11Keyring } from 'esdk-streams/pkcs11'
const keyring = new Pkcs11Keyring(${KEYRING})
const raw = new RawAesKeyring({ keyNamespace: 'namespace', keyName: 'key1', wrappingKey: new Uint8Array(32) })
const { ciphertext } = await encrypt('text', { keyring: raw })
const failures = []
for (const work of [() => encrypt('text', { keyring }), () => decrypt(ciphertext, { keyring })]) {
  await work().catch(({ code, message }) => failures.push([code, message]))
}
await keyring.close()
console.log(JSON.stringify(failures))
`

describe('keyrings/pkcs11/pkcs11-module', () => {
  let folder: string

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'esdk-pkcs11-'))
  })

  after(() => rm(folder, { recursive: true, force: true }))

  /** The package beside the packages that it depends on, and what else `more` puts there. */
  async function failuresWith(name: string, more: (modules: string) => Promise<void>): Promise<string[][]> {
    const modules = join(folder, name, 'node_modules')
    const own = join(modules, 'esdk-streams')
    await mkdir(own, { recursive: true })
    await cp(join(root, 'package.json'), join(own, 'package.json'))
    await cp(join(root, 'dist'), join(own, 'dist'), { recursive: true })
    for (const dependency of ['@noble', 'lru-cache']) {
      await symlink(join(root, 'node_modules', dependency), join(modules, dependency), 'junction')
    }
    await more(modules)
    const program = join(folder, name, 'program.mjs')
    await writeFile(program, PROGRAM)
    const { stdout } = await run(process.execPath, [program])
    return JSON.parse(stdout) as string[][] // what the program above printed
  }

  it('says which package is missing, when the keyring is first used', async () => {
    const reason = 'the package "pkcs11js" is needed, and is not installed: npm install pkcs11js'
    assert.deepEqual(await failuresWith('hidden', () => Promise.resolve()), [
      ['ERR_ESDK_WRAP', `the key labelled "key" could not wrap the data key: ${reason}`],
      ['ERR_ESDK_UNWRAP', `no data key could be unwrapped: "namespace": ${reason}`],
    ])
  })

  it('says so where the package is there, but was not built', async () => {
    const failures = await failuresWith('unbuilt', async (modules) => {
      await mkdir(join(modules, 'pkcs11js'))
      await writeFile(join(modules, 'pkcs11js', 'index.js'), 'require("./build/Release/pkcs11.node")')
    })
    for (const [, message] of failures) {
      assert.match(
        message!,
        /the package "pkcs11js" can't be loaded, maybe because it was not built: npm rebuild pkcs11js$/,
      )
    }
    assert.equal(failures.length, 2)
  })

  describe('with the package', () => {
    before(async function () {
      await preparedOrPending(this, pkcs11js)
    })

    it('has the numbers that the standard’s header has, and pkcs11js', async () => {
      const js = await pkcs11js()
      const include = join(root, 'node_modules', 'pkcs11js', 'includes', 'pkcs11', 'pkcs11t.h')
      const header = await readFile(include, 'latin1')
      for (const [name, value] of Object.entries(constants)) {
        const defined = new RegExp(`^#define +${name} +\\(?((?:0x)?[0-9a-f]+)UL`, 'im').exec(header)?.[1]
        if (name.startsWith('CK_PARAMS_')) assert.equal(defined, undefined)
        else assert.equal(Number(defined), value, name)
        if (name in js) assert.equal(js[name], value, name)
      }
      assert.equal(js['CK_PARAMS_AES_GCM_v240'], constants.CK_PARAMS_AES_GCM_v240)
      assert.equal(js['CK_PARAMS_RSA_OAEP'], constants.CK_PARAMS_RSA_OAEP)
    })

    it('says that a library can’t be loaded', async () => {
      const { Pkcs11Keyring } = await import('esdk-streams/pkcs11')
      const { encrypt } = await import('esdk-streams')
      for (const library of ['/nowhere/lib.so', join(root, 'package.json')]) {
        const names = { keyNamespace: 'namespace', keyName: 'key1', keyLabel: 'key', tokenLabel: 'token' }
        const keyring = new Pkcs11Keyring({ library, ...names, wrappingAlgorithm: 'aes-gcm' })
        for (let time = 0; time < 2; time++) {
          await assert.rejects(encrypt('text', { keyring }), {
            code: 'ERR_ESDK_WRAP',
            message: /the PKCS #11 module can't be loaded: .*(nowhere|package\.json)/,
          })
        }
        await keyring.close()
      }
    })
  })
})
