/** The footer of a signed message: data-format/message-footer.md. */
import { MalformedMessageError } from '../errors.ts'
import { type Reading, uint16 } from './reading.ts'

/** Length and signature. */
export function encodeMessageFooter(signature: Buffer): Buffer {
  const length = Buffer.alloc(2)
  length.writeUInt16BE(signature.length)
  return Buffer.concat([length, signature])
}

/** Reads the signature; a length that no signature of the suite's curve can have is refused at once. */
export function* readMessageFooter(maxSignatureBytes: number): Reading<Buffer> {
  const length = yield* uint16()
  if (length === 0 || length > maxSignatureBytes) {
    throw new MalformedMessageError(
      `the footer claims a signature of ${length} bytes; at most ${maxSignatureBytes} are possible`,
    )
  }
  return yield length
}
