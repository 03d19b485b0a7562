/** Opening a message for random access: its header, where its frames lie, and the proof that it is whole. */
import type { KeyObject } from 'node:crypto'
import { cryptoEngine } from '../crypto/engine.ts'
import { type FrameCipher, SequenceCounter } from '../crypto/frame-cipher.ts'
import { ChangedError, PolicyError, UnsupportedError, isEncryptionSdkError } from '../errors.ts'
import { FINAL_FRAME, REGULAR_FRAME, readFinalFrameStart } from '../format/frame.ts'
import { TAG_BYTES } from '../format/header-authentication.ts'
import { type MessageHeader, readMessageHeader } from '../format/message-header.ts'
import { framesOf, wrongLength } from '../format/message-size.ts'
import { readFrom, recorded } from '../format/reading.ts'
import { unlessAborted } from '../materials/shared-request.ts'
import { type ByteQueue, pulledQueue } from '../streams/byte-queue.ts'
import { openMessageHeader } from '../streams/open-header.ts'
import { type DecryptOptions, type DecryptSettings, decryptSettings } from '../streams/options.ts'

/** Bytes that can be read at any position: an open file, an object. */
export interface RandomAccessSource {
  /** How many bytes there are. */
  readonly size: number
  /** The `length` bytes at `position`, which lie within the size. May be asked for several ranges at once. */
  read(position: number, length: number, options: { readonly signal?: AbortSignal }): Promise<Uint8Array>
  /** Called once, when the message is closed. */
  close?(): Promise<void>
}

/** What a message is opened with, for random access. */
export interface OpenMessageOptions extends Omit<DecryptOptions, 'verifyFirst' | 'spoolFolder' | 'onProgress'> {
  /**
   * Also open signed messages. Each frame that is read is authenticated all the same, but not who signed: a signature is
   * over the whole message. Off unless said.
   */
  readonly allowUnverifiedSignature?: boolean
  /** Bytes of plaintext that are kept for the next read; room for two frames, at least 1 MiB, unless said. 0 keeps none. */
  readonly cacheBytes?: number
  /** How many requests to the source one read may have under way; 4 unless said. */
  readonly concurrency?: number
}

/** Where everything lies in a message that is whole. */
export interface OpenedFrames {
  readonly header: MessageHeader
  readonly messageKey: KeyObject
  /** Where the first frame begins. */
  readonly bodyStart: number
  /** Number of regular frames before the final one. */
  readonly regular: number
  /** The final frame's content, authenticated. */
  readonly final: Buffer
}

/** Read at the front at once: more than a usual header, and one request. */
const HEAD_BYTES = 64 * 1024

/** Reads from a source, and insists on what was asked for. */
export async function readExactly(
  source: RandomAccessSource,
  position: number,
  length: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  signal?.throwIfAborted()
  const reading = source.read(position, length, signal === undefined ? {} : { signal })
  const bytes = await unlessAborted(reading, signal)
  if (bytes.length !== length) {
    throw new ChangedError(
      `the message changed while it was read: ${bytes.length} of ${length} bytes are there at ${position}`,
    )
  }
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Opens a message: authenticates its header, finds its frames, and authenticates the final one. */
export async function openFrames(source: RandomAccessSource, options: OpenMessageOptions): Promise<OpenedFrames> {
  const settings = decryptSettings(options)
  const { allowUnverifiedSignature = false, signal } = options
  const { size } = source
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new TypeError(`"size" expected a non-negative integer, got ${String(size)}`)
  }
  const head = new Head(source, signal)
  const unverified = await head
    .queue()
    .read(recorded(readMessageHeader(settings.limits), settings.limits.maxHeaderBytes, 'header'))
  checkRandomAccess(unverified.value, allowUnverifiedSignature)
  const queue = head.queue()
  const { header, messageKey } = await openHeader(queue, settings, signal)
  const bodyStart = queue.received - queue.length
  const tail = new Tail({ header, messageKey, bodyStart, size })
  const from = Math.max(bodyStart, size - tail.maxBytes)
  return { header, messageKey, bodyStart, ...tail.open(await head.read(from, size - from)) }
}

/** Everything that speaks against it, before any key is asked for. */
function checkRandomAccess({ contentType, suite }: MessageHeader, allowUnverifiedSignature: boolean): void {
  if (contentType !== 'framed') {
    throw new UnsupportedError('the message is not framed: it can only be decrypted as a whole')
  }
  if (suite.signature !== undefined && !allowUnverifiedSignature) {
    throw new PolicyError(
      'the message is signed, and a signature can be verified only over the whole message: "allowUnverifiedSignature" ' +
        'reads it without; encrypt with "randomAccess" to have no need of that',
    )
  }
}

async function openHeader(
  queue: ByteQueue,
  settings: DecryptSettings,
  signal: AbortSignal | undefined,
): Promise<{ header: MessageHeader; messageKey: KeyObject }> {
  const stats = { bytesIn: 0, bytesOut: 0, frames: 0 }
  return openMessageHeader(queue, settings, { signal, stats, onHeader: () => undefined })
}

