/** `--metadata-output`: a file that records are appended to. */
import { type FileHandle, open, unlink } from 'node:fs/promises'
import type { BigIntStats } from 'node:fs'
import { codeOf } from './failure.ts'

/** A metadata file under way: opened before the work, so that the work is not done in vain. */
export class MetadataFile {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #created: boolean
  /** Whether what was there before is still to be taken away. */
  #overwrites: boolean

  private constructor(path: string, handle: FileHandle, created: boolean, overwrites: boolean) {
    this.#path = path
    this.#handle = handle
    this.#created = created
    this.#overwrites = overwrites
  }

  /** Opens the file, or makes it with mode 0600. The first record replaces what it holds, where that is wanted. */
  static async open(path: string, overwrites = false): Promise<MetadataFile> {
    try {
      return new MetadataFile(path, await open(path, 'ax', 0o600), true, false)
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
      const handle = await open(path, 'a')
      return new MetadataFile(path, handle, false, overwrites && (await handle.stat()).isFile())
    }
  }

  async stats(): Promise<BigIntStats> {
    return this.#handle.stat({ bigint: true })
  }

  /** Appends a record. */
  async add(record: unknown): Promise<void> {
    if (this.#overwrites) await this.#handle.truncate()
    this.#overwrites = false
    await this.#handle.appendFile(`${JSON.stringify(record)}\n`)
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  /** Appends a record and closes the file. */
  async finish(record: unknown): Promise<void> {
    await this.add(record)
    await this.close()
  }

  /** Closes the file, and takes it away where it was not there before. Never fails. */
  async discard(): Promise<void> {
    await this.#handle.close().catch(() => undefined)
    if (this.#created) await unlink(this.#path).catch(() => undefined)
  }
}
