/**
 * How many small messages a second, against the AWS Encryption SDK for JavaScript?
 *
 *     node --import tsx bench/small-messages.ts [--engine native|node] [--rounds N] [--full] [--check] [--json]
 *
 * One after the other, each with a data key of its own, under a raw AES key. The libraries read each other's first.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { DIRECTIONS, type Library, SUITES, type SuiteName, clientNode, ours, suiteLabel } from './support/contenders.ts'
import { kibibytes } from './support/measurement.ts'
import { type Asked, type Made, answer } from './support/question.ts'
import { REQUIRED_SMALL_MESSAGES } from './support/required.ts'
import { alternate, median, pairedRatio } from './support/rounds.ts'

const LENGTHS = [256, 4096] as const
const FRAME_LENGTH = 4096
/** Of each library, so that a round takes about as long for both. */
const MESSAGES = { ours: 1000, peer: 200 } as const
const SUITES_ASKED = { quick: ['unsigned'], full: ['unsigned', 'signed'] } as const

async function* measure({ full, rounds, bytes }: Asked): AsyncGenerator<Made> {
  // Fewer where little is asked for.
  const share = Math.min(1, bytes({ quick: 64, full: 64 }) / 2 ** 26)
  const counts = { ours: Math.ceil(MESSAGES.ours * share), peer: Math.ceil(MESSAGES.peer * share) }
  for (const suite of SUITES_ASKED[full ? 'full' : 'quick']) {
    for (const length of LENGTHS) yield* measureLength(suite, length, counts, rounds)
  }
}

async function* measureLength(
  suiteName: SuiteName,
  length: number,
  counts: Readonly<Record<'ours' | 'peer', number>>,
  rounds: number,
): AsyncGenerator<Made> {
  const plaintext = randomBytes(length)
  const [us, peer] = [ours(), clientNode()]
  const what = { suite: SUITES[suiteName], frameLength: FRAME_LENGTH }
  const message = await us.encrypt(plaintext, what)
  assert.ok((await peer.decrypt(message, what)).equals(plaintext), 'the peer reads our message')
  const theirs = await peer.encrypt(plaintext, what)
  assert.ok((await us.decrypt(theirs, what)).equals(plaintext), 'we read the peer’s message')
  for (const direction of DIRECTIONS) {
    /** Seconds a message. */
    const each = async (library: Library, count: number): Promise<number> => {
      const start = performance.now()
      for (let done = 0; done < count; done++) {
        const output = await library[direction](direction === 'encrypt' ? plaintext : message, what)
        assert.ok(output.length >= plaintext.length)
      }
      return (performance.now() - start) / 1000 / count
    }
    const contenders = { ours: () => each(us, counts.ours), peer: () => each(peer, counts.peer) }
    const seconds = await alternate(contenders, rounds)
    const isRequired = suiteName === 'unsigned' && length === LENGTHS[0]
    yield {
      axes: { suite: suiteLabel(suiteName), message: kibibytes(length), direction },
      figures: [
        { name: 'esdk-streams', kind: 'ours', value: 1 / median(seconds.ours), unit: 'messages/s' },
        { name: 'client-node', kind: 'other', value: 1 / median(seconds.peer), unit: 'messages/s' },
      ],
      ratios: [
        {
          to: 'client-node',
          as: 'times',
          value: pairedRatio(seconds.ours, seconds.peer),
          ...(isRequired && { atLeast: REQUIRED_SMALL_MESSAGES }),
        },
      ],
    }
  }
}

await answer('small-messages', measure)
