/** All commands of `esdk`, as its help, its completions and its manual page know them. */
import { Command, CommanderError } from 'commander'
import { benchCommand } from './bench.ts'
import { addNotes } from './command-notes.ts'
import { completionCommand } from './completion.ts'
import { showCauses } from './debug.ts'
import { decryptCommand } from './decrypt.ts'
import { encryptCommand } from './encrypt.ts'
import { inspectCommand } from './inspect.ts'
import { keygenCommand } from './keygen.ts'
import { listen } from './log.ts'
import { profilesCommand } from './profiles.ts'
import { reencryptCommand } from './reencrypt.ts'

/** The code of the "error" that asks for the version. */
export const VERSION_ASKED = 'esdk.version'

const NOTES = `
Exit codes: 0 done, 1 failed, 2 usage, 3 not authentic, 4 no key could wrap or unwrap a data key,
5 refused by policy or limit, 130 and 143 interrupted.

Examples:
  $ esdk keygen backup.jwk
  $ esdk encrypt backup.tar --key backup.jwk -c purpose=backup
  $ esdk inspect backup.tar.encrypted
  $ esdk decrypt backup.tar.encrypted --key backup.jwk
  $ esdk reencrypt -r s3://backups/ --key backup.jwk --to-kms alias/backups
  $ esdk bench`

/** The command with its subcommands; the signal, where there is one, ends their work. */
export function program(signal: AbortSignal = new AbortController().signal): Command {
  const command = new Command('esdk')
    .description(
      'Encrypts and decrypts files and objects of Amazon S3 in the message format of the AWS Encryption SDK.',
    )
    .option('-V, --version', 'show the version; with --json, as one record that names the engine too')
    .on('option:version', () => {
      throw new CommanderError(0, VERSION_ASKED, 'version')
    })
    .hook('preAction', (_program, action) => {
      const { verbose = 0, debug = false } = action.opts<{ verbose?: number; debug?: boolean }>()
      listen(verbose)
      showCauses(debug)
    })
  addNotes(command, NOTES)
  const transfers = [encryptCommand(signal), decryptCommand(signal), reencryptCommand(signal)]
  const others = [inspectCommand(signal), benchCommand(signal), profilesCommand(), completionCommand()]
  for (const sub of [keygenCommand(), ...transfers, ...others]) command.addCommand(sub)
  for (const each of [command, ...command.commands]) {
    each.exitOverride().configureOutput({
      outputError: (text, write) => {
        write(
          `esdk: ${text
            .replace(/^error: /, '')
            .trim()
            .replace(/\n+/g, ' ')}; see "${helpOf(each)}"\n`,
        )
      },
    })
  }
  return command
}

function helpOf(command: Command): string {
  return command.parent === null ? 'esdk --help' : `esdk ${command.name()} --help`
}
