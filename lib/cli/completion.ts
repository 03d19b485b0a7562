/** `esdk completion`. */
import { Argument, Command } from 'commander'
import { addNotes } from './command-notes.ts'

const SHELLS = ['bash', 'zsh', 'fish'] as const

const NOTES = `
Examples:
  $ source <(esdk completion bash)                                        in ~/.bashrc
  $ source <(esdk completion zsh)                                         in ~/.zshrc, after compinit
  $ esdk completion fish > ~/.config/fish/completions/esdk.fish`

/** The subcommand. */
export function completionCommand(): Command {
  const command = new Command('completion')
    .summary('print the completions of a shell')
    .description('Prints what makes a shell complete the commands, options and values of esdk.')
    .addArgument(new Argument('<SHELL>', 'the shell').choices(SHELLS))
    .action(run)
  return addNotes(command, NOTES)
}

async function run(shell: (typeof SHELLS)[number], _flags: unknown, command: Command): Promise<void> {
  const [{ SCRIPTS }, { commandTree }, { ALGORITHM_SUITES, suiteHex }, { printLine }] = await Promise.all([
    import('./completion-scripts.ts'),
    import('./command-tree.ts'),
    import('../format/algorithm-suite.ts'),
    import('./run-transfer.ts'),
  ])
  const suites = ALGORITHM_SUITES.flatMap(({ id, name }) => [suiteHex(id), name])
  await printLine(SCRIPTS[shell](commandTree(command.parent!, suites)))
}
