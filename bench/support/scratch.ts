/** A folder for large files, in memory where the system has such a place, that does not outlive its use. */
import { existsSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onSignal } from './signals.ts'

const TMPFS = '/dev/shm'

export class Scratch {
  readonly path: string
  readonly #forget: () => void

  private constructor(path: string) {
    this.path = path
    this.#forget = onSignal(() => {
      rmSync(path, { recursive: true, force: true })
    })
  }

  static async make(): Promise<Scratch> {
    return new Scratch(await mkdtemp(join(existsSync(TMPFS) ? TMPFS : tmpdir(), 'esdk-bench-')))
  }

  async remove(): Promise<void> {
    this.#forget()
    await rm(this.path, { recursive: true, force: true })
  }
}
