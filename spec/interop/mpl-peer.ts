/** The AWS Cryptographic Material Providers Library, in a process of its own that answers JSON lines. See mpl-peer.py. */
import { execFile, spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { PeerDecrypted, RsaPeerKey } from './peer.ts'
import { UnavailableError } from './pending.ts'

const run = promisify(execFile)

const requirements = fileURLToPath(new URL('mpl-requirements.txt', import.meta.url))
const script = fileURLToPath(new URL('mpl-peer.py', import.meta.url))
const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
const folder = `${cache}mpl`
const stampFile = 'esdk-streams-stamp'

const windows = process.platform === 'win32'
const INSTALL_TIMEOUT_MS = 240_000

/** A keyring of the library, as mpl-peer.py makes it. PEM is text, DER and keys are base64. */
export type MplKeyring =
  | { readonly type: 'raw-aes'; readonly keyNamespace: string; readonly keyName: string; readonly wrappingKey: string }
  | (Pick<RsaPeerKey, 'keyNamespace' | 'keyName' | 'publicKey' | 'privateKey'> & {
      readonly type: 'raw-rsa'
      readonly paddingScheme: string
    })
  | ({ readonly type: 'raw-ecdh'; readonly curveSpec: string } & (
      | { readonly schema: 'ephemeral'; readonly recipientPublicKey: string }
      | { readonly schema: 'discovery'; readonly recipientPrivateKey: string }
      | { readonly schema: 'static'; readonly senderPrivateKey: string; readonly recipientPublicKey: string }
    ))
  | { readonly type: 'multi'; readonly generator?: MplKeyring; readonly children: readonly MplKeyring[] }

/** A message to read. The pairs are what the reader reproduces. */
export interface MplMessage {
  readonly suite: number
  readonly keyring: MplKeyring
  readonly data: Buffer
  readonly encryptionContext?: Readonly<Record<string, string>>
  readonly requiredEncryptionContextKeys?: readonly string[]
}

/** A message to write. */
export interface MplPlaintext extends MplMessage {
  readonly frameLength: number
}

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
 * Starts the peer; the first time, installs it into `.cache/mpl` of the checkout.
 *
 * @param environment added to this process's own, such as `AWS_ENDPOINT_URL` and credentials for it
 * @throws UnavailableError where there is no Python ≥ 3.11 or the packages can't be installed.
 */
export async function startMplPeer(environment: Readonly<Record<string, string>> = {}): Promise<MplPeer> {
  const python = await installed()
  return new MplPeer(spawn(python, ['-u', script], { stdio: 'pipe', env: { ...process.env, ...environment } }))
}

export class MplPeer {
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
    child.stdin.on('error', () => undefined) // 'close' says more
    this.#exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`the MPL peer ${how}\n${this.#stderr}`))
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

  /** The message. */
  async encrypt(plaintext: MplPlaintext): Promise<Buffer> {
    return (await this.#message('encrypt', plaintext)).plaintext
  }

  async decrypt(message: MplMessage): Promise<PeerDecrypted> {
    return await this.#message('decrypt', message)
  }

  async #message(operation: string, message: MplMessage): Promise<PeerDecrypted> {
    const answer = await this.ask(operation, {
      encryptionContext: {},
      requiredEncryptionContextKeys: [],
      ...message,
      data: message.data.toString('base64'),
    })
    return { plaintext: Buffer.from(answer.data ?? '', 'base64'), encryptionContext: answer.encryptionContext ?? {} }
  }

  /** The answer to one request. @throws Error with the text of the peer's. */
  async ask(operation: string, request: object): Promise<Answer> {
    const id = ++this.#lastId
    const answer = await new Promise<Answer>((resolve, reject) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        reject(new Error(`the MPL peer is not running\n${this.#stderr}`))
        return
      }
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin.write(`${JSON.stringify({ ...request, id, operation })}\n`)
    })
    if (answer.error !== undefined) throw new Error(answer.error)
    return answer
  }

  async close(): Promise<void> {
    this.#child.stdin.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
    await this.#exited
    clearTimeout(timer)
  }
}

/** The interpreter of the virtual environment, made anew when the requirements or the Python version changed. */
async function installed(): Promise<string> {
  const { python, version } = await systemPython()
  const stamp = createHash('sha256')
    .update(version)
    .update(await readFile(requirements))
    .digest('hex')
  if (!(await isReady(stamp))) await install(python, stamp)
  return interpreter(folder)
}

function interpreter(environment: string): string {
  return `${environment}/${windows ? 'Scripts' : 'bin'}/python`
}

async function isReady(stamp: string): Promise<boolean> {
  const found = await readFile(`${folder}/${stampFile}`, 'utf8').catch(() => undefined)
  return found === stamp
}

/** The first Python that is new enough; the system's own may be too old while a newer one is beside it. */
async function systemPython(): Promise<{ python: string; version: string }> {
  const program = 'import sys; assert sys.version_info >= (3, 11), sys.version; print(sys.version)'
  const asked = process.env['PYTHON']
  const names =
    asked !== undefined ? [asked] : windows ? ['python'] : ['python3', 'python3.12', 'python3.13', 'python3.11']
  let failure: unknown
  for (const python of names) {
    try {
      return { python, version: (await run(python, ['-c', program])).stdout }
    } catch (error) {
      failure ??= error
    }
  }
  throw new UnavailableError(`the MPL peer needs Python 3.11 or later as "${names[0]!}": ${reason(failure)}`)
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
    throw new UnavailableError(`the MPL peer could not be installed: ${reason(error)}`)
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
