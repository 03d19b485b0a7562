/** What a profile adds to a command line. */
import type { CachingFlag } from './caching.ts'
import { CONFIG_NAME, type FoundProfile, findConfig, namedProfile, pathFrom, profileOf } from './config.ts'
import type { ConfiguredKey, Profile } from './config-schema.ts'
import { UsageError } from './failure.ts'
import type { KeyNaming } from './key-file.ts'
import type { KeyFlags } from './keys.ts'
import type { Mode } from './location.ts'
import { say } from './log.ts'
import type { MessageFlags, TransferFlags } from './options.ts'

type Flags = TransferFlags &
  MessageFlags & {
    readonly toProfile?: string
    readonly requiredEncryptionContextKeys?: readonly string[]
    readonly fromEncryptionContext?: readonly string[]
    readonly maxLength?: number
    readonly unsignedOnly?: boolean
    readonly verifyFirst?: boolean
  }

/**
 * The flags, and what the profile that is named adds where they say nothing. Where none is named, and no key either, it
 * is the default profile of the configuration, if there is one.
 *
 * @throws UsageError where a profile is not there, or not as it should be.
 */
export async function withProfile<F extends TransferFlags>(given: F, mode: Mode): Promise<F> {
  const flags: Flags = given
  const found = await profileFor(flags)
  const to =
    flags.toProfile === undefined ? undefined : await namedProfile('--to-profile', flags.toProfile, flags.config)
  const read = found === undefined ? flags : applied(flags, found, mode)
  const both = to === undefined ? read : withTarget(read, to)
  return both as Flags & F // only values of members that F may have were added
}

async function profileFor({ profile, config, key, kms, discovery }: Flags): Promise<FoundProfile | undefined> {
  if (profile !== undefined) return namedProfile('--profile', profile, config)
  if (key !== undefined || kms !== undefined || discovery === true) return undefined
  const found = await findConfig(config)
  if (found === undefined) return undefined
  if (found.defaultProfile !== undefined) return profileOf(found, found.defaultProfile)
  const names = Object.keys(found.profiles).join(', ')
  throw new UsageError(
    `no key: give --key KEYFILE, --kms KEY_ARN, or --profile with one of ${names} (of ${found.path})`,
  )
}

function applied(flags: Flags, found: FoundProfile, mode: Mode): Flags {
  const { profile } = found
  say(1, `profile ${JSON.stringify(found.name)} of ${found.config.path}`)
  const reads = { ...keysOf(flags, found, mode), ...limitsOf(flags, profile) }
  if (mode === 'encrypt') return { ...flags, ...reads, ...writingOf(flags, profile) }
  const context = contextOf(mode === 'decrypt' ? flags.encryptionContext : flags.fromEncryptionContext, profile)
  const { requiredEncryptionContextKeys: names = [] } = profile
  const checked = [...context, ...names.filter((name) => !context.some((each) => nameOf(each) === name))]
  return {
    ...flags,
    ...reads,
    ...(mode === 'decrypt' ? { encryptionContext: checked } : { fromEncryptionContext: checked }),
  }
}

/** Keys on the command line stand in the place of all those of the profile. */
function keysOf(flags: Flags, found: FoundProfile, mode: Mode): Partial<KeyFlags> {
  const { discovery, mrk } = found.profile
  if (flags.key !== undefined || flags.kms !== undefined || flags.discovery === true) return {}
  const { keys, kms, first, namings } = sorted(found)
  const finds = discovery !== undefined && mode !== 'encrypt'
  if (keys === undefined && kms === undefined && !finds) {
    throw new UsageError(`${found.config.path}: profile ${JSON.stringify(found.name)} has no keys to ${mode} with`)
  }
  return {
    ...(keys !== undefined && { key: keys, namings }),
    ...(kms !== undefined && { kms }),
    ...(first !== undefined && { firstKey: first }),
    ...(mrk === true && (kms !== undefined || finds) && { mrk }),
    ...(finds && {
      discovery: true,
      ...(discovery.accounts !== undefined && { discoveryAccount: discovery.accounts }),
      ...(discovery.accounts !== undefined &&
        discovery.partition !== undefined && { discoveryPartition: discovery.partition }),
      ...(discovery.regions !== undefined && { discoveryRegion: discovery.regions }),
    }),
  }
}

interface SortedKeys {
  readonly keys?: readonly string[]
  readonly kms?: readonly string[]
  readonly first?: 'key' | 'kms'
  readonly namings: ReadonlyMap<string, KeyNaming>
}

