/**
 * How long does the event loop wait while four streams run, and how much memory do they take?
 *
 *     node --import tsx bench/event-loop.ts [--engine native|node] [--mib N] [--rounds N] [--full] [--check] [--json]
 *
 * Each run is a process. What is encrypted is in memory, so that nothing but the streams themselves makes room for others;
 * what is decrypted is read from a file in memory. Beside them four Transforms that only copy, and a process that idles.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { RawAesKeyring } from 'esdk-streams'
import { encryptFile } from 'esdk-streams/file'
import { DIRECTIONS, SUITES, type SuiteName, suiteLabel } from './support/contenders.ts'
import { randomFile } from './support/programs.ts'
import { type Asked, MIB, type Made, answer, megabytesPerSecond } from './support/question.ts'
import { REQUIRED_DELAY_MS } from './support/required.ts'
import { Scratch } from './support/scratch.ts'

const STREAMS = 4
const MOST_ROUNDS = 3
const SUITES_ASKED = { quick: ['unsigned'], full: ['unsigned', 'signed'] } as const

interface Run {
  readonly longest: number
  readonly p99: number
  readonly seconds: number
  readonly peakMiB: number
}

interface Message {
  readonly bytes: number
  readonly suite: SuiteName
  readonly path: string
}

async function* measure(asked: Asked): AsyncGenerator<Made> {
  const rounds = Math.min(asked.rounds, MOST_ROUNDS)
  const bytes = asked.bytes({ quick: 256, full: 1024 })
  const wrappingKey = randomBytes(32)
  const env = { ...process.env, BENCH_KEY: wrappingKey.toString('hex') }
  const keyring = new RawAesKeyring({ keyNamespace: 'bench', keyName: 'key', wrappingKey })
  const scratch = await Scratch.make()
  try {
    const folder = scratch.path
    const plaintext = join(folder, 'plaintext')
    await randomFile(plaintext, bytes)
    for (const suite of SUITES_ASKED[asked.full ? 'full' : 'quick']) {
      const message = { bytes, suite, path: join(folder, 'message') }
      await encryptFile(plaintext, message.path, { keyring, algorithmSuite: SUITES[suite] })
      yield* measureSuite(message, rounds, env)
    }
  } finally {
    await scratch.remove()
  }
}

async function* measureSuite(message: Message, rounds: number, env: NodeJS.ProcessEnv): AsyncGenerator<Made> {
  for (const direction of DIRECTIONS) {
    const runs: Run[] = []
    const copies: Run[] = []
    const idle: Run[] = []
    for (let round = 0; round < rounds; round++) {
      runs.push(await run(direction, message, env))
      copies.push(await run('copy', message, env))
      idle.push(await run('idle', message, env))
    }
    const worst = (of: readonly Run[], what: keyof Run): number => Math.max(...of.map((each) => each[what]))
    yield {
      axes: {
        suite: suiteLabel(message.suite),
        streams: `${STREAMS} of ${message.bytes / MIB} MiB`,
        direction,
      },
      figures: [
        {
          ...{ name: 'longest delay', kind: 'ours', unit: 'ms' },
          ...{ value: worst(runs, 'longest'), below: REQUIRED_DELAY_MS },
        },
        { name: '99 % of delays below', kind: 'ours', unit: 'ms', value: worst(runs, 'p99') },
        { name: 'longest delay of an idle process', kind: 'floor', unit: 'ms', value: worst(idle, 'longest') },
        { name: 'longest delay of copies', kind: 'floor', unit: 'ms', value: worst(copies, 'longest') },
        { name: 'peak memory', kind: 'ours', unit: 'MiB', value: worst(runs, 'peakMiB') },
        { name: 'peak memory of copies', kind: 'floor', unit: 'MiB', value: worst(copies, 'peakMiB') },
        {
          ...{ name: 'all streams', kind: 'ours', unit: 'MB/s' },
          value: megabytesPerSecond(message.bytes * STREAMS, Math.min(...runs.map(({ seconds }) => seconds))),
        },
      ],
      ratios: [],
    }
  }
}

async function run(mode: string, { bytes, suite, path }: Message, env: NodeJS.ProcessEnv): Promise<Run> {
  const script = fileURLToPath(new URL('support/streams-child.mjs', import.meta.url))
  const args = [script, mode, String(STREAMS), String(bytes), String(SUITES[suite]), path]
  const { stdout } = await promisify(execFile)(process.execPath, args, { env })
  return JSON.parse(stdout) as Run // written by our script
}

await answer('event-loop', measure)
