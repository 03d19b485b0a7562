/** The options of both directions: one object, validated once, at once. */
import { cryptoEngine } from '../crypto/engine.ts'
import { checkInteger } from '../errors.ts'
import { type AlgorithmSuite, algorithmSuite, suiteHex } from '../format/algorithm-suite.ts'
import {
  type EncryptionContext,
  PUBLIC_KEY_NAME,
  RESERVED_PREFIX,
  encryptionContextOf,
} from '../format/encryption-context.ts'
import { MAX_SEQUENCE_NUMBER } from '../format/frame.ts'
import { DEFAULT_HEADER_LIMITS, type HeaderLimits, MAX_FRAME_BYTES } from '../format/message-header.ts'
import {
  COMMITMENT_POLICIES,
  type CommitmentPolicy,
  DEFAULT_COMMITMENT_POLICY,
  suiteOfPolicy,
} from '../materials/commitment-policy.ts'
import type { CryptographicMaterialsManager } from '../materials/cryptographic-materials-manager.ts'
import { type KeySource, managerOf } from '../materials/key-source.ts'
import type { DriverOptions } from './protocol-transform.ts'

interface MessageOptions extends KeySource, Pick<DriverOptions, 'signal' | 'onProgress'> {
  /** `'require-encrypt-require-decrypt'` unless said. */
  readonly commitmentPolicy?: CommitmentPolicy
  /** At most so many encrypted data keys in a message, 1 or more; no limit unless said. */
  readonly maxEncryptedDataKeys?: number
  /** Longest header, in bytes; 1 MiB unless said, at most 1 GiB. */
  readonly maxHeaderBytes?: number
  /** Longest frame, or whole non-framed content, in bytes; 64 MiB unless said, at most 1 GiB. */
  readonly maxFrameBytes?: number
}

/** What a message is encrypted with. */
export interface EncryptOptions extends MessageOptions {
  /** Pairs that are stored in the message and authenticated; not secret. Names may not begin with `aws-crypto-`. */
  readonly encryptionContext?: Readonly<Record<string, string>>
  /** Names of pairs that are authenticated but not stored: who decrypts has to reproduce them. */
  readonly requiredEncryptionContextKeys?: readonly string[]
  /** Id (`0x0578`) or name; by policy unless said. */
  readonly algorithmSuite?: number | string
  /** Bytes of plaintext in a frame; 4096 unless said. */
  readonly frameLength?: number
  /** Exact length of the plaintext in bytes; any other is a `LengthError`. */
  readonly plaintextLength?: number
  /** Upper bound of the plaintext's length in bytes; passing it is a `LimitError`, at once. 0 means empty. */
  readonly plaintextLengthBound?: number
  /** True: an unsigned suite, so that ranges of the message can be verified on their own. */
  readonly randomAccess?: boolean
}

/** What a message is decrypted with. */
export interface DecryptOptions extends MessageOptions {
  /** Pairs that the message must have been encrypted with: stored with just these values, or authenticated without being stored. */
  readonly encryptionContext?: Readonly<Record<string, string>>
  /** Names that the message's encryption context must hold, whatever their values. */
  readonly requiredEncryptionContextKeys?: readonly string[]
  /** Refuse a signed message right after its header, before any key is asked for. */
  readonly unsignedOnly?: boolean
  /** Release nothing before everything verified; the ciphertext is kept meanwhile, in memory or in an unlinked file. */
  readonly verifyFirst?: boolean
  /** Where `verifyFirst` keeps what does not fit in memory; the system's folder for temporary files unless said. */
  readonly spoolFolder?: string
  /** Also open messages of version 4.0.0 of the SDK for .NET, whose header was authenticated otherwise. Off unless said. */
  readonly allowNet400Messages?: boolean
}

/** Validated options of an encryption. */
export interface EncryptSettings {
  readonly materialsManager: CryptographicMaterialsManager
  readonly commitmentPolicy: CommitmentPolicy
  readonly encryptionContext: EncryptionContext
  readonly requiredEncryptionContextKeys: readonly string[]
  readonly algorithmSuite: AlgorithmSuite | undefined
  readonly frameLength: number
  readonly plaintextLength: number | undefined
  readonly plaintextLengthBound: number | undefined
  readonly limits: HeaderLimits
}

/** Validated options of a decryption. */
export interface DecryptSettings {
  readonly materialsManager: CryptographicMaterialsManager
  readonly commitmentPolicy: CommitmentPolicy
  readonly encryptionContext: EncryptionContext
  readonly requiredEncryptionContextKeys: readonly string[]
  readonly unsignedOnly: boolean
  readonly verifyFirst: boolean
  readonly spoolFolder: string | undefined
  readonly allowNet400Messages: boolean
  readonly limits: HeaderLimits
}

/** Bytes of plaintext in a frame, unless said. */
export const DEFAULT_FRAME_LENGTH = 4096
const MAX_HEADER_BYTES = 2 ** 30

