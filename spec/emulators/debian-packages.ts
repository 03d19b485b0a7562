/** Packages of Debian's, unpacked into a folder of the checkout's cache: nothing is installed, and no root needed. */
import { execFile } from 'node:child_process'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

const INSTALL_TIMEOUT_MS = 120_000

/** Unpacks packages into an empty folder. Lists of packages that are missing or old are fetched into it. */
export async function unpackPackages(folder: string, packages: readonly string[]): Promise<void> {
  const lists = join(folder, 'lists')
  await mkdir(lists)
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
