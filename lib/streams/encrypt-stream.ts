/** EncryptStream: client-apis/encrypt.md as a Transform. */
import { encryptMessage } from './encrypt-message.ts'
import { type EncryptOptions, type EncryptSettings, encryptSettings } from './options.ts'
import { type Protocol, ProtocolTransform, type StreamOptions } from './protocol-transform.ts'
import { traced } from './traced.ts'

/** What an {@link EncryptStream} takes: the options of an encryption, and of Node's streams. */
export interface EncryptStreamOptions extends EncryptOptions, StreamOptions {}

/**
 * Bytes of plaintext in, one message out. Emits `'header'` with the message's header when it is made.
 *
 * @example
 * await pipeline(createReadStream('in'), new EncryptStream({ keyring }), createWriteStream('out'))
 * @throws TypeError | RangeError from the constructor, when an option is unfit.
 */
export class EncryptStream extends ProtocolTransform {
  constructor(options: EncryptStreamOptions) {
    super(encryptProtocol(encryptSettings(options)), options)
  }
}

/** The protocol of an encryption with these settings. */
export function encryptProtocol(settings: EncryptSettings): Protocol {
  return traced('encrypt', (input, session) => encryptMessage(input, settings, session))
}
