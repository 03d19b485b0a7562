/** From a source through a message's stream into a target, with nothing left behind on failure. */
import { pipeline } from 'node:stream/promises'
import { ChangedError, LengthError, LimitError, isError } from '../errors.ts'
import type { MessageHeader } from '../format/message-header.ts'
import { abortError } from '../streams/abort-error.ts'
import { decryptProtocol } from '../streams/decrypt-stream.ts'
import { encryptProtocol } from '../streams/encrypt-stream.ts'
import { type DecryptOptions, type EncryptOptions, decryptSettings, encryptSettings } from '../streams/options.ts'
import type { OutputMemory } from '../streams/output-memory.ts'
import {
  type DriverOptions,
  type MessageStats,
  type Protocol,
  ProtocolTransform,
} from '../streams/protocol-transform.ts'
import { type ReencryptOptions, reencryptProtocol } from '../streams/reencrypt.ts'
import type { FileSource } from './file-source.ts'
import type { FileTarget } from './file-target.ts'
import { MessageReader } from './message-reader.ts'
import type { OpenMessageOptions, RandomAccessSource } from './open-message.ts'

/** What came of a file. */
export interface FileResult {
  /** The message's header; of a decryption, authenticated. */
  readonly header: MessageHeader
  /** Bytes read, bytes written, frames. */
  readonly stats: MessageStats
}

/** Says for a chunk written to a stream only when it was worked on: the blocks of a file are used again. */
const ONE_BLOCK_AT_A_TIME = { writableHighWaterMark: 1 } as const

/** A message's stream between files, whose output lies in memory that the target gives back. */
class TransferStream extends ProtocolTransform {
  constructor(protocol: Protocol, options: DriverOptions, memory: OutputMemory | undefined) {
    super(protocol, { ...options, ...ONE_BLOCK_AT_A_TIME }, { memory })
  }
}

/** Encrypts a source into a target, and ends the target. A file that grows or shrinks meanwhile is a `ChangedError`. */
export async function encryptTransfer(
  source: FileSource,
  target: FileTarget,
  { signal, ...options }: EncryptOptions,
): Promise<FileResult> {
  const length = lengthToSay(source, options)
  const bound = length === undefined && !isBounded(options) ? source.lengthBound : undefined
  const said = {
    ...(length !== undefined && { plaintextLength: length }),
    ...(bound !== undefined && { plaintextLengthBound: bound }),
  }
  try {
    const protocol = (): Protocol => encryptProtocol(encryptSettings({ ...options, ...said }))
    return await transfer(source, target, protocol, { ...options, signal })
  } catch (cause) {
    if (bound !== undefined && cause instanceof LimitError) {
      throw new ChangedError('the file changed while it was read: it is longer than when it was opened', { cause })
    }
    if (length === undefined || !(cause instanceof LengthError)) throw cause
    throw new ChangedError(
      `the file changed while it was read: it is not the ${length} bytes long that it was when it was opened`,
      { cause },
    )
  }
}

/** A length of the caller's own counts more; passing a bound of the caller's is left to be found. */
function lengthToSay(
  { length }: FileSource,
  { plaintextLength, plaintextLengthBound = Infinity }: EncryptOptions,
): number | undefined {
  return plaintextLength !== undefined || length === undefined || length > plaintextLengthBound ? undefined : length
}

/** Whether the caller says how long the plaintext is, or at most. */
function isBounded({ plaintextLength, plaintextLengthBound }: EncryptOptions): boolean {
  return plaintextLength !== undefined || plaintextLengthBound !== undefined
}

/** Decrypts a source into a target, and ends the target. What can't be taken back is written only when all verified. */
export async function decryptTransfer(
  source: FileSource,
  target: FileTarget,
  { signal, ...options }: DecryptOptions,
): Promise<FileResult> {
  const verifyFirst = options.verifyFirst ?? target.direct
  const protocol = (): Protocol => decryptProtocol(decryptSettings({ ...options, verifyFirst }))
  return transfer(source, target, protocol, { ...options, signal })
}

/** Decrypts a source and encrypts it anew into a target, and ends the target. */
export async function reencryptTransfer(
  source: FileSource,
  target: FileTarget,
  { from, to, signal, ...options }: ReencryptOptions,
): Promise<FileResult> {
  const verifyFirst = from.verifyFirst ?? target.direct
  // No plaintext is longer than its message: so data keys can be used again where the caller wants that.
  const most = isBounded(to) ? undefined : (source.length ?? source.lengthBound)
  const bound = most === undefined ? {} : { plaintextLengthBound: most }
  const protocol = (): Protocol => reencryptProtocol({ ...from, verifyFirst }, { ...to, ...bound })
  return transfer(source, target, protocol, { ...options, signal })
}

/** Chooses a range, both ends included, of a plaintext of that many bytes. */
export type SelectRange = (plaintextLength: number) => { readonly start: number; readonly end: number }

/** Decrypts a range of a message into a target, and ends the target. Reads only the frames that hold it. */
export async function rangeTransfer(
  source: FileSource,
  target: FileTarget,
  { signal, ...options }: OpenMessageOptions,
  select: SelectRange,
): Promise<FileResult> {
  const stats = { bytesIn: 0, bytesOut: 0, frames: 0 }
  try {
    const { ranges } = source
    if (ranges === undefined) throw new TypeError('ranges can be read of files only')
    const counted: RandomAccessSource = {
      size: ranges.size,
      read: async (...asked) => {
        const bytes = await ranges.read(...asked)
        stats.bytesIn += bytes.length
        return bytes
      },
    }
    const message = await MessageReader.open(counted, { ...options, ...(signal !== undefined && { signal }) })
    const { header, plaintextLength } = message
    const range = select(plaintextLength)
    stats.bytesOut = range.end - range.start + 1
    stats.frames = Math.floor(range.end / header.frameLength) - Math.floor(range.start / header.frameLength) + 1
    await pour([message.createReadStream(range)], target, signal)
    await message.close()
    await target.commit(signal)
    return { header, stats }
  } catch (error) {
    await target.discard()
    throw signal?.aborted === true && isAbortError(error) ? abortError(signal) : error
  }
}

/** Pipes a source through a stream into a target, and ends the target either way. */
async function transfer(
  source: FileSource,
  target: FileTarget,
  makeProtocol: () => Protocol,
  { signal, ...options }: Omit<DriverOptions, 'signal'> & { readonly signal: AbortSignal | undefined },
): Promise<FileResult> {
  try {
    const stream = new TransferStream(makeProtocol(), options, target.memory)
    if (signal?.aborted === true) throw abortError(signal)
    // The signal is the pipeline's alone: a stream that had it could fail before anyone listens.
    await pour([source.bytes, stream], target, signal)
    await target.commit(signal)
    return { header: stream.header!, stats: { ...stream.stats } }
  } catch (error) {
    await target.discard()
    throw signal?.aborted === true && isAbortError(error) ? abortError(signal) : error
  }
}

/** Pipes one through the other into the target. */
async function pour(
  streams: readonly (FileSource['bytes'] | ProtocolTransform)[],
  { encoder, sink }: FileTarget,
  signal: AbortSignal | undefined,
): Promise<void> {
  const all = encoder === undefined ? [...streams, sink] : [...streams, encoder, sink]
  // It takes what can be iterated as well, though its type for lists of any length does not say so.
  await pipeline(all as NodeJS.ReadWriteStream[], signal === undefined ? {} : { signal })
}

function isAbortError(error: unknown): boolean {
  return isError(error) && error.name === 'AbortError'
}
