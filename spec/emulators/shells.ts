/** zsh and fish, from where the system has them or, unpacked, from Debian's packages. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { cachedFolder, lastLine } from '../interop/cached-folder.ts'
import { UnavailableError } from '../interop/pending.ts'
import { unpackPackages } from './debian-packages.ts'

const run = promisify(execFile)

/** A shell, and what its environment needs. */
export interface Shell {
  readonly path: string
  readonly env: Readonly<Record<string, string>>
  /** Where it was unpacked; empty where the system has it. */
  readonly root: string
}

const PACKAGES = {
  fish: { names: ['fish', 'libpcre2-32-0'], path: 'usr/bin/fish' },
  zsh: { names: ['zsh', 'zsh-common'], path: 'bin/zsh' },
} as const

/** @throws UnavailableError where it is neither installed nor to be had. */
export async function shell(name: keyof typeof PACKAGES): Promise<Shell> {
  const installed = await run('sh', ['-c', `command -v ${name}`]).catch(() => undefined)
  if (installed !== undefined) return { path: installed.stdout.trim(), env: {}, root: '' }
  const { names, path } = PACKAGES[name]
  const make = (folder: string): Promise<void> => unpackPackages(folder, names)
  try {
    const root = await cachedFolder({ name, stamp: names.join(' '), proof: path, make })
    const { stdout } = await run('sh', ['-c', 'ls -d "$0"/usr/lib/*-linux-*', root])
    const env = { LD_LIBRARY_PATH: stdout.trim().split('\n').join(':') }
    await run(`${root}/${path}`, ['-c', 'true'], { env })
    return { path: `${root}/${path}`, env, root }
  } catch (error) {
    throw new UnavailableError(`${name} is not installed, and its Debian package can't be had: ${lastLine(error)}`)
  }
}
