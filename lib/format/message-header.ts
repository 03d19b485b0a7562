/** The header body, versions 1 and 2: data-format/message-header.md. */
import { LimitError, MalformedMessageError, UnsupportedError } from '../errors.ts'
import { type AlgorithmSuite, suiteOfMessage } from './algorithm-suite.ts'
import { type EncryptedDataKey, encodeEncryptedDataKeys, readEncryptedDataKeys } from './encrypted-data-key.ts'
import { type EncryptionContext, encodeEncryptionContext, readEncryptionContext } from './encryption-context.ts'
import { IV_BYTES } from './header-authentication.ts'
import { type Reading, uint16, uint32, uint8 } from './reading.ts'

/** Whether the body is one run of frames or a single block of content. */
export type ContentType = 'framed' | 'non-framed'

interface HeaderFields {
  readonly suite: AlgorithmSuite
  /** 16 random bytes in version 1, 32 in version 2. */
  readonly messageId: Buffer
  /** The pairs that the message stores. */
  readonly encryptionContext: EncryptionContext
  readonly encryptedDataKeys: readonly EncryptedDataKey[]
  readonly contentType: ContentType
  /** Bytes of plaintext in a regular frame; 0 where the content is not framed. */
  readonly frameLength: number
}

/** Of a message whose suite does not commit to its data key. */
export interface MessageHeaderV1 extends HeaderFields {
  readonly version: 1
}

/** Of a message whose suite commits to its data key. */
export interface MessageHeaderV2 extends HeaderFields {
  readonly version: 2
  /** The commitment to the data key (the specification's algorithm suite data), 32 bytes. */
  readonly commitment: Buffer
}

/** The header body of a message. */
export type MessageHeader = MessageHeaderV1 | MessageHeaderV2

/** What a stranger's header may make a reader hold, and which are too large to be handled at all. */
export interface HeaderLimits {
  readonly maxEncryptedDataKeys: number
  readonly maxHeaderBytes: number
  readonly maxFrameBytes: number
}

/** Frames and non-framed contents above this length are not handled, whatever the limits. */
export const MAX_FRAME_BYTES: number = 2 ** 30

/** The limits of a reader that says nothing else. */
export const DEFAULT_HEADER_LIMITS: HeaderLimits = Object.freeze({
  maxEncryptedDataKeys: 0xffff,
  maxHeaderBytes: 2 ** 20,
  maxFrameBytes: 2 ** 26,
})

const TYPE = 0x80
const CONTENT_TYPES = { 'non-framed': 1, framed: 2 } as const
const COMMITMENT_BYTES = 32
const RESERVED_BYTES = 4

/** Length of the message id by message format version. */
export const MESSAGE_ID_BYTES = { 1: 16, 2: 32 } as const

/** The bytes of a header body. */
export function encodeMessageHeader(header: MessageHeader): Buffer {
  const head = Buffer.alloc(header.version === 1 ? 4 : 3)
  let offset = head.writeUInt8(header.version, 0)
  if (header.version === 1) offset = head.writeUInt8(TYPE, offset)
  head.writeUInt16BE(header.suite.id, offset)
  const context = encodeEncryptionContext(header.encryptionContext)
  const contextLength = Buffer.alloc(2)
  contextLength.writeUInt16BE(context.length)
  const tail = Buffer.alloc(header.version === 1 ? 10 : 5)
  offset = tail.writeUInt8(CONTENT_TYPES[header.contentType], 0)
  if (header.version === 1) offset = tail.writeUInt8(IV_BYTES, offset + RESERVED_BYTES)
  tail.writeUInt32BE(header.frameLength, offset)
  const keys = encodeEncryptedDataKeys(header.encryptedDataKeys)
  const commitment = header.version === 2 ? header.commitment : Buffer.alloc(0)
  return Buffer.concat([head, header.messageId, contextLength, context, keys, tail, commitment])
}

