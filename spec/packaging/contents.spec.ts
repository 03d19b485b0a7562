/** What is in the tarball, and what comes beside it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../docs/markdown.ts'
import { UnavailableError, preparedOrPending } from '../interop/pending.ts'
import { type Packed, packedPackage } from './installed.ts'

const run = promisify(execFile)
const MOST_BYTES = 1_000_000

/** What the build writes beside what it compiles: a man page and a schema. */
const made = (path: string): boolean => /\.(?:1|json)$/.test(path)

/** Everything that the package has besides what was compiled of lib/. */
const BESIDES: readonly (string | RegExp)[] = [
  ...['LICENSE', 'README.md', 'package.json', 'dist/esdk.1', 'dist/esdk.config.schema.json'],
  ...readdirSync(join(root, 'native'))
    .filter((name) => /\.(?:c|h|js)$/.test(name))
    .map((name) => `native/${name}`),
  /^native\/prebuilds\/[a-z]+-[a-z0-9]+(?:-musl)?\/[a-z-]+\.node$/,
]

describe('the tarball', () => {
  let packed: Packed

  before(async function () {
    this.timeout(60_000)
    packed = await packedPackage()
  })

  it('has what was compiled of lib/, each file with its declarations, and little else', () => {
    const paths = packed.files.map(({ path }) => path)
    const sources = readdirSync(join(root, 'lib'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      name.endsWith('.ts'),
    )
    const compiled = sources.flatMap((name) => ['.js', '.d.ts'].map((end) => `dist/${name.replace(/\.ts$/, end)}`))
    assert.deepEqual(paths.filter((path) => path.startsWith('dist/') && !made(path)).sort(), compiled.sort())
    const others = paths.filter((path) => !path.startsWith('dist/') || made(path))
    const fits = (path: string, entry: string | RegExp): boolean =>
      typeof entry === 'string' ? path === entry : entry.test(path)
    assert.deepEqual(
      others.filter((path) => !BESIDES.some((entry) => fits(path, entry))),
      [],
    )
    for (const name of BESIDES) if (typeof name === 'string') assert.ok(paths.includes(name), name)
  })

  it(`takes less than ${MOST_BYTES} bytes unpacked, without what it depends on`, () => {
    assert.equal(
      packed.unpackedSize,
      packed.files.reduce((sum, { size }) => sum + size, 0),
    )
    assert.ok(packed.unpackedSize < MOST_BYTES, String(packed.unpackedSize))
  })

  it('has every file that its package.json leads to', () => {
    const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, unknown> // our own file
    const { exports, bin } = manifest
    const named = JSON.stringify([exports, bin]).match(/dist\/[\w./-]+/g)!
    assert.ok(named.length > 10)
    const paths = packed.files.map(({ path }) => path)
    assert.deepEqual(
      named.filter((path) => !paths.includes(path)),
      [],
    )
  })

  it('has a bill of materials: CycloneDX, of all that is installed with it, and no more', async () => {
    const { stdout } = await run('npm', ['run', '--silent', 'sbom'], { cwd: root, maxBuffer: 2 ** 26 })
    const sbom = JSON.parse(stdout) as {
      readonly bomFormat: string
      readonly components: readonly { readonly purl: string }[]
    } // https://cyclonedx.org
    assert.equal(sbom.bomFormat, 'CycloneDX')
    const has = (name: string): boolean =>
      sbom.components.some(({ purl }) => purl.startsWith(`pkg:npm/${name.replace('@', '%40')}@`))
    for (const name of ['@aws-sdk/client-kms', '@noble/curves', 'commander']) assert.ok(has(name), name)
    for (const name of ['mocha', 'typescript', 'esbuild']) assert.ok(!has(name), name)
    assert.ok(sbom.components.every(({ purl }) => purl.startsWith('pkg:npm/')))
  })

  it('depends on nothing of which a weakness is known', async function () {
    this.timeout(120_000)
    const found = await preparedOrPending(this, audit)
    assert.deepEqual(found, {})
  })

  it('is not published with what only this repository needs', () => {
    assert.ok(existsSync(join(root, '.github/workflows/release.yml')))
    assert.ok(!packed.files.some(({ path }) => /^(?:spec|bench|fixtures|examples|scripts|lib|docs|\.)/.test(path)))
  })
})

/** What `npm audit` finds in the dependencies of the package. Not every registry answers. */
async function audit(): Promise<unknown> {
  const args = ['run', '--silent', 'audit', '--', '--json', '--fetch-retries=0', '--fetch-timeout=20000']
  const options = { cwd: root, maxBuffer: 2 ** 26 }
  const output = await run('npm', args, options).then(
    ({ stdout }) => stdout,
    (error: unknown) => (error as { readonly stdout: string }).stdout, // with any finding, and without an answer, npm fails
  )
  const { vulnerabilities } = JSON.parse(output.slice(output.indexOf('{'))) as { readonly vulnerabilities?: unknown } // as npm has it
  if (vulnerabilities === undefined) {
    throw new UnavailableError('npm audit needs a registry that answers it', { optional: true })
  }
  return vulnerabilities
}
