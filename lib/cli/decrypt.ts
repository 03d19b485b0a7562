/** `esdk decrypt`. */
import { Command, Option } from 'commander'
import type { SelectRange } from '../adapters/transfer.ts'
import { addNotes } from './command-notes.ts'
import { checkCombinations } from './combinations.ts'
import { UsageError, asUsage } from './failure.ts'
import { collected, pairsOf } from './option-values.ts'
import {
  type TransferFlags,
  addKeyOptions,
  addMaxLengthOption,
  addTransferOptions,
  limitOptions,
  sharedOptions,
} from './options.ts'
import { rangeOf } from './range.ts'
import type { Job } from './run-transfer.ts'

interface DecryptFlags extends TransferFlags {
  readonly unsignedOnly?: boolean
  readonly verifyFirst?: boolean
  readonly buffer?: boolean
  readonly requiredEncryptionContextKeys?: readonly string[]
  readonly maxLength?: number
  readonly range?: SelectRange
  readonly allowUnverifiedSignature?: boolean
}

const NOTES = `
To "-", plaintext is written as its frames verify, before the end of the message and its signature are seen: use it only
when the exit code is 0, or give --verify-first. To anything else, nothing is written before everything verified.

Examples:
  $ esdk decrypt backup.tar.encrypted --key backup.jwk             writes backup.tar
  $ esdk decrypt video.encrypted -o - --key video.jwk --range 1000000-1999999
  $ esdk decrypt backup.tar.encrypted --key backup.jwk -c purpose=backup -o restored.tar
  $ esdk decrypt report.pdf.encrypted --profile reports
  $ esdk decrypt - --key backup.jwk --verify-first < photos.tar.encrypted | tar x
  $ esdk decrypt s3://videos/a.mp4.encrypted -o - --key video.jwk --range 0-65535
  $ esdk decrypt -r s3://backups/photos/ -o photos --key backup.jwk --concurrency 8`

/** The subcommand. */
export function decryptCommand(signal: AbortSignal): Command {
  const command = new Command('decrypt')
    .summary('decrypt a message')
    .description(
      'Decrypts INPUT (a path, s3://bucket/key, or "-" for stdin). OUTPUT appears when all of it is verified and ' +
        'written, replacing what was there; after a failure it is as it was. With -r, each file of a folder or prefix.',
    )
    .argument('<INPUT>', 'the message')
    .option(
      '-o, --output <OUTPUT>',
      'path, s3://bucket/key or "-" (default: INPUT without .encrypted, else with .decrypted; "-" for "-")',
    )
    .option('--suffix <SUFFIX>', 'what is taken off names, instead of .encrypted; may be ""')
  addKeyOptions(command)
    .optionsGroup('Encryption context:')
    .addOption(
      collected(
        '-c, --encryption-context <NAME[=VALUE]>',
        'a pair that it was encrypted with, or a name that it must hold; repeatable',
      ),
    )
    .addOption(
      collected(
        '--required-encryption-context-keys <NAME>',
        'a name that the message must hold, as -c NAME; repeatable',
      ),
    )
    .optionsGroup('The message:')
    .option('--unsigned-only', 'refuse signed messages')
    .option('--verify-first', 'write nothing before everything verified, even to "-"')
    .addOption(new Option('-b, --buffer', 'the same as --verify-first').implies({ verifyFirst: true }))
    .addOption(
      new Option('--range <START-END>', 'only these bytes of plaintext, both included (START- and -N too)').argParser(
        rangeOf,
      ),
    )
    .option('--allow-unverified-signature', 'with --range: also of signed messages, whose signature is not verified')
  addTransferOptions(addMaxLengthOption(command)).action(async (input: string, flags: DecryptFlags) => {
    await run(input, flags, signal)
  })
  return addNotes(command, NOTES)
}

async function run(input: string, given: DecryptFlags, signal: AbortSignal): Promise<void> {
  checkCombinations(given, 'decrypt')
  pairsOf(given.encryptionContext)
  checkRange(input, given)
  // Loaded here, so that help and mistakes are quick.
  const [
    { runTransfer },
    { decryptTransfer, rangeTransfer },
    { keySourceOf },
    { decryptSettings },
    { STANDARD_STREAM, defaultOutput },
    { withProfile },
  ] = await Promise.all([
    import('./run-transfer.ts'),
    import('../adapters/transfer.ts'),
    import('./keys.ts'),
    import('../streams/options.ts'),
    import('./location.ts'),
    import('./profile.ts'),
  ])
  const flags = await withProfile(given, 'decrypt')
  const { pairs, names } = pairsOf(flags.encryptionContext)
  const {
    unsignedOnly,
    verifyFirst,
    range,
    requiredEncryptionContextKeys = [],
    allowUnverifiedSignature = false,
  } = flags
  const streaming = (flags.output ?? defaultOutput('decrypt', input)) === STANDARD_STREAM
  const options = {
    ...sharedOptions(flags),
    ...limitOptions(flags.maxLength),
    ...(await keySourceOf(flags, 'decrypt', signal)),
    encryptionContext: pairs,
    requiredEncryptionContextKeys: [...names, ...requiredEncryptionContextKeys],
    ...(unsignedOnly !== undefined && { unsignedOnly }),
    ...((verifyFirst !== undefined || streaming) && { verifyFirst: range === undefined && (verifyFirst ?? false) }),
  }
  asUsage(() => decryptSettings(options))
  const job: Job = {
    mode: 'decrypt',
    flags,
    signal,
    work: (source, target, work) =>
      range === undefined
        ? decryptTransfer(source, target, { ...options, ...work })
        : rangeTransfer(source, target, { ...options, ...work, allowUnverifiedSignature }, range),
  }
  await runTransfer(job, input)
}

function checkRange(input: string, flags: DecryptFlags): void {
  const { range, allowUnverifiedSignature, verifyFirst, recursive, decode } = flags
  if (range === undefined) {
    if (allowUnverifiedSignature === true) throw new UsageError('--allow-unverified-signature goes with --range')
    return
  }
  if (recursive === true) throw new UsageError('--range is of one message, -r of many')
  if (input === '-') throw new UsageError('--range needs a file, not "-"')
  if (decode === true) throw new UsageError('--range is of positions in a message, which --decode has not')
  if (verifyFirst === true) throw new UsageError('--verify-first reads all of a message, --range only some of it')
}
