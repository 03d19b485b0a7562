/**
 * How fast are the streams in process, against the AWS Encryption SDK for JavaScript and against the floors?
 *
 *     node --import tsx bench/throughput.ts [--engine native|node] [--mib N] [--rounds N] [--full] [--check] [--json]
 *
 * Verifies that each library reads what the other wrote, then times all contenders by turns. A floor is what the same
 * bytes take without a library: the frames over a bare OpenSSL, then through a Transform that only copies, and of a
 * signed message its digest.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  DIRECTIONS,
  type Direction,
  SUITES,
  type SuiteName,
  clientNode,
  ours,
  suiteLabel,
  verified,
} from './support/contenders.ts'
import { messageOf } from '#lib/errors'
import { FrameLoop, nodeLoops, opensslLoops, timeSha384 } from './support/floor.ts'
import { type Figure, kibibytes } from './support/measurement.ts'
import { chunksOf, copying, timeThrough } from './support/memory-streams.mjs'
import { type Asked, type Made, answer, megabytesPerSecond } from './support/question.ts'
import { requiredAgainstPeer, requiredOfFloor } from './support/required.ts'
import { type Seconds, alternate, median, pairedRatio, timed } from './support/rounds.ts'

const QUICK = { suites: ['unsigned', 'signed'], frameLengths: [4096, 65536] } as const
const FULL = {
  suites: ['unsigned', 'signed', 'without commitment'],
  frameLengths: [4096, 65536, 1024 * 1024],
} as const

interface Case {
  readonly suite: SuiteName
  readonly frameLength: number
  readonly direction: Direction
}

interface Setting extends Asked {
  readonly plaintext: Buffer
  readonly loops: typeof nodeLoops | undefined
}

const OPENSSL = 'OpenSSL alone'
const NODE_CRYPTO = 'node:crypto alone'

async function* measure(asked: Asked, leaveOut: (why: string) => void): AsyncGenerator<Made> {
  const plaintext = randomBytes(asked.bytes({ quick: 32, full: 64 }))
  const loops = await opensslLoops().catch((error: unknown) => {
    leaveOut(messageOf(error))
    return undefined
  })
  const { suites, frameLengths } = asked.full ? FULL : QUICK
  for (const suite of suites) {
    for (const frameLength of frameLengths)
      yield* measureMessage({ suite, frameLength }, { ...asked, plaintext, loops })
  }
}

async function* measureMessage(what: Omit<Case, 'direction'>, setting: Setting): AsyncGenerator<Made> {
  const { plaintext, loops, rounds } = setting
  const { frameLength } = what
  const suite = SUITES[what.suite]
  const [us, peer] = [ours(), clientNode()]
  const message = await verified(plaintext, { suite, frameLength }, us, peer)
  const target = Buffer.alloc(plaintext.length)
  const openssl = loops && new FrameLoop(loops, plaintext, frameLength)
  const nodeCrypto = new FrameLoop(nodeLoops, plaintext, frameLength)
  for (const direction of DIRECTIONS) {
    const through = async (library: typeof us): Promise<number> => {
      const [bytes, stream] =
        direction === 'encrypt'
          ? [plaintext, library.encryptor({ suite, frameLength })]
          : [message, library.decryptor({ suite, frameLength })]
      const { seconds, length } = await timeThrough(chunksOf(bytes), stream)
      assert.ok(direction === 'encrypt' ? length > plaintext.length : length === plaintext.length)
      return seconds
    }
    const contenders = {
      'esdk-streams': () => through(us),
      'client-node': () => through(peer),
      ...(openssl && { [OPENSSL]: () => openssl.time(direction) }),
      [NODE_CRYPTO]: () => nodeCrypto.time(direction),
      'a copying Transform': async () => (await timeThrough(chunksOf(plaintext), copying())).seconds,
      ...(what.suite === 'signed' && { 'SHA-384': () => timeSha384(message) }),
      memcpy: () => timed(() => plaintext.copy(target)),
    }
    yield made({ ...what, direction }, setting, await alternate<string>(contenders, rounds))
  }
}

function made(what: Case, { engine, plaintext, loops }: Setting, seconds: Seconds<string>): Made {
  const { suite, frameLength, direction } = what
  const own = seconds['esdk-streams']!
  const alone = engine === 'native' && loops !== undefined ? OPENSSL : NODE_CRYPTO
  const floors = [alone, 'a copying Transform', ...(suite === 'signed' ? ['SHA-384'] : [])]
  const condition = { engine, suite: SUITES[suite], frameLength }
  const againstPeer = requiredAgainstPeer(condition)
  const ofFloor = requiredOfFloor(condition)
  return {
    axes: { suite: suiteLabel(suite), frames: kibibytes(frameLength), direction },
    figures: Object.entries(seconds).map(([name, each]): Figure => {
      const kind = name === 'esdk-streams' ? 'ours' : name === 'client-node' ? 'other' : 'floor'
      return { name, kind, value: megabytesPerSecond(plaintext.length, median(each)), unit: 'MB/s' }
    }),
    ratios: [
      {
        to: 'client-node',
        as: 'times',
        value: pairedRatio(own, seconds['client-node']!),
        ...(againstPeer !== undefined && { atLeast: againstPeer }),
      },
      {
        to: 'the floor',
        as: 'share',
        value: pairedRatio(own, ...floors.map((name) => seconds[name]!)),
        ...(ofFloor !== undefined && { atLeast: ofFloor }),
      },
    ],
  }
}

await answer('throughput', measure)
