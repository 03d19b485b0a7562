/** Whole messages in memory: client-apis/encrypt.md and decrypt.md. Nothing is returned before everything verified. */
import { asError } from '../errors.ts'
import { types } from 'node:util'
import type { MessageHeader } from '../format/message-header.ts'
import { abortError } from './abort-error.ts'
import { NO_STRINGS, decryptProtocol } from './decrypt-stream.ts'
import { encryptProtocol } from './encrypt-stream.ts'
import { type DecryptOptions, type EncryptOptions, decryptSettings, encryptSettings } from './options.ts'
import type { DriverOptions, MessageStats, Protocol, Session } from './protocol-transform.ts'
import { type ByteSource, type OpenSource, openSource, queueOf } from './sources.ts'
import { Turns } from './turns.ts'

/** A message, and its header. */
export interface EncryptResult {
  readonly ciphertext: Buffer
  readonly header: MessageHeader
}

/** The plaintext of a message, and the message's authenticated header. */
export interface DecryptResult {
  readonly plaintext: Buffer
  readonly header: MessageHeader
}

/**
 * Encrypts to one message in memory.
 *
 * @param plaintext a string (as UTF-8), bytes, or any iterable or stream of them
 * @example const { ciphertext } = await encrypt('attack at dawn', { keyring, encryptionContext: { purpose: 'drill' } })
 * @throws TypeError | RangeError when an option is unfit; a coded error when no data key can be made or a limit is passed.
 */
export async function encrypt(plaintext: string | ByteSource, options: EncryptOptions): Promise<EncryptResult> {
  const settings = encryptSettings({ ...options, ...lengthKnown(plaintext, options) })
  const { bytes, header } = await collect(encryptProtocol(settings), openSource(plaintext), options)
  return { ciphertext: bytes, header }
}

/** The length of what is whole in memory is known; a cache of materials can then be used. */
export function lengthKnown(
  plaintext: string | ByteSource,
  { plaintextLength, plaintextLengthBound }: Pick<EncryptOptions, 'plaintextLength' | 'plaintextLengthBound'>,
): Pick<EncryptOptions, 'plaintextLength'> {
  if (plaintextLength !== undefined || plaintextLengthBound !== undefined) return {}
  if (typeof plaintext === 'string') return { plaintextLength: Buffer.byteLength(plaintext, 'utf8') }
  return ArrayBuffer.isView(plaintext) || types.isArrayBuffer(plaintext)
    ? { plaintextLength: plaintext.byteLength }
    : {}
}

/**
 * Decrypts one message in memory.
 *
 * @param ciphertext bytes, or any iterable or stream of them; not a string
 * @example const { plaintext, header } = await decrypt(ciphertext, { keyring })
 * @throws TypeError | RangeError when an option is unfit; a coded error when the message can't be read or is not authentic.
 */
export async function decrypt(ciphertext: ByteSource, options: DecryptOptions): Promise<DecryptResult> {
  // All is collected before anything is returned, so verifying first would only do the work twice.
  const settings = { ...decryptSettings(options), verifyFirst: false }
  const { bytes, header } = await collect(decryptProtocol(settings), openSource(ciphertext, NO_STRINGS), options)
  return { plaintext: bytes, header }
}

/** Runs a protocol over a source and joins what it yields. */
async function collect(
  protocol: Protocol,
  source: OpenSource,
  { signal, onProgress }: Pick<DriverOptions, 'signal' | 'onProgress'>,
): Promise<{ bytes: Buffer; header: MessageHeader }> {
  // Nobody else can abort, and a signal costs as much as sealing a short message.
  const controller = signal === undefined ? undefined : new AbortController()
  const stats: MessageStats = { bytesIn: 0, bytesOut: 0, frames: 0 }
  const input = queueOf(source)
  const abort = (): void => {
    const error = abortError(signal)
    controller?.abort(error)
    input.fail(error)
  }
  let header: MessageHeader | undefined
  const parts: Buffer[] = []
  const turns = new Turns()
  let failure: Error | undefined
  try {
    if (signal?.aborted === true) abort()
    signal?.addEventListener('abort', abort)
    const session: Session = {
      signal: controller?.signal,
      stats,
      onHeader: (made: MessageHeader) => void (header = made),
    }
    for await (const chunk of protocol(input, session)) {
      parts.push(chunk)
      stats.bytesIn = input.received
      stats.bytesOut += chunk.length
      if (turns.due(chunk.length)) await turns.turn()
    }
    stats.bytesIn = input.received
    onProgress?.(stats)
  } catch (error) {
    failure = asError(error)
    for (const part of parts) part.fill(0)
    throw failure
  } finally {
    signal?.removeEventListener('abort', abort)
    source.close(failure)
  }
  return { bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts), header: header! }
}
