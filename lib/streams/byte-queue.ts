/**
 * The input of a protocol. Bytes wait here, in one block that the queue owns; a chunk that is lent is read where it lies,
 * and what is left of it is copied in, before it goes back to its writer.
 */
import { MalformedMessageError, type TruncatedMessageError, asError } from '../errors.ts'
import { type Reading, truncated } from '../format/reading.ts'
import { Turns } from './turns.ts'

interface Waiter {
  readonly count: number
  readonly resolve: (enough: boolean) => void
  readonly reject: (error: Error) => void
}

const FIRST_BLOCK_BYTES = 1024
const EMPTY = Buffer.alloc(0)

interface Loan {
  readonly bytes: Buffer
  start: number
  readonly release: () => void
}

/**
 * Fed by `push`, `lend`, `end` and `fail`; read by `atLeast`, `peek`, `take`, `takeWhole`, `read` and `finish`. Nothing
 * refers to a writer's buffer once it was pushed or given back; what is handed out are views that hold until the next
 * `await`.
 */
export class ByteQueue {
  #block: Buffer = EMPTY
  #start = 0
  #end = 0
  #received = 0
  #ended = false
  #failure: Error | undefined
  #waiter: Waiter | undefined
  #loan: Loan | undefined
  #limit: { readonly bytes: number; readonly excess: () => Error } | undefined
  readonly #want: () => void

  /** @param want called when the protocol waits for more bytes than there are; may push at once. */
  constructor(want: () => void) {
    this.#want = want
  }

  /** A queue of these bytes and no more. */
  static of(bytes: Uint8Array): ByteQueue {
    const queue = new ByteQueue(() => undefined)
    queue.#block = Buffer.from(bytes)
    queue.#end = bytes.length
    queue.#received = bytes.length
    queue.#ended = true
    return queue
  }

  /** Bytes that are there to be taken. */
  get length(): number {
    return this.#owned + (this.#loan === undefined ? 0 : this.#loan.bytes.length - this.#loan.start)
  }

