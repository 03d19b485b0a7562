/** The package as npm packs and installs it: packed once a process, and installed once. */
import { execFile } from 'node:child_process'
import { rmSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../docs/markdown.ts'

const run = promisify(execFile)
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'

/** What npm says of what it packed. */
export interface Packed {
  readonly path: string
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string; readonly size: number }[]
}

interface LockedPackage {
  readonly dev?: boolean
  readonly link?: boolean
}

/** npm takes everything from its cache, into which `npm ci` put it. */
export const FROM_CACHE: Readonly<Record<string, string>> = {
  [process.env['CI'] === 'true' ? 'npm_config_offline' : 'npm_config_prefer_offline']: 'true',
}

let packed: Promise<Packed> | undefined
let installed: Promise<string> | undefined

/** The one tarball of `npm pack`. */
export function packedPackage(): Promise<Packed> {
  packed ??= pack()
  return packed
}

/** A folder in which the tarball is installed, and nothing else. */
export function installedPackage(): Promise<string> {
  installed ??= install()
  return installed
}

/** A folder that goes with this process. */
export async function folderFor(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `esdk-${name}-`))
  process.once('exit', () => {
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

async function pack(): Promise<Packed> {
  const folder = await folderFor('packed')
  const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]
  const { stdout } = await run(npm, args, { cwd: root })
  const [{ filename, ...rest }] = JSON.parse(stdout) as [Packed & { readonly filename: string }] // as npm documents it
  return { ...rest, path: join(folder, filename) }
}

async function install(): Promise<string> {
  const { path } = await packedPackage()
  const folder = await folderFor('installed')
  await writeConsumer(folder, path)
  await run(npm, ['ci', '--no-audit', '--no-fund'], { cwd: folder, env: { ...process.env, ...FROM_CACHE } })
  return folder
}

/**
 * The `package.json` and the lock file of a project that needs the tarball, with the package's dependencies as this
 * repository has them: npm asks no registry for them.
 */
export async function writeConsumer(folder: string, tarball: string): Promise<void> {
  const { packages } = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, LockedPackage>
  } // npm's own file
  const { '': self, ...others } = packages
  const needed = Object.entries(others).filter(
    ([path, { dev, link }]) => path.startsWith('node_modules/') && dev !== true && link !== true,
  )
  const resolved = `file:${tarball}`
  const dependencies = { 'esdk-streams': resolved }
  const lock = {
    name: 'consumer',
    lockfileVersion: 3,
    packages: {
      '': { name: 'consumer', dependencies },
      'node_modules/esdk-streams': { ...self, resolved, devDependencies: undefined },
      ...Object.fromEntries(needed),
    },
  }
  await writeFile(join(folder, 'package-lock.json'), JSON.stringify(lock))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, dependencies }))
}
