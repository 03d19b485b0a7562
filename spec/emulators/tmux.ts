/** A terminal that a program can't tell from a person's: a window of tmux, from the system or its unpacked package. */
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { cachedFolder, lastLine } from '../interop/cached-folder.ts'
import { UnavailableError } from '../interop/pending.ts'
import { unpackPackages } from './debian-packages.ts'

const run = promisify(execFile)

const PATIENCE_MS = 30_000
const GLANCE_MS = 40

/** What a slim system lacks besides; one name is that of newer releases. */
const PACKAGES = ['libevent-core-2.1-7', 'libevent-core-2.1-7t64'].map((library) => ['tmux', 'libutempter0', library])

interface Program {
  readonly path: string
  readonly env: NodeJS.ProcessEnv
}

/** @throws UnavailableError where it is neither installed nor a package of the system's. */
export async function tmuxProgram(): Promise<Program> {
  const env = { ...process.env, LC_ALL: 'C.UTF-8' }
  const installed = { path: 'tmux', env }
  if (await starts(installed)) return installed
  let reason = 'it does not start'
  for (const names of PACKAGES) {
    const make = (folder: string): Promise<void> => unpackPackages(folder, names)
    try {
      const root = await cachedFolder({ name: 'tmux', stamp: names.join(' '), proof: 'usr/bin/tmux', make })
      const { stdout } = await run('sh', ['-c', 'ls -d "$0"/usr/lib/*-linux-*', root])
      const LD_LIBRARY_PATH = stdout.trim().split('\n').join(':')
      const unpacked = { path: join(root, 'usr/bin/tmux'), env: { ...env, LD_LIBRARY_PATH } }
      if (await starts(unpacked)) return unpacked
    } catch (error) {
      reason = lastLine(error)
    }
  }
  throw new UnavailableError(`tmux is not installed, and its Debian package can't be had: ${reason}`)
}

async function starts({ path, env }: Program): Promise<boolean> {
  return run(path, ['-V'], { env }).then(
    () => true,
    () => false,
  )
}

/** One window with a shell in it, whose prompt is `$ `. */
export class Terminal {
  readonly #program: Program
  /** A server of its own for each window. */
  readonly #server = `esdk-${randomUUID()}`

  private constructor(program: Program) {
    this.#program = program
  }

  /** @param folder where the shell begins */
  static async open(program: Program, folder: string): Promise<Terminal> {
    const terminal = new Terminal(program)
    await terminal.#tmux('-f', '/dev/null', 'new-session', '-d', '-x', '80', '-y', '24', '-c', folder, 'exec sh')
    try {
      await terminal.until(/^[#$] $/m)
      await terminal.type(`PS1='$ '; clear`)
      await terminal.until(/^\$ $/)
      return terminal
    } catch (error) {
      await terminal.close()
      throw error
    }
  }

  /** Types a line, and Enter. */
  async type(line: string): Promise<void> {
    await this.#tmux('send-keys', '-l', line)
    await this.press('Enter')
  }

  /** Presses a key, as tmux names it: `C-c`. */
  async press(key: string): Promise<void> {
    await this.#tmux('send-keys', key)
  }

  async resize(columns: number): Promise<void> {
    await this.#tmux('resize-window', '-x', String(columns), '-y', '24')
  }

  /** What is to be seen, without empty lines below; `styled`: with its colours. */
  async screen({ styled = false }: { readonly styled?: boolean } = {}): Promise<string> {
    const text = await this.#tmux('capture-pane', '-p', ...(styled ? ['-e'] : ['-N']))
    return text.replace(/\n+$/, '')
  }

  /** Waits until the screen is so, and gives it. */
  async until(expected: RegExp, options: { readonly styled?: boolean } = {}): Promise<string> {
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const screen = await this.screen(options)
      if (expected.test(screen)) return screen
      if (Date.now() > deadline) throw new Error(`the screen did not become ${String(expected)}:\n${screen}`)
      await setTimeout(GLANCE_MS)
    }
  }

  async isCursorVisible(): Promise<boolean> {
    return (await this.#tmux('display-message', '-p', '#{cursor_flag}')).trim() === '1'
  }

  async close(): Promise<void> {
    await this.#tmux('kill-server')
  }

  async #tmux(...args: readonly string[]): Promise<string> {
    const { path, env } = this.#program
    const { stdout } = await run(path, ['-u', '-L', this.#server, ...args], { env })
    return stdout
  }
}
