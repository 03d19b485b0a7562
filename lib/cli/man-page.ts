/** The manual page esdk(1), made from the definitions of the commands. */
import type { CommandNode, OptionNode } from './command-tree.ts'

const FILES = [
  [
    'esdk.config.json',
    'Profiles: keys, by reference, and settings under names. Looked for in the folder where esdk runs, and in those around it.',
  ],
  ['.esdk-*.tmp', 'OUTPUT while it is written. There is one after a power cut or SIGKILL only, and it may be removed.'],
] as const

const ENVIRONMENT = [
  [
    'AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, …',
    'Settings of the AWS SDK, for keys of AWS KMS and objects of Amazon S3.',
  ],
  ['ESDK_ENGINE', '"node" keeps the native engine out; "native" makes it an error not to have it.'],
  ['NO_COLOR', 'Where it is set, and not empty, there are no colours.'],
] as const

const EXIT_STATUS = [
  ['0', 'Done.'],
  ['1', 'Failed: files, objects, the network; a message that is malformed, cut or of an unknown kind.'],
  ['2', 'Usage: the command line or the configuration is not as it should be.'],
  ['3', 'Not authentic: the message was changed, or is another one.'],
  ['4', 'No key could wrap or unwrap a data key.'],
  ['5', 'Refused by policy (commitment, signature, encryption context) or by a limit.'],
  ['130, 143', 'Interrupted by SIGINT, by SIGTERM.'],
] as const

/** The page in roff, for the macros of man(7). */
export function manPage(root: CommandNode, version: string): string {
  const commands = root.commands.filter(({ name }) => name !== 'help')
  return [
    `.TH ESDK 1 "" ${argument(`esdk-streams ${version}`)} "User Commands"`,
    '.SH NAME',
    text(`esdk - encrypt and decrypt in the message format of the AWS Encryption SDK`),
    '.SH SYNOPSIS',
    ...commands.flatMap((command) => ['.nf', text(usageOf(command)), '.fi']),
    '.SH DESCRIPTION',
    text(root.description),
    '.SH OPTIONS',
    ...root.options.flatMap(optionLines),
    ...commands.flatMap(commandLines),
    '.SH FILES',
    ...FILES.flatMap(([name, about]) => ['.TP', bold(name), text(about)]),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(([name, about]) => ['.TP', bold(name), text(about)]),
    '.SH EXIT STATUS',
    ...EXIT_STATUS.flatMap(([code, about]) => ['.TP', bold(code), text(about)]),
    '.SH EXAMPLES',
    ...noteLines(root.notes.replace(/^[\s\S]*^Examples:\n/m, '')),
    '',
  ].join('\n')
}

function commandLines(command: CommandNode): string[] {
  return [
    `.SH ${argument(`esdk ${command.name}`.toUpperCase())}`,
    '.nf',
    text(usageOf(command)),
    '.fi',
    '.PP',
    text(command.description),
    ...command.arguments.flatMap(({ name, description }) => ['.TP', italic(name), text(description)]),
    ...command.options.flatMap(optionLines),
    '.PP',
    ...noteLines(command.notes),
  ]
}

function usageOf({ name, arguments: operands, options }: CommandNode): string {
  const shown = operands.map((operand) => (operand.required ? operand.name : `[${operand.name}]`))
  return ['esdk', name, ...(options.length > 1 ? ['[OPTION]...'] : []), ...shown].join(' ')
}

function optionLines({ short, long, value, description }: OptionNode): string[] {
  const names = [short, long].filter((each) => each !== undefined).map((each) => `\\fB${escaped(each)}\\fR`)
  const takes = value === undefined ? '' : ` \\fI${escaped(value.name)}\\fR`
  const choices = value?.values.kind === 'choice' && long !== '--suite' ? ` (${value.values.choices.join(', ')})` : ''
  return ['.TP', `${names.join(', ')}${takes}`, text(`${description}${choices}`)]
}

/** Paragraphs as they are; lines that are indented, such as examples, are not filled. */
function noteLines(notes: string): string[] {
  return notes.split(/\n{2,}/).flatMap((paragraph) => {
    const lines = paragraph.split('\n')
    const shown = lines.filter((line) => /^\s/.test(line))
    const told = lines.filter((line) => !/^\s/.test(line))
    return [
      '.PP',
      ...told.map(text),
      ...(shown.length === 0 ? [] : ['.RS', '.nf', ...shown.map((line) => text(line.trim())), '.fi', '.RE']),
    ]
  })
}

function bold(name: string): string {
  return `\\fB${escaped(name)}\\fR`
}

function italic(name: string): string {
  return `\\fI${escaped(name)}\\fR`
}

/** A line of text; one that begins with a dot or a quote would be a request. */
function text(line: string): string {
  const safe = escaped(line)
  return /^[.']/.test(safe) ? `\\&${safe}` : safe
}

function argument(value: string): string {
  return `"${escaped(value).replaceAll('"', '\\(dq')}"`
}

function escaped(plain: string): string {
  return plain.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll('…', '...')
}
