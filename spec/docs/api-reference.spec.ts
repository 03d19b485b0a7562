/** The API reference is made of comments: one on everything public, and links in them that lead somewhere. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Application, LogLevel, Logger, TSConfigReader } from 'typedoc'
import { root } from './markdown.ts'

const options = JSON.parse(readFileSync(join(root, 'typedoc.json'), 'utf8')) as {
  readonly $schema: string
  readonly entryPoints: readonly string[]
} // our own file

class Said extends Logger {
  readonly texts: string[] = []

  override log(message: string, level: LogLevel): void {
    super.log(message, level) // it counts
    if (level >= LogLevel.Warn) this.texts.push(message)
  }
}

describe('the API reference', () => {
  it('has every entry point of the package', () => {
    const { exports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      exports: Record<string, { readonly types?: string }>
    } // our own file
    const sources = Object.values(exports).flatMap(
      ({ types }) => types?.replace('./dist/', 'lib/').replace('.d.ts', '.ts') ?? [],
    )
    assert.deepEqual([...options.entryPoints].sort(), sources.sort())
  })

  /** What is said of a module, with the options of this repository: `npm run check` fails where it is anything. */
  async function warningsOf(code: string): Promise<readonly string[]> {
    const folder = await mkdtemp(join(tmpdir(), 'esdk-api-'))
    try {
      await writeFile(join(folder, 'index.ts'), code)
      await writeFile(join(folder, 'package.json'), '{ "name": "sample" }')
      const compilerOptions = { module: 'NodeNext', target: 'ES2022', types: [] }
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['index.ts'] }))
      const { $schema: _, ...ours } = options
      const theirs = { tsconfig: join(folder, 'tsconfig.json'), entryPoints: [join(folder, 'index.ts')] }
      const nothing = { intentionallyNotDocumented: [], intentionallyNotExported: [] }
      const app = await Application.bootstrap({ ...ours, ...theirs, ...nothing }, [new TSConfigReader()])
      const said = new Said()
      app.logger = said
      const project = await app.convert()
      assert.ok(project !== undefined, said.texts.join('\n'))
      app.validate(project)
      return said.texts
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  it('is refused where a comment is missing, or leads to what is gone', async () => {
    const code = `
/** Ours. See {@link other}. */
export function ours(): void {}
/** Another. */
export const other = 1
/** See {@link gone}. */
export const astray = 1
export function bareFunction(): void {}
export class BareClass {}
export type BareType = 1
/** Not exported. */
interface Hidden {}
/** Of it. */
export type Shown = Hidden
`
    const warnings = await warningsOf(code)
    const expected = [
      /Hidden, defined in .*, is referenced by Shown but not included/,
      /bareFunction .*does not have any documentation/,
      /BareClass .*does not have any documentation/,
      /BareType .*does not have any documentation/,
      /Failed to resolve link to "gone" in comment for astray/,
    ]
    for (const pattern of expected)
      assert.equal(warnings.filter((text) => pattern.test(text)).length, 1, pattern.source)
    assert.equal(warnings.length, expected.length, warnings.join('\n'))
  })
})
