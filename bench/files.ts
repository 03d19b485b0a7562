/**
 * How fast is a file encrypted into another and back, against age, and against a copy?
 *
 *     node --import tsx bench/files.ts [--mib N] [--rounds N] [--full] [--check] [--json]
 *
 * Files lie in memory (/dev/shm), so that no disk is measured. Of this library the work in a running process counts,
 * and the whole process too; of the others the process. What comes back is compared with the original first.
 */
import { freemem } from 'node:os'
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf } from '#lib/errors'
import { DIRECTIONS, type Direction } from './support/contenders.ts'
import { type Figure, type Ratio, kibibytes } from './support/measurement.ts'
import {
  type Pass,
  type Program,
  age,
  assertSameFile,
  cat,
  cp,
  opensslCtr,
  ours,
  randomFile,
  removed,
} from './support/programs.ts'
import { type Asked, MIB, type Made, answer, megabytesPerSecond } from './support/question.ts'
import { REQUIRED_FILES } from './support/required.ts'
import { alternate, median, pairedRatio } from './support/rounds.ts'
import { Scratch } from './support/scratch.ts'

const MOST_ROUNDS = { quick: 3, full: 5 } as const
const WARM_UP_ROUNDS = 1
/** The original, a message and what comes back are there at once; others need memory too. */
const SHARE_OF_FREE_MEMORY = 1 / 5

type Passes = Record<Direction, Pass[]>

async function* measure(asked: Asked, leaveOut: (why: string) => void): AsyncGenerator<Made> {
  const scratch = await Scratch.make()
  try {
    const folder = scratch.path
    const wanted = asked.bytes({ quick: 1024, full: 4096 })
    const bytes = Math.min(wanted, await roomIn(folder))
    if (bytes < wanted) leaveOut(`files of ${kibibytes(wanted)}: there is memory for ${bytes / MIB} MiB`)
    const plaintext = join(folder, 'plaintext')
    await randomFile(plaintext, bytes)
    const programs: Record<string, Program> = { 'esdk-streams': ours(), cp, cat }
    for (const [name, make] of [
      ['age', () => age(folder)],
      ['openssl aes-256-ctr', opensslCtr],
    ] as const) {
      const program = await tried(make, plaintext, folder, (why) => {
        leaveOut(`${name}: ${why}`)
      })
      if (program !== undefined) programs[name] = program
    }
    const rounds = Math.min(asked.rounds, MOST_ROUNDS[asked.full ? 'full' : 'quick'])
    const passes = await measurePrograms(programs, plaintext, folder, rounds)
    for (const direction of DIRECTIONS) yield made(direction, bytes, passes)
  } finally {
    await scratch.remove()
  }
}

async function roomIn(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return Math.floor((Math.min(bavail * bsize, freemem()) * SHARE_OF_FREE_MEMORY) / MIB) * MIB
}

/** A program, if there is one and it gives back what it was given. */
async function tried(
  make: () => Program | Promise<Program>,
  plaintext: string,
  folder: string,
  leaveOut: (why: string) => void,
): Promise<Program | undefined> {
  try {
    const program = await make()
    await roundTrip(program, plaintext, folder, true)
    return program
  } catch (error) {
    leaveOut(messageOf(error))
    return undefined
  }
}

async function roundTrip(
  program: Program,
  plaintext: string,
  folder: string,
  compares: boolean,
): Promise<Record<Direction, Pass>> {
  const message = await removed(join(folder, 'message'))
  const back = await removed(join(folder, 'back'))
  try {
    const encrypt = await program('encrypt', plaintext, message)
    const decrypt = await program('decrypt', message, back)
    if (compares) await assertSameFile(plaintext, back)
    return { encrypt, decrypt }
  } finally {
    await Promise.all([removed(message), removed(back)])
  }
}

async function measurePrograms(
  programs: Readonly<Record<string, Program>>,
  plaintext: string,
  folder: string,
  rounds: number,
): Promise<Readonly<Record<string, Passes>>> {
  const passes: Record<string, Passes> = {}
  const contenders: Record<string, () => Promise<number>> = {}
  for (const [name, program] of Object.entries(programs)) {
    const mine: Passes = (passes[name] = { encrypt: [], decrypt: [] })
    contenders[name] = async () => {
      const { encrypt, decrypt } = await roundTrip(program, plaintext, folder, mine.encrypt.length === 0)
      mine.encrypt.push(encrypt)
      mine.decrypt.push(decrypt)
      return encrypt.seconds
    }
  }
  await alternate(contenders, rounds, WARM_UP_ROUNDS)
  for (const { encrypt, decrypt } of Object.values(passes))
    for (const each of [encrypt, decrypt]) each.splice(0, WARM_UP_ROUNDS)
  return passes
}

function made(direction: Direction, bytes: number, passes: Readonly<Record<string, Passes>>): Made {
  const secondsOf = (name: string): number[] => passes[name]![direction].map(({ seconds }) => seconds)
  const speed = (seconds: readonly number[]): number => megabytesPerSecond(bytes, median(seconds))
  const own = passes['esdk-streams']![direction]
  const figures: Figure[] = Object.keys(passes).map((name) => {
    const kind = name === 'esdk-streams' ? 'ours' : name === 'age' ? 'other' : 'floor'
    return { name, kind, value: speed(secondsOf(name)), unit: 'MB/s' }
  })
  figures.splice(1, 0, {
    name: 'esdk-streams with start of Node',
    kind: 'ours',
    value: speed(own.map(({ processSeconds }) => processSeconds)),
    unit: 'MB/s',
  })
  const peakMiB = Math.max(...own.map((pass) => pass.peakMiB!))
  const ratio = (to: 'age' | 'cp'): Ratio => ({
    to,
    as: 'times',
    value: pairedRatio(secondsOf('esdk-streams'), secondsOf(to)),
    atLeast: REQUIRED_FILES[to],
  })
  return {
    axes: { file: `${bytes / MIB} MiB`, direction },
    figures: [
      ...figures,
      { name: 'peak memory', kind: 'ours', value: peakMiB, unit: 'MiB', below: REQUIRED_FILES.peakMiB },
    ],
    ratios: ['age' in passes ? [ratio('age')] : [], ratio('cp')].flat(),
  }
}

await answer('files', measure)
