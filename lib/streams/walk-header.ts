/** Reading a header without any key, and saying of one that was cut where that is. */
import { TruncatedMessageError } from '../errors.ts'
import { readHeaderAuthentication } from '../format/header-authentication.ts'
import { headerLayout } from '../format/header-layout.ts'
import {
  DEFAULT_HEADER_LIMITS,
  MAX_FRAME_BYTES,
  type MessageHeader,
  readMessageHeader,
} from '../format/message-header.ts'
import { type Reading, recorded } from '../format/reading.ts'
import type { ByteQueue } from './byte-queue.ts'

/** A header, and the bytes that it was read from. */
export interface WalkedHeader {
  readonly header: MessageHeader
  readonly headerBytes: Buffer
}

/** Contents are passed by, not held. */
const LIMITS = { ...DEFAULT_HEADER_LIMITS, maxFrameBytes: MAX_FRAME_BYTES }

/** @throws MalformedMessageError | TruncatedMessageError | LimitError | UnsupportedError */
export async function walkHeader(queue: ByteQueue): Promise<WalkedHeader> {
  const seen: Buffer[] = []
  const reading = recorded(readWhole(), LIMITS.maxHeaderBytes, 'header')
  let step = reading.next()
  while (step.done !== true) {
    if (!(await queue.atLeast(step.value))) {
      seen.push(Buffer.from(queue.take(queue.length)))
      throw cutHeader(Buffer.concat(seen), queue)
    }
    const bytes = Buffer.from(queue.take(step.value))
    seen.push(bytes)
    step = reading.next(bytes)
  }
  return { header: step.value.value, headerBytes: step.value.bytes }
}

function* readWhole(): Reading<MessageHeader> {
  const header = yield* readMessageHeader(LIMITS)
  yield* readHeaderAuthentication(header.version)
  return header
}

function cutHeader(bytes: Buffer, queue: ByteQueue): TruncatedMessageError {
  const { message } = queue.truncated()
  const last = headerLayout(bytes).at(-1)
  if (bytes.length === 0 || last === undefined) return new TruncatedMessageError(message)
  if (last.section === 'header authentication') return new TruncatedMessageError(`${message}, in the ${last.section}`)
  const where = last.section === 'header' ? last.name : `${last.section} (${last.name})`
  return new TruncatedMessageError(`${message}, in the header's ${where}`)
}