/** @throws TypeError | RangeError when an option is unfit. */
export function encryptSettings(options: EncryptOptions): EncryptSettings {
  const shared = sharedSettings(options)
  const frameLength = checkInteger(
    'frameLength',
    options.frameLength ?? DEFAULT_FRAME_LENGTH,
    1,
    shared.limits.maxFrameBytes,
  )
  const { plaintextLength, plaintextLengthBound } = options
  if (plaintextLength !== undefined) {
    checkInteger('plaintextLength', plaintextLength, 0)
    if (Math.ceil(plaintextLength / frameLength) > MAX_SEQUENCE_NUMBER) {
      throw new RangeError(
        `a plaintext of ${plaintextLength} bytes takes more than ${MAX_SEQUENCE_NUMBER} frames of ${frameLength} bytes`,
      )
    }
  }
  if (plaintextLengthBound !== undefined) checkInteger('plaintextLengthBound', plaintextLengthBound, 0)
  const reserved = Object.keys(shared.encryptionContext).find((name) => name.startsWith(RESERVED_PREFIX))
  if (reserved !== undefined) {
    throw new TypeError(
      `"encryptionContext" holds ${JSON.stringify(reserved)}: names that begin with "${RESERVED_PREFIX}" are reserved`,
    )
  }
  for (const name of shared.requiredEncryptionContextKeys) {
    if (!Object.hasOwn(shared.encryptionContext, name) && name !== PUBLIC_KEY_NAME) {
      throw new TypeError(
        `"requiredEncryptionContextKeys" names ${JSON.stringify(name)}, which "encryptionContext" does not hold`,
      )
    }
  }
  const algorithmSuite = chosenSuite(options, shared.commitmentPolicy)
  return Object.assign(shared, { frameLength, plaintextLength, plaintextLengthBound, algorithmSuite })
}

/** @throws TypeError | RangeError when an option is unfit. */
export function decryptSettings(options: DecryptOptions): DecryptSettings {
  return Object.assign(sharedSettings(options), {
    unsignedOnly: flag('unsignedOnly', options.unsignedOnly),
    verifyFirst: flag('verifyFirst', options.verifyFirst),
    spoolFolder: options.spoolFolder,
    allowNet400Messages: flag('allowNet400Messages', options.allowNet400Messages),
  })
}

type SharedSettings = Pick<
  DecryptSettings,
  'materialsManager' | 'commitmentPolicy' | 'encryptionContext' | 'requiredEncryptionContextKeys' | 'limits'
>

function sharedSettings(options: EncryptOptions | DecryptOptions): SharedSettings {
  if (typeof options !== 'object' || (options as unknown) === null) throw new TypeError('expected an object of options')
  cryptoEngine() // an engine that can't be had is told at once
  const { commitmentPolicy = DEFAULT_COMMITMENT_POLICY, maxEncryptedDataKeys, maxHeaderBytes, maxFrameBytes } = options
  if (!COMMITMENT_POLICIES.includes(commitmentPolicy)) {
    throw new TypeError(
      `"commitmentPolicy" expected one of ${COMMITMENT_POLICIES.join(', ')}, got ${JSON.stringify(commitmentPolicy)}`,
    )
  }
  const defaults = DEFAULT_HEADER_LIMITS
  return {
    materialsManager: managerOf(options),
    commitmentPolicy,
    encryptionContext: checkedContext(options.encryptionContext),
    requiredEncryptionContextKeys: checkedNames(options.requiredEncryptionContextKeys),
    limits: {
      maxEncryptedDataKeys:
        maxEncryptedDataKeys === undefined
          ? defaults.maxEncryptedDataKeys
          : checkInteger('maxEncryptedDataKeys', maxEncryptedDataKeys, 1),
      maxHeaderBytes: checkInteger('maxHeaderBytes', maxHeaderBytes ?? defaults.maxHeaderBytes, 1, MAX_HEADER_BYTES),
      maxFrameBytes: checkInteger('maxFrameBytes', maxFrameBytes ?? defaults.maxFrameBytes, 1, MAX_FRAME_BYTES),
    },
  }
}

function chosenSuite(
  { algorithmSuite: named, randomAccess: wanted }: EncryptOptions,
  policy: CommitmentPolicy,
): AlgorithmSuite | undefined {
  const randomAccess = flag('randomAccess', wanted)
  const suite = named === undefined ? undefined : algorithmSuite(named)
  if (!randomAccess) return suite
  if (suite?.signature !== undefined) {
    throw new TypeError(`"randomAccess" goes with unsigned suites only; ${suiteHex(suite.id)} signs`)
  }
  return suite ?? suiteOfPolicy(policy, true)
}

/** A copy of a caller's encryption context. */
function checkedContext(context: Readonly<Record<string, string>> = {}): EncryptionContext {
  if (typeof context !== 'object' || (context as unknown) === null) {
    throw new TypeError('"encryptionContext" expected an object of strings')
  }
  const pairs: [string, string][] = Object.entries(context)
  for (const [name, value] of pairs) {
    if (typeof value !== 'string') {
      throw new TypeError(`"encryptionContext" expected strings, got ${typeof value} for ${JSON.stringify(name)}`)
    }
    if (!name.isWellFormed() || !value.isWellFormed()) {
      throw new TypeError(`"encryptionContext" holds half of a surrogate pair in ${JSON.stringify(name)}`)
    }
  }
  return encryptionContextOf(pairs)
}

function checkedNames(names: readonly string[] = []): readonly string[] {
  if (!Array.isArray(names) || names.some((name) => typeof name !== 'string')) {
    throw new TypeError('"requiredEncryptionContextKeys" expected an array of names')
  }
  return [...new Set<string>(names)]
}

function flag(option: string, value: boolean | undefined): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw new TypeError(`"${option}" expected true or false`)
  return value ?? false
}
