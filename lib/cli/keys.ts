/** The keys of a command line: one keyring of all of them. */
import { openFileSource } from '../adapters/file-source.ts'
import { MultiKeyring } from '../keyrings/multi-keyring.ts'
import type { KeySource } from '../materials/key-source.ts'
import type { Keyring } from '../materials/keyring.ts'
import { unlessAborted } from '../materials/shared-request.ts'
import { loadOverAwsSdk } from './aws-sdk.ts'
import { type CachingFlag, cachingSource } from './caching.ts'
import { FileFailure, UsageError, asUsage } from './failure.ts'
import { type KeyNaming, keyringOfFile } from './key-file.ts'
import type { KmsFlags } from './kms-keys.ts'
import { say } from './log.ts'

/** What the options of KEYS give. */
export interface KeyFlags extends KeyNaming, KmsFlags {
  readonly key?: readonly string[]
  /** Which of the options that name a key came first. */
  readonly firstKey?: 'key' | 'kms'
  readonly caching?: CachingFlag
  /** What a profile says of its key files, by their paths. */
  readonly namings?: ReadonlyMap<string, KeyNaming>
}

/** What the options of TO-KEYS give. */
export interface ToKeyFlags {
  readonly toKey?: readonly string[]
  readonly toKms?: readonly string[]
  readonly toKeyNamespace?: string
  readonly toKeyName?: string
  readonly firstToKey?: 'key' | 'kms'
  /** Of a profile: that of KEYS need not be theirs. */
  readonly toMrk?: boolean
}

/** What the keys are for. */
export type KeyUse = 'encrypt' | 'decrypt'

/** Longer is no key file. */
const MAX_KEY_FILE_BYTES = 64 * 1024

/**
 * Who wraps and unwraps under the given keys: of several, the first generates.
 *
 * @throws UsageError without any key, when a file holds none, or where an option lacks the one that it belongs to; what
 *   the file system says.
 */
export async function keySourceOf(flags: KeyFlags & ToKeyFlags, use: KeyUse, signal: AbortSignal): Promise<KeySource> {
  checkCombination(flags, use)
  const keyring = await keyringOf(flags, signal)
  return cachingSource(keyring, flags.caching)
}

/**
 * Who wraps under the given TO-KEYS.
 *
 * @throws as {@link keySourceOf} does.
 */
export async function toKeySourceOf(flags: KeyFlags & ToKeyFlags, signal: AbortSignal): Promise<KeySource> {
  const { toKey, toKms, toKeyNamespace, toKeyName, firstToKey, rsaPadding, caching, namings } = flags
  const mrk = flags.toMrk ?? flags.mrk
  if (toKey === undefined && toKms === undefined) {
    throw new UsageError('no key to encrypt under: give --to-key KEYFILE, --to-kms KEY_ARN, or --to-profile PROFILE')
  }
  const given = {
    ...(toKey !== undefined && { key: toKey }),
    ...(toKms !== undefined && { kms: toKms }),
    ...(toKeyNamespace !== undefined && { keyNamespace: toKeyNamespace }),
    ...(toKeyName !== undefined && { keyName: toKeyName }),
    ...(firstToKey !== undefined && { firstKey: firstToKey }),
    ...(rsaPadding !== undefined && { rsaPadding }),
    ...(mrk !== undefined && { mrk }),
    ...(namings !== undefined && { namings }),
  }
  return cachingSource(await keyringOf(given, signal), caching)
}

async function keyringOf(flags: KeyFlags, signal: AbortSignal): Promise<Keyring> {
  const { key: paths = [], namings, ...naming } = flags
  const keyrings: Keyring[] = []
  for (const path of paths) {
    say(1, `key file ${path}`)
    keyrings.push(await unlessAborted(readKeyring(path, { ...naming, ...namings?.get(path) }), signal))
  }
  const kms = await kmsKeyrings(flags)
  if (flags.firstKey === 'kms') keyrings.unshift(...kms)
  else keyrings.push(...kms)
  const [generator, ...children] = keyrings
  if (generator === undefined) {
    throw new UsageError(
      'no key: give --key KEYFILE ("esdk keygen KEYFILE" makes one), --kms KEY_ARN, or --profile PROFILE',
    )
  }
  return children.length === 0 ? generator : new MultiKeyring({ generator, children })
}

/** Options that say nothing without another one are mistakes: what was meant would not be done. */
function checkCombination(flags: KeyFlags & ToKeyFlags, use: KeyUse): void {
  const { kms, toKms, mrk, discovery = false, discoveryAccount, discoveryPartition, discoveryRegion } = flags
  if (discovery && use === 'encrypt') {
    throw new UsageError('--discovery only decrypts: name the keys to encrypt under with --kms')
  }
  const lacking = [
    [discoveryAccount, '--discovery-account'],
    [discoveryRegion, '--discovery-region'],
    [discoveryPartition, '--discovery-partition'],
  ].find(([value]) => value !== undefined && !discovery)
  if (lacking !== undefined) throw new UsageError(`${String(lacking[1])} goes with --discovery`)
  if (discoveryPartition !== undefined && discoveryAccount === undefined) {
    throw new UsageError('--discovery-partition goes with --discovery-account')
  }
  if (mrk === true && (kms ?? toKms) === undefined && !discovery) {
    throw new UsageError('--mrk goes with --kms or --discovery')
  }
}

/** Those of `--kms`, and that of `--discovery`. */
async function kmsKeyrings(flags: KeyFlags): Promise<readonly Keyring[]> {
  const { kms, discovery = false, firstKey } = flags
  if (kms === undefined && !discovery) return []
  for (const key of kms ?? []) say(1, `key ${key} of AWS KMS`)
  if (discovery) say(1, 'keys of AWS KMS that the message names')
  const { keyringOfKmsKeys, discoveryKeyring } = await loadOverAwsSdk(() => import('./kms-keys.ts'))
  return asUsage(() => [
    ...(kms === undefined ? [] : [keyringOfKmsKeys(flags, firstKey === 'kms')]),
    ...(discovery ? [discoveryKeyring(flags)] : []),
  ])
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
