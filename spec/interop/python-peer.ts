/** The AWS Encryption SDK for Python, in a process of its own that answers JSON lines. See python-peer.py. */
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Peer, PeerDecrypted, PeerKey, PeerMessage, PeerPlaintext } from './peer.ts'
import { UnavailableError } from './pending.ts'

const run = promisify(execFile)

const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url))
const script = fileURLToPath(new URL('python-peer.py', import.meta.url))
const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
const folder = `${cache}python`
const stampFile = 'esdk-streams-stamp'

const binFolder = process.platform === 'win32' ? 'Scripts' : 'bin'
const INSTALL_TIMEOUT_MS = 240_000

interface Answer {
  readonly id: number
  readonly error?: string
  readonly data?: string
  readonly encryptionContext?: Readonly<Record<string, string>>
}

interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

/**
 * Starts the peer; the first time, installs it into `.cache/python` of the checkout.
 *
 * @throws UnavailableError where there is no Python ≥ 3.8 or the packages can't be installed.
 */
export async function startPythonPeer(): Promise<Peer> {
  const python = await installed()
  const child = spawn(python, ['-u', script], { stdio: 'pipe' })
  return new PythonPeer(child)
}

class PythonPeer implements Peer {
  readonly name = 'Python'
  readonly #child: ChildProcessWithoutNullStreams
  readonly #exited: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #stderr = ''

  constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4000)
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer // written by our own script
      this.#waiting.get(answer.id)?.resolve(answer)
      this.#waiting.delete(answer.id)
    })
    child.stdin.on('error', () => undefined) // 'exit' says more
    this.#exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`the Python peer ${how}\n${this.#stderr}`))
        this.#waiting.clear()
        resolve()
      }
      child.on('error', (error) => {
        ended(`did not start: ${error.message}`)
      })
      child.on('close', (code, signal) => {
        ended(`ended with ${signal ?? `exit code ${code ?? -1}`}`)
      })
    })
  }

  async encrypt({ frameLength, encryptionContext, ...message }: PeerPlaintext): Promise<Buffer> {
    const { data } = await this.#ask({ operation: 'encrypt', ...wire(message), frameLength, encryptionContext })
    return data
  }

  async decrypt(message: PeerMessage): Promise<PeerDecrypted> {
    const { data, encryptionContext } = await this.#ask({ operation: 'decrypt', ...wire(message) })
    return { plaintext: data, encryptionContext }
  }

  async #ask(request: object): Promise<{ data: Buffer; encryptionContext: Readonly<Record<string, string>> }> {
    const id = ++this.#lastId
    const answer = await new Promise<Answer>((resolve, reject) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        reject(new Error(`the Python peer is not running\n${this.#stderr}`))
        return
      }
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin.write(`${JSON.stringify({ id, ...request })}\n`)
    })
    if (answer.error !== undefined) throw new Error(answer.error)
    return { data: Buffer.from(answer.data ?? '', 'base64'), encryptionContext: answer.encryptionContext ?? {} }
  }

  async close(): Promise<void> {
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
    await this.#exited
    clearTimeout(timer)
  }
}

function wire({ suite, keys, data }: PeerMessage): object {
  return { suite, keys: keys.map(wireKey), data: data.toString('base64') }
}

function wireKey(key: PeerKey): object {
  const { keyNamespace, keyName, algorithm } = key
  const material = 'wrappingKey' in key ? key.wrappingKey.toString('base64') : key.privateKey
  return { keyNamespace, keyName, algorithm, material }
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
  const program = 'import sys; assert sys.version_info >= (3, 8), sys.version; print(sys.version)'
  try {
    return (await run(python, ['-c', program])).stdout
  } catch (error) {
    throw new UnavailableError(`the Python peer needs Python 3.8 or later as "${python}": ${reason(error)}`)
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
    throw new UnavailableError(`the Python peer could not be installed: ${reason(error)}`)
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
