/** Every code block of the documentation is checked and run, each page in the order in which it is read. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PREPARE_TIMEOUT_MS } from '../emulators/emulator.ts'
import { preparedOrPending } from '../interop/pending.ts'
import { pythonSdk } from '../interop/python-peer.ts'
import { awsEnvironment } from './aws.ts'
import { type Block, type Page, allPages, pageOf, root } from './markdown.ts'
import { type Program, compile, programOf, projectFolder, promisedBy } from './page-programs.ts'

const run = promisify(execFile)
const pages = allPages()

/** Its recipes are pasted one by one, and run by newcomer.spec.ts. */
const README = 'README.md'

/** Blocks that are read, and not run by anyone. */
const PLAIN: readonly string[] = ['text', 'json', 'c', 'xml', 'diff']

const codeOf = (page: Page, language: string): Block[] => page.blocks.filter((block) => block.language === language)

const pathOf = (page: Page): string => page.name.replace(/\.md$/, '')

/** The programs of a page: of a block that is not run, or is pasted alone, its own. */
function programsOf(page: Page): { readonly run: readonly Program[]; readonly checked: readonly Program[] } {
  const blocks = codeOf(page, 'ts')
  const name = pathOf(page)
  if (page.name === README)
    return { run: [], checked: blocks.map((block) => programOf(`${name}-${block.line}`, [block])) }
  const together = blocks.filter(({ notRun }) => notRun === undefined)
  // What is not run sees what stands before it, too.
  const checked = blocks
    .filter(({ notRun }) => notRun !== undefined)
    .map((block) => {
      const before = together.filter(({ line }) => line < block.line)
      return programOf(`${name}-${block.line}`, [...before, block])
    })
  return { run: together.length === 0 ? [] : [programOf(name, together)], checked }
}

describe('code blocks of the documentation', () => {
  let project: Awaited<ReturnType<typeof projectFolder>>
  let bin: string
  let env: NodeJS.ProcessEnv
  let python: string

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    env = { ...process.env, ...(await preparedOrPending(this, awsEnvironment)) }
    python = await preparedOrPending(this, pythonSdk)
    project = await projectFolder()
    bin = join(project.path, 'bin')
    await mkdir(bin)
    await symlink(join(root, 'dist/cli/main.js'), join(bin, 'esdk'))
    await chmod(join(root, 'dist/cli/main.js'), 0o755)
    env['PATH'] = `${bin}:${env['PATH'] ?? ''}`
  })

  after(() => project.remove())

  it('are of a language that is run, or of one that is only read', () => {
    const blocks = pages.flatMap((page) => page.blocks)
    const others = blocks.filter(({ language }) => !['ts', 'sh', 'python', ...PLAIN].includes(language))
    assert.deepEqual(
      others.map(({ page, line, language }) => `${page}:${line}: ${language}`),
      [],
    )
    const count = (language: string): number => blocks.filter((block) => block.language === language).length
    assert.ok(count('ts') > 40 && count('sh') > 5 && count('python') > 0)
  })

  it('are checked by the compiler, and those in TypeScript do what they say', async function () {
    this.timeout(240_000)
    const programs = pages.map((page) => ({ page, ...programsOf(page) }))
    const all = programs.flatMap(({ run, checked }) => [...run, ...checked])
    assert.deepEqual(await compile(project.path, all), [])

    for (const page of pages) await runPython(python, join(project.path, 'files', pathOf(page)), codeOf(page, 'python'))
    const names = programs.flatMap(({ run }) => run.map(({ name }) => name))
    const outcomes = await runPrograms(project.path, names, env)
    assert.deepEqual(
      outcomes.map(({ name }) => name),
      names,
    )
    const faults = outcomes.flatMap((outcome) =>
      faultsOf(
        outcome,
        pages.find((page) => pathOf(page) === outcome.name)!,
      ),
    )
    assert.deepEqual(faults, [])
  })

  for (const page of pages.filter(({ name }) => name !== README)) {
    const blocks = codeOf(page, 'sh')
    if (blocks.length === 0) continue
    it(`run in a shell: ${page.name}`, async function () {
      this.timeout(120_000)
      const folder = await mkdtemp(join(tmpdir(), 'esdk-sh-'))
      try {
        const fault = await runShell(folder, blocks, env)
        assert.equal(fault, undefined)
      } finally {
        await rm(folder, { recursive: true })
      }
    })
  }

  describe('and of a page that is wrong', () => {
    const fence = (language: string, code: string): string => '```' + `${language}\n${code}\n` + '```\n'

    it('names options and exports that do not exist, fails, or does not print what it promises', async () => {
      const texts = {
        option: "import { EncryptStream } from 'esdk-streams'\nnew EncryptStream({ keyrings: [] })",
        export: "// Not run by the tests: why not\nimport { KmsKeyrings } from 'esdk-streams/kms'\nKmsKeyrings",
        promise: "console.log('one') // prints: two",
        failure: "await Promise.reject(new Error('it fails'))",
      }
      const wrong = Object.entries(texts).map(([name, code]) => pageOf(`docs/${name}.md`, fence('ts', code)))
      const faults = await compile(
        project.path,
        wrong.map(programsOf).flatMap(({ run, checked }) => [...run, ...checked]),
      )
      assert.equal(faults.length, 2)
      assert.match(faults.sort().join('\n'), /^docs\/export\.md:3: .*KmsKeyrings.*\ndocs\/option\.md:3: .*'keyrings'/)

      const outcomes = await runPrograms(project.path, ['docs/promise', 'docs/failure'], env)
      const [promise, failure] = outcomes.map((outcome, index) => faultsOf(outcome, wrong[index + 2]!).join())
      assert.match(promise!, /^docs\/promise: prints no "two", but\none$/)
      assert.match(failure!, /^docs\/failure: Error: it fails/)
    })

    it('has a command that fails', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'esdk-sh-'))
      const { blocks } = pageOf('docs/wrong.md', fence('sh', 'echo before\nesdk keygen --nonsense\necho after'))
      assert.match((await runShell(folder, blocks, env))!, /docs\/wrong\.md.*nonsense/s)
      await rm(folder, { recursive: true })
    })
  })
})

