/** Names that the documentation may speak of: what the package declares to its users, its command, and Node's own. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { builtinModules, createRequire } from 'node:module'
import { join } from 'node:path'
import ts from 'typescript'
import { root } from './markdown.ts'

const require = createRequire(import.meta.url)

interface Package {
  readonly exports: Readonly<Record<string, string | { readonly types: string }>>
  readonly scripts: Readonly<Record<string, string>>
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package // our own file

/** The declarations of this package, read once. */
const own = lazily(() => declarationsIn(Object.values(entryPoints()), `${root}/dist/`))

/** The declaration files of the entry points, by subpath. */
function entryPoints(): Readonly<Record<string, string>> {
  const entries = Object.entries(manifest.exports)
  return Object.fromEntries(
    entries.flatMap(([path, entry]) => (typeof entry === 'string' ? [] : [[path, join(root, entry.types)] as const])),
  )
}

/** Every name and every text that is in the declarations of this package's entry points, and in what they lead to. */
export const declaredNames: () => ReadonlySet<string> = lazily(() => namesIn(own()))

/** The same of `@aws-crypto/client-node`. */
export const clientNodeNames: () => ReadonlySet<string> = lazily(() => {
  const packages = join(root, 'node_modules/@aws-crypto/')
  return namesIn(declarationsIn([join(packages, 'client-node/build/main/src/index.d.ts')], packages))
})

/** The names of the properties of a type that an entry point exports. */
export function propertiesOf(subpath: string, type: string): readonly string[] {
  const { checker, exportsOf } = own()
  const exported = exportsOf(entryPoints()[subpath]!).find(({ name }) => name === type)!
  const declared = checker.getDeclaredTypeOfSymbol(checker.getAliasedSymbol(exported))
  return declared.getProperties().map(({ name }) => name)
}

interface Declarations {
  readonly files: readonly string[]
  /** What is in this folder is looked into. */
  readonly folder: string
  readonly checker: ts.TypeChecker
  readonly exportsOf: (file: string) => readonly ts.Symbol[]
}

function declarationsIn(files: readonly string[], folder: string): Declarations {
  const program = ts.createProgram(files, { module: ts.ModuleKind.NodeNext, skipLibCheck: true, types: ['node'] })
  const checker = program.getTypeChecker()
  const exportsOf = (file: string): readonly ts.Symbol[] =>
    checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)!)!)
  return { files, folder, checker, exportsOf }
}

function lazily<T>(make: () => T): () => T {
  let made: T | undefined
  return () => (made ??= make())
}

function namesIn({ files, folder, checker, exportsOf }: Declarations): ReadonlySet<string> {
  const names = new Set<string>()
  const seen = new Set<ts.Symbol>()

  function addSymbol(symbol: ts.Symbol): void {
    const target = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
    if (seen.has(target)) return
    seen.add(target)
    for (const declaration of target.declarations ?? []) {
      if (declaration.getSourceFile().fileName.startsWith(folder)) addNode(declaration)
      else addForeign(declaration)
    }
  }

  function addNode(node: ts.Node): void {
    if (ts.isIdentifier(node)) {
      names.add(node.text)
      const symbol = checker.getSymbolAtLocation(node)
      if (symbol !== undefined) addSymbol(symbol)
    }
    if (ts.isStringLiteral(node)) names.add(node.text)
    ts.forEachChild(node, addNode)
  }

  /** Of the AWS SDK's types that ours are made of: the names of their properties. */
  function addForeign(declaration: ts.Declaration): void {
    if (!ts.isInterfaceDeclaration(declaration) || !declaration.getSourceFile().fileName.includes('@aws-sdk')) return
    for (const property of checker.getTypeAtLocation(declaration).getProperties()) names.add(property.name)
  }

  for (const exported of files.flatMap(exportsOf)) {
    names.add(exported.name)
    addSymbol(exported)
  }
  return names
}

/** What Node gives without a package: globals, their methods, and the exports of its modules. */
export const nodeNames: () => ReadonlySet<string> = lazily(() => {
  const names = new Set<string>(Object.getOwnPropertyNames(globalThis))
  const addMembers = (value: unknown): void => {
    if (typeof value !== 'function' && (typeof value !== 'object' || value === null)) return
    for (const name of Object.getOwnPropertyNames(value)) names.add(name)
  }
  const addClass = (value: unknown): void => {
    addMembers(value)
    if (typeof value === 'function') addMembers((value as { prototype?: unknown }).prototype)
  }
  for (const name of Object.getOwnPropertyNames(globalThis)) addClass(Reflect.get(globalThis, name))
  // Some warn when they are loaded.
  for (const module of builtinModules.filter((name) => !/^_|^sys$|^wasi$|^punycode$/.test(name))) {
    const exported: unknown = require(`node:${module}`)
    addMembers(exported)
    for (const value of Object.values(exported as object)) addClass(value)
  }
  return names
})

/** What this repository's own code calls things: for those who work on it. */
export function internalNames(): ReadonlySet<string> {
  return new Set(sources('lib').flatMap((text) => text.match(/[A-Za-z_$][\w$]*/g) ?? []))
}

/** Variables of the environment that something here looks at, and codes of warnings. */
export const environmentNames: () => ReadonlySet<string> = lazily(() => {
  const all = ['lib', 'native', 'spec', 'scripts'].flatMap(sources)
  return new Set(
    all.flatMap((text) => [...text.matchAll(/process\.env\['(\w+)'\]|code: '(ESDK_\w+)'/g)].map(([, a, b]) => a ?? b!)),
  )
})

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[jt]s$/.test(name))
    .map((name) => readFileSync(join(root, folder, name), 'utf8'))
}

/** The scripts of package.json. */
export const scripts: ReadonlySet<string> = new Set(Object.keys(manifest.scripts))

/** The subcommands of `esdk`, and the options of each, as its own help has them. */
export const commandOptions: () => ReadonlyMap<string, ReadonlySet<string>> = lazily(() => {
  const help = (...command: string[]): string =>
    execFileSync(process.execPath, [join(root, 'dist/cli/main.js'), ...command, '--help'], { encoding: 'utf8' })
  const names = [...help().matchAll(/^ {2}([a-z]+)(?: |$)/gm)].map(([, name]) => name!)
  const optionsOf = (text: string): Set<string> => new Set(text.match(/(?<![\w-])--?[a-zA-Z][\w-]*/g))
  return new Map([['', optionsOf(help())], ...names.map((name) => [name, optionsOf(help(name))] as const)])
})
