/** `esdk reencrypt`. */
import { Command } from 'commander'
import type { EncryptOptions, DecryptOptions } from '../streams/options.ts'
import { addNotes } from './command-notes.ts'
import { checkCombinations } from './combinations.ts'
import { asUsage } from './failure.ts'
import { objectName } from './location.ts'
import { collected, pairsAlone, pairsOf } from './option-values.ts'
import {
  type MessageFlags,
  type TransferFlags,
  addKeyOptions,
  addMaxLengthOption,
  addMessageOptions,
  addToKeyOptions,
  addTransferOptions,
  limitOptions,
  messageOptions,
  sharedOptions,
} from './options.ts'
import type { BetweenObjects, Job, ObjectsResult } from './run-transfer.ts'

interface ReencryptFlags extends TransferFlags, MessageFlags {
  readonly toProfile?: string
  readonly fromEncryptionContext?: readonly string[]
  readonly requiredEncryptionContextKeys?: readonly string[]
  readonly maxLength?: number
}

const NOTES = `
The new message has a data key and a message id of its own. The encryption context that is stored is carried over; -c adds
pairs or replaces them. Objects keep their headers, metadata, tags, storage class, server-side encryption and lock. In a
bucket with versions the old one is still there, under the old keys: the record (--json) names it.

Interrupted with -r and without -o, the files that were done are under the new keys already: --report FILE knows them.

Examples:
  $ esdk reencrypt backup.tar.encrypted --key old.jwk --to-key new.jwk
  $ esdk reencrypt s3://backups/shop.sql.encrypted --discovery --to-kms arn:aws:kms:eu-west-1:111122223333:alias/backups
  $ esdk reencrypt report.pdf.encrypted --profile reports --to-profile archive
  $ esdk reencrypt -r s3://backups/ --key old.jwk --to-kms alias/backups --report rotation.jsonl`

/** The subcommand. */
export function reencryptCommand(signal: AbortSignal): Command {
  const command = new Command('reencrypt')
    .summary('encrypt a message anew, under other keys')
    .description(
      'Decrypts INPUT (a path, s3://bucket/key, or "-" for stdin) and encrypts it under TO-KEYS, in one pass: no plaintext ' +
        'is written. Without -o it is replaced, when all of the old message verified and all of the new one is written.',
    )
    .argument('<INPUT>', 'the message')
    .option('-o, --output <OUTPUT>', 'path, s3://bucket/key or "-" (default: in place; "-" for "-")')
  addToKeyOptions(addKeyOptions(command))
    .optionsGroup('Encryption context:')
    .addOption(collected('-c, --encryption-context <NAME=VALUE>', 'a pair to add or replace; repeatable'))
    .addOption(
      collected('--required-encryption-context-keys <NAME>', 'authenticate this pair without storing it; repeatable'),
    )
    .addOption(
      collected(
        '--from-encryption-context <NAME[=VALUE]>',
        'a pair that the old message was encrypted with, or a name that it must hold; repeatable',
      ),
    )
  addTransferOptions(addMaxLengthOption(addMessageOptions(command))).action(
    async (input: string, flags: ReencryptFlags) => {
      await run(input, flags, signal)
    },
  )
  return addNotes(command, NOTES)
}

async function run(input: string, given: ReencryptFlags, signal: AbortSignal): Promise<void> {
  checkCombinations(given, 'reencrypt')
  pairsAlone(given.encryptionContext)
  // Loaded here, so that help and mistakes are quick.
  const [
    { runTransfer },
    { reencryptTransfer },
    { keySourceOf, toKeySourceOf },
    { decryptSettings, encryptSettings },
    { withProfile },
  ] = await Promise.all([
    import('./run-transfer.ts'),
    import('../adapters/transfer.ts'),
    import('./keys.ts'),
    import('../streams/options.ts'),
    import('./profile.ts'),
  ])
  const flags = await withProfile(given, 'reencrypt')
  const { pairs, names } = pairsOf(flags.fromEncryptionContext)
  const { requiredEncryptionContextKeys = [] } = flags
  const shared = sharedOptions(flags)
  const from = {
    ...shared,
    ...limitOptions(flags.maxLength),
    ...(await keySourceOf(flags, 'decrypt', signal)),
    encryptionContext: pairs,
    requiredEncryptionContextKeys: names,
  }
  const to = {
    ...shared,
    ...(await toKeySourceOf(flags, signal)),
    encryptionContext: pairsAlone(flags.encryptionContext),
    requiredEncryptionContextKeys,
    ...messageOptions(flags),
  }
  asUsage(() => decryptSettings(from))
  asUsage(() => encryptSettings({ ...to, requiredEncryptionContextKeys: [] })) // they may be among the stored pairs
  const job: Job = {
    mode: 'reencrypt',
    flags,
    signal,
    work: (source, target, work) => reencryptTransfer(source, target, { from, to, ...work }),
    betweenObjects: (options) => betweenObjects(from, to, options),
  }
  await runTransfer(job, input)
}

async function betweenObjects(
  from: DecryptOptions,
  to: EncryptOptions,
  { input, output, known, partBytes, queueSize, exclusive, signal, onProgress }: BetweenObjects,
): Promise<ObjectsResult> {
  const { objects } = await import('./places.ts')
  const { reencryptObject, s3Client } = await objects()
  const result = await reencryptObject({
    client: await s3Client(),
    params: { ...objectName(input), ...(known?.ETag !== undefined && { IfMatch: known.ETag }) },
    from,
    // No plaintext is longer than its message: so data keys can be used again where the caller wants that.
    to: { ...to, ...(known?.length !== undefined && { plaintextLengthBound: known.length }) },
    ...(input !== output && { target: { params: { ...objectName(output), ...(exclusive && { IfNoneMatch: '*' }) } } }),
    ...(partBytes !== undefined && { partBytes }),
    ...(queueSize !== undefined && { queueSize }),
    ...(onProgress !== undefined && { onProgress }),
    signal,
  })
  const { header, stats, output: answer, previous } = result
  const previousVersionId = input === output && previous.VersionId !== 'null' ? previous.VersionId : undefined
  return { header, stats, ETag: answer.ETag, ...(previousVersionId !== undefined && { previousVersionId }) }
}
