/** Operations on messages as `node:diagnostics_channel` tells of them. */
import { type EncryptedDataKey, keyNameOf } from '../format/encrypted-data-key.ts'
import type { MessageHeader } from '../format/message-header.ts'
import {
  type Enter,
  type Trace,
  type TraceChannel,
  enterHere,
  isTraced,
  traceChannel,
  traceEnd,
} from '../materials/tracing.ts'
import type { ByteQueue } from './byte-queue.ts'
import type { MessageStats, Protocol, Session } from './protocol-transform.ts'

/** What is done with a message. */
export type MessageOperation = 'encrypt' | 'decrypt' | 'reencrypt'

/** An operation on a message. What the header says is there from when that is made or authenticated. */
export interface MessageTrace extends Trace {
  readonly operation: MessageOperation
  /** Bytes in and out, and frames, as they are by then. */
  readonly stats: Readonly<MessageStats>
  /** Of the specification's table, such as 0x0578. Of a re-encryption, here and below: what the new message has. */
  suiteId?: number
  suiteName?: string
  messageVersion?: 1 | 2
  signed?: boolean
  /** In bytes; 0 where the content is not framed. */
  frameLength?: number
  /** Who wrapped the data key. */
  dataKeys?: readonly DataKeyTrace[]
}

/** A data key's wrapping key, by its names. */
export interface DataKeyTrace {
  readonly keyProviderId: string
  /** Its name, such as the ARN of a key of AWS KMS; absent where the message has no name that can be read. */
  readonly keyName: string | undefined
}

const CHANNELS: Readonly<Record<MessageOperation, TraceChannel<MessageTrace>>> = {
  encrypt: traceChannel<MessageTrace>('encrypt'),
  decrypt: traceChannel<MessageTrace>('decrypt'),
  reencrypt: traceChannel<MessageTrace>('reencrypt'),
}

/** A protocol that tells of itself, where anybody listens. It belongs to the asynchronous context that it is made in. */
export function traced(operation: MessageOperation, protocol: Protocol): Protocol {
  const channel = CHANNELS[operation]
  const enter = isTraced(channel) ? enterHere() : undefined
  return (input, session) =>
    isTraced(channel)
      ? tell(channel, { operation, protocol, enter: enter ?? enterHere() }, input, session)
      : protocol(input, session)
}

interface Operation {
  readonly operation: MessageOperation
  readonly protocol: Protocol
  readonly enter: Enter
}

async function* tell(
  channel: TraceChannel<MessageTrace>,
  { operation, protocol, enter }: Operation,
  input: ByteQueue,
  session: Session,
): AsyncGenerator<Buffer, void> {
  const stats: MessageStats = { bytesIn: 0, bytesOut: 0, frames: 0 }
  const context: MessageTrace = { operation, stats }
  const onHeader = (header: MessageHeader): void => {
    noteHeader(context, header)
    session.onHeader(header)
  }
  const output = protocol(input, { ...session, onHeader })
  let within: Enter = enter
  let step = enter(() => {
    try {
      return channel.start.runStores(context, () => {
        within = enterHere()
        return output.next()
      })
    } finally {
      channel.end.publish(context)
    }
  })
  let ended = false
  try {
    for (;;) {
      const { done, value } = await step
      stats.bytesIn = input.received
      stats.frames = session.stats.frames
      if (done === true) break
      stats.bytesOut += value.length
      yield value
      step = within(() => output.next())
    }
    ended = true
  } catch (error) {
    ended = true
    context.error = error
    throw error
  } finally {
    try {
      if (!ended) {
        context.error =
          session.signal?.aborted === true ? session.signal.reason : new Error('the operation was given up')
        await within(() => output.return())
      }
    } finally {
      stats.bytesIn = input.received
      stats.frames = session.stats.frames
      within(() => {
        traceEnd(channel, context)
      })
    }
  }
}

function noteHeader(context: MessageTrace, { version, suite, frameLength, encryptedDataKeys }: MessageHeader): void {
  context.suiteId = suite.id
  context.suiteName = suite.name
  context.messageVersion = version
  context.signed = suite.signature !== undefined
  context.frameLength = frameLength
  context.dataKeys = encryptedDataKeys.map((key) => ({ keyProviderId: key.keyProviderId, keyName: shownNameOf(key) }))
}

/** Names with control characters, and what is no text, are not told. */
function shownNameOf({ keyProviderInfo }: EncryptedDataKey): string | undefined {
  const name = keyNameOf(keyProviderInfo)
  return name !== undefined && /^[^\p{Cc}\ufffd]+$/u.test(name) ? name : undefined
}
