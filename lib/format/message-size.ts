/** Sizes of messages, both ways: data-format/message-body.md, message-footer.md. */
import { MalformedMessageError } from '../errors.ts'
import { type AlgorithmSuite, algorithmSuite } from './algorithm-suite.ts'
import { FINAL_FRAME, NON_FRAMED_OVERHEAD, REGULAR_FRAME } from './frame.ts'

/** What the size of a message depends on, besides the plaintext. */
export interface MessageSizeParameters {
  /** Length of the header with its authentication, in bytes: `readHeader(…).headerLength`. */
  readonly headerLength: number
  /** Bytes of plaintext in a frame; 0 for a non-framed message. */
  readonly frameLength: number
  /** Id or name; 0x0578 unless said. */
  readonly algorithmSuite?: number | string
  /** Length of the signature in bytes, where it is not the one that this library always writes (71 or 103). */
  readonly signatureLength?: number
}

/**
 * The length in bytes of the message that this library writes for a plaintext.
 *
 * @example
 * ciphertextLength({ plaintextLength: 10_000, headerLength: 200, frameLength: 4096, algorithmSuite: 0x0478 }) // 10304
 * @throws RangeError when a length is not a safe, non-negative integer.
 */
export function ciphertextLength(parameters: MessageSizeParameters & { readonly plaintextLength: number }): number {
  const { headerLength, frameLength, plaintextLength } = parameters
  checkLengths({ headerLength, frameLength, plaintextLength })
  return headerLength + bodyLength(plaintextLength, frameLength) + footerLength(parameters)
}

/** Length of the body: n - 1 regular frames and a final one, which is full where the plaintext divides evenly. */
export function bodyLength(plaintextLength: number, frameLength: number): number {
  if (frameLength === 0) return plaintextLength + NON_FRAMED_OVERHEAD
  const frames = Math.max(1, Math.ceil(plaintextLength / frameLength))
  return plaintextLength + (frames - 1) * REGULAR_FRAME.overhead + FINAL_FRAME.overhead
}

/**
 * The length in bytes of the plaintext of a message, from sizes alone: not authenticated, so no ground for trust.
 * Right for messages of every implementation (both shapes of an evenly divided plaintext), provided that
 * `signatureLength` is given where a peer's signature has another length than ours.
 *
 * @throws MalformedMessageError when no whole message has that length.
 */
export function plaintextLengthOf(parameters: MessageSizeParameters & { readonly ciphertextLength: number }): number {
  const { headerLength, frameLength, ciphertextLength: total } = parameters
  checkLengths({ headerLength, frameLength, ciphertextLength: total })
  const body = total - headerLength - footerLength(parameters)
  if (frameLength === 0) {
    if (body < NON_FRAMED_OVERHEAD) throw wrongLength(total, frameLength)
    return body - NON_FRAMED_OVERHEAD
  }
  const frames = framesOf(body, frameLength)
  if (frames === undefined) throw wrongLength(total, frameLength)
  return frames.regular * frameLength + frames.finalLength
}

/** How a framed body of a length is divided. */
export interface BodyFrames {
  /** Number of regular frames before the final one. */
  readonly regular: number
  /** Bytes of content in the final frame. */
  readonly finalLength: number
}

/** The frames of a body of `bodyLength` bytes: a length has one division, or none. */
export function framesOf(bodyLength: number, frameLength: number): BodyFrames | undefined {
  const content = bodyLength - FINAL_FRAME.overhead
  const regular = Math.floor(content / (frameLength + REGULAR_FRAME.overhead))
  const finalLength = content - regular * (frameLength + REGULAR_FRAME.overhead)
  return content < 0 || finalLength > frameLength ? undefined : { regular, finalLength }
}

/** The error for a message whose length no whole message has. */
export function wrongLength(total: number, frameLength: number): MalformedMessageError {
  return new MalformedMessageError(
    `no message with frames of ${frameLength} bytes is ${total} bytes long: it was cut or grown`,
  )
}

function footerLength({ algorithmSuite: named = 0x0578, signatureLength }: MessageSizeParameters): number {
  const { signature }: AlgorithmSuite = algorithmSuite(named)
  return signature === undefined ? 0 : 2 + (signatureLength ?? signature.signatureBytes)
}

function checkLengths(lengths: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(lengths)) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`"${name}" expected a non-negative integer, got ${value}`)
    }
  }
}
