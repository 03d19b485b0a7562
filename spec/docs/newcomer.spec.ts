/** A newcomer's path: the package in an empty folder, and the lines of the README pasted, one block after the other. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { PREPARE_TIMEOUT_MS, freePort } from '../emulators/emulator.ts'
import { preparedOrPending } from '../interop/pending.ts'
import { FROM_CACHE, packedPackage, writeConsumer } from '../packaging/installed.ts'
import { awsEnvironment } from './aws.ts'
import { type Block, allPages, root } from './markdown.ts'
import { promisedBy } from './page-programs.ts'

const run = promisify(execFile)

describe('a newcomer', () => {
  const blocks = allPages().find(({ name }) => name === 'README.md')!.blocks
  const pasted = blocks.filter(({ language, notRun }) => ['ts', 'sh'].includes(language) && notRun === undefined)
  let folder: string
  let env: NodeJS.ProcessEnv

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    const aws = await preparedOrPending(this, awsEnvironment)
    folder = await mkdtemp(join(tmpdir(), 'esdk-newcomer-'))
    const port = await freePort()
    env = {
      ...process.env,
      ...aws,
      PORT: String(port),
      ...FROM_CACHE,
    }
    const { path } = await packedPackage()
    await copyFile(path, join(folder, basename(path)))
    await writeConsumer(folder, basename(path))
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'newcomer', private: true }))
  })

  after(() => rm(folder, { recursive: true, force: true }))

  for (const [index, block] of pasted.entries()) {
    it(`pastes block ${index + 1}, in ${block.language}`, async function () {
      this.timeout(PREPARE_TIMEOUT_MS)
      if (block.code.includes('.listen(')) await serve(block)
      else await paste(block)
    })
  }

  it('has pasted all of it', () => {
    assert.deepEqual(
      pasted.map(({ language }) => language),
      ['sh', 'ts', 'ts', 'ts', 'ts', 'ts'],
    )
  })

  it('has what the recipes made', async () => {
    const plans = await readFile(join(folder, 'plans.txt'), 'utf8')
    assert.equal(plans, 'attack at dawn\n')
    for (const name of ['plans.copy', 'plans.back']) assert.equal(await readFile(join(folder, name), 'utf8'), plans)
    assert.ok(!(await readFile(join(folder, 'plans.encrypted'))).includes('attack'))
  })

  async function paste({ language, code }: Block): Promise<void> {
    const file = join(folder, language === 'sh' ? 'paste.sh' : 'recipe.mjs')
    await writeFile(file, code)
    const [program, args] = language === 'sh' ? ['bash', ['-e', file]] : [process.execPath, [file]]
    const { stdout } = await run(program, args, { cwd: folder, env })
    if (language === 'sh') assert.match(stdout, /attack at dawn/)
    for (const text of promisedBy([{ code }])) assert.ok(stdout.includes(text), `prints no ${JSON.stringify(text)}`)
  }

  /** A program that serves: it is asked, and then stopped. */
  async function serve({ code }: Block): Promise<void> {
    await writeFile(join(folder, 'recipe.mjs'), code)
    const child = spawn(process.execPath, ['recipe.mjs'], { cwd: folder, env, stdio: 'inherit' })
    try {
      const response = await answerOf(`http://127.0.0.1:${env['PORT']!}/`, child)
      assert.equal(response.headers.get('content-type'), 'text/plain')
      assert.equal(await response.text(), 'attack at dawn\n')
    } finally {
      child.kill('SIGKILL')
    }
  }
})

/** The first two commands of the README; the second of them runs this. */
describe('a newcomer with a clone', () => {
  it('runs the demo', async function () {
    if (process.env['ESDK_FULL'] !== '1') this.skip()
    this.timeout(1_200_000)
    const [block] = allPages().find(({ name }) => name === 'README.md')!.blocks
    const command = /^npm ci && npm run demo/m.exec(block!.code)![0]
    const folder = await mkdtemp(join(tmpdir(), 'esdk-clone-'))
    try {
      await run('git', ['clone', '--quiet', root, folder])
      const { stdout } = await run('bash', ['-c', command], { cwd: folder, maxBuffer: 2 ** 26 })
      assert.match(stdout, /identical/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

async function answerOf(url: string, child: ChildProcess): Promise<Response> {
  for (;;) {
    const response = await fetch(url).catch(() => undefined)
    if (response !== undefined) return response
    assert.equal(child.exitCode, null, 'the server ended')
    await setTimeout(50)
  }
}
