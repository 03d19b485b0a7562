/** A place for ciphertext to wait: memory while it is small, else a file that has no name. */
import type { FileHandle } from 'node:fs/promises'

const MEMORY_BYTES = 1024 * 1024
const READ_BYTES = 256 * 1024

/** Written once from front to back, then read once from front to back. */
export class Spool {
  readonly #folder: string | undefined
  #parts: Buffer[] = []
  #inMemory = 0
  #file: FileHandle | undefined
  #written = 0
  #read = 0

  /** @param folder where the file goes, if there must be one; the system's folder for temporary files unless said. */
  constructor(folder: string | undefined) {
    this.#folder = folder
  }

  /** Adds bytes; they are the spool's from then on. */
  async write(bytes: Buffer): Promise<void> {
    this.#parts.push(bytes)
    this.#inMemory += bytes.length
    if (this.#file === undefined && this.#inMemory <= MEMORY_BYTES) return
    this.#file ??= await unlinkedFile(this.#folder)
    for (const part of this.#parts) this.#written += await writeWhole(this.#file, part, this.#written)
    this.#parts = []
    this.#inMemory = 0
  }

  /** The next bytes, or `undefined` after the last. */
  async read(): Promise<Buffer | undefined> {
    if (this.#file === undefined) return this.#parts.shift()
    const length = Math.min(READ_BYTES, this.#written - this.#read)
    if (length === 0) return undefined
    const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(length), 0, length, this.#read)
    if (bytesRead === 0) throw new Error('the spool file is shorter than what was written to it')
    this.#read += bytesRead
    return buffer.subarray(0, bytesRead)
  }

  /** Frees memory or disk. */
  async close(): Promise<void> {
    this.#parts = []
    await this.#file?.close()
  }
}

/** A file of mode 0600 that is unlinked as soon as it is open. */
async function unlinkedFile(folder: string | undefined): Promise<FileHandle> {
  // Loaded here, so that the streams by themselves do not load the file system's modules.
  const [{ open, unlink }, { tmpdir }, path, { randomUUID }] = await Promise.all([
    import('node:fs/promises'),
    import('node:os'),
    import('node:path'),
    import('node:crypto'),
  ])
  const name = path.join(folder ?? tmpdir(), `esdk-${randomUUID()}.spool`)
  const file = await open(name, 'wx+', 0o600)
  try {
    await unlink(name)
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

async function writeWhole(file: FileHandle, bytes: Buffer, position: number): Promise<number> {
  let done = 0
  while (done < bytes.length) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten
  }
  return done
}
