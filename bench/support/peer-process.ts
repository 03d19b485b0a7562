/**
 * The libraries of bench/peers, each in a process of its own that times itself. They are asked, a JSON line each, to
 * `prepare` (to read the plaintext, to open the message at `read` and compare, to write their own to `write`), and then
 * to `encrypt` the plaintext or `decrypt` their own message in memory, and say in `seconds` how long that took.
 */
import { type ChildProcessWithoutNullStreams, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { delimiter } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cachedFolder, lastLine } from '../../spec/interop/cached-folder.ts'
import { javaClassPath } from '../../spec/interop/java-peer.ts'
import { JsonLinesChild } from '../../spec/interop/json-lines-child.ts'
import { UnavailableError } from '../../spec/interop/pending.ts'
import { pythonSdk } from '../../spec/interop/python-peer.ts'
import type { Direction } from './contenders.ts'

const BUILD_TIMEOUT_MS = 600_000

/** What is measured, under one key for all. */
export interface Task {
  readonly suite: number
  readonly frameLength: number
  readonly keyNamespace: string
  readonly keyName: string
  /** In base64. */
  readonly wrappingKey: string
  /** Paths. */
  readonly plaintext: string
  readonly read: string
  readonly write: string
}

export class PeerProcess {
  readonly #child: JsonLinesChild

  constructor(name: string, child: ChildProcessWithoutNullStreams) {
    this.#child = new JsonLinesChild(name, child)
  }

  /** @throws Error where it does not read the message. */
  async prepare(task: Task): Promise<void> {
    await this.#child.ask('prepare', task)
  }

  /** Seconds that it says it took. */
  async time(direction: Direction): Promise<number> {
    return (await this.#child.ask(direction, {})).seconds!
  }

  async close(): Promise<void> {
    await this.#child.close()
  }
}

/** Starts each of them. @throws UnavailableError where it can't be had. */
export const PEERS: Readonly<Record<string, () => PeerProcess | Promise<PeerProcess>>> = {
  'esdk-streams': () => javascript('esdk-streams'),
  'client-node': () => javascript('client-node'),
  'Python SDK': python,
  'Java SDK': java,
  'Go SDK': go,
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../peers/${name}`, import.meta.url))
}

function javascript(library: string): PeerProcess {
  return new PeerProcess(library, spawn(process.execPath, [pathOf('javascript.mjs'), library], { stdio: 'pipe' }))
}

async function python(): Promise<PeerProcess> {
  const loop = fileURLToPath(new URL('../../spec/interop', import.meta.url)) // json_lines.py
  const path = [loop, ...(process.env['PYTHONPATH']?.split(delimiter) ?? [])].join(delimiter)
  const options = { stdio: 'pipe', env: { ...process.env, PYTHONPATH: path } } as const
  return new PeerProcess('the Python SDK', spawn(await pythonSdk(), ['-B', '-u', pathOf('python/peer.py')], options))
}

async function java(): Promise<PeerProcess> {
  const libraries = await javaClassPath()
  const source = pathOf('java/Peer.java')
  const stamp = createHash('sha256')
    .update(libraries)
    .update(await readFile(source))
    .digest('hex')
  const make = async (folder: string): Promise<void> => {
    await promisify(execFile)('javac', ['-cp', libraries, '-d', folder, source])
  }
  const folder = await cachedFolder({ name: 'bench-java', stamp, proof: 'Peer.class', make })
  const classPath = [folder, libraries].join(delimiter)
  return new PeerProcess('the Java SDK', spawn('java', ['-cp', classPath, 'Peer'], { stdio: 'pipe' }))
}

/** The first time, builds it into `.cache/bench-go` of the checkout, which takes minutes. */
async function go(): Promise<PeerProcess> {
  const cwd = pathOf('go')
  try {
    const parts = await Promise.all(['main.go', 'go.mod', 'go.sum'].map((name) => readFile(`${cwd}/${name}`)))
    const { stdout: version } = await promisify(execFile)('go', ['version'], { cwd })
    const stamp = createHash('sha256').update(version).update(Buffer.concat(parts)).digest('hex')
    const make = async (folder: string): Promise<void> => {
      await promisify(execFile)('go', ['build', '-o', `${folder}/peer`, '.'], { cwd, timeout: BUILD_TIMEOUT_MS })
    }
    const folder = await cachedFolder({ name: 'bench-go', stamp, proof: 'peer', make })
    return new PeerProcess('the Go SDK', spawn(`${folder}/peer`, [], { stdio: 'pipe' }))
  } catch (error) {
    throw new UnavailableError(`the Go SDK could not be built: ${lastLine(error)}`)
  }
}
