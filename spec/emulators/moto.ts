/** moto: AWS KMS and more on loopback, installed into the checkout's cache folder. */
import { type Emulator, startEmulator } from './emulator.ts'

const PROGRAM = `
from moto.server import main
main(sys.argv[1:])
`

let shared: Promise<Emulator> | undefined

/**
 * The one server of all specs of this process. It does not keep the process alive, and ends with it.
 *
 * @throws UnavailableError where there is no Python or the package can't be installed.
 */
export function sharedMoto(): Promise<Emulator> {
  shared ??= startMoto()
  return shared
}

/**
 * Starts a server on a free port; the first time, installs it.
 *
 * @throws UnavailableError where there is no Python or the package can't be installed.
 */
export async function startMoto(): Promise<Emulator> {
  return startEmulator({
    what: 'moto',
    folder: 'moto',
    requirements: new URL('requirements.txt', import.meta.url),
    minimumMinor: 10,
    program: PROGRAM,
    settings: (port) => ({ args: ['-H', '127.0.0.1', '-p', String(port)] }),
    answers: '/moto-api/data.json',
  })
}
