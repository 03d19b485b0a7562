/** Options that several subcommands have, and what their values may be. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { COMMITMENT_POLICIES, type CommitmentPolicy } from '../materials/commitment-policy.ts'
import { cachingOf } from './caching.ts'
import { UsageError } from './failure.ts'
import type { KeyFlags, ToKeyFlags } from './keys.ts'
import type { ProgressFlag } from './progress.ts'

/** What `encrypt`, `decrypt` and `reencrypt` have in common. */
export interface TransferFlags extends KeyFlags, ToKeyFlags {
  readonly output?: string
  readonly encryptionContext?: readonly string[]
  readonly commitmentPolicy?: CommitmentPolicy
  readonly maxEncryptedDataKeys?: number
  readonly progress: ProgressFlag
  readonly quiet?: boolean
  readonly json?: boolean
  readonly metadataOutput?: string
  readonly partSize?: number
  readonly expectedSize?: number
  readonly frameLength?: number
  readonly recursive?: boolean
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly concurrency?: number
  readonly report?: string
}

const RSA_PADDINGS = ['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512'] as const

/** KEYS. */
export function addKeyOptions(command: Command): Command {
  noteFirst(command, ['key', 'kms'], 'firstKey')
  return command
    .addOption(collected('--key <KEYFILE>', 'a key: JWK, PEM, or raw AES bytes; repeatable, the first generates'))
    .option('--key-namespace <NAMESPACE>', 'namespace of keys that name none (JWK and PEM: "esdk" unless said)')
    .option('--key-name <NAME>', 'name of keys that have none')
    .addOption(
      new Option('--rsa-padding <PADDING>', 'padding of RSA keys that name none (default: oaep-sha256)').choices(
        RSA_PADDINGS,
      ),
    )
    .addOption(collected('--kms <KEY_ARN>', 'a key of AWS KMS; repeatable, the first of all keys generates'))
    .option('--discovery', 'decrypt under whatever key of AWS KMS the message names')
    .addOption(collected('--discovery-account <ID>', 'only keys of this account; repeatable'))
    .option('--discovery-partition <PARTITION>', 'partition of those accounts (default: aws)')
    .addOption(collected('--discovery-region <REGION>', 'only keys of this region; repeatable'))
    .option('--mrk', 'multi-Region keys of --kms and --discovery: a replica in its own region serves as well')
    .addOption(
      new Option(
        '--caching <NAME=VALUE,…>',
        'use data keys again: max_age=SECONDS, capacity=N, max_messages_encrypted=N, max_bytes_encrypted=N',
      ).argParser(cachingOf),
    )
}

/** TO-KEYS. */
export function addToKeyOptions(command: Command): Command {
  noteFirst(command, ['to-key', 'to-kms'], 'firstToKey')
  return command
    .addOption(
      collected('--to-key <KEYFILE>', 'a key to encrypt under, as with --key; repeatable, the first generates'),
    )
    .option('--to-key-namespace <NAMESPACE>', 'namespace of those that name none')
    .option('--to-key-name <NAME>', 'name of those that have none')
    .addOption(collected('--to-kms <KEY_ARN>', 'a key of AWS KMS to encrypt under; repeatable'))
}

/** Remembers which of several options was given first: that key generates. */
function noteFirst(command: Command, names: readonly string[], as: string): void {
  for (const name of names) {
    command.on(`option:${name}`, () => {
      if (command.getOptionValue(as) === undefined) command.setOptionValue(as, name.replace('to-', ''))
    })
  }
}

