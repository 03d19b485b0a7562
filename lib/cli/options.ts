/** Options that several subcommands have. */
import { type Command, Option } from 'commander'
import { COMMITMENT_POLICIES, type CommitmentPolicy } from '../materials/commitment-policy.ts'
import { cachingOf } from './caching.ts'
import type { KeyFlags, ToKeyFlags } from './keys.ts'
import { RSA_PADDINGS, collected, suiteOf, wholeNumber } from './option-values.ts'
import type { ProgressFlag } from './progress.ts'

/** What `encrypt`, `decrypt` and `reencrypt` have in common. */
export interface TransferFlags extends KeyFlags, ToKeyFlags {
  readonly output?: string
  readonly suffix?: string
  /** False with `--no-overwrite`. */
  readonly overwrite?: boolean
  readonly interactive?: boolean
  readonly encode?: boolean
  readonly decode?: boolean
  /** False with `--no-config`. */
  readonly config?: string | false
  readonly profile?: string
  readonly encryptionContext?: readonly string[]
  readonly commitmentPolicy?: CommitmentPolicy
  readonly maxEncryptedDataKeys?: number
  readonly progress: ProgressFlag
  readonly quiet?: boolean
  readonly json?: boolean
  readonly metadataOutput?: string
  readonly overwriteMetadata?: boolean
  readonly partSize?: number
  readonly expectedSize?: number
  readonly frameLength?: number
  readonly recursive?: boolean
  readonly include?: readonly string[]
  readonly exclude?: readonly string[]
  readonly concurrency?: number
  readonly report?: string
}

/** KEYS. */
export function addKeyOptions(command: Command): Command {
  noteFirst(command, ['key', 'kms'], 'firstKey')
  return command
    .optionsGroup('Keys:')
    .addOption(collected('--key <KEYFILE>', 'a key: JWK, PEM, or raw AES bytes; repeatable, the first generates'))
    .option('--key-namespace <NAMESPACE>', 'namespace of keys that name none (JWK and PEM: "esdk" unless said)')
    .option('--key-name <NAME>', 'name of keys that have none')
    .addOption(
      new Option('--rsa-padding <PADDING>', 'padding of RSA keys that name none (default: oaep-sha256)').choices(
        RSA_PADDINGS,
      ),
    )
    .addOption(collected('--kms <KEY_ARN>', 'a key of AWS KMS; repeatable, the first of all keys generates'))
    .option('--profile <PROFILE>', 'keys and settings of this profile of esdk.config.json; other options count more')
    .option('--config <FILE>', 'the configuration (default: esdk.config.json here, or in the nearest folder around)')
    .option('--no-config', 'look for no configuration')
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
    .optionsGroup('Keys to encrypt under:')
    .addOption(
      collected('--to-key <KEYFILE>', 'a key to encrypt under, as with --key; repeatable, the first generates'),
    )
    .option('--to-key-namespace <NAMESPACE>', 'namespace of those that name none')
    .option('--to-key-name <NAME>', 'name of those that have none')
    .option('--to-profile <PROFILE>', 'encrypt under the keys, and with the settings, of this profile')
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

/** What becomes of a file that is there. */
export function addOverwriteOptions(command: Command): Command {
  return command
    .optionsGroup('Files:')
    .option('--no-overwrite', 'replace no file or object: fail where OUTPUT is there; with -r, skip')
    .option('--interactive', 'ask, at the terminal, before a file or object is replaced')
}

/** What the command says, and how much of it. */
export function addTalkOptions(command: Command): Command {
  return command
    .addOption(
      new Option('-v, --verbose', 'say on stderr what is done; twice, also each call to AWS')
        .argParser((_value: string, previous: number | undefined) => (previous ?? 0) + 1)
        .conflicts('quiet'),
    )
    .option('-q, --quiet', 'no progress bar, and no word of what is skipped')
    .option('--debug', 'where something fails, say also what caused it, down to the first cause')
}

/** What `encrypt`, `decrypt` and `reencrypt` have in common, besides KEYS and -c. */
export function addTransferOptions(command: Command): Command {
  addOverwriteOptions(command)
    .option('--decode', 'INPUT is in base64')
    .option('--encode', 'write OUTPUT in base64')
    .optionsGroup('Many files:')
    .option('-r, --recursive', 'all files of the folder or s3://bucket/prefix/ INPUT')
    .addOption(collected('--include <GLOB>', 'with -r: only these; "*.log" in any folder, "a/**" in that; repeatable'))
    .addOption(collected('--exclude <GLOB>', 'with -r: not these; repeatable'))
    .option('--concurrency <N>', 'with -r: so many files at once, 64 at most (default: 4)', wholeNumber)
    .option('--report <FILE>', 'with -r: a line of JSON a file; what it says is done already is not done again')
    .optionsGroup('Objects of Amazon S3:')
    .option('--part-size <BYTES>', 'of a multipart upload to s3:// (default: 8388608)', wholeNumber)
    .option('--expected-size <BYTES>', 'about how long INPUT is, where it does not say', wholeNumber)
    .optionsGroup('Limits:')
    .addOption(new Option('--commitment-policy <POLICY>', 'commitment policy').choices(COMMITMENT_POLICIES))
    .option('--max-encrypted-data-keys <N>', 'refuse messages with more encrypted data keys', wholeNumber)
    .optionsGroup('What is said:')
    .addOption(
      new Option('--progress <WHEN>', 'progress bar on stderr').choices(['auto', 'always', 'never']).default('auto'),
    )
    .option('--json', 'one JSON record a file on stdout')
    .option('--metadata-output <FILE>', 'append the record to FILE, as a line of JSON')
    .option('--overwrite-metadata', 'replace what is in the file of --metadata-output')
  return addTalkOptions(command)
}

/** How long the frames of a message that is read may be: for `decrypt` and `reencrypt`. */
export function addMaxLengthOption(command: Command): Command {
  return command.option(
    '--max-length <BYTES>',
    'refuse messages with longer frames, or, without frames, longer content (default: 67108864)',
    wholeNumber,
  )
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
    .optionsGroup('The message:')
    .option('--frame-length <N>', 'bytes of plaintext in a frame (default: 4096)', wholeNumber)
    .option('--suite <SUITE>', 'algorithm suite, by id (0x0578) or name')
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

/** What the library is told of a message that is read. */
export function limitOptions(maxLength: number | undefined): { maxFrameBytes?: number } {
  return maxLength === undefined ? {} : { maxFrameBytes: maxLength }
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
