/** Every example runs as its reader would run it, and the code blocks of the README do what they say. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { ACCOUNT, useKmsServer } from './keyrings/kms/setup.ts'

const root = resolve(import.meta.dirname, '..')
const run = promisify(execFile)

describe('examples', () => {
  const kms = useKmsServer()

  it('run and print what they decrypted', async function () {
    this.timeout(120_000)
    const names = (await readdir(join(root, 'examples'))).filter((name) => name.endsWith('.ts'))
    assert.ok(names.length > 0)
    const env = {
      ...process.env,
      AWS_ACCOUNT_ID: ACCOUNT,
      AWS_KMS_KEY_ARN: kms.server.keys[0]!,
      AWS_ENDPOINT_URL: kms.server.endpoint,
      AWS_REGION: 'us-west-2',
      AWS_ACCESS_KEY_ID: 'spec',
      AWS_SECRET_ACCESS_KEY: 'spec',
    }
    for (const name of names) {
      const { stdout } = await run(process.execPath, ['--import', 'tsx', join('examples', name)], { cwd: root, env })
      assert.match(stdout, /decrypted/, name)
    }
  })
})

describe('README', () => {
  let folder: string

  before(async () => {
    await rm(join(root, '.cache', 'readme'), { recursive: true, force: true })
    const { mkdir } = await import('node:fs/promises')
    await mkdir(join(root, '.cache'), { recursive: true })
    folder = await mkdtemp(join(root, '.cache', 'readme-'))
  })

  after(() => rm(folder, { recursive: true, force: true }))

  it('has code blocks that run, each after the ones before it', async () => {
    const text = await readFile(join(root, 'README.md'), 'utf8')
    const blocks = [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code!)
    assert.ok(blocks.length >= 5)
    await writeFile(join(folder, 'in'), 'a file to encrypt')
    const program = join(folder, 'readme.ts')
    // Imports may stand in any block, and each name once in one module.
    const imports = [...new Set(blocks.join('').match(/^import .*$/gm))]
    const bodies = blocks.map((code) => `{\n${code.replace(/^import .*$/gm, '')}\n}`)
    const shared = bodies[0]!.slice(1, -1) // the first block makes the keyring that the others use
    await writeFile(program, [...imports, shared, ...bodies.slice(1)].join('\n'))
    const { stdout } = await run(process.execPath, ['--import', 'tsx', program], { cwd: folder })
    assert.match(stdout, /attack at dawn/)
  })

  it('maps the tree as it is', async () => {
    const text = await readFile(join(root, 'README.md'), 'utf8')
    const map = /^```text\nlib\/\n([\s\S]*?)^```$/m.exec(text)?.[1]
    assert.ok(map !== undefined, 'the README has a map of the code')
    const listed = [...map.matchAll(/[\w-]+(?:\/[\w-]+)*\.ts\b/g)].map(([name]) => name.split('/').at(-1)!)
    const files = (await readdir(join(root, 'lib'), { recursive: true })).filter((name) => name.endsWith('.ts'))
    const missing = files.map((name) => name.split(/[/\\]/).at(-1)!).filter((name) => !listed.includes(name))
    assert.deepEqual(missing, [])
  })
})
