/** `esdk profiles`. */
import { Command } from 'commander'
import { addNotes } from './command-notes.ts'
import { UsageError, oneLine } from './failure.ts'

interface ProfilesFlags {
  readonly config?: string
  readonly names?: boolean
  readonly json?: boolean
}

const NOTES = `
Examples:
  $ esdk profiles
  $ esdk profiles --config /etc/esdk/team.json --json
  $ esdk encrypt backup.tar --profile team`

/** The subcommand. */
export function profilesCommand(): Command {
  const command = new Command('profiles')
    .summary('list the profiles of esdk.config.json')
    .description('Checks the configuration that the other commands would use, and lists its profiles and their keys.')
    .option('--config <FILE>', 'the configuration (default: esdk.config.json here, or in the nearest folder around)')
    .option('--names', 'only the names, one a line')
    .option('--json', 'the checked configuration, and where it is, as one JSON record')
    .option('--debug', 'where it fails, say also what caused that')
    .action(run)
  return addNotes(command, NOTES)
}

async function run({ config: named, names = false, json = false }: ProfilesFlags): Promise<void> {
  const [{ CONFIG_NAME, findConfig }, { printLine }] = await Promise.all([
    import('./config.ts'),
    import('./run-transfer.ts'),
  ])
  const found = await findConfig(named)
  if (found === undefined) {
    throw new UsageError(`there is no ${CONFIG_NAME} in ${process.cwd()} or around it; name one with --config FILE`)
  }
  const { path, profiles, defaultProfile } = found
  if (json) {
    await printLine(JSON.stringify({ path, ...(defaultProfile !== undefined && { defaultProfile }), profiles }))
    return
  }
  if (names) {
    for (const name of Object.keys(profiles)) await printLine(name)
    return
  }
  await printLine(oneLine(path))
  for (const [name, { description, keys = [], discovery }] of Object.entries(profiles)) {
    const about = description === undefined ? '' : `: ${description}`
    await printLine(oneLine(`  ${name}${name === defaultProfile ? ' (default)' : ''}${about}`))
    for (const { kms, file } of keys) await printLine(oneLine(`    ${kms ?? file ?? ''}`))
    if (discovery !== undefined) await printLine('    keys of AWS KMS that a message names')
  }
}
