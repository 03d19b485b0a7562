/**
 * How fast are whole messages in memory, against the AWS Encryption SDKs of other languages?
 *
 *     node --import tsx bench/peers.ts [--mib N] [--rounds N] [--full] [--check] [--json]
 *
 * Each library runs in a process of its own and times itself, so that no start counts. Each reads the message of this
 * library first, and this library theirs. Without `--full`, those that are built for minutes are left out until they are.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { RawAesKeyring, decrypt } from 'esdk-streams'
import { messageOf } from '#lib/errors'
import { DIRECTIONS, SUITES, type SuiteName, suiteLabel } from './support/contenders.ts'
import { type Figure, kibibytes } from './support/measurement.ts'
import { PEERS, type PeerProcess, type Task } from './support/peer-process.ts'
import { randomFile } from './support/programs.ts'
import { type Asked, MIB, type Made, answer, megabytesPerSecond } from './support/question.ts'
import { alternate, median, pairedRatio } from './support/rounds.ts'
import { Scratch } from './support/scratch.ts'

const OURS = 'esdk-streams'
const CASES = {
  quick: [['unsigned', 4096]],
  full: [
    ['unsigned', 4096],
    ['unsigned', 65536],
    ['signed', 4096],
    ['signed', 65536],
  ],
} as const

const NAMES = { keyNamespace: 'bench', keyName: 'key' } as const

async function* measure(asked: Asked, leaveOut: (why: string) => void): AsyncGenerator<Made> {
  const scratch = await Scratch.make()
  const peers = await started(asked, leaveOut)
  try {
    const folder = scratch.path
    const bytes = asked.bytes({ quick: 32, full: 64 })
    await randomFile(join(folder, 'plaintext'), bytes)
    for (const [suite, frameLength] of CASES[asked.full ? 'full' : 'quick']) {
      await prepareAll(peers, folder, { suite: SUITES[suite], frameLength }, leaveOut)
      yield* measureMessages(peers, { suite, frameLength, bytes }, asked.rounds)
    }
  } finally {
    await Promise.all([...peers.values()].map((peer) => peer.close()))
    await scratch.remove()
  }
}

async function started({ full }: Asked, leaveOut: (why: string) => void): Promise<Map<string, PeerProcess>> {
  const peers = new Map<string, PeerProcess>()
  const goIsBuilt = existsSync(new URL('../.cache/bench-go', import.meta.url))
  for (const [name, start] of Object.entries(PEERS)) {
    if (name === 'Go SDK' && !full && !goIsBuilt) {
      leaveOut(`${name}: it is built for minutes, the first time; "--full" does`)
      continue
    }
    try {
      peers.set(name, await start())
    } catch (error) {
      leaveOut(`${name}: ${messageOf(error)}`)
    }
  }
  return peers
}

/** Every message is read by another library. A peer that fails is left out from here on. */
async function prepareAll(
  peers: Map<string, PeerProcess>,
  folder: string,
  message: Pick<Task, 'suite' | 'frameLength'>,
  leaveOut: (why: string) => void,
): Promise<void> {
  const wrappingKey = randomBytes(32)
  const keyring = new RawAesKeyring({ ...NAMES, wrappingKey })
  const [plaintext, read] = [join(folder, 'plaintext'), join(folder, OURS)]
  const original = await readFile(plaintext)
  for (const [name, peer] of peers) {
    const write = join(folder, name)
    try {
      await peer.prepare({ ...message, ...NAMES, wrappingKey: wrappingKey.toString('base64'), plaintext, read, write })
      const opened = await decrypt(await readFile(write), {
        keyring,
        commitmentPolicy: 'require-encrypt-allow-decrypt',
      })
      assert.ok(opened.plaintext.equals(original), 'we read the peer’s message')
    } catch (error) {
      if (name === OURS) throw error
      leaveOut(`${name}: ${messageOf(error)}`)
      peers.delete(name)
      await peer.close()
    }
  }
}

interface Messages {
  readonly suite: SuiteName
  readonly frameLength: number
  readonly bytes: number
}

async function* measureMessages(
  peers: ReadonlyMap<string, PeerProcess>,
  { suite, frameLength, bytes }: Messages,
  rounds: number,
): AsyncGenerator<Made> {
  for (const direction of DIRECTIONS) {
    const contenders = Object.fromEntries([...peers].map(([name, peer]) => [name, () => peer.time(direction)]))
    const seconds = await alternate(contenders, rounds)
    yield {
      axes: { suite: suiteLabel(suite), frames: kibibytes(frameLength), message: `${bytes / MIB} MiB`, direction },
      figures: Object.entries(seconds).map(([name, each]): Figure => {
        const kind = name === OURS ? 'ours' : 'other'
        return { name, kind, value: megabytesPerSecond(bytes, median(each)), unit: 'MB/s' }
      }),
      ratios: Object.entries(seconds)
        .filter(([name]) => name !== OURS)
        .map(([to, each]) => ({ to, as: 'times', value: pairedRatio(seconds[OURS]!, each) })),
    }
  }
}

await answer('peers', measure)
