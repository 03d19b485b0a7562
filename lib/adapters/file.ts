/**
 * `esdk-streams/file`: whole files. A target appears when all of it was written and verified, or not at all.
 *
 * @module esdk-streams/file
 */
import { type DecryptOptions, type EncryptOptions, decryptSettings, encryptSettings } from '../streams/options.ts'
import type { ReencryptOptions } from '../streams/reencrypt.ts'
import { type FileSource, isUrl, openFileRanges, openFileSource, pathOf } from './file-source.ts'
import { type FileTarget, openFileTarget } from './file-target.ts'
import { MessageReader } from './message-reader.ts'
import type { OpenMessageOptions, RandomAccessSource } from './open-message.ts'
import { type FileResult, decryptTransfer, encryptTransfer, reencryptTransfer } from './transfer.ts'

export type { MessageReader, RangeOptions } from './message-reader.ts'
export type { OpenMessageOptions, RandomAccessSource } from './open-message.ts'
export type { FileResult } from './transfer.ts'

/**
 * Encrypts a file into another.
 *
 * The message is written to a temporary file (mode 0600) beside the target, synced, given the mode of the file that it
 * replaces (else that of the source), and renamed over the target when all is done; after any failure, the target is as
 * it was and the temporary file is gone. A link is followed to the file that it leads to. A device or a named pipe is
 * written into instead.
 *
 * @param from path of a file, device or named pipe
 * @param to path of the target, which may not be the source
 * @example
 * const { stats } = await encryptFile('backup.tar', 'backup.tar.encrypted', { keyring, signal: AbortSignal.timeout(60_000) })
 * console.log(`${stats.bytesOut} bytes`)
 * @throws TypeError | RangeError when an option is unfit or both paths are the same file; ChangedError when the source
 * grew or shrank while it was read; `AbortError`; a coded error of an encryption; the file system's own errors.
 */
export async function encryptFile(from: string | URL, to: string | URL, options: EncryptOptions): Promise<FileResult> {
  encryptSettings(options)
  return withFiles(from, to, options, (source, target) => encryptTransfer(source, target, options))
}

/**
 * Decrypts a file into another, like {@link encryptFile}: nothing is at the target before the whole message, its
 * signature included, has verified. Into a device or a named pipe, which can't take anything back, it verifies first
 * and decrypts then, unless `verifyFirst` is `false`.
 *
 * @example await decryptFile('backup.tar.encrypted', 'backup.tar', { keyring, encryptionContext: { purpose: 'backup' } })
 * @throws as `encryptFile` does, and the coded errors of a decryption.
 */
export async function decryptFile(from: string | URL, to: string | URL, options: DecryptOptions): Promise<FileResult> {
  decryptSettings(options)
  return withFiles(from, to, options, (source, target) => decryptTransfer(source, target, options))
}

/**
 * Decrypts a file and encrypts it anew in one pass: see `reencrypt`. Target and source may be the same file, which is
 * then replaced at the end (under this one of its names, where it has several).
 *
 * @returns the header of the new message; `bytesIn` and `bytesOut` are of the old and the new message
 * @example await reencryptFile('data.encrypted', 'data.encrypted', { from: { keyring: old }, to: { keyring: current } })
 * @throws as `decryptFile` and `encryptFile` do.
 */
export async function reencryptFile(
  from: string | URL,
  to: string | URL,
  options: ReencryptOptions,
): Promise<FileResult> {
  decryptSettings(options.from)
  return withFiles(from, to, { signal: options.signal, inPlace: true }, (source, target) =>
    reencryptTransfer(source, target, options),
  )
}

/**
 * Opens a message for random access: reads any range of its plaintext, from the frames that hold it and no others.
 *
 * A file is held open by one descriptor until `close` (or the end of an `await using` block). Anything else that can be
 * read at any position will do as well.
 *
 * @param message path of a file, or `{ size, read(position, length) }`
 * @example
 * const message = await openMessage('video.encrypted', { keyring })
 * const middle = await message.read(Math.floor(message.plaintextLength / 2), 4096)
 * await pipeline(message.createReadStream({ start: 1_000_000, end: 1_999_999 }), response)
 * await message.close()
 * @throws TypeError | RangeError when an option is unfit; `PolicyError` for a signed message without
 * `allowUnverifiedSignature`; `UnsupportedError` for one that is not framed; the coded errors of a decryption, also where
 * the message was cut or grown; the file system's own errors.
 */
export async function openMessage(
  message: string | URL | RandomAccessSource,
  options: OpenMessageOptions,
): Promise<MessageReader> {
  decryptSettings(options)
  const isSource = typeof message === 'object' && !isUrl(message)
  return MessageReader.open(isSource ? message : await openFileRanges(pathOf('message', message)), options)
}

async function withFiles(
  from: string | URL,
  to: string | URL,
  options: { readonly signal?: AbortSignal | undefined; readonly inPlace?: boolean },
  work: (source: FileSource, target: FileTarget) => Promise<FileResult>,
): Promise<FileResult> {
  const [sourcePath, targetPath] = [pathOf('from', from), pathOf('to', to)]
  const source = await openFileSource(sourcePath)
  try {
    const target = await openFileTarget(targetPath, source, options)
    return await work(source, target)
  } finally {
    await source.close()
  }
}
