/** `esdk encrypt`. */
import { Command } from 'commander'
import { UsageError, asUsage } from './failure.ts'
import {
  type TransferFlags,
  addKeyOptions,
  addTransferOptions,
  collected,
  pairsOf,
  sharedOptions,
  wholeNumber,
} from './options.ts'
import type { Job } from './run-transfer.ts'

interface EncryptFlags extends TransferFlags {
  readonly suite?: string
  readonly randomAccess?: boolean
  readonly requiredEncryptionContextKeys?: readonly string[]
}

const EXAMPLES = `
Examples:
  $ esdk encrypt backup.tar --key backup.jwk -c purpose=backup     writes backup.tar.encrypted
  $ tar c photos | esdk encrypt - --key backup.jwk > photos.tar.encrypted
  $ esdk encrypt report.pdf -o /mnt/report.pdf.encrypted --key backup.jwk --key escrow-public.pem
  $ pg_dump shop | esdk encrypt - -o s3://backups/shop.sql.encrypted --kms alias/backups --expected-size 200000000000
  $ esdk encrypt -r photos -o s3://backups/photos/ --key backup.jwk --exclude '*.tmp' --report photos.jsonl`

/** The subcommand. */
export function encryptCommand(signal: AbortSignal): Command {
  const command = new Command('encrypt')
    .summary('encrypt a file')
    .description(
      'Encrypts INPUT (a path, s3://bucket/key, or "-" for stdin) into one message. OUTPUT appears when all of it is ' +
        'written, replacing what was there; after a failure it is as it was. With -r, each file of a folder or prefix.',
    )
    .argument('<INPUT>', 'what to encrypt')
    .option('-o, --output <OUTPUT>', 'path, s3://bucket/key or "-" (default: INPUT.encrypted; "-" for "-")')
  addKeyOptions(command)
    .addOption(collected('-c, --encryption-context <NAME=VALUE>', 'a pair to store and authenticate; repeatable'))
    .addOption(
      collected(
        '--required-encryption-context-keys <NAME>',
        'authenticate this pair of -c without storing it; repeatable',
      ),
    )
    .option('--frame-length <N>', 'bytes of plaintext in a frame (default: 4096)', wholeNumber)
    .option('--suite <ID>', 'algorithm suite, by id (0x0578) or name')
    .option('--random-access', 'an unsigned suite, so that ranges can be read on their own')
  return addTransferOptions(command)
    .addHelpText('after', EXAMPLES)
    .action(async (input: string, flags: EncryptFlags) => {
      await run(input, flags, signal)
    })
}

async function run(input: string, flags: EncryptFlags, signal: AbortSignal): Promise<void> {
  const { pairs, names } = pairsOf(flags.encryptionContext)
  if (names[0] !== undefined) throw new UsageError(`-c expected NAME=VALUE, got ${JSON.stringify(names[0])}`)
  // Loaded here, so that help and mistakes are quick.
  const [{ runTransfer }, { encryptTransfer }, { keySourceOf }, { encryptSettings }] = await Promise.all([
    import('./run-transfer.ts'),
    import('../adapters/transfer.ts'),
    import('./keys.ts'),
    import('../streams/options.ts'),
  ])
  const { frameLength, suite, randomAccess, requiredEncryptionContextKeys } = flags
  const options = {
    ...sharedOptions(flags),
    ...(await keySourceOf(flags, 'encrypt', signal)),
    encryptionContext: pairs,
    ...(requiredEncryptionContextKeys !== undefined && { requiredEncryptionContextKeys }),
    ...(frameLength !== undefined && { frameLength }),
    ...(suite !== undefined && { algorithmSuite: suiteOf(suite) }),
    ...(randomAccess !== undefined && { randomAccess }),
  }
  asUsage(() => encryptSettings(options))
  const job: Job = {
    mode: 'encrypt',
    flags,
    signal,
    work: (source, target, work) => encryptTransfer(source, target, { ...options, ...work }),
  }
  await runTransfer(job, input)
}

/** `0x0578`, `0578` or a name. */
export function suiteOf(text: string): number | string {
  return /^(?:0x)?[0-9a-f]{1,4}$/i.test(text) ? Number.parseInt(text, 16) : text
}
