/** moto: AWS KMS and more on loopback, in a process of its own, installed into the checkout's cache folder. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { Socket, createServer } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { UnavailableError } from '../interop/pending.ts'

const run = promisify(execFile)

const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url))
const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
const folder = `${cache}moto`
const stampFile = 'esdk-streams-stamp'

const binFolder = process.platform === 'win32' ? 'Scripts' : 'bin'
const INSTALL_TIMEOUT_MS = 240_000
const START_TIMEOUT_MS = 60_000

/** How long a hook that starts a server may take: the first time, it is installed. */
export const PREPARE_TIMEOUT_MS = INSTALL_TIMEOUT_MS + START_TIMEOUT_MS

/** The server, which ends as soon as its input does: it can't outlive whoever started it. */
const PROGRAM = `
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(sys.argv[1:])
`

/** A server under way. */
export interface Emulator {
  readonly endpoint: string
  readonly port: number
  stop(): Promise<void>
}

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
  const python = await installed()
  const port = await freePort()
  const child = spawn(python, ['-c', PROGRAM, '-H', '127.0.0.1', '-p', String(port)], {
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  child.on('error', () => undefined) // 'exitCode' says enough
  child.unref()
  if (child.stdin instanceof Socket) child.stdin.unref()
  const endpoint = `http://127.0.0.1:${port}`
  const stop = async (): Promise<void> => stopped(child)
  try {
    await answering(endpoint, child)
  } catch (error) {
    await stop()
    throw error
  }
  return { endpoint, port, stop }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function answering(endpoint: string, child: ChildProcess): Promise<void> {
  const until = Date.now() + START_TIMEOUT_MS
  while (Date.now() < until) {
    if (child.exitCode !== null) throw new Error(`moto ended with exit code ${child.exitCode}`)
    const answer = await fetch(`${endpoint}/moto-api/data.json`).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.ok === true) return
    await setTimeout(50)
  }
  throw new Error('moto does not answer')
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

/** The interpreter of the virtual environment, made anew when the requirements or the Python version changed. */
async function installed(): Promise<string> {
  const system = process.env['PYTHON'] ?? (process.platform === 'win32' ? 'python' : 'python3')
  const version = await pythonVersion(system)
  const stamp = createHash('sha256')
    .update(version)
    .update(await readFile(requirements))
    .digest('hex')
  if (!(await isReady(stamp))) await install(system, stamp)
  return interpreter(folder)
}

function interpreter(environment: string): string {
  return `${environment}/${binFolder}/python`
}

async function isReady(stamp: string): Promise<boolean> {
  const found = await readFile(`${folder}/${stampFile}`, 'utf8').catch(() => undefined)
  return found === stamp
}

async function pythonVersion(python: string): Promise<string> {
  const program = 'import sys; assert sys.version_info >= (3, 10), sys.version; print(sys.version)'
  try {
    return (await run(python, ['-c', program])).stdout
  } catch (error) {
    throw new UnavailableError(`moto needs Python 3.10 or later as "${python}": ${reason(error)}`)
  }
}

/** Into a folder beside and then renamed, so that an interrupted or a second installation leaves nothing half done. */
async function install(python: string, stamp: string): Promise<void> {
  const fresh = `${folder}.${process.pid}`
  try {
    await mkdir(cache, { recursive: true })
    await run(python, ['-m', 'venv', fresh], { timeout: INSTALL_TIMEOUT_MS })
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--retries', '2', '-r', requirements]
    await run(interpreter(fresh), pip, { timeout: INSTALL_TIMEOUT_MS })
    await writeFile(`${fresh}/${stampFile}`, stamp)
    if (await isReady(stamp)) return
    await rm(folder, { recursive: true, force: true })
    await rename(fresh, folder)
  } catch (error) {
    if (await isReady(stamp)) return
    throw new UnavailableError(`moto could not be installed: ${reason(error)}`)
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
