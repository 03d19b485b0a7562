/** Completions for shells, made from the definitions of the commands. */
import type { CommandNode, OptionNode, Values } from './command-tree.ts'

/** What makes the script of each shell. */
export const SCRIPTS: Readonly<Record<'bash' | 'zsh' | 'fish', (root: CommandNode) => string>> = { bash, zsh, fish }

/** What lists the profiles, in any shell. */
const PROFILES = 'esdk profiles --names 2>/dev/null'

function bash(root: CommandNode): string {
  const commands = root.commands.map(({ name }) => name)
  const all = [{ ...root, name: '' }, ...root.commands]
  const options = all.map(
    ({ name, options: own }) => `    ${quoted(name)}) options=(${own.flatMap(namesOf).join(' ')}) ;;`,
  )
  const values = all.flatMap(({ name, options: own }) =>
    own.flatMap((option) => {
      if (option.value === undefined) return []
      const patterns = namesOf(option).map((flag) => `${name}:${flag}`)
      return [`    ${patterns.join(' | ')}) ${inBash(option.value.values, commands)}; return ;;`]
    }),
  )
  const operands = all.map(({ name, arguments: [first] }) => {
    const operand: Values = name === '' ? { kind: 'command' } : (first?.values ?? { kind: 'text' })
    return `    ${quoted(name)}) ${inBash(operand, commands)} ;;`
  })
  return `# Completions of esdk for bash: source <(esdk completion bash)
_esdk_files() {
  compopt -o filenames 2>/dev/null
  local file
  while IFS= read -r file; do COMPREPLY+=("$file"); done < <(compgen -f -- "$1")
}
_esdk_words() {
  local cur=$1 word
  shift
  for word in "$@"; do
    if [[ $word == "$cur"* ]]; then COMPREPLY+=("$word"); fi
  done
}
_esdk_profiles() {
  local name
  while IFS= read -r name; do _esdk_words "$1" "$name"; done < <(${PROFILES})
}
_esdk() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} command='' word
  local options=()
  # "--option=value" comes as three words.
  if [[ $cur == = ]]; then
    cur=''
  elif [[ $prev == = ]] && ((COMP_CWORD > 1)); then
    prev=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ $word != -* ]]; then
      command=$word
      break
    fi
  done
  COMPREPLY=()
  case $command in
${options.join('\n')}
    *) return ;;
  esac
  case $command:$prev in
${values.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    _esdk_words "$cur" "\${options[@]}"
    return
  fi
  case $command in
${operands.join('\n')}
  esac
}
complete -F _esdk esdk`
}

function inBash(values: Values, commands: readonly string[]): string {
  if (values.kind === 'file') return '_esdk_files "$cur"'
  if (values.kind === 'profile') return '_esdk_profiles "$cur"'
  if (values.kind === 'command') return `_esdk_words "$cur" ${commands.join(' ')}`
  return values.kind === 'choice' ? `_esdk_words "$cur" ${values.choices.join(' ')}` : ':'
}

function zsh(root: CommandNode): string {
  const described = (nodes: readonly CommandNode[]): string =>
    nodes.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join('\n')
  const cases = root.commands.map(({ name, options, arguments: [first] }) => {
    const operand = first === undefined ? [] : [quoted(`1:${first.name}:${inZsh(first.values)}`)]
    const specs = [...options.map(optionInZsh), ...operand].map((spec) => `        ${spec}`)
    return `      ${name})\n        _arguments -s -S \\\n${specs.join(' \\\n')}\n        ;;`
  })
  return `#compdef esdk
# Completions of esdk for zsh: source <(esdk completion zsh), after compinit
_esdk_commands() {
  local -a commands=(
${described(root.commands)}
  )
  _describe -t commands command commands
}
_esdk_profiles() {
  local -a profiles=("\${(@f)$(${PROFILES})}")
  _describe -t profiles profile profiles
}
_esdk() {
  local curcontext="$curcontext" state line
  typeset -A opt_args
  _arguments -C \\
${root.options.map((option) => `    ${optionInZsh(option)}`).join(' \\\n')} \\
    '1:command:_esdk_commands' \\
    '*::argument:->argument'
  if [[ $state == argument ]]; then
    case $words[1] in
${cases.join('\n')}
    esac
  fi
}
if [[ $funcstack[1] == _esdk ]]; then
  _esdk "$@"
else
  compdef _esdk esdk
fi`
}

function optionInZsh({ short, long, description, value, repeatable }: OptionNode): string {
  const about = `[${description.replace(/[[\]\\]/g, '\\$&')}]`
  const takes = value === undefined ? '' : `:${value.name.replaceAll(':', '\\:')}:${inZsh(value.values)}`
  const [shortEnd, longEnd] = value === undefined ? ['', ''] : ['+', '=']
  const others = repeatable ? '*' : `(${[short, long].filter((name) => name !== undefined).join(' ')})`
  if (short === undefined) return quoted(`${repeatable ? '*' : ''}${long}${longEnd}${about}${takes}`)
  return `${quoted(others)}{${short}${shortEnd},${long}${longEnd}}${quoted(`${about}${takes}`)}`
}

function inZsh(values: Values): string {
  if (values.kind === 'file') return '_files'
  if (values.kind === 'profile') return '_esdk_profiles'
  if (values.kind === 'command') return '_esdk_commands'
  return values.kind === 'choice' ? `(${values.choices.join(' ')})` : ' '
}

function fish(root: CommandNode): string {
  const names = root.commands.map(({ name }) => name).join(' ')
  const lines = [
    '# Completions of esdk for fish',
    'function __esdk_in --description "Whether the command is that one, or not given yet"',
    '  for word in (commandline -opc)[2..-1]',
    '    string match -q -- \'-*\' $word; or begin; test "$word" = "$argv[1]"; return; end',
    '  end',
    '  test -z "$argv[1]"',
    'end',
    'complete -c esdk -f',
  ]
  for (const { name, summary } of root.commands) {
    lines.push(`complete -c esdk -n "__esdk_in ''" -a ${name} -d ${quotedInFish(summary)}`)
  }
  for (const {
    name,
    options,
    arguments: [first],
  } of [{ ...root, name: "''" }, ...root.commands]) {
    const here = `"__esdk_in ${name}"`
    for (const option of options) lines.push(optionInFish(option, here, names))
    if (first !== undefined) lines.push(`complete -c esdk -n ${here} ${inFish(first.values, names)}`)
  }
  return lines.join('\n')
}

function optionInFish({ short, long, description, value }: OptionNode, condition: string, commands: string): string {
  const flags = `${short === undefined ? '' : `-s ${short.slice(1)} `}-l ${long.slice(2)}`
  const takes = value === undefined ? '' : ` -r ${inFish(value.values, commands)}`
  return `complete -c esdk -n ${condition} ${flags}${takes} -d ${quotedInFish(description)}`
}

function inFish(values: Values, commands: string): string {
  if (values.kind === 'file') return '-F'
  if (values.kind === 'profile') return `-f -a ${quotedInFish(`(${PROFILES})`)}`
  if (values.kind === 'command') return `-f -a ${quotedInFish(commands)}`
  return values.kind === 'choice' ? `-f -a ${quotedInFish(values.choices.join(' '))}` : '-f'
}

function namesOf({ short, long }: OptionNode): string[] {
  return short === undefined ? [long] : [short, long]
}

/** Of bash and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

function quotedInFish(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`
}
