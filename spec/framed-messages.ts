/** Framed messages around every boundary of their frames, in both shapes of the final frame, as any SDK may write them. */
import fc from 'fast-check'
import { ALGORITHM_SUITES, type AlgorithmSuite } from 'esdk-streams/format'
import { bytes } from './arbitraries.ts'
import { type FrameRecipe, craft, framesOf } from './message-recipe.ts'

/** A message under the crafting key, and what it was made of. */
export interface FramedMessage {
  readonly message: Buffer
  readonly plaintext: Buffer
  readonly suite: AlgorithmSuite
  readonly frameLength: number
  readonly context: Readonly<Record<string, string>>
  /** What the final frame holds, where the plaintext divides evenly. */
  readonly finalFrame: 'full' | 'empty'
}

const CONTEXTS: readonly FramedMessage['context'][] = [{}, { purpose: 'spec' }, { a: '1', é: '\u{1f600}', b: '' }]

/** Every suite, and so both versions, signed and not, with either final frame. */
export const FRAMED_KINDS: readonly Pick<FramedMessage, 'suite' | 'finalFrame'>[] = ALGORITHM_SUITES.flatMap(
  (suite) => [
    { suite, finalFrame: 'full' },
    { suite, finalFrame: 'empty' },
  ],
)

/** Messages of a kind, most of them with a plaintext that divides evenly. */
export function framedMessages({ suite, finalFrame }: (typeof FRAMED_KINDS)[number]): fc.Arbitrary<FramedMessage> {
  return fc
    .record({
      frameLength: fc.integer({ min: 1, max: 60 }),
      frames: fc.nat(6),
      offset: fc.constantFrom(-1, 0, 0, 1),
      fill: bytes(20, 1),
      context: fc.constantFrom(...CONTEXTS),
    })
    .map(({ frameLength, frames, offset, fill, context }) => {
      const plaintext = Buffer.alloc(Math.max(0, frames * frameLength + offset), fill)
      const recipes = finalFrame === 'full' ? framesOf(plaintext, frameLength) : endingEmpty(plaintext, frameLength)
      const { message } = craft({ suite, plaintext, frameLength, context, frames: recipes })
      return { message, plaintext, suite, frameLength, context, finalFrame }
    })
}

/** Frames as other SDKs cut them: where the plaintext divides evenly, an empty one comes last. */
function endingEmpty(plaintext: Buffer, frameLength: number): FrameRecipe[] {
  const frames = framesOf(plaintext, frameLength)
  const last = frames.at(-1)!
  if (last.content.length < frameLength) return frames
  const final = { content: Buffer.alloc(0), kind: 'final' as const, number: last.number + 1 }
  return [...frames.slice(0, -1), { ...last, kind: 'regular' }, final]
}
