/** moto: AWS KMS and more on loopback, in a process of its own, installed into the checkout's cache folder. */
import { type ChildProcess, spawn } from 'node:child_process'
import { Socket, createServer } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { pythonEnvironment } from '../interop/python-environment.ts'

const START_TIMEOUT_MS = 60_000

/** How long a hook that starts a server may take: the first time, it is installed. */
export const PREPARE_TIMEOUT_MS = 300_000

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
  const python = await pythonEnvironment({
    what: 'moto',
    folder: 'moto',
    requirements: new URL('requirements.txt', import.meta.url),
    minimumMinor: 10,
  })
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

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
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