/** What `encrypt`, `decrypt` and `reencrypt` have in common, besides KEYS and -c. */
export function addTransferOptions(command: Command): Command {
  return command
    .option('-r, --recursive', 'all files of the folder or s3://bucket/prefix/ INPUT')
    .addOption(collected('--include <GLOB>', 'with -r: only these; "*.log" in any folder, "a/**" in that; repeatable'))
    .addOption(collected('--exclude <GLOB>', 'with -r: not these; repeatable'))
    .option('--concurrency <N>', 'with -r: so many files at once, 64 at most (default: 4)', wholeNumber)
    .option('--report <FILE>', 'with -r: a line of JSON a file; what it says is done already is not done again')
    .option('--part-size <BYTES>', 'of a multipart upload to s3:// (default: 8388608)', wholeNumber)
    .option('--expected-size <BYTES>', 'about how long INPUT is, where it does not say', wholeNumber)
    .addOption(new Option('--commitment-policy <POLICY>', 'commitment policy').choices(COMMITMENT_POLICIES))
    .option('--max-encrypted-data-keys <N>', 'refuse messages with more encrypted data keys', wholeNumber)
    .addOption(
      new Option('--progress <WHEN>', 'progress bar on stderr').choices(['auto', 'always', 'never']).default('auto'),
    )
    .option('--quiet', 'no progress bar')
    .option('--json', 'one JSON record a file on stdout')
    .option('--metadata-output <FILE>', 'append the record to FILE, as a line of JSON')
}

/** What a message that is written may be like. */
export interface MessageFlags {
  readonly frameLength?: number
  readonly suite?: string
  readonly randomAccess?: boolean
}

/** What a message that is written may be like: for `encrypt` and `reencrypt`. */
export function addMessageOptions(command: Command): Command {
  return command
    .option('--frame-length <N>', 'bytes of plaintext in a frame (default: 4096)', wholeNumber)
    .option('--suite <ID>', 'algorithm suite, by id (0x0578) or name')
    .option('--random-access', 'an unsigned suite, so that ranges can be read on their own')
}

/** What the library takes for that. */
export function messageOptions({ frameLength, suite, randomAccess }: MessageFlags): {
  frameLength?: number
  algorithmSuite?: number | string
  randomAccess?: boolean
} {
  return {
    ...(frameLength !== undefined && { frameLength }),
    ...(suite !== undefined && { algorithmSuite: suiteOf(suite) }),
    ...(randomAccess !== undefined && { randomAccess }),
  }
}

/** `0x0578`, `0578` or a name. */
function suiteOf(text: string): number | string {
  return /^(?:0x)?[0-9a-f]{1,4}$/i.test(text) ? Number.parseInt(text, 16) : text
}

/** An option that may be given several times. */
export function collected(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, previous: readonly string[] | undefined) => [
    ...(previous ?? []),
    value,
  ])
}

/** A value that is a whole number, 1 or more. */
export function wholeNumber(value: string): number {
  const number = Number(value)
  if (!/^\d+$/.test(value) || !Number.isSafeInteger(number) || number < 1) {
    throw new InvalidArgumentError('expected a whole number, 1 or more')
  }
  return number
}

/** The pairs of `-c NAME=VALUE`, and the names of `-c NAME`. @throws UsageError when a name is empty or given twice. */
export function pairsOf(given: readonly string[] = []): {
  pairs: Readonly<Record<string, string>>
  names: readonly string[]
} {
  const pairs = new Map<string, string>()
  const names = new Set<string>()
  for (const text of given) {
    const at = text.indexOf('=')
    const name = at < 0 ? text : text.slice(0, at)
    if (name === '') throw new UsageError('-c expected NAME=VALUE, got an empty name')
    if (pairs.has(name) || names.has(name)) throw new UsageError(`-c names ${JSON.stringify(name)} twice`)
    if (at < 0) names.add(name)
    else pairs.set(name, text.slice(at + 1))
  }
  // Unlike an assignment, fromEntries makes a pair of any name, `__proto__` too.
  return { pairs: Object.fromEntries(pairs), names: [...names] }
}

/** The pairs of `-c NAME=VALUE`, where a name alone means nothing. @throws UsageError as `pairsOf` does, and for a name alone. */
export function pairsAlone(given: readonly string[] | undefined): Readonly<Record<string, string>> {
  const { pairs, names } = pairsOf(given)
  if (names[0] !== undefined) throw new UsageError(`-c expected NAME=VALUE, got ${JSON.stringify(names[0])}`)
  return pairs
}

/** What both directions hand to the library. */
export function sharedOptions({ commitmentPolicy, maxEncryptedDataKeys }: TransferFlags): {
  commitmentPolicy?: CommitmentPolicy
  maxEncryptedDataKeys?: number
} {
  return {
    ...(commitmentPolicy !== undefined && { commitmentPolicy }),
    ...(maxEncryptedDataKeys !== undefined && { maxEncryptedDataKeys }),
  }
}
