/** The decrypt operation: client-apis/decrypt.md, in its order, each step a hard stop. */
import { cryptoEngine } from '../crypto/engine.ts'
import type { FrameCipher } from '../crypto/frame-cipher.ts'
import { AuthenticationError } from '../errors.ts'
import { FINAL_FRAME_MARK, REGULAR_FRAME, readFinalFrameStart, readNonFramedStart } from '../format/frame.ts'
import { TAG_BYTES } from '../format/header-authentication.ts'
import { readMessageFooter } from '../format/message-footer.ts'
import { checkFrameBytes } from '../format/message-header.ts'
import { type Reading, recorded } from '../format/reading.ts'
import { BATCH_BYTES } from './batch.ts'
import type { ByteQueue } from './byte-queue.ts'
import { type OpenedMessage, openMessageHeader } from './open-header.ts'
import type { DecryptSettings } from './options.ts'
import { allocatorOf } from './output-memory.ts'
import type { Session } from './protocol-transform.ts'

const NOTHING = Buffer.alloc(0)

/** Yields the plaintext of the one message that `input` holds. */
export async function* decryptMessage(
  input: ByteQueue,
  settings: DecryptSettings,
  session: Session,
): AsyncGenerator<Buffer, void> {
  const message = await openMessageHeader(input, settings, session)
  const { header, messageKey, verifier } = message
  const { messageId, frameLength } = header
  const body = header.contentType === 'framed' ? framedBody : nonFramedBody
  const cipher = cryptoEngine().createFrameCipher({
    messageKey,
    messageId,
    frameLength,
    allocate: allocatorOf(session.memory),
  })
  let held: Buffer
  try {
    held = yield* body(input, message, cipher, session, settings)
  } finally {
    cipher.close()
  }
  if (verifier !== undefined) {
    const signature = await input.read(readMessageFooter(header.suite.signature!.maxSignatureBytes))
    if (!verifier.verifies(signature))
      throw new AuthenticationError('signature', 'the signature of the message does not verify')
    if (held.length > 0) yield held
  }
  await input.finish()
}

/** Reads and records: a signature is over the bytes as received. */
async function readSigned<T>(input: ByteQueue, { verifier }: OpenedMessage, reading: Reading<T>): Promise<T> {
  const { value, bytes } = await input.read(recorded(reading, Number.MAX_SAFE_INTEGER, 'body'))
  verifier?.update(bytes)
  return value
}

/** Yields the frames' plaintext as their tags verify. Of a signed message it returns the last that is not empty, instead. */
async function* framedBody(
  input: ByteQueue,
  message: OpenedMessage,
  cipher: FrameCipher,
  { stats }: Session,
): AsyncGenerator<Buffer, Buffer> {
  const { header, verifier } = message
  const { frameLength } = header
  const size = frameLength + REGULAR_FRAME.overhead
  let held: Buffer = NOTHING
  for (;;) {
    if (input.length < 4) await input.need(4)
    if (input.uint32At(0) === FINAL_FRAME_MARK) break
    if (input.length < size) await input.need(size)
    const count = countRegularFrames(input, size)
    const frames = input.takeWhole(count, size)
    const plaintext = cipher.openRegular(...frames)
    stats.frames += count
    if (verifier === undefined) {
      yield plaintext
      continue
    }
    for (const part of frames) verifier.update(part)
    if (held.length > 0) yield held
    held = plaintext.subarray(-frameLength)
    if (count > 1) yield plaintext.subarray(0, -frameLength)
  }
  const final = await finalFrame(input, message, cipher)
  stats.frames += 1
  if (verifier === undefined) {
    if (final.length > 0) yield final
    return NOTHING
  }
  if (final.length === 0) return held
  if (held.length > 0) yield held
  return final
}

/** How many whole regular frames lie at the front of the input, within one batch. The first is known to be one. */
function countRegularFrames(input: ByteQueue, size: number): number {
  const most = Math.max(1, Math.floor(Math.min(input.length, BATCH_BYTES) / size))
  let count = 1
  while (count < most && input.uint32At(count * size) !== FINAL_FRAME_MARK) count++
  return count
}

async function finalFrame(input: ByteQueue, message: OpenedMessage, cipher: FrameCipher): Promise<Buffer> {
  const start = await readSigned(input, message, readFinalFrameStart(message.header.frameLength))
  return openContent(input, message, start.contentLength, (ciphertext, tag) => cipher.openFinal(start, ciphertext, tag))
}

/** Non-framed content is one block with one tag: it is all there before any of it leaves. */
async function* nonFramedBody(
  input: ByteQueue,
  message: OpenedMessage,
  cipher: FrameCipher,
  _session: Session,
  { limits }: DecryptSettings,
): AsyncGenerator<Buffer, Buffer> {
  const { verifier } = message
  const start = await readSigned(input, message, readNonFramedStart())
  checkFrameBytes(start.contentLength, limits.maxFrameBytes, 'non-framed content')
  const plaintext = await openContent(input, message, start.contentLength, (ciphertext, tag) =>
    cipher.openNonFramed(start, ciphertext, tag),
  )
  if (verifier !== undefined) return plaintext
  if (plaintext.length > 0) yield plaintext
  return NOTHING
}

async function openContent(
  input: ByteQueue,
  { verifier }: OpenedMessage,
  length: number,
  open: (ciphertext: Buffer, tag: Buffer) => Buffer,
): Promise<Buffer> {
  await input.need(length + TAG_BYTES)
  const content = input.take(length + TAG_BYTES)
  verifier?.update(content)
  return open(content.subarray(0, length), content.subarray(length))
}
