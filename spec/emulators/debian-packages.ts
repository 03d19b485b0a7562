/** Packages of Debian's, unpacked into a folder of the checkout's cache: nothing is installed, and no root needed. */
import { execFile } from 'node:child_process'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cachedFolder, lastLine } from '../interop/cached-folder.ts'
import { UnavailableError } from '../interop/pending.ts'

const run = promisify(execFile)

const INSTALL_TIMEOUT_MS = 120_000

/** Unpacks packages into an empty folder, or one that is not there yet. Lists of packages that are missing or old are fetched into it. */
export async function unpackPackages(folder: string, packages: readonly string[]): Promise<void> {
  const lists = join(folder, 'lists')
  await mkdir(lists, { recursive: true })
  const apart = ['-o', `Dir::State::lists=${lists}`, '-o', `Dir::Cache=${lists}`, '-o', 'APT::Sandbox::User=']
  const options = { cwd: folder, timeout: INSTALL_TIMEOUT_MS }
  await run('apt-get', ['download', ...packages], options).catch(async () => {
    await run('apt-get', [...apart, 'update'], options)
    await run('apt-get', [...apart, 'download', ...packages], options)
  })
  for (const archive of (await readdir(folder)).filter((name) => name.endsWith('.deb'))) {
    await run('dpkg', ['-x', archive, '.'], options)
    await rm(join(folder, archive))
  }
  await rm(lists, { recursive: true, force: true })
}

export interface PackageFile {
  /** For whom, in messages. */
  readonly what: string
  /** Of the package. */
  readonly name: string
  /** Path of the file in the package. */
  readonly file: string
}

/** The path of a file of a Debian package. @throws UnavailableError where the package can't be had. */
export async function fileOfPackage({ what, name, file }: PackageFile): Promise<string> {
  try {
    const make = (fresh: string): Promise<void> => unpackPackages(fresh, [name])
    return join(await cachedFolder({ name: `debian-${name}`, stamp: name, proof: file, make }), file)
  } catch (error) {
    throw new UnavailableError(`${what} is not installed, and its Debian package can't be had: ${lastLine(error)}`)
  }
}
