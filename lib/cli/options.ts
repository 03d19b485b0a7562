/** Options that several subcommands have, and what their values may be. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { COMMITMENT_POLICIES, type CommitmentPolicy } from '../materials/commitment-policy.ts'
import { cachingOf } from './caching.ts'
import { UsageError } from './failure.ts'
import type { KeyFlags } from './keys.ts'
import type { ProgressFlag } from './progress.ts'

/** What `encrypt` and `decrypt` have in common. */
export interface TransferFlags extends KeyFlags {
  readonly output?: string
  readonly encryptionContext?: readonly string[]
  readonly commitmentPolicy?: CommitmentPolicy
  readonly maxEncryptedDataKeys?: number
  readonly progress: ProgressFlag
  readonly quiet?: boolean
  readonly json?: boolean
  readonly metadataOutput?: string
}

const RSA_PADDINGS = ['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512'] as const

/** KEYS. */
export function addKeyOptions(command: Command): Command {
  for (const name of ['key', 'kms'] as const) {
    command.on(`option:${name}`, () => {
      if (command.getOptionValue('firstKey') === undefined) command.setOptionValue('firstKey', name)
    })
  }
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

/** What `encrypt` and `decrypt` have in common, besides KEYS and -c. */
export function addTransferOptions(command: Command): Command {
  return command
    .addOption(new Option('--commitment-policy <POLICY>', 'commitment policy').choices(COMMITMENT_POLICIES))
    .option('--max-encrypted-data-keys <N>', 'refuse messages with more encrypted data keys', wholeNumber)
    .addOption(
      new Option('--progress <WHEN>', 'progress bar on stderr').choices(['auto', 'always', 'never']).default('auto'),
    )
    .option('--quiet', 'no progress bar')
    .option('--json', 'one JSON record a file on stdout')
    .option('--metadata-output <FILE>', 'append the record to FILE, as a line of JSON')
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