  /** Bytes that are in the block. */
  get #owned(): number {
    return this.#end - this.#start
  }

  /** Bytes that have come in, in all. */
  get received(): number {
    return this.#received
  }

  /** Whether the protocol is waiting for more bytes. */
  get wanting(): boolean {
    return this.#waiter !== undefined
  }

  /** Copies bytes in. More than a set limit fail the queue instead. */
  push(bytes: Uint8Array): void {
    if (!this.#receive(bytes)) return
    this.#copyLoan()
    this.#append(bytes)
    this.#satisfy()
  }

  /**
   * Takes bytes in without copying them, which must stay as they are until `release` is called: at once where they are
   * too few for who waits, else when the protocol waits again. A queue that fails lets go of them and does not call it.
   */
  lend(bytes: Buffer, release: () => void): void {
    if (!this.#receive(bytes)) return
    this.#copyLoan()
    this.#loan = { bytes, start: 0, release }
    if (this.#waiter === undefined || this.length < this.#waiter.count) this.#endLoan()
    this.#satisfy()
  }

  #receive(bytes: Uint8Array): boolean {
    if (this.#failure !== undefined) return false
    this.#received += bytes.length
    if (this.#limit === undefined || this.#received <= this.#limit.bytes) return true
    this.fail(this.#limit.excess())
    return false
  }

  #satisfy(): void {
    if (this.#waiter === undefined || this.length < this.#waiter.count) return
    this.#settle((waiter) => {
      waiter.resolve(true)
    })
  }

  /** No more bytes will come. */
  end(): void {
    this.#ended = true
    this.#settle((waiter) => {
      waiter.resolve(false)
    })
  }

  /** Whoever waits, now or later, gets this error. The bytes are let go. */
  fail(error: Error): void {
    this.#failure ??= error
    this.#loan = undefined
    this.#block = EMPTY
    this.#start = 0
    this.#end = 0
    this.#settle((waiter) => {
      waiter.reject(error)
    })
  }

  /** Fails the queue as soon as more than `bytes` have come in. */
  limit(bytes: number, excess: () => Error): void {
    this.#limit = { bytes, excess }
    if (this.#received > bytes) this.fail(excess())
  }

  /** True when `count` bytes are there; false when the input ended with fewer. */
  async atLeast(count: number): Promise<boolean> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.length >= count) return true
    if (this.#ended) return false
    return new Promise((resolve, reject) => {
      this.#waiter = { count, resolve, reject }
      this.#endLoan()
      if (this.wanting) this.#want()
    })
  }

  /** A view of the next bytes, which must be there. It holds until the next `await`. */
  peek(count: number): Buffer {
    if (count > this.length) throw new RangeError('more bytes than there are')
    const loan = this.#loan
    if (loan !== undefined && this.#owned === 0) return loan.bytes.subarray(loan.start, loan.start + count)
    if (count > this.#owned) this.#copyLoan(count - this.#owned)
    return this.#block.subarray(this.#start, this.#start + count)
  }

  /** Like `peek`, and past them. */
  take(count: number): Buffer {
    const bytes = this.peek(count)
    if (this.#loan !== undefined && this.#owned === 0) this.#loan.start += count
    else this.#start += count
    return bytes
  }

  /** The next `count` units of `size` bytes: one view, or two of whole units where they don't lie together. */
  takeWhole(count: number, size: number): readonly Buffer[] {
    const together = Math.ceil(this.#owned / size)
    if (together === 0 || together >= count) return [this.take(count * size)]
    return [this.take(together * size), this.take((count - together) * size)]
  }

  /** The big-endian number at an offset; its four bytes must be there. */
  uint32At(offset: number): number {
    const inLoan = offset - this.#owned
    if (this.#loan !== undefined && inLoan >= 0) return this.#loan.bytes.readUInt32BE(this.#loan.start + inLoan)
    return this.peek(offset + 4).readUInt32BE(offset)
  }

  /** Waits until `count` bytes are there. @throws TruncatedMessageError when the input ends before. */
  async need(count: number): Promise<void> {
    if (!(await this.atLeast(count))) throw this.truncated()
  }

  /** The error for an input that ended inside a message. */
  truncated(): TruncatedMessageError {
    return truncated(this.#received)
  }

  /** Runs a reading over the input. */
  async read<T>(reading: Reading<T>): Promise<T> {
    let step = reading.next()
    while (step.done !== true) {
      const count = step.value
      if (count > this.length) await this.need(count)
      step = reading.next(Buffer.from(this.take(count)))
    }
    return step.value
  }

  /** Waits for the end of the input. @throws MalformedMessageError when bytes are left. */
  async finish(): Promise<void> {
    if (await this.atLeast(1)) throw new MalformedMessageError('there are bytes after the end of the message')
  }

  #settle(how: (waiter: Waiter) => void): void {
    const waiter = this.#waiter
    this.#waiter = undefined
    if (waiter !== undefined) how(waiter)
  }

  #endLoan(): void {
    const loan = this.#loan
    this.#copyLoan()
    this.#loan = undefined
    loan?.release()
  }

  /** Copies the next bytes of a lent chunk, all of them unless said, behind those of the block. */
  #copyLoan(count: number = this.length - this.#owned): void {
    if (this.#loan === undefined || count === 0) return
    const { bytes, start } = this.#loan
    this.#append(bytes.subarray(start, start + count))
    this.#loan.start += count
  }

  #append(bytes: Uint8Array): void {
    this.#makeRoom(bytes.length)
    this.#block.set(bytes, this.#end)
    this.#end += bytes.length
  }

  /** Room at the end of the block: what is left moves to the front, or into a block twice the size. Linear over all. */
  #makeRoom(count: number): void {
    if (this.#end + count <= this.#block.length) return
    const length = this.#owned
    const needed = length + count
    if (needed * 2 <= this.#block.length) {
      this.#block.copyWithin(0, this.#start, this.#end)
    } else {
      const block = Buffer.allocUnsafeSlow(Math.max(FIRST_BLOCK_BYTES, needed * 2))
      this.#block.copy(block, 0, this.#start, this.#end)
      this.#block = block
    }
    this.#start = 0
    this.#end = length
  }
}

/** At most so much of a chunk is copied into a queue before its protocol works on it. */
export const SLICE_BYTES: number = 256 * 1024

/** A queue that asks `pull` for bytes whenever its protocol wants more; `undefined` is the end. */
export function pulledQueue(pull: () => Promise<Uint8Array | undefined>): ByteQueue {
  const turns = new Turns()
  let pulling = false
  let pulled: Uint8Array = new Uint8Array(0)
  const queue = new ByteQueue(() => {
    if (!pulling) void feed()
  })
  const feed = async (): Promise<void> => {
    pulling = true
    try {
      while (queue.wanting) {
        if (pulled.length > 0) {
          queue.push(pulled.subarray(0, SLICE_BYTES))
          pulled = pulled.subarray(SLICE_BYTES)
          continue
        }
        const bytes = await pull()
        if (turns.due(bytes?.length ?? 0)) await turns.turn()
        if (bytes === undefined) queue.end()
        else pulled = bytes
      }
    } catch (error) {
      queue.fail(asError(error))
    } finally {
      pulling = false
    }
  }
  return queue
}
