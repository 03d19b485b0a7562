/**
 * Runs the core specs under other versions of Node, which come from npm into the checkout's cache folder, once.
 *
 *     node --import tsx scripts/node-versions.ts [22 24 26]
 *
 * One line a version, and one more for the last of them without the native engine; exits 1 where any of them failed.
 */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { nodeOfVersion } from './node-binary.ts'

const run = promisify(execFile)

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DEFAULT_VERSIONS = ['22', '24', '26']
const FOLDERS = ['format', 'crypto', 'materials', 'keyrings', 'streams']
const SPECS = [...FOLDERS.map((folder) => `spec/${folder}/**/*.spec.ts`), 'spec/native/addon.spec.ts']
/** What the choice of the engine could change. */
const ENGINE_SPECS = ['spec/crypto/*.spec.ts', 'spec/streams/{encrypt-stream,decrypt-stream,hostile}.spec.ts']
/** It measures the process's memory, which is a matter of one version's allocator; the default version runs it. */
const LEFT_OUT = 'spec/streams/memory.spec.ts'
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

interface Outcome {
  readonly passed: boolean
  readonly summary: string
  readonly output: string
}

/** Runs mocha over specs under one binary; `engine` is for ESDK_ENGINE. */
async function runSpecs(node: string, specs: readonly string[], engine: '' | 'node' = ''): Promise<Outcome> {
  const mocha = path.join(ROOT, 'node_modules', 'mocha', 'bin', 'mocha.js')
  const { stdout: version } = await run(node, ['--version'])
  const start = performance.now()
  const PATH = `${path.dirname(node)}${path.delimiter}${process.env.PATH ?? ''}`
  const env = { ...process.env, PATH, ESDK_ENGINE: engine }
  const options = { cwd: ROOT, env, maxBuffer: MAX_OUTPUT_BYTES }
  const args = [mocha, '--reporter', 'dot', '--no-color', '--ignore', LEFT_OUT, ...specs]
  const { output, failed } = await run(node, args, options).then(
    ({ stdout, stderr }) => ({ output: stdout + stderr, failed: false }),
    (error: unknown) => ({ output: outputOf(error), failed: true }),
  )
  const counts = ['passing', 'pending', 'failing'].flatMap((word) => {
    const count = new RegExp(`(\\d+) ${word}`).exec(output)?.[1]
    return count === undefined ? [] : [`${count} ${word}`]
  })
  const passed = !failed && Number(/(\d+) passing/.exec(output)?.[1] ?? 0) > 0
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  const what = `Node ${version.trim()}${engine === '' ? '' : `, engine ${engine}`}`
  const summary = `${what}: ${passed ? 'passed' : 'FAILED'}, ${counts.join(', ') || 'no tests ran'}, ${seconds} s`
  return { passed, summary, output }
}

function outputOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const parts = ['stdout', 'stderr'].map((name) => {
    const text: unknown = Reflect.get(error, name)
    return typeof text === 'string' ? text : ''
  })
  return parts.join('') || error.message
}

async function main(): Promise<void> {
  const versions = process.argv.length > 2 ? process.argv.slice(2) : DEFAULT_VERSIONS
  for (const version of versions) {
    if (!/^\d+$/.test(version)) throw new TypeError(`expected major versions of Node, got ${JSON.stringify(version)}`)
  }
  await stat(path.join(ROOT, 'dist', 'index.js')) // the specs import what was built
  const report = ({ passed, summary, output }: Outcome): void => {
    if (!passed) {
      process.exitCode = 1
      console.error(output)
    }
    console.log(summary)
  }
  for (const version of versions) report(await runSpecs(await nodeOfVersion(version), SPECS))
  report(await runSpecs(await nodeOfVersion(versions.at(-1)!), ENGINE_SPECS, 'node'))
}

await main()
