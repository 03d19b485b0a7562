/** The TypeScript of the pages as programs that a reader would write: checked all at once, and run. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { type Block, root } from './markdown.ts'

/** Packages that the pages import, beside this one and Node's own. */
const PACKAGES: readonly string[] = [
  '@aws-crypto',
  '@aws-sdk',
  '@esbuild',
  '@smithy',
  '@types',
  'esbuild',
  'pkcs11js',
  'stream-chain',
  'undici-types',
]

/** A program, and where each of its lines comes from. */
export interface Program {
  /** Its file, without the extension. */
  readonly name: string
  readonly text: string
  /** `page:line` of each line; empty where it is of no page. */
  readonly origins: readonly string[]
}

/** A folder in which this package is installed, as in a reader's project. */
export async function projectFolder(): Promise<{ path: string; remove: () => Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'esdk-docs-'))
  const modules = join(path, 'node_modules')
  await mkdir(modules)
  const packages = [
    [root, 'esdk-streams'],
    ...PACKAGES.map((name) => [join(root, 'node_modules', name), name]),
  ] as const
  for (const [target, name] of packages) await symlink(target, join(modules, name), 'dir')
  await writeFile(join(path, 'package.json'), '{ "type": "module" }\n')
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** What is imported of each module, as it is written, and where that is first. */
type Imports = Map<string, { readonly names: Map<string, string>; readonly origin: string }>

interface Line {
  readonly text: string
  readonly origin: string
}

/**
 * One program of several blocks. Each sees what those before it declared, and may declare it anew; imports may stand in
 * any of them, also several times.
 */
export function programOf(name: string, blocks: readonly Block[]): Program {
  const imports: Imports = new Map()
  const lines = blocks.flatMap((block): Line[] => [...bodyOf(block, imports), { text: '{', origin: '' }])
  const head = [...imports].map(([module, { names, origin }]): Line => {
    const { default: whole, ...named } = Object.fromEntries(names)
    const clause = [whole, Object.keys(named).length === 0 ? undefined : `{ ${Object.values(named).join(', ')} }`]
    const from = clause.filter((part) => part !== undefined).join(', ')
    return { text: `import ${from === '' ? '' : `${from} from `}'${module}'`, origin }
  })
  const all = [...head, ...lines, { text: '}'.repeat(blocks.length) + '\nexport {}', origin: '' }]
  return { name, text: all.map(({ text }) => text).join('\n'), origins: all.map(({ origin }) => origin) }
}

/** Its lines without the imports, which are added to those of the program. */
function bodyOf({ page, line, code }: Block, imports: Imports): Line[] {
  const source = ts.createSourceFile('block.ts', code, ts.ScriptTarget.Latest, true)
  let rest = code
  for (const statement of source.statements) {
    if (!ts.isImportDeclaration(statement)) continue
    const text = statement.getText(source)
    rest = rest.replace(text, text.replace(/[^\n]/g, ''))
    const module = (statement.moduleSpecifier as ts.StringLiteral).text // the grammar has nothing else there
    const first = source.getLineAndCharacterOfPosition(statement.getStart(source)).line
    const known = imports.get(module) ?? { names: new Map<string, string>(), origin: `${page}:${line + first}` }
    imports.set(module, known)
    const { names } = known
    const { importClause } = statement
    if (importClause?.name !== undefined) names.set('default', importClause.name.text)
    const bindings = importClause?.namedBindings
    if (bindings === undefined) continue
    if (ts.isNamespaceImport(bindings)) throw new Error(`${page}:${line}: import names, not all of a module`)
    const type = importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword ? 'type ' : ''
    for (const element of bindings.elements) names.set(element.name.text, type + element.getText(source))
  }
  return rest
    .replace(/\n$/, '')
    .split('\n')
    .map((text, index) => ({ text, origin: `${page}:${line + index}` }))
}

/** The compiler's options of this repository, but for what only matters in a program of many files. */
function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (file) => ts.sys.readFile(file)) as {
    config: unknown
  } // whatever it is, it is parsed below
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  return {
    ...options,
    ...{
      types: ['node'],
      noEmit: false,
      declaration: false,
      isolatedDeclarations: false,
      allowImportingTsExtensions: false,
    },
    ...{ noUnusedLocals: false, noUnusedParameters: false, noPropertyAccessFromIndexSignature: false },
  }
}

/** Writes the programs to a project folder, and checks and emits all of them in one go. Gives what the compiler says. */
export async function compile(folder: string, programs: readonly Program[]): Promise<string[]> {
  for (const { name, text } of programs) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, `${name}.ts`), text)
  }
  const files = programs.map(({ name }) => join(folder, `${name}.ts`))
  const program = ts.createProgram(files, compilerOptions())
  const { diagnostics } = program.emit()
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map((diagnostic) => describe(diagnostic, programs))
}

function describe({ file, start = 0, messageText }: ts.Diagnostic, programs: readonly Program[]): string {
  const text = ts.flattenDiagnosticMessageText(messageText, ' ')
  if (file === undefined) return text
  const of = programs.find(({ name }) => file.fileName.endsWith(`/${name}.ts`))
  const { line } = file.getLineAndCharacterOfPosition(start)
  return `${of?.origins[line] ?? file.fileName}: ${text}`
}

/** What a program of one block has to print, by its own comments: `// prints: TEXT`. */
export function promisedBy(blocks: readonly Pick<Block, 'code'>[]): string[] {
  return blocks.flatMap(({ code }) => [...code.matchAll(/(?:\/\/|#) prints: (.+)$/gm)].map(([, text]) => text!))
}
