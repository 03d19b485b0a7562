/** Re-encryption: a stored message under new keys, as one stream in constant memory. */
import { pipeline } from 'node:stream'
import { RESERVED_PREFIX } from '../format/encryption-context.ts'
import type { MessageHeader } from '../format/message-header.ts'
import { pulledQueue } from './byte-queue.ts'
import { NO_STRINGS, decryptProtocol } from './decrypt-stream.ts'
import { encryptProtocol } from './encrypt-stream.ts'
import { type DecryptOptions, type EncryptOptions, decryptSettings, encryptSettings } from './options.ts'
import { OutputMemory } from './output-memory.ts'
import { type DriverOptions, type Protocol, ProtocolTransform, type StreamOptions } from './protocol-transform.ts'
import { type ByteSource, openSource, readableOf } from './sources.ts'
import { traced } from './traced.ts'

/** From which keys, to which. */
export interface ReencryptOptions extends Pick<DriverOptions, 'signal' | 'onProgress'>, StreamOptions {
  readonly from: DecryptOptions
  /** The pairs of its `encryptionContext` are added to those that the message stores, or replace them. */
  readonly to: EncryptOptions
}

/**
 * Decrypts a message and encrypts it anew (new data key, message id, keys, and whatever else `to` says) in one pass.
 * The stored encryption context is carried over. The stream ends only when the source has verified to its last byte:
 * on an error, throw away what came out.
 *
 * Only replacing the encrypted data keys in a header is no option: a header's tag is made with a fixed nonce, so a
 * second header under one data key would give its authentication key away to whoever sees both.
 *
 * @returns a Transform whose readable side is the new message and whose `header` is its header
 * @example await pipeline(reencrypt(createReadStream('old'), { from: { keyring: a }, to: { keyring: b } }), createWriteStream('new'))
 * @throws TypeError | RangeError when an option is unfit.
 */
export function reencrypt(source: ByteSource, { from, to, ...options }: ReencryptOptions): ReencryptStream {
  const stream = new ReencryptStream(from, to, options)
  pipeline(readableOf(openSource(source, NO_STRINGS)), stream, () => {
    // The stream itself carries the error.
  })
  return stream
}

/** What {@link reencrypt} returns. */
export class ReencryptStream extends ProtocolTransform {
  constructor(from: DecryptOptions, to: EncryptOptions, options: DriverOptions) {
    super(reencryptProtocol(from, to), options, { refuseStrings: NO_STRINGS })
  }
}

/** The protocol of a re-encryption. @throws TypeError | RangeError when an option is unfit. */
export function reencryptProtocol(from: DecryptOptions, to: EncryptOptions): Protocol {
  const decryption = decryptSettings(from)
  encryptSettings({ ...to, requiredEncryptionContextKeys: [] }) // they may be among the pairs that are carried over
  return traced('reencrypt', async function* (input, session) {
    let source: MessageHeader | undefined
    const memory = new OutputMemory()
    const plaintext = decryptProtocol(decryption)(input, {
      memory,
      signal: session.signal,
      stats: { bytesIn: 0, bytesOut: 0, frames: 0 },
      onHeader: (header) => {
        source = header
      },
    })
    let pulled: Buffer | undefined
    const pull = async (): Promise<Buffer | undefined> => {
      if (pulled !== undefined) memory.give(pulled) // who asks for more has copied it
      const { done, value } = await plaintext.next()
      pulled = done === true ? undefined : value
      return pulled
    }
    try {
      let first: Buffer | undefined = await pull()
      const settings = encryptSettings({ ...to, encryptionContext: carriedOver(source!, to) })
      const queue = pulledQueue(async () => {
        const bytes = first ?? (await pull())
        first = undefined
        return bytes
      })
      yield* encryptProtocol(settings)(queue, session)
    } finally {
      await plaintext.return()
    }
  })
}

function carriedOver({ encryptionContext }: MessageHeader, to: EncryptOptions): Record<string, string> {
  const stored = Object.entries(encryptionContext).filter(([name]) => !name.startsWith(RESERVED_PREFIX))
  return Object.fromEntries([...stored, ...Object.entries(to.encryptionContext ?? {})])
}