interface Result {
  readonly name: string
  readonly printed: string
  readonly error?: string
}

/** What went wrong with the program of a page. */
function faultsOf({ name, printed, error }: Result, page: Page): string[] {
  if (error !== undefined) return [`${name}: ${error}`]
  const ran = codeOf(page, 'ts').filter(({ notRun }) => notRun === undefined)
  return promisedBy(ran)
    .filter((text) => !printed.includes(text))
    .map((text) => `${name}: prints no ${JSON.stringify(text)}, but\n${printed}`)
}

async function runPrograms(folder: string, names: readonly string[], env: NodeJS.ProcessEnv): Promise<Result[]> {
  if (names.length === 0) return []
  const program = join(import.meta.dirname, 'run-programs.mjs')
  const { stdout } = await run(process.execPath, ['--enable-source-maps', program, folder, ...names], { env })
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Result) // as our own program writes it
}

/** What another SDK does in a page, before the programs that read it: in the same folder. */
async function runPython(python: string, folder: string, blocks: readonly Block[]): Promise<void> {
  if (blocks.length === 0) return
  await mkdir(folder, { recursive: true })
  const file = join(folder, 'page.py')
  await writeFile(file, blocks.map(({ code }) => code).join('\n'))
  await run(python, ['-B', file], { cwd: folder })
}

/** Runs the blocks of a page in one shell, in an empty folder; gives what went wrong. What is not run has to be a script all the same. */
async function runShell(folder: string, blocks: readonly Block[], env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const ran = blocks.filter(({ notRun }) => notRun === undefined)
  const script = ran.map(({ page, line, code }) => `block='${page}:${line}'\n${code}`)
  const head = `set -euo pipefail\ntrap 'echo "failed in the block at $block" >&2' ERR\n`
  const file = join(folder, '.page.sh')
  try {
    await writeFile(file, blocks.map(({ code }) => code).join('\n'))
    await run('bash', ['-n', file])
    await writeFile(file, head + script.join('\n'))
    const { stdout } = await run('bash', [file], { cwd: folder, env })
    const missing = promisedBy(ran).find((text) => !stdout.includes(text))
    return missing === undefined ? undefined : `prints no ${JSON.stringify(missing)}, but\n${stdout}`
  } catch (error) {
    return error instanceof Error && 'stderr' in error ? `${error.message}\n${String(error.stderr)}` : String(error)
  }
}
