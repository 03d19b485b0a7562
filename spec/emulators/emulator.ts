/** Servers of Python packages on loopback, each in a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process'
import { Socket, createServer } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { type PythonEnvironment, pythonEnvironment } from '../interop/python-environment.ts'

const START_TIMEOUT_MS = 60_000

/** How long a hook that starts a server may take: the first time, it is installed. */
export const PREPARE_TIMEOUT_MS = 300_000

/** The process ends as soon as its input does: it can't outlive whoever started it. */
const ENDS_WITH_ITS_INPUT = `
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
`

/** A server under way. */
export interface Emulator {
  readonly endpoint: string
  readonly port: number
  stop(): Promise<void>
}

/** What to start. */
export interface EmulatorProgram extends PythonEnvironment {
  /** Text of a Python program that serves HTTP on 127.0.0.1. */
  readonly program: string
  /** Its arguments, and what is added to its environment, by the port to serve on and its own interpreter. */
  readonly settings: (
    port: number,
    python: string,
  ) => { readonly args?: readonly string[]; readonly env?: Readonly<Record<string, string>> }
  /** A path that it answers well once it is there. */
  readonly answers: string
}

/**
 * Starts a server on a free port; the first time, installs it. It does not keep the process alive, and ends with it.
 *
 * @throws UnavailableError where there is no Python or the packages can't be installed.
 */
export async function startEmulator({
  program,
  settings,
  answers,
  ...environment
}: EmulatorProgram): Promise<Emulator> {
  const python = await pythonEnvironment(environment)
  const port = await freePort()
  const { args = [], env = {} } = settings(port, python)
  const child = spawn(python, ['-c', ENDS_WITH_ITS_INPUT + program, ...args], {
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { ...process.env, ...env },
  })
  child.on('error', () => undefined) // 'exitCode' says enough
  child.unref()
  if (child.stdin instanceof Socket) child.stdin.unref()
  const endpoint = `http://127.0.0.1:${port}`
  const stop = async (): Promise<void> => stopped(child)
  try {
    await answering(environment.what, `${endpoint}${answers}`, child)
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

async function answering(what: string, url: string, child: ChildProcess): Promise<void> {
  const until = Date.now() + START_TIMEOUT_MS
  while (Date.now() < until) {
    if (child.exitCode !== null) throw new Error(`${what} ended with exit code ${child.exitCode}`)
    const answer = await fetch(url).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.ok === true) return
    await setTimeout(50)
  }
  throw new Error(`${what} does not answer`)
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}
