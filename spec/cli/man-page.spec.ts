/** The manual page esdk(1), as the programs that show such pages show it. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { commandTree } from '#lib/cli/command-tree'
import { manPage } from '#lib/cli/man-page'
import { program } from '#lib/cli/program'
import { temporaryFolder } from './command.ts'

const run = promisify(execFile)
const PAGE = fileURLToPath(new URL('../../dist/esdk.1', import.meta.url))

/** Who renders pages, the first that is there. */
const RENDERERS: readonly (readonly [string, ...string[]])[] = [
  ['man', '-l', '-E', 'utf-8'],
  ['groff', '-man', '-Tutf8', '-P-c'],
  ['mandoc', '-T', 'utf8'],
]

/** The page as text, without anything bold or underlined; and what the renderer complains of. */
async function rendered(page: string): Promise<{ text: string; complaints: string } | undefined> {
  for (const [name, ...args] of RENDERERS) {
    const env = { ...process.env, MANWIDTH: '400', MAN_KEEP_FORMATTING: '', MANROFFOPT: '-ww', LC_ALL: 'C.UTF-8' }
    try {
      const { stdout, stderr } = await run(name, [...args, page], { env })
      // eslint-disable-next-line no-control-regex -- they make letters bold
      return { text: stdout.replace(/.\u0008|\u001b\[[\d;]*m/g, ''), complaints: stderr }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    }
  }
  return undefined
}

describe('esdk(1)', () => {
  const folder = temporaryFolder()
  const tree = commandTree(program(), [])

  it('is in the package, made by the build from the commands as they are', async () => {
    const { man, files, version } = JSON.parse(await readFile('package.json', 'utf8')) as Record<string, unknown> // our own
    assert.equal(man, './dist/esdk.1')
    assert.ok((files as string[]).includes('dist'))
    assert.equal(await readFile(PAGE, 'utf8'), manPage(tree, String(version)))
  })

  it('shows every command, every option with what it means, and every example', async function () {
    const shown = await rendered(PAGE)
    if (shown === undefined) this.skip()
    assert.equal(shown.complaints, '')
    const text = shown.text.replace(/[‐−]/g, '-').replace(/\s+/g, ' ')
    const commands = tree.commands.filter(({ name }) => name !== 'help')
    assert.ok(commands.length >= 7)
    for (const { name, options, arguments: operands, notes } of commands) {
      const section = text.split(` ESDK ${name.toUpperCase()} `)[1]?.split(/ ESDK [A-Z]+ | FILES /)[0] ?? ''
      for (const { short, long, value, description } of options) {
        const head =
          [...(short === undefined ? [] : [short]), long].join(', ') + (value === undefined ? '' : ` ${value.name}`)
        assert.ok(section.includes(` ${head.replace('…', '...')} `), `${name} ${head}`)
        assert.ok(section.includes(description.replace(/\s+/g, ' ').replace('…', '...')), `${name}: ${description}`)
      }
      for (const { name: operand } of operands) assert.ok(section.includes(operand))
      for (const line of notes.split('\n')) assert.ok(section.includes(line.trim().replace(/\s+/g, ' ')), line)
    }
    for (const word of ['EXIT STATUS', 'ENVIRONMENT', 'AWS_REGION', 'esdk.config.json'])
      assert.ok(text.includes(word), word)
  })

  it('takes text that looks like a request for what it is', async function () {
    const odd = '.TH "x" \\fBbold\\fR \'quoted\' -1 …'
    await writeFile(folder.of('odd.1'), manPage({ ...tree, description: odd, commands: [] }, '1'))
    const shown = await rendered(folder.of('odd.1'))
    if (shown === undefined) this.skip()
    assert.equal(shown.complaints, '')
    assert.ok(shown.text.replace(/[‐−]/g, '-').includes(odd.replace('…', '...')), shown.text)
  })
})
