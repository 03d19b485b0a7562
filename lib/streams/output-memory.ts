/** Memory of output that is used again, where the sink says when it is through with a chunk. */

/** So many blocks are kept for later: as many as a sink has waiting. */
const MAX_FREE = 16

/** Blocks come in steps, so that batches of nearly one size share them. What takes less than a step gets no block. */
const STEP_BYTES = 64 * 1024

interface Lent {
  readonly block: Buffer
  /** Bytes that have not been given back. */
  left: number
}

/**
 * Gives out blocks, and takes them back when all bytes of one have been given back, in whatever pieces. Fresh memory costs
 * as much as sealing what is written into it, so a sink that can tell is worth asking.
 */
export class OutputMemory {
  readonly #free: Buffer[] = []
  readonly #lent = new Map<ArrayBufferLike, Lent>()

  /** Memory for so many bytes, with anything in it. */
  take(bytes: number): Buffer {
    if (bytes < STEP_BYTES) return Buffer.allocUnsafe(bytes)
    const fitting = this.#free.findLastIndex(({ length }) => length >= bytes)
    const block =
      this.#free.splice(fitting, fitting < 0 ? 0 : 1)[0] ??
      Buffer.allocUnsafeSlow(Math.ceil(bytes / STEP_BYTES) * STEP_BYTES)
    this.#lent.set(block.buffer, { block, left: bytes })
    return block.subarray(0, bytes)
  }

  /** Takes back a chunk that nobody will look at again. One that did not come from here is left alone. */
  give(chunk: Uint8Array): void {
    const lent = this.#lent.get(chunk.buffer)
    if (lent === undefined) return
    lent.left -= chunk.length
    if (lent.left > 0) return
    this.#lent.delete(chunk.buffer)
    this.#free.push(lent.block)
    if (this.#free.length > MAX_FREE) this.#free.shift()
  }
}

/** What allocates in a memory, where there is one. */
export function allocatorOf(memory: OutputMemory | undefined): ((bytes: number) => Buffer) | undefined {
  return memory === undefined ? undefined : (bytes) => memory.take(bytes)
}