/** The front of a message, read in large blocks, each once. */
class Head {
  readonly #source: RandomAccessSource
  readonly #signal: AbortSignal | undefined
  #bytes: Buffer = Buffer.alloc(0)

  constructor(source: RandomAccessSource, signal: AbortSignal | undefined) {
    this.#source = source
    this.#signal = signal
  }

  /** All from the start, as far as it is asked for. */
  queue(): ByteQueue {
    let given = 0
    return pulledQueue(async () => {
      if (given === this.#bytes.length) await this.#readOn()
      if (given === this.#bytes.length) return undefined
      const bytes = this.#bytes.subarray(given)
      given = this.#bytes.length
      return bytes
    })
  }

  async #readOn(): Promise<void> {
    const start = this.#bytes.length
    const length = Math.min(HEAD_BYTES, this.#source.size - start)
    if (length === 0) return
    this.#bytes = Buffer.concat([this.#bytes, await readExactly(this.#source, start, length, this.#signal)])
  }

  /** From what was read already, as far as that goes. */
  async read(position: number, length: number): Promise<Buffer> {
    const known = this.#bytes.subarray(position, position + length)
    if (known.length === length) return known
    return readExactly(this.#source, position, length, this.#signal)
  }
}

interface TailParameters extends Pick<OpenedFrames, 'header' | 'messageKey' | 'bodyStart'> {
  readonly size: number
}

/** The end of a message: the final frame, and the footer of a signed one. */
class Tail {
  readonly #message: TailParameters

  constructor(message: TailParameters) {
    this.#message = message
  }

  /** The longest that it may be. */
  get maxBytes(): number {
    const { frameLength } = this.#message.header
    return FINAL_FRAME.overhead + frameLength + this.#maxFooterBytes
  }

  get #maxFooterBytes(): number {
    const { signature } = this.#message.header.suite
    return signature === undefined ? 0 : 2 + signature.maxSignatureBytes
  }

  /** Finds the final frame and authenticates it. `bytes` are the last of the message. */
  open(bytes: Buffer): Pick<OpenedFrames, 'regular' | 'final'> {
    const { header, size } = this.#message
    let failure: Error | undefined
    for (const footer of this.#footers(bytes)) {
      try {
        return this.#openFinal(bytes, footer)
      } catch (error) {
        if (!isEncryptionSdkError(error)) throw error
        failure ??= error
      }
    }
    throw failure ?? wrongLength(size, header.frameLength)
  }

  /** How long the footer may be: a signature's length varies, and stands before it. The final frame's tag decides. */
  *#footers(bytes: Buffer): Generator<number, void> {
    if (this.#maxFooterBytes === 0) yield 0
    for (let length = Math.min(this.#maxFooterBytes, bytes.length); length > 2; length--) {
      if (bytes.readUInt16BE(bytes.length - length) === length - 2) yield length
    }
  }

  #openFinal(bytes: Buffer, footer: number): Pick<OpenedFrames, 'regular' | 'final'> {
    const { header, bodyStart, size } = this.#message
    const { frameLength } = header
    const frames = framesOf(size - footer - bodyStart, frameLength)
    if (frames === undefined) throw wrongLength(size, frameLength)
    const { regular, finalLength } = frames
    const end = bytes.length - footer
    const frame = bytes.subarray(end - FINAL_FRAME.overhead - finalLength, end)
    const start = readFrom(readFinalFrameStart(frameLength), frame).value
    if (start.contentLength !== finalLength) throw wrongLength(size, frameLength)
    const content = frame.subarray(FINAL_FRAME.contentOffset, FINAL_FRAME.contentOffset + finalLength)
    const final = withCipher(this.#message, regular + 1, (cipher) =>
      cipher.openFinal(start, content, frame.subarray(-TAG_BYTES)),
    )
    return { regular, final }
  }
}

/** Opens regular frames that follow each other. */
export function openRegularFrames(message: OpenedFrames, first: number, bytes: Buffer): Buffer {
  return withCipher(message, first, (cipher) => cipher.openRegular(bytes))
}

/** Works with a frame cipher that begins at the frame of that number. */
function withCipher(
  { header, messageKey }: Pick<OpenedFrames, 'header' | 'messageKey'>,
  first: number,
  work: (cipher: FrameCipher) => Buffer,
): Buffer {
  const { messageId, frameLength } = header
  const cipher = cryptoEngine().createFrameCipher({ messageKey, messageId, frameLength }, new SequenceCounter(first))
  try {
    return work(cipher)
  } finally {
    cipher.close()
  }
}

/** Where regular frames lie in the message; the first has number 1. */
export function regularFramesAt({ header, bodyStart }: OpenedFrames, first: number, count: number): [number, number] {
  const size = header.frameLength + REGULAR_FRAME.overhead
  return [bodyStart + (first - 1) * size, count * size]
}
