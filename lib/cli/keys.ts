/** The keys of a command line: one keyring of all of them. */
import { openFileSource } from '../adapters/file-source.ts'
import { MultiKeyring } from '../keyrings/multi-keyring.ts'
import type { Keyring } from '../materials/keyring.ts'
import { unlessAborted } from '../materials/shared-request.ts'
import { FileFailure, UsageError, asUsage } from './failure.ts'
import { type KeyNaming, keyringOfFile } from './key-file.ts'

/** What the options of KEYS give. */
export interface KeyFlags extends KeyNaming {
  readonly key?: readonly string[]
}

/** Longer is no key file. */
const MAX_KEY_FILE_BYTES = 64 * 1024

/**
 * The keyring of the given keys; of several, the first generates.
 *
 * @throws UsageError without any key, or when a file holds none; what the file system says.
 */
export async function keyringOf({ key: paths = [], ...naming }: KeyFlags, signal: AbortSignal): Promise<Keyring> {
  const keyrings: Keyring[] = []
  for (const path of paths) keyrings.push(await unlessAborted(readKeyring(path, naming), signal))
  const [generator, ...children] = keyrings
  if (generator === undefined) {
    throw new UsageError('no key: give --key KEYFILE ("esdk keygen KEYFILE" makes one)')
  }
  return children.length === 0 ? generator : new MultiKeyring({ generator, children })
}

async function readKeyring(path: string, naming: KeyNaming): Promise<Keyring> {
  const bytes = await readKeyFile(path)
  try {
    return asUsage(() => keyringOfFile(bytes, naming))
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(`key file ${path}: ${error.message}`) : error
  } finally {
    bytes.fill(0)
  }
}

async function readKeyFile(path: string): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  try {
    // Like INPUT, a key may come through a named pipe, which nobody should have to wait for.
    const source = await openFileSource(path)
    try {
      for await (const part of source.bytes) {
        const bytes = Buffer.from(part as Uint8Array) // a source has no encoding set
        length += bytes.length
        if (length > MAX_KEY_FILE_BYTES) break
        parts.push(bytes)
      }
    } finally {
      await source.close()
    }
  } catch (cause) {
    throw new FileFailure(`key file ${path}`, cause)
  }
  if (length > MAX_KEY_FILE_BYTES) {
    throw new UsageError(`key file ${path}: longer than ${MAX_KEY_FILE_BYTES} bytes, so it is no key file`)
  }
  const whole = Buffer.concat(parts)
  for (const part of parts) part.fill(0)
  return whole
}
