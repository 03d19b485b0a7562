/** The commands as plain values, read from their definitions: for completions and the manual page. */
import type { Argument, Command, Option } from 'commander'
import { notesOf } from './command-notes.ts'

/** What may stand in a place. */
export type Values =
  | { readonly kind: 'file' }
  | { readonly kind: 'profile' }
  /** One of the names of the other commands. */
  | { readonly kind: 'command' }
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  /** Anything. */
  | { readonly kind: 'text' }

/** An option. */
export interface OptionNode {
  readonly short?: string
  readonly long: string
  readonly description: string
  /** The name of its value, and what that may be; absent where it has none. */
  readonly value?: { readonly name: string; readonly values: Values }
  /** Whether it may be given several times. */
  readonly repeatable: boolean
}

/** What a command takes besides options. */
export interface ArgumentNode {
  readonly name: string
  readonly description: string
  readonly required: boolean
  readonly values: Values
}

/** A command. */
export interface CommandNode {
  readonly name: string
  readonly summary: string
  readonly description: string
  readonly notes: string
  readonly options: readonly OptionNode[]
  readonly arguments: readonly ArgumentNode[]
  readonly commands: readonly CommandNode[]
}

/** What the names of values say of them. */
const FILES: readonly string[] = ['INPUT', 'OUTPUT', 'KEYFILE', 'FILE']
const PROFILES: readonly string[] = ['PROFILE']
const SUITES: readonly string[] = ['SUITE']

/**
 * Reads a command and those in it.
 *
 * @param suites what algorithm suites are called
 */
export function commandTree(command: Command, suites: readonly string[]): CommandNode {
  const help = command.createHelp()
  const commands = help.visibleCommands(command).map((each) => commandTree(each, suites))
  const name = command.name()
  return {
    name,
    summary: command.summary() || command.description(),
    description: command.description(),
    notes: notesOf(command),
    options: help.visibleOptions(command).map((option) => optionNode(option, suites)),
    arguments: command.registeredArguments.map((argument) => argumentNode(argument, name, suites)),
    commands,
  }
}

function optionNode(option: Option, suites: readonly string[]): OptionNode {
  const { flags, short, long, description, argChoices, required, optional } = option
  const value = /[<[](.+?)(?:\.\.\.)?[>\]]$/.exec(flags)?.[1]
  if (long === undefined) throw new Error(`option ${flags} has no long name`)
  return {
    ...(short !== undefined && { short }),
    long,
    description,
    ...((required || optional) &&
      value !== undefined && { value: { name: value, values: valuesOf(value, argChoices, suites) } }),
    repeatable: /\brepeatable\b/.test(description) || long === '--verbose',
  }
}

function argumentNode(argument: Argument, command: string, suites: readonly string[]): ArgumentNode {
  const { description, required, argChoices } = argument
  const name = argument.name()
  const values: Values = command === 'help' ? { kind: 'command' } : valuesOf(name, argChoices, suites)
  return { name, description, required, values }
}

function valuesOf(name: string, choices: readonly string[] | undefined, suites: readonly string[]): Values {
  if (choices !== undefined) return { kind: 'choice', choices }
  if (SUITES.includes(name)) return { kind: 'choice', choices: suites }
  if (PROFILES.includes(name)) return { kind: 'profile' }
  return { kind: FILES.includes(name) ? 'file' : 'text' }
}
