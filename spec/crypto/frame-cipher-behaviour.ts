/** What every engine of the frame cipher does: their specs run this, each with its own. */
import assert from 'node:assert/strict'
import { createDecipheriv, createSecretKey } from 'node:crypto'
import fc from 'fast-check'
import { AuthenticationError, LimitError } from 'esdk-streams'
import { bodyAad, readFinalFrameStart, readFrom } from 'esdk-streams/format'
import { type FrameCipher, type FrameCipherParameters, SequenceCounter } from '#lib/crypto/frame-cipher'
import { bytes, sequence } from '../arbitraries.ts'
import { type FrameRecipe, framesOf, nonFramedContent, sealFrame } from '../message-recipe.ts'

/** Makes a frame cipher of one engine. */
export type MakeFrameCipher = (parameters: FrameCipherParameters, counter: SequenceCounter) => FrameCipher

const messageKey = createSecretKey(sequence(1, 32))
const messageId = sequence(0xa0, 32)
const F = 16
const SIZE = F + 32
const ENDED = { name: 'TypeError', message: 'this frame cipher has ended' }

function frame(recipe: FrameRecipe): Buffer {
  return sealFrame(messageKey, messageId, recipe)
}

function regular(number: number, changes: Partial<FrameRecipe> = {}): Buffer {
  return frame({ content: Buffer.alloc(F, number), kind: 'regular', number, ...changes })
}

function framesOfNumbers(...numbers: readonly number[]): Buffer {
  return Buffer.concat(numbers.map((number) => regular(number)))
}

function openFinal(opener: FrameCipher, bytesOfFrame: Buffer): Buffer {
  const { value, length } = readFrom(readFinalFrameStart(F), bytesOfFrame)
  const end = length + value.contentLength
  return opener.openFinal(value, bytesOfFrame.subarray(length, end), bytesOfFrame.subarray(end))
}

/** Asserts that a batch fails and ends the cipher. */
function assertFails(opener: FrameCipher, frames: Buffer, expected: object): void {
  assert.throws(() => opener.openRegular(frames), expected)
  assert.throws(() => opener.openRegular(regular(1)), ENDED)
  assert.throws(() => openFinal(opener, frame({ content: Buffer.alloc(1), kind: 'final', number: 1 })), ENDED)
}

const recipeOfFives: FrameRecipe = { content: Buffer.alloc(F, 5), kind: 'regular', number: 1 }

/** The memory that is asked of Buffer, whether of its pool or not, while `work` runs. */
function buffersAllocated(work: () => void): Buffer[] {
  const allocated: Buffer[] = []
  const originals = (['allocUnsafe', 'allocUnsafeSlow'] as const).map((name) => {
    const descriptor = Object.getOwnPropertyDescriptor(Buffer, name)!
    const allocate = Buffer[name].bind(Buffer)
    Buffer[name] = (size) => {
      const buffer = allocate(size)
      allocated.push(buffer)
      return buffer
    }
    return { name, descriptor }
  })
  try {
    work()
  } finally {
    for (const { name, descriptor } of originals) Object.defineProperty(Buffer, name, descriptor)
  }
  return allocated
}

