/** The house rules that nobody should have to remember: which way imports point, and how long a file may be. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { join, relative, resolve, sep } from 'node:path'

const root = resolve(import.meta.dirname, '..')
const lib = join(root, 'lib')

/** From left to right; a file imports from its own folder, from folders to its left, and from errors.ts. */
const FOLDERS = ['format', 'crypto', 'materials', 'keyrings', 'streams', 'adapters', 'cli'] as const

const MAX_LINES = 300

interface Import {
  readonly from: string
  readonly specifier: string
}

const files = sourceFiles('lib')
const imports = files.flatMap((file) => importsOf(file))

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(root, folder, name))
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8').replace(/^\s*(\/\*\*|\*|\/\/).*$/gm, '')
  const statement = /(?:\bfrom\s+|\bimport\s*\(\s*|^\s*import\s+)'([^']+)'/gm
  return [...text.matchAll(statement)].map(([, specifier]) => ({ from: relative(lib, file), specifier: specifier! }))
}

/** The folder of lib/ that a file (relative to lib/) is in; '' for lib/ itself. */
function folderOf(file: string): string {
  const parts = file.split(sep)
  return parts.length === 1 ? '' : parts[0]!
}

function show({ from, specifier }: Import): string {
  return `${from} imports ${specifier}`
}

describe('architecture', () => {
  it('knows every folder of lib', () => {
    const folders = new Set(files.map((file) => folderOf(relative(lib, file))).filter((folder) => folder !== ''))
    assert.deepEqual([...folders].sort(), FOLDERS.filter((folder) => folders.has(folder)).sort())
    assert.ok(imports.length > 100, 'imports are found')
  })

  it('imports only from the same folder, from folders to its left, and from errors.ts', () => {
    const wrong = imports.filter(({ from, specifier }) => {
      if (!specifier.startsWith('.') || from === 'index.ts') return false
      const target = relative(lib, resolve(lib, from, '..', specifier))
      if (target === 'errors.ts') return false
      const [own, theirs] = [folderOf(from), folderOf(target)].map((folder) => FOLDERS.indexOf(folder as never)) // -1 where it is none
      return theirs! < 0 || own! < 0 || theirs! > own!
    })
    assert.deepEqual(wrong.map(show), [])
  })

  it('imports nothing in errors.ts', () => {
    assert.deepEqual(imports.filter(({ from }) => from === 'errors.ts').map(show), [])
  })

  it('imports no node: module in format/', () => {
    const wrong = imports.filter(({ from, specifier }) => folderOf(from) === 'format' && !specifier.startsWith('.'))
    assert.deepEqual(wrong.map(show), [])
  })

  it('imports node:stream only in streams/ and to its right', () => {
    const wrong = imports.filter(
      ({ from, specifier }) =>
        /^node:stream(\/|$)/.test(specifier) && FOLDERS.indexOf(folderOf(from) as never) < FOLDERS.indexOf('streams'),
    )
    assert.deepEqual(wrong.map(show), [])
  })

  it('imports the AWS SDK only in keyrings/kms/, adapters/s3/ and cli/', () => {
    const allowed = ['keyrings/kms/', 'adapters/s3/', 'cli/'].map((folder) => folder.replaceAll('/', sep))
    const wrong = imports.filter(
      ({ from, specifier }) =>
        /^@(aws-sdk|smithy)\//.test(specifier) && !allowed.some((folder) => from.startsWith(folder)),
    )
    assert.deepEqual(wrong.map(show), [])
  })

  it('loads the file system only in adapters/ and cli/, and in a spool that has to', () => {
    const wrong = imports.filter(
      ({ from, specifier }) =>
        /^node:fs(\/|$)/.test(specifier) &&
        !['adapters', 'cli'].includes(folderOf(from)) &&
        from !== join('streams', 'spool.ts'),
    )
    assert.deepEqual(wrong.map(show), [])
    const spool = readFileSync(join(lib, 'streams', 'spool.ts'), 'utf8')
    assert.doesNotMatch(spool, /^import (?!type )[^\n]*node:fs/m)
  })

  it('names nothing "utils", "common", "helpers" or "types"', () => {
    assert.deepEqual(
      files.filter((file) => /(^|[-/\\])(utils?|common|helpers?|types)\.ts$/.test(file)),
      [],
    )
  })

  it(`keeps every file of lib/ at ${MAX_LINES} lines or fewer`, () => {
    const long = files
      .map((file) => ({ file: relative(lib, file), lines: readFileSync(file, 'utf8').split('\n').length - 1 }))
      .filter(({ lines }) => lines > MAX_LINES)
    assert.deepEqual(long, [])
  })

  it('uses no any, no compiler exemption, no default export and no enum', () => {
    const wrong = [...files, ...['spec', 'bench', 'scripts', 'examples'].flatMap(sourceFiles)].flatMap((file) => {
      const code = readFileSync(file, 'utf8').replace(/^\s*(\/\*\*|\*|\/\/).*$/gm, '')
      const text = code.replace(/(['"`/])(?:\\.|(?!\1)[^\\\n])*\1/g, "''")
      const found =
        /:\s*any\b|\bas any\b|<any>|@ts-(ignore|nocheck)|^export default|^\s*(export )?(const )?enum /m.exec(text)
      return found === null ? [] : [`${relative(root, file)}: ${found[0].trim()}`]
    })
    assert.deepEqual(wrong, [])
  })
})
