/**
 * `npm run bench`: asks all questions, one process each, and writes RESULTS.md, results.json, results.html, results.svg and the
 * README's table.
 *
 *     npm run bench -- [--full] [--check] [--nodes 20,24] [--question NAME]… [--engine native|node]…
 *                      [--mib N] [--rounds N] [--output FOLDER] [--render]
 *
 * `--full` asks for all cases, at full size; `--nodes` asks under other major versions of Node too, which come from npm;
 * `--mib` and `--rounds` make it shorter. With some of the questions or engines alone nothing is written, unless
 * `--output` says where; `--render` asks nothing, and writes the other files anew from results.json. With `--check` the exit code is 1 where something required is missed.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg, totalmem, type } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { cryptoEngine } from '#lib/crypto/engine'
import { nodeOfVersion } from '../scripts/node-binary.ts'
import { QUESTIONS, resultsMarkdown, withReadmeTable } from './support/markdown.ts'
import { type Answer, type QuestionName, type Results, missedOf } from './support/measurement.ts'
import { resultsPage, resultsPicture } from './support/page.ts'
import { MIB, QUESTION_OPTIONS, positive } from './support/question.ts'
import { onSignal } from './support/signals.ts'
import { measurementTable } from './support/tables.ts'
import { TITLES } from './support/titles.ts'

const ROOT = resolve(import.meta.dirname, '..')
/** What depends on the engine so much that each is asked. */
const OF_EACH_ENGINE: readonly QuestionName[] = ['throughput', 'small-messages']

const { values: flags } = parseArgs({
  options: {
    ...QUESTION_OPTIONS,
    nodes: { type: 'string' },
    question: { type: 'string', multiple: true },
    engine: { type: 'string', multiple: true },
    output: { type: 'string' },
    render: { type: 'boolean', default: false },
  },
})

/** One answer of a child. */
async function ask(node: string, question: QuestionName, engine: string): Promise<Answer> {
  const { mib, rounds, full } = flags
  const args = ['--import', 'tsx', join('bench', `${question}.ts`), '--json', '--engine', engine, '--rounds', rounds]
  const more = [...(mib === undefined ? [] : ['--mib', mib]), ...(full ? ['--full'] : [])]
  const child = spawn(node, [...args, ...more], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  const forget = onSignal((signal) => child.kill(signal))
  const parts: Buffer[] = []
  child.stdout.on('data', (part: Buffer) => parts.push(part))
  const [code] = (await once(child, 'close')) as [number | null]
  forget()
  if (code !== 0) throw new Error(`the question ${question} failed`)
  return JSON.parse(Buffer.concat(parts).toString('utf8')) as Answer // written by the question
}

function questionsAsked(): readonly QuestionName[] {
  const unknown = flags.question?.find((name) => !QUESTIONS.some((known) => known === name))
  if (unknown !== undefined)
    throw new RangeError(`"--question" expected one of ${QUESTIONS.join(', ')}, got ${unknown}`)
  return QUESTIONS.filter((question) => flags.question?.includes(question) ?? true)
}

async function nodesAsked(): Promise<readonly string[]> {
  if (flags.nodes === undefined) return [process.execPath]
  const nodes: string[] = []
  for (const text of flags.nodes.split(',')) {
    const major = String(positive('nodes', text))
    nodes.push(process.versions.node.startsWith(`${major}.`) ? process.execPath : await nodeOfVersion(major))
  }
  return nodes
}

async function askAll(): Promise<Answer> {
  const serving = cryptoEngine().name
  const engines = flags.engine ?? (serving === 'native' ? ['native', 'node'] : [serving])
  const answers: Answer[] = []
  for (const question of questionsAsked()) {
    const asked: Answer[] = []
    for (const node of await nodesAsked()) {
      for (const engine of OF_EACH_ENGINE.includes(question) ? engines : engines.slice(0, 1)) {
        asked.push(await ask(node, question, engine))
      }
    }
    console.log(`\n${TITLES[question].title}\n`)
    console.log(measurementTable(asked.flatMap(({ measurements }) => measurements)))
    answers.push(...asked)
  }
  return {
    measurements: answers.flatMap(({ measurements }) => measurements),
    leftOut: [...new Set(answers.flatMap(({ leftOut }) => leftOut))],
  }
}

const FOLDER = resolve(flags.output ?? join(ROOT, 'bench'))

async function write(results: Results): Promise<void> {
  const isPart = flags.question !== undefined || flags.engine !== undefined
  if (isPart && flags.output === undefined) return
  await mkdir(FOLDER, { recursive: true })
  await writeFile(join(FOLDER, 'results.json'), `${JSON.stringify(results, undefined, 2)}\n`)
  await writeFile(join(FOLDER, 'RESULTS.md'), resultsMarkdown(results))
  await writeFile(join(FOLDER, 'results.html'), resultsPage(results))
  const picture = resultsPicture(results)
  if (picture !== undefined) await writeFile(join(FOLDER, 'results.svg'), picture)
  console.log(`\nwritten: RESULTS.md, results.json, results.html and results.svg in ${FOLDER}`)
  if (flags.output !== undefined) return
  const readme = join(ROOT, 'README.md')
  await writeFile(readme, withReadmeTable(await readFile(readme, 'utf8'), results))
}

async function measured(): Promise<Results> {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { version: string } // our own file
  const date = new Date().toISOString()
  const before = loadavg()[0]!
  const answer = await askAll()
  const machine = {
    cpu: cpus()[0]?.model ?? 'an unknown processor',
    cores: cpus().length,
    memoryMiB: Math.round(totalmem() / MIB),
    system: `${type()} ${process.arch}`,
    load: { before, after: loadavg()[0]! },
  }
  return { date, version, full: flags.full, machine, ...answer }
}

async function rendered(): Promise<Results> {
  return JSON.parse(await readFile(join(FOLDER, 'results.json'), 'utf8')) as Results // written by this program
}

async function main(): Promise<void> {
  const results = flags.render ? await rendered() : await measured()
  await write(results)
  for (const why of results.leftOut) console.log(`left out: ${why}`)
  if (flags.check && missedOf(results.measurements).length > 0) {
    console.error('something required was missed')
    process.exitCode = 1
  }
}

await main()
