/** Other versions of Node, which come from npm into the checkout's cache folder, once. */
import { execFile } from 'node:child_process'
import { mkdir, readdir } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

const CACHE = fileURLToPath(new URL('../.cache', import.meta.url))
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

/** The path of that major version's binary; installs it where it is missing. */
export async function nodeOfVersion(major: string): Promise<string> {
  const folder = path.join(CACHE, `node-${major}`)
  const known = await findBinary(folder, major)
  if (known !== undefined) return known
  await mkdir(folder, { recursive: true })
  const install = ['install', '--prefix', folder, '--no-save', '--no-audit', '--no-fund', `node@${major}`]
  await run('npm', install, { maxBuffer: MAX_OUTPUT_BYTES, shell: process.platform === 'win32' })
  const installed = await findBinary(folder, major)
  if (installed === undefined) throw new Error(`npm installed node@${major}, but there is no binary that runs`)
  return installed
}

/** The package's own place, or where its install script (which npm may not have run) would have linked it from. */
async function findBinary(folder: string, major: string): Promise<string | undefined> {
  const modules = path.join(folder, 'node_modules')
  const nested = path.join(modules, 'node', 'node_modules')
  const candidates = [path.join(modules, 'node', 'bin', 'node')]
  for (const parent of [modules, nested]) {
    const names = await readdir(parent).catch(() => [])
    for (const name of names.filter((name) => /^node-(linux|darwin|win)-/.test(name))) {
      candidates.push(path.join(parent, name, 'bin', 'node'))
    }
  }
  for (const candidate of candidates) {
    const version = await run(candidate, ['--version']).catch(() => undefined)
    if (version?.stdout.startsWith(`v${major}.`) === true) return candidate
  }
  return undefined
}
