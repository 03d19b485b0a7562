/** Virtual environments of Python, installed into the checkout's cache folder on first use. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { UnavailableError } from './pending.ts'

const run = promisify(execFile)

const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
const STAMP = 'esdk-streams-stamp'
const INSTALL_TIMEOUT_MS = 240_000
const windows = process.platform === 'win32'

/** What to install, and where. */
export interface PythonEnvironment {
  /** For whom, in messages. */
  readonly what: string
  /** Name of the folder in the cache folder. */
  readonly folder: string
  readonly requirements: URL
  /** The oldest Python that will do, 3.x. */
  readonly minimumMinor: number
}

/**
 * The interpreter of a virtual environment, made anew when its requirements or the Python version changed.
 *
 * @throws UnavailableError where there is no Python that is new enough, or the packages can't be installed.
 */
export async function pythonEnvironment(environment: PythonEnvironment): Promise<string> {
  const { python, version } = await systemPython(environment)
  const requirements = await readFile(environment.requirements)
  const stamp = createHash('sha256').update(version).update(requirements).digest('hex')
  const folder = `${cache}${environment.folder}`
  if (!(await isReady(folder, stamp))) await install(environment, folder, python, stamp)
  return interpreter(folder)
}

function interpreter(folder: string): string {
  return `${folder}/${windows ? 'Scripts' : 'bin'}/python`
}

/** Whether it is whole: a folder that was deleted in part may have kept its stamp. */
async function isReady(folder: string, stamp: string): Promise<boolean> {
  const found = await readFile(`${folder}/${STAMP}`, 'utf8').catch(() => undefined)
  return found === stamp && existsSync(interpreter(folder))
}

/** The first Python that is new enough; the system's own may be too old while a newer one is beside it. */
async function systemPython({ what, minimumMinor }: PythonEnvironment): Promise<{ python: string; version: string }> {
  const program = `import sys; assert sys.version_info >= (3, ${minimumMinor}), sys.version; print(sys.version)`
  const asked = process.env['PYTHON']
  const beside = ['python3.12', 'python3.13', 'python3.11']
  const names = asked !== undefined ? [asked] : windows ? ['python'] : ['python3', ...beside]
  let failure: unknown
  for (const python of names) {
    try {
      return { python, version: (await run(python, ['-c', program])).stdout }
    } catch (error) {
      failure ??= error
    }
  }
  throw new UnavailableError(`${what} needs Python 3.${minimumMinor} or later as "${names[0]!}": ${reason(failure)}`)
}

/** Into a folder beside and then renamed, so that an interrupted or a second installation leaves nothing half done. */
async function install(
  { what, requirements }: PythonEnvironment,
  folder: string,
  python: string,
  stamp: string,
): Promise<void> {
  const fresh = `${folder}.${process.pid}`
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '2']
  try {
    await mkdir(cache, { recursive: true })
    await run(python, ['-m', 'venv', fresh], { timeout: INSTALL_TIMEOUT_MS })
    await run(interpreter(fresh), [...pip, '-r', fileURLToPath(requirements)], { timeout: INSTALL_TIMEOUT_MS })
    await writeFile(`${fresh}/${STAMP}`, stamp)
    if (await isReady(folder, stamp)) return
    await rm(folder, { recursive: true, force: true })
    await rename(fresh, folder)
  } catch (error) {
    if (await isReady(folder, stamp)) return
    throw new UnavailableError(`${what} could not be installed: ${reason(error)}`)
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}

/** One line. A failing program says most in its last line. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const stderr = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr.trim() : ''
  return (stderr === '' ? error.message : stderr).split('\n').at(-1) ?? ''
}
