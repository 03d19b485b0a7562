/** Virtual environments of Python, installed into the checkout's cache folder on first use. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cachedFolder, lastLine } from './cached-folder.ts'
import { UnavailableError } from './pending.ts'

const run = promisify(execFile)

const INSTALL_TIMEOUT_MS = 240_000
const windows = process.platform === 'win32'
const INTERPRETER = windows ? 'Scripts/python.exe' : 'bin/python'

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
  const { what, folder: name, requirements } = environment
  const { python, version } = await systemPython(environment)
  const stamp = createHash('sha256')
    .update(version)
    .update(await readFile(requirements))
    .digest('hex')
  const make = (folder: string): Promise<void> => install(python, folder, requirements)
  try {
    return `${await cachedFolder({ name, stamp, proof: INTERPRETER, make })}/${INTERPRETER}`
  } catch (error) {
    throw new UnavailableError(`${what} could not be installed: ${lastLine(error)}`)
  }
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
  throw new UnavailableError(`${what} needs Python 3.${minimumMinor} or later as "${names[0]!}": ${lastLine(failure)}`)
}

async function install(python: string, folder: string, requirements: URL): Promise<void> {
  const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '2']
  const timeout = INSTALL_TIMEOUT_MS
  await run(python, ['-m', 'venv', folder], { timeout })
  await run(`${folder}/${INTERPRETER}`, [...pip, '-r', fileURLToPath(requirements)], { timeout })
}