/** Reads a header body of either version; each field is judged as soon as it is there. */
export function* readMessageHeader(limits: HeaderLimits = DEFAULT_HEADER_LIMITS): Reading<MessageHeader> {
  const version = yield* uint8()
  if (version === 1) return yield* readMessageHeaderV1(limits)
  if (version === 2) return yield* readMessageHeaderV2(limits)
  throw new MalformedMessageError(`not an AWS Encryption SDK message: ${yield* describeStart(version)}`)
}

function* readMessageHeaderV1(limits: HeaderLimits): Reading<MessageHeaderV1> {
  const type = yield* uint8()
  if (type !== TYPE) throw new MalformedMessageError(`unknown message type ${type}`)
  const suite = suiteOfMessage(yield* uint16(), 1)
  const messageId = yield MESSAGE_ID_BYTES[1]
  const encryptionContext = yield* readEncryptionContext()
  const encryptedDataKeys = yield* readEncryptedDataKeys(limits.maxEncryptedDataKeys, limits.maxHeaderBytes)
  const contentType = yield* readContentType()
  if ((yield RESERVED_BYTES).some((byte) => byte !== 0)) {
    throw new MalformedMessageError('the reserved field of the header is not zero')
  }
  const ivBytes = yield* uint8()
  if (ivBytes !== IV_BYTES) throw new MalformedMessageError(`IV length ${ivBytes}, expected ${IV_BYTES}`)
  const frameLength = yield* readFrameLength(contentType, limits.maxFrameBytes)
  return { version: 1, suite, messageId, encryptionContext, encryptedDataKeys, contentType, frameLength }
}

function* readMessageHeaderV2(limits: HeaderLimits): Reading<MessageHeaderV2> {
  const suite = suiteOfMessage(yield* uint16(), 2)
  const messageId = yield MESSAGE_ID_BYTES[2]
  const encryptionContext = yield* readEncryptionContext()
  const encryptedDataKeys = yield* readEncryptedDataKeys(limits.maxEncryptedDataKeys, limits.maxHeaderBytes)
  const contentType = yield* readContentType()
  const frameLength = yield* readFrameLength(contentType, limits.maxFrameBytes)
  const commitment = yield COMMITMENT_BYTES
  return { version: 2, suite, messageId, encryptionContext, encryptedDataKeys, contentType, frameLength, commitment }
}

function* readContentType(): Reading<ContentType> {
  const value = yield* uint8()
  if (value === CONTENT_TYPES.framed) return 'framed'
  if (value === CONTENT_TYPES['non-framed']) return 'non-framed'
  throw new MalformedMessageError(`unknown content type ${value}`)
}

function* readFrameLength(contentType: ContentType, maxFrameBytes: number): Reading<number> {
  const frameLength = yield* uint32()
  if (contentType === 'non-framed') {
    if (frameLength !== 0) throw new MalformedMessageError('a non-framed message with a frame length')
    return 0
  }
  if (frameLength === 0) throw new MalformedMessageError('a framed message with frame length 0')
  checkFrameBytes(frameLength, maxFrameBytes, 'a frame length')
  return frameLength
}

/** Refuses a length that is above the caller's limit, or above what this library handles at all. */
export function checkFrameBytes(length: number, maxFrameBytes: number, what: string): void {
  if (length <= maxFrameBytes) return
  if (maxFrameBytes === MAX_FRAME_BYTES) {
    throw new UnsupportedError(
      `the message has ${what} of ${length} bytes; the most that is handled is ${MAX_FRAME_BYTES}`,
    )
  }
  throw new LimitError(`the message has ${what} of ${length} bytes; "maxFrameBytes" is ${maxFrameBytes}`)
}

/** Says of a first byte that starts no message what it probably is. `A` starts base64 of every message: `AY`, `AgR4`, `AgV4`. */
function* describeStart(first: number): Reading<string> {
  if (first === 0x41) {
    const second = yield* uint8()
    if (second === 0x59 || second === 0x67) return 'this looks like a base64-encoded message; decode it first'
  }
  if (first === 0x1f) return 'this looks like gzip data; decompress it first'
  return `it starts with the byte ${first}, and there is no such message format version`
}