/** Defines the specs that all engines pass. */
export function behavesAsFrameCipher(make: MakeFrameCipher): void {
  const cipher = (first = 1, frameLength = F): FrameCipher =>
    make({ messageKey, messageId, frameLength }, new SequenceCounter(first))

  it('gives the same bytes in batches as frame by frame, and those of the format', () => {
    fc.assert(
      fc.property(
        bytes(F * 12, F * 12),
        fc.array(fc.nat(4), { minLength: 1 }),
        fc.integer({ min: 1, max: 0xfffffff0 }),
        (plaintext, batches, first) => {
          const sealer = cipher(first)
          const sealed: Buffer[] = []
          let at = 0
          for (const count of [...batches, 12]) {
            const end = Math.min(plaintext.length, at + count * F)
            sealed.push(...sealer.sealRegular(plaintext.subarray(at, end)))
            at = end
          }
          sealed.push(sealer.sealFinal(plaintext.subarray(0, 5)))
          const recipes = framesOf(Buffer.concat([plaintext, plaintext.subarray(0, 5)]), F)
          const expected = recipes.map((recipe, index) => frame({ ...recipe, number: first + index }))
          assert.deepEqual(Buffer.concat(sealed), Buffer.concat(expected))
          const opener = cipher(first)
          const opened = [
            [0, 4],
            [4, 5],
            [5, 12],
          ].map(([from, to]) => opener.openRegular(Buffer.concat(expected.slice(from, to))))
          assert.deepEqual(Buffer.concat(opened), plaintext)
          assert.deepEqual(openFinal(opener, expected[12]!), plaintext.subarray(0, 5))
        },
      ),
      { numRuns: 50 },
    )
  })

  it('gives the same bytes where frames are large, in pieces none of which is tiny', () => {
    for (const length of [32 * 1024 - 1, 32 * 1024, 32 * 1024 + 1, 100_000]) {
      const plaintext = Buffer.alloc(3 * length, sequence(1, 251))
      const expected = framesOf(plaintext, length).map((recipe) => frame({ ...recipe, kind: 'regular' }))
      const sealer = cipher(1, length)
      const pieces = [
        ...sealer.sealRegular(plaintext.subarray(0, length)),
        ...sealer.sealRegular(plaintext.subarray(length)),
      ]
      assert.ok(Buffer.concat(pieces).equals(Buffer.concat(expected)), `frames of ${length} bytes`)
      assert.ok(pieces.every((piece) => piece.length >= 8 * 1024))
      const opener = cipher(1, length)
      const opened = [opener.openRegular(expected[0]!), opener.openRegular(Buffer.concat(expected.slice(1)))]
      assert.ok(Buffer.concat(opened).equals(plaintext))
    }
  })

  it('seals as the specification says, IV and AAD from the number', () => {
    const sealed = Buffer.concat(cipher(0x01020304).sealRegular(Buffer.alloc(F, 7)))
    assert.equal(sealed.toString('hex', 0, 16), '01020304' + '0000000000000000' + '01020304')
    const decipher = createDecipheriv('aes-256-gcm', messageKey, sealed.subarray(4, 16))
    decipher.setAAD(bodyAad(messageId, 'regular', 0x01020304, F))
    decipher.setAuthTag(sealed.subarray(16 + F))
    const plaintext = Buffer.concat([decipher.update(sealed.subarray(16, 16 + F)), decipher.final()])
    assert.deepEqual(plaintext, Buffer.alloc(F, 7))
  })

  it('opens under the IV that is stored', () => {
    const iv = sequence(0xf0, 12)
    const opener = cipher()
    assert.deepEqual(opener.openRegular(regular(1, { iv })), Buffer.alloc(F, 1))
    const content = Buffer.from('final')
    assert.deepEqual(openFinal(opener, frame({ content, kind: 'final', number: 2, iv })), content)
  })

  it('seals final frames of every length up to the frame length', () => {
    for (let length = 0; length <= F; length++) {
      const content = Buffer.alloc(length, 9)
      const sealed = cipher(3).sealFinal(content)
      assert.deepEqual(sealed, frame({ content, kind: 'final', number: 3 }))
      assert.deepEqual(openFinal(cipher(3), sealed), content)
    }
    assert.throws(() => cipher().sealFinal(Buffer.alloc(F + 1)), TypeError)
  })

  it('opens content without frames, which is number 1', () => {
    const content = Buffer.from('all of it')
    const sealed = frame(nonFramedContent(content))
    const open = (changed: Buffer): Buffer =>
      cipher(1, 0).openNonFramed(
        { iv: changed.subarray(0, 12), contentLength: content.length },
        changed.subarray(20, -16),
        changed.subarray(-16),
      )
    assert.deepEqual(open(sealed), content)
    for (const at of [0, 20, sealed.length - 1]) {
      const changed = Buffer.from(sealed)
      changed[at]! ^= 1
      assert.throws(() => open(changed), AuthenticationError)
    }
    const opener = cipher(1, 0)
    opener.openNonFramed(
      { iv: sealed.subarray(0, 12), contentLength: 9 },
      sealed.subarray(20, -16),
      sealed.subarray(-16),
    )
    assert.throws(() => openFinal(opener, frame({ content, kind: 'final', number: 2 })), ENDED)
  })

  describe('on opening, fails with the frame, and is dead', () => {
    const three = [regular(1), regular(2), regular(3)]
    const changedAt = (offset: number): Buffer => {
      const frames = Buffer.concat(three)
      frames[2 * SIZE + offset]! ^= 1
      return frames
    }
    const WRONG: Readonly<Record<string, Buffer>> = {
      'when a tag in the batch is changed': changedAt(SIZE - 1),
      'when content in the batch is changed': changedAt(16),
      'when an IV in the batch is changed': changedAt(15),
      'when a number in the batch is changed': changedAt(3),
      'when frames are in another order': Buffer.concat([three[0]!, three[2]!, three[1]!]),
      'when a frame comes twice': Buffer.concat([three[0]!, three[0]!, three[1]!]),
      'when a frame is missing': Buffer.concat([three[0]!, three[2]!, regular(4)]),
      'when the first is not 1': Buffer.concat([three[1]!, three[2]!, regular(4)]),
      'when the first is 0': Buffer.concat([regular(0), three[0]!, three[1]!]),
      'when a frame bears another number than it is authenticated under': Buffer.concat([
        ...three.slice(0, 2),
        regular(3, { storedNumber: 9 }),
      ]),
      'when a frame is authenticated as another': Buffer.concat([
        ...three.slice(0, 2),
        regular(3, { aad: bodyAad(messageId, 'regular', 2, F) }),
      ]),
      'when a frame is authenticated as final': Buffer.concat([
        ...three.slice(0, 2),
        regular(3, { aad: bodyAad(messageId, 'final', 3, F) }),
      ]),
      'when a frame is authenticated under half the message id': Buffer.concat([
        ...three.slice(0, 2),
        regular(3, { aad: bodyAad(messageId.subarray(0, 16), 'regular', 3, F) }),
      ]),
    }
    for (const [what, frames] of Object.entries(WRONG)) {
      it(what, () => {
        assertFails(cipher(), frames, { code: 'ERR_ESDK_AUTHENTICATION', part: 'frame' })
      })
    }

    it('when sizes do not fit', () => {
      const two = Buffer.concat(three.slice(0, 2))
      for (const frames of [two.subarray(0, -1), two.subarray(0, SIZE + 1)]) assertFails(cipher(), frames, TypeError)
    })

    it('and clears what it had opened of the batch before', () => {
      const allocated = buffersAllocated(() => {
        assert.throws(() => cipher().openRegular(changedAt(SIZE - 1)), AuthenticationError)
      })
      const batches = allocated.filter(({ length }) => length === 3 * F)
      assert.deepEqual(batches, [Buffer.alloc(3 * F)])
    })

    it('when a regular frame is number FFFFFFFF', () => {
      const frames = Buffer.concat([regular(0xfffffffe), regular(0xffffffff)])
      assertFails(cipher(0xfffffffe), frames, LimitError)
    })

    it('when the final frame bears another number', () => {
      const content = Buffer.from('final')
      for (const storedNumber of [0, 1, 3, 0xffffffff]) {
        const opener = cipher(2)
        const wrong = frame({ content, kind: 'final', number: 2, storedNumber })
        assert.throws(() => openFinal(opener, wrong), { code: 'ERR_ESDK_AUTHENTICATION', part: 'frame' })
        assert.throws(() => openFinal(opener, frame({ content, kind: 'final', number: 2 })), ENDED)
      }
    })

    it('when a regular frame is passed off as final', () => {
      const content = Buffer.alloc(F, 1)
      const wrong = frame({ content, kind: 'final', number: 1, aad: bodyAad(messageId, 'regular', 1, F) })
      assert.throws(() => openFinal(cipher(), wrong), AuthenticationError)
    })
  })

  it('takes a batch in parts, each of whole frames', () => {
    const frames = framesOfNumbers(1, 2, 3, 4)
    const parts = [frames.subarray(0, SIZE), Buffer.alloc(0), frames.subarray(SIZE)]
    const plaintext = cipher().openRegular(...parts)
    assert.equal(plaintext.toString('hex'), cipher().openRegular(frames).toString('hex'))
    const sealed = cipher().sealRegular(plaintext.subarray(0, 3 * F), plaintext.subarray(3 * F))
    assert.equal(Buffer.concat(sealed).toString('hex'), frames.toString('hex'))
    const single = cipher().openRegular(Buffer.alloc(0), frames.subarray(0, SIZE))
    assert.equal(single.toString('hex'), plaintext.subarray(0, F).toString('hex'))
    assert.throws(() => cipher().openRegular(frames.subarray(0, SIZE - 1), frames.subarray(SIZE - 1)), TypeError)
    assert.throws(() => cipher().sealRegular(Buffer.alloc(F - 1), Buffer.alloc(F + 1)), TypeError)
    const moved = [frames.subarray(0, SIZE), frames.subarray(2 * SIZE)]
    assert.throws(() => cipher().openRegular(...moved), /frame 2 was expected and frame 3 was found/)
  })

  it('clears what it opened of an earlier part when a later one is not authentic', () => {
    const changed = framesOfNumbers(1, 2, 3)
    changed[3 * SIZE - 1]! ^= 1
    const outputs = buffersAllocated(() => {
      const parts = [changed.subarray(0, SIZE), changed.subarray(SIZE)]
      assert.throws(() => cipher().openRegular(...parts), AuthenticationError)
    }).filter(({ length }) => length === 3 * F)
    assert.equal(outputs.length, 1)
    assert.equal(outputs[0]!.toString('hex'), Buffer.alloc(3 * F).toString('hex'))
  })

  it('gives nothing for no frames, and goes on', () => {
    const both = cipher()
    assert.equal(Buffer.concat(both.sealRegular(Buffer.alloc(0))).length, 0)
    assert.equal(both.openRegular(Buffer.alloc(0)).length, 0)
    assert.deepEqual(Buffer.concat(both.sealRegular(Buffer.alloc(F, 1))), regular(1))
  })

  it('can seal and open by turns: the numbers go on', () => {
    const both = cipher()
    assert.deepEqual(Buffer.concat(both.sealRegular(Buffer.alloc(F, 1))), regular(1))
    assert.deepEqual(both.openRegular(regular(2)), Buffer.alloc(F, 2))
    assert.deepEqual(Buffer.concat(both.sealRegular(Buffer.alloc(F, 3))), regular(3))
  })

  it('is dead when it is closed, at any time, and can be closed again', () => {
    const before = (work: (sealer: FrameCipher) => void): void => {
      const closed = cipher()
      work(closed)
      closed.close()
      closed.close()
      assert.throws(() => closed.sealRegular(Buffer.alloc(F)), ENDED)
      assert.throws(() => closed.openRegular(regular(1)), ENDED)
      assert.throws(() => closed.sealFinal(Buffer.alloc(0)), ENDED)
      assert.throws(() => openFinal(closed, frame({ content: Buffer.alloc(1), kind: 'final', number: 1 })), ENDED)
      closed.close()
    }
    before(() => undefined)
    before((sealer) => sealer.sealRegular(Buffer.alloc(F)))
    before((sealer) => sealer.sealFinal(Buffer.alloc(F)))
    before((opener) => opener.openRegular(regular(1)))
    before((opener) => {
      assert.throws(() => opener.openRegular(regular(9)), AuthenticationError)
    })
  })

  it('takes keys of 16, 24 and 32 bytes, and no others', () => {
    for (const keyBytes of [16, 24, 32]) {
      const parameters = { messageKey: createSecretKey(sequence(1, keyBytes)), messageId, frameLength: F }
      const sealed = Buffer.concat(make(parameters, new SequenceCounter()).sealRegular(Buffer.alloc(F, 5)))
      assert.deepEqual(sealed, sealFrame(parameters.messageKey, messageId, recipeOfFives))
      assert.deepEqual(make(parameters, new SequenceCounter()).openRegular(sealed), Buffer.alloc(F, 5))
    }
    for (const keyBytes of [15, 33]) {
      const parameters = { messageKey: createSecretKey(sequence(1, keyBytes)), messageId, frameLength: F }
      assert.throws(() => make(parameters, new SequenceCounter()), TypeError)
    }
  })

  describe('on sealing', () => {
    it('takes whole frames only, and is dead after anything else', () => {
      for (const length of [1, F - 1, F + 1]) {
        const sealer = cipher()
        assert.throws(() => sealer.sealRegular(Buffer.alloc(length)), TypeError)
        assert.throws(() => sealer.sealRegular(Buffer.alloc(F)), ENDED)
        assert.throws(() => sealer.sealFinal(Buffer.alloc(1)), ENDED)
      }
    })

    it('is dead after a final frame that is too long', () => {
      const sealer = cipher()
      assert.throws(() => sealer.sealFinal(Buffer.alloc(F + 1)), TypeError)
      assert.throws(() => sealer.sealFinal(Buffer.alloc(1)), ENDED)
    })

    it('is dead after the final frame', () => {
      const sealer = cipher()
      sealer.sealFinal(Buffer.alloc(1))
      assert.throws(() => sealer.sealRegular(Buffer.alloc(F)), ENDED)
      assert.throws(() => sealer.sealFinal(Buffer.alloc(1)), ENDED)
    })

    it('gives number FFFFFFFF to a final frame, never to a regular one', () => {
      const sealer = cipher(0xfffffffe)
      assert.equal(sealer.sealRegular(Buffer.alloc(F))[0]!.readUInt32BE(0), 0xfffffffe)
      const final = sealer.sealFinal(Buffer.alloc(F))
      assert.equal(final.toString('hex', 0, 20), 'ffffffff' + 'ffffffff' + '0000000000000000' + 'ffffffff')
      const other = cipher(0xffffffff)
      assert.throws(() => other.sealRegular(Buffer.alloc(F)), LimitError)
      assert.throws(() => other.sealFinal(Buffer.alloc(F)), ENDED)
      assert.throws(() => cipher(0xfffffffe).sealRegular(Buffer.alloc(2 * F)), LimitError)
    })

    it('leaves its input as it was', () => {
      const plaintext = sequence(0, 2 * F)
      cipher().sealRegular(plaintext)
      cipher().sealFinal(plaintext.subarray(0, F))
      assert.deepEqual(plaintext, sequence(0, 2 * F))
    })
  })
}
