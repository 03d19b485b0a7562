/**
 * Does it go on faster over several cores, in processes and in worker threads?
 *
 *     node --import tsx bench/cores.ts [--engine native|node] [--mib N] [--rounds N] [--full] [--check] [--json]
 *
 * Each encrypts as much, unsigned and at the default frame length: one alone, and as many at once as there are cores, by
 * turns. Their speeds are added up.
 */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import { type Asked, MIB, type Made, answer, megabytesPerSecond } from './support/question.ts'
import { alternate, median, pairedRatio } from './support/rounds.ts'

const MOST = 4
const script = new URL('support/load-child.mjs', import.meta.url)

/** Someone who encrypts when told to. */
interface Child {
  encrypt(bytes: number): Promise<void>
  end(): Promise<unknown>
}

function processOf(): Child {
  // tsx is for this process alone.
  const child = fork(script, { execArgv: [] })
  return {
    encrypt: async (bytes) => {
      const done = once(child, 'message') as Promise<[number]>
      child.send({ bytes })
      assert.ok((await done)[0] > bytes)
    },
    end: async () => {
      const ended = once(child, 'exit')
      child.disconnect()
      child.kill()
      await ended
    },
  }
}

function workerOf(): Child {
  const worker = new Worker(script, { execArgv: [] })
  return {
    encrypt: async (bytes) => {
      const done = once(worker, 'message') as Promise<[number]>
      worker.postMessage({ bytes })
      assert.ok((await done)[0] > bytes)
    },
    end: () => worker.terminate(),
  }
}

const KINDS = { processes: processOf, 'worker threads': workerOf } as const

async function* measure(asked: Asked): AsyncGenerator<Made> {
  const count = Math.min(Math.max(2, availableParallelism()), MOST)
  const bytes = asked.bytes({ quick: 256, full: 512 })
  for (const [kind, make] of Object.entries(KINDS)) {
    const children = Array.from({ length: count }, make)
    try {
      const together = async (many: number): Promise<number> => {
        const start = performance.now()
        await Promise.all(children.slice(0, many).map((child) => child.encrypt(bytes)))
        return (performance.now() - start) / 1000
      }
      const seconds = await alternate({ one: () => together(1), all: () => together(count) }, asked.rounds)
      const speed = (many: number, of: readonly number[]): number => megabytesPerSecond(many * bytes, median(of))
      yield {
        axes: { at: kind, each: `${bytes / MIB} MiB` },
        figures: [
          { name: 'one', kind: 'ours', value: speed(1, seconds.one), unit: 'MB/s' },
          { name: `${count} at once`, kind: 'ours', value: speed(count, seconds.all), unit: 'MB/s' },
        ],
        ratios: [{ to: `${count} times one`, as: 'share', value: pairedRatio(seconds.all, seconds.one) }],
      }
    } finally {
      await Promise.all(children.map((child) => child.end()))
    }
  }
}

await answer('cores', measure)