function sorted({ profile, config }: FoundProfile): SortedKeys {
  const all = profile.keys ?? []
  const kms = all.flatMap((key) => key.kms ?? [])
  const files = all.filter((key): key is ConfiguredKey & { file: string } => key.file !== undefined)
  const namings = new Map(files.map((key) => [pathFrom(config, key.file), namingOf(key)]))
  return {
    ...(files.length > 0 && { keys: files.map(({ file }) => pathFrom(config, file)) }),
    ...(kms.length > 0 && { kms }),
    ...(all[0] !== undefined && { first: all[0].kms === undefined ? 'key' : 'kms' }),
    namings,
  }
}

function namingOf({ name, namespace, padding }: ConfiguredKey): KeyNaming {
  return {
    ...(name !== undefined && { keyName: name }),
    ...(namespace !== undefined && { keyNamespace: namespace }),
    ...(padding !== undefined && { rsaPadding: padding }),
  }
}

function limitsOf(flags: Flags, profile: Profile): Partial<Flags> {
  const { commitmentPolicy, maxEncryptedDataKeys, maxLength, unsignedOnly, verifyFirst, suffix, caching } = profile
  const settings = {
    ...(commitmentPolicy !== undefined && { commitmentPolicy }),
    ...(maxEncryptedDataKeys !== undefined && { maxEncryptedDataKeys }),
    ...(maxLength !== undefined && { maxLength }),
    ...(unsignedOnly !== undefined && { unsignedOnly }),
    ...(verifyFirst !== undefined && { verifyFirst }),
    ...(suffix !== undefined && { suffix }),
    ...(caching !== undefined && { caching: cachingFlag(caching) }),
  }
  return unsaid(flags, settings)
}

function cachingFlag({
  maxAge,
  capacity,
  maxMessagesEncrypted: maxMessages,
  maxBytesEncrypted: maxBytes,
}: NonNullable<Profile['caching']>): CachingFlag {
  return {
    maxAgeMs: maxAge * 1000,
    ...(capacity !== undefined && { capacity }),
    ...(maxMessages !== undefined && { maxMessages }),
    ...(maxBytes !== undefined && { maxBytes }),
  }
}

/** What a message that is written is like. */
function writingOf(flags: Flags, profile: Profile): Partial<Flags> {
  const { suite, frameLength, randomAccess, requiredEncryptionContextKeys } = profile
  const isChosen = flags.suite !== undefined || flags.randomAccess !== undefined
  const settings = {
    ...(!isChosen && suite !== undefined && { suite }),
    ...(!isChosen && randomAccess !== undefined && { randomAccess }),
    ...(frameLength !== undefined && { frameLength }),
    ...(requiredEncryptionContextKeys !== undefined && { requiredEncryptionContextKeys }),
  }
  return { ...unsaid(flags, settings), encryptionContext: contextOf(flags.encryptionContext, profile) }
}

function withTarget(flags: Flags, to: FoundProfile): Flags {
  const { toKey, toKms } = flags
  say(1, `profile ${JSON.stringify(to.name)} of ${to.config.path}, to encrypt`)
  if (toKey !== undefined || toKms !== undefined) {
    throw new UsageError('--to-profile stands in the place of --to-key and --to-kms')
  }
  const { keys, kms, first, namings } = sorted(to)
  if (first === undefined) {
    throw new UsageError(`${to.config.path}: profile ${JSON.stringify(to.name)} has no keys to encrypt with`)
  }
  return {
    ...flags,
    ...writingOf(flags, to.profile),
    ...(keys !== undefined && { toKey: keys }),
    ...(kms !== undefined && { toKms: kms }),
    firstToKey: first,
    ...(to.profile.mrk === true && { toMrk: true }),
    namings: new Map([...(flags.namings ?? []), ...namings]),
  }
}

/** The settings of which the command line says nothing. */
function unsaid(flags: Flags, settings: Partial<Flags>): Partial<Flags> {
  const said: Readonly<Record<string, unknown>> = { ...flags }
  return Object.fromEntries(Object.entries(settings).filter(([name]) => said[name] === undefined))
}

/** The pairs of the profile whose names the command line does not name, and then what that says. */
function contextOf(given: readonly string[] = [], { encryptionContext = {} }: Profile): readonly string[] {
  const names = new Set(given.map(nameOf))
  const pairs = Object.entries(encryptionContext).filter(([name]) => !names.has(name))
  for (const [name] of pairs) {
    if (name === '' || name.includes('=')) {
      throw new UsageError(`${CONFIG_NAME}: the name ${JSON.stringify(name)} of a pair may not be empty, or hold "="`)
    }
  }
  return [...pairs.map(([name, value]) => `${name}=${value}`), ...given]
}

function nameOf(text: string): string {
  return text.split('=', 1)[0]!
}
