/** What the help of a command says after its options: notes and examples. The manual page says it too. */
import type { Command } from 'commander'

const notes = new WeakMap<Command, string>()

/** Adds notes to the help of a command. */
export function addNotes(command: Command, text: string): Command {
  notes.set(command, text.trim())
  return command.addHelpText('after', text)
}

/** The notes of a command. */
export function notesOf(command: Command): string {
  return notes.get(command) ?? ''
}
