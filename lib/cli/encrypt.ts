/** `esdk encrypt`. */
import { Command } from 'commander'
import { addNotes } from './command-notes.ts'
import { checkCombinations } from './combinations.ts'
import { asUsage } from './failure.ts'
import { collected, pairsAlone } from './option-values.ts'
import {
  type MessageFlags,
  type TransferFlags,
  addKeyOptions,
  addMessageOptions,
  addTransferOptions,
  messageOptions,
  sharedOptions,
} from './options.ts'
import type { Job } from './run-transfer.ts'

interface EncryptFlags extends TransferFlags, MessageFlags {
  readonly requiredEncryptionContextKeys?: readonly string[]
}

const NOTES = `
Examples:
  $ esdk encrypt backup.tar --key backup.jwk -c purpose=backup     writes backup.tar.encrypted
  $ tar c photos | esdk encrypt - --key backup.jwk > photos.tar.encrypted
  $ esdk encrypt report.pdf --profile reports -c month=2026-11     keys and more as esdk.config.json has them
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
    .option('--suffix <SUFFIX>', 'what is added to names, instead of .encrypted; may be ""')
  addKeyOptions(command)
    .optionsGroup('Encryption context:')
    .addOption(collected('-c, --encryption-context <NAME=VALUE>', 'a pair to store and authenticate; repeatable'))
    .addOption(
      collected(
        '--required-encryption-context-keys <NAME>',
        'authenticate this pair of -c without storing it; repeatable',
      ),
    )
  addTransferOptions(addMessageOptions(command)).action(async (input: string, flags: EncryptFlags) => {
    await run(input, flags, signal)
  })
  return addNotes(command, NOTES)
}

async function run(input: string, given: EncryptFlags, signal: AbortSignal): Promise<void> {
  checkCombinations(given, 'encrypt')
  pairsAlone(given.encryptionContext)
  // Loaded here, so that help and mistakes are quick.
  const [{ runTransfer }, { encryptTransfer }, { keySourceOf }, { encryptSettings }, { withProfile }] =
    await Promise.all([
      import('./run-transfer.ts'),
      import('../adapters/transfer.ts'),
      import('./keys.ts'),
      import('../streams/options.ts'),
      import('./profile.ts'),
    ])
  const flags = await withProfile(given, 'encrypt')
  const encryptionContext = pairsAlone(flags.encryptionContext)
  const { requiredEncryptionContextKeys } = flags
  const options = {
    ...sharedOptions(flags),
    ...(await keySourceOf(flags, 'encrypt', signal)),
    encryptionContext,
    ...(requiredEncryptionContextKeys !== undefined && { requiredEncryptionContextKeys }),
    ...messageOptions(flags),
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
