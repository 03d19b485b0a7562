/** Reading a header without any key. What it says is not authenticated. */
import { isError } from '../errors.ts'
import type { Readable } from 'node:stream'
import { readHeaderAuthentication } from '../format/header-authentication.ts'
import {
  type HeaderLimits,
  DEFAULT_HEADER_LIMITS,
  type MessageHeader,
  readMessageHeader,
} from '../format/message-header.ts'
import { type Recorded, recorded } from '../format/reading.ts'
import { NO_STRINGS } from './decrypt-stream.ts'
import { type ByteSource, openSource, queueOf, readableOf } from './sources.ts'

/** A header as it stands in a message: nobody has checked that it is genuine. */
export type UnverifiedMessageHeader = MessageHeader

/** A header, and the way on. */
export interface ReadHeaderResult {
  readonly header: UnverifiedMessageHeader
  /** Length of the header with its authentication, in bytes. */
  readonly headerLength: number
  /** Those bytes, as received. */
  readonly headerBytes: Buffer
  /** The bytes of the message after the header. Read it to its end, or destroy it to let go of the source. */
  readonly rest: Readable
}

/**
 * Reads the header at the front of a message.
 *
 * @param limits what the header may make this hold; the defaults of decryption unless said
 * @example
 * const { header } = await readHeader(createReadStream('backup.encrypted'))
 * console.log(header.suite.name, header.encryptionContext)
 * @throws MalformedMessageError | TruncatedMessageError | LimitError | UnsupportedError
 */
export async function readHeader(source: ByteSource, limits: Partial<HeaderLimits> = {}): Promise<ReadHeaderResult> {
  const all = { ...DEFAULT_HEADER_LIMITS, ...limits }
  const open = openSource(source, NO_STRINGS)
  const queue = queueOf(open)
  let read: Recorded<MessageHeader>
  try {
    read = await queue.read(recorded(readWholeHeader(all), all.maxHeaderBytes, 'header'))
  } catch (error) {
    open.close(isError(error) ? error : undefined)
    throw error
  }
  const rest = readableOf({
    next: async () => ((await queue.atLeast(1)) ? Buffer.from(queue.take(queue.length)) : undefined),
    close: (error) => {
      open.close(error)
    },
  })
  return { header: read.value, headerLength: read.bytes.length, headerBytes: read.bytes, rest }
}

function* readWholeHeader(limits: HeaderLimits): ReturnType<typeof readMessageHeader> {
  const header = yield* readMessageHeader(limits)
  yield* readHeaderAuthentication(header.version)
  return header
}
