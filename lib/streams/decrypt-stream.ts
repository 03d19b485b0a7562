/** DecryptStream: client-apis/decrypt.md as a Transform. */
import { decryptMessage } from './decrypt-message.ts'
import { type DecryptOptions, type DecryptSettings, decryptSettings } from './options.ts'
import { type Protocol, ProtocolTransform, type StreamOptions } from './protocol-transform.ts'
import { traced } from './traced.ts'
import { decryptVerifiedMessage } from './verify-first.ts'

/** What a {@link DecryptStream} takes: the options of a decryption, and of Node's streams. */
export interface DecryptStreamOptions extends DecryptOptions, StreamOptions {}

/** Why strings are refused: by the time they are strings, bytes are lost. */
export const NO_STRINGS =
  'a message is bytes, not a string: remove setEncoding from the source, or decode base64 to a Buffer first'

/**
 * One message in, its plaintext out. Emits `'header'` with the message's header when that is authenticated, before any
 * plaintext. A frame's plaintext leaves when its tag has verified; of a signed message the last frame that is not empty
 * waits for the signature, so `'end'` means that everything verified. Anything else ends in a coded error.
 *
 * @example
 * await pipeline(createReadStream('in'), new DecryptStream({ keyring }), createWriteStream('out'))
 * @throws TypeError | RangeError from the constructor, when an option is unfit.
 */
export class DecryptStream extends ProtocolTransform {
  constructor(options: DecryptStreamOptions) {
    super(decryptProtocol(decryptSettings(options)), options, { refuseStrings: NO_STRINGS })
  }
}

/** The protocol of a decryption with these settings. */
export function decryptProtocol(settings: DecryptSettings): Protocol {
  const decrypt = settings.verifyFirst ? decryptVerifiedMessage : decryptMessage
  return traced('decrypt', (input, session) => decrypt(input, settings, session))
}
