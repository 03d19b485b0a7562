/** A child process that answers JSON lines: one request a line, one answer a line, matched by `id`. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'

/** What the peers' scripts answer. */
export interface Answer {
  readonly id: number
  readonly error?: string
  readonly data?: string
  readonly encryptionContext?: Readonly<Record<string, string>>
  readonly branchKeyId?: string
  readonly branchKeyVersion?: string
  /** How long it took, where that was asked. */
  readonly seconds?: number
}

interface Waiting {
  readonly resolve: (answer: Answer) => void
  readonly reject: (error: Error) => void
}

const CLOSE_TIMEOUT_MS = 5000

/** Asks the child; its end fails whoever still waits. */
export class JsonLinesChild {
  readonly #what: string
  readonly #child: ChildProcessWithoutNullStreams
  readonly #exited: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #stderr = ''

  /** @param what the child, in messages */
  constructor(what: string, child: ChildProcessWithoutNullStreams) {
    this.#what = what
    this.#child = child
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-4000)
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer // written by our own scripts
      this.#waiting.get(answer.id)?.resolve(answer)
      this.#waiting.delete(answer.id)
    })
    child.stdin.on('error', () => undefined) // 'close' says more
    this.#exited = new Promise((resolve) => {
      const ended = (how: string): void => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`${what} ${how}\n${this.#stderr}`))
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

  /** The answer to one request. @throws Error with the text of the child's. */
  async ask(operation: string, request: object): Promise<Answer> {
    const id = ++this.#lastId
    const answer = await new Promise<Answer>((resolve, reject) => {
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        reject(new Error(`${this.#what} is not running\n${this.#stderr}`))
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
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), CLOSE_TIMEOUT_MS)
    await this.#exited
    clearTimeout(timer)
  }
}
