/** How fast messages are made and read on this machine. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { decryptFile, encryptFile } from '../adapters/file.ts'
import { RawAesKeyring } from '../keyrings/raw-aes-keyring.ts'
import { DecryptStream } from '../streams/decrypt-stream.ts'
import { EncryptStream } from '../streams/encrypt-stream.ts'
import { decrypt, encrypt } from '../streams/message.ts'
import { DEFAULT_FRAME_LENGTH } from '../streams/options.ts'
import { Turns } from '../streams/turns.ts'
import { named } from './places.ts'

const MIB = 1024 * 1024
const PLAINTEXT_BYTES = 8 * MIB
const CHUNK_BYTES = 64 * 1024
const MESSAGE_BYTES = 256
const SUITES = { signed: 0x0578, unsigned: 0x0478 } as const

export const STREAM_KINDS: readonly StreamKind[] = [true, false].flatMap((signed) =>
  [DEFAULT_FRAME_LENGTH, 65536, MIB].map((frameLength) => ({ signed, frameLength })),
)
export const MESSAGE_KINDS: readonly MessageKind[] = [true, false].map((signed) => ({ signed, length: MESSAGE_BYTES }))

interface StreamKind {
  readonly signed: boolean
  readonly frameLength: number
}

interface MessageKind {
  readonly signed: boolean
  readonly length: number
}

/** In MiB of plaintext a second. */
export interface Speed extends StreamKind {
  readonly encrypt: number
  readonly decrypt: number
}

/** In messages a second. */
export interface MessageRate extends MessageKind {
  readonly encrypt: number
  readonly decrypt: number
}

/** In MiB of plaintext a second. */
export interface FileSpeed extends Speed {
  readonly path: string
  /** Of the file, in bytes. */
  readonly length: number
}

/** Shares the time among what is to be measured. */
export class Budget {
  readonly #end: number
  #left: number

  constructor(seconds: number, withFile: boolean) {
    this.#end = performance.now() + seconds * 1000
    this.#left = 2 * (STREAM_KINDS.length + MESSAGE_KINDS.length) + (withFile ? 2 * FILE_SHARES : 0)
  }

  /** When the next is to end, who takes some of the shares that are left. */
  next(shares = 1): number {
    const now = performance.now()
    const end = now + (Math.max(0, this.#end - now) * shares) / this.#left
    this.#left -= shares
    return end
  }
}

/** A file takes as long as three of the others. */
const FILE_SHARES = 3

function keyringOfOurOwn(): RawAesKeyring {
  return new RawAesKeyring({ keyNamespace: 'esdk', keyName: 'bench', wrappingKey: randomBytes(32) })
}

/** @throws Error where what is decrypted is not what was encrypted; `AbortError`. */
export async function streamSpeed(kind: StreamKind, budget: Budget, signal: AbortSignal): Promise<Speed> {
  const keyring = keyringOfOurOwn()
  const plaintext = randomBytes(PLAINTEXT_BYTES)
  const options = { keyring, algorithmSuite: suiteOf(kind), frameLength: kind.frameLength }
  const encryptor = (): EncryptStream => new EncryptStream(options)
  const decryptor = (): DecryptStream => new DecryptStream({ keyring })
  const message = await collected(plaintext, encryptor(), signal)
  assertSame(await collected(message, decryptor(), signal), plaintext)
  const speed = async (bytes: Buffer, make: () => EncryptStream | DecryptStream): Promise<number> =>
    PLAINTEXT_BYTES / MIB / (await medianSeconds(() => pass(bytes, make(), signal), budget.next()))
  return { ...kind, encrypt: await speed(plaintext, encryptor), decrypt: await speed(message, decryptor) }
}

/** @throws as {@link streamSpeed} does. */
export async function messageRate(kind: MessageKind, budget: Budget, signal: AbortSignal): Promise<MessageRate> {
  const keyring = keyringOfOurOwn()
  const plaintext = randomBytes(kind.length)
  const encrypted = async (): Promise<Buffer> =>
    (await encrypt(plaintext, { keyring, algorithmSuite: suiteOf(kind), signal })).ciphertext
  const message = await encrypted()
  const decrypted = async (): Promise<Buffer> => (await decrypt(message, { keyring, signal })).plaintext
  assertSame(await decrypted(), plaintext)
  return {
    ...kind,
    encrypt: await callsPerSecond(encrypted, budget.next(), signal),
    decrypt: await callsPerSecond(decrypted, budget.next(), signal),
  }
}

/** Leaves nothing behind. @throws FileFailure about the file; as {@link streamSpeed} does. */
export async function fileSpeed(path: string, budget: Budget, signal: AbortSignal): Promise<FileSpeed> {
  return named(path, async () => {
    const { size } = await stat(path)
    const folder = await mkdtemp(join(dirname(path), '.esdk-bench-'))
    try {
      const [message, back] = [join(folder, 'message'), join(folder, 'back')]
      const keyring = keyringOfOurOwn()
      const mebibytes = size / MIB
      const sealed = (): Promise<unknown> => encryptFile(path, message, { keyring, signal })
      const opened = (): Promise<unknown> => decryptFile(message, back, { keyring, signal })
      return {
        ...{ path, length: size, signed: true, frameLength: DEFAULT_FRAME_LENGTH },
        encrypt: mebibytes / (await medianSeconds(sealed, budget.next(FILE_SHARES))),
        decrypt: mebibytes / (await medianSeconds(opened, budget.next(FILE_SHARES))),
      }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
}

function suiteOf({ signed }: { readonly signed: boolean }): number {
  return signed ? SUITES.signed : SUITES.unsigned
}

function assertSame(bytes: Buffer, plaintext: Buffer): void {
  if (!bytes.equals(plaintext)) throw new Error('what was decrypted is not what was encrypted')
}

/** Over and over until the time is up, once at least. */
async function medianSeconds(work: () => Promise<unknown>, end: number): Promise<number> {
  const seconds: number[] = []
  do {
    const start = performance.now()
    await work()
    seconds.push((performance.now() - start) / 1000)
  } while (performance.now() < end)
  return seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)]!
}

async function callsPerSecond(call: () => Promise<unknown>, end: number, signal: AbortSignal): Promise<number> {
  const turns = new Turns()
  const start = performance.now()
  let count = 0
  do {
    await call()
    count += 1
    if (turns.due(0)) await turns.turn()
    signal.throwIfAborted()
  } while (performance.now() < end)
  return (count * 1000) / (performance.now() - start)
}

async function collected(bytes: Buffer, stream: EncryptStream | DecryptStream, signal: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = []
  await pass(bytes, stream, signal, (part) => parts.push(part))
  return Buffer.concat(parts)
}

/** All of the bytes through a stream, in chunks as a file or a socket gives them. */
async function pass(
  bytes: Buffer,
  stream: EncryptStream | DecryptStream,
  signal: AbortSignal,
  take: (part: Buffer) => void = () => undefined,
): Promise<void> {
  let offset = 0
  const source = new Readable({
    highWaterMark: CHUNK_BYTES,
    read() {
      this.push(offset < bytes.length ? bytes.subarray(offset, (offset += CHUNK_BYTES)) : null)
    },
  })
  const sink = new Writable({
    highWaterMark: CHUNK_BYTES,
    write(part: Buffer, _encoding, callback) {
      take(part)
      callback()
    },
  })
  await pipeline(source, stream, sink, { signal })
}
