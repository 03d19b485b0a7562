import assert from 'node:assert/strict'
import { AuthenticationError, LimitError } from 'esdk-streams'
import { SequenceCounter, frameNotAuthentic, frameOutOfOrder } from '#lib/crypto/frame-cipher'

const ENDED = { name: 'TypeError', message: 'this frame cipher has ended' }

describe('crypto/frame-cipher', () => {
  describe('a sequence counter', () => {
    it('begins with 1 and gives each number once', () => {
      const counter = new SequenceCounter()
      assert.equal(counter.regular(1), 1)
      assert.equal(counter.regular(3), 2)
      assert.equal(counter.regular(0), 5)
      assert.equal(counter.regular(1), 5)
      assert.equal(counter.final(), 6)
    })

    it('ends with the final frame', () => {
      const counter = new SequenceCounter()
      counter.final()
      assert.throws(() => counter.regular(1), ENDED)
      assert.throws(() => counter.final(), ENDED)
    })

    it('ends with a failure in its guard, and passes that on', () => {
      const counter = new SequenceCounter()
      assert.equal(
        counter.guard(() => counter.regular(1)),
        1,
      )
      const failure = new Error('failed')
      assert.throws(
        () =>
          counter.guard(() => {
            throw failure
          }),
        failure,
      )
      assert.throws(() => counter.regular(1), ENDED)
      assert.throws(() => counter.final(), ENDED)
    })

    it('gives FFFFFFFE to a regular frame and FFFFFFFF to the final one only', () => {
      const counter = new SequenceCounter(0xfffffffe)
      assert.equal(counter.regular(1), 0xfffffffe)
      assert.throws(() => counter.regular(1), LimitError)
      assert.equal(counter.final(), 0xffffffff)
    })

    it('refuses a batch whose last frame would be FFFFFFFF', () => {
      assert.equal(new SequenceCounter(0xfffffff0).regular(0xf), 0xfffffff0)
      assert.throws(() => new SequenceCounter(0xfffffff0).regular(0x10), LimitError)
    })

    it('gives no number above FFFFFFFF', () => {
      assert.throws(() => new SequenceCounter(0x100000000).final(), LimitError)
      assert.throws(() => new SequenceCounter(0x100000000).regular(1), /at most 4294967295 frames/)
    })
  })

  it('blames the frame', () => {
    for (const error of [frameOutOfOrder(3, 4), frameNotAuthentic(7)]) {
      assert.ok(error instanceof AuthenticationError)
      assert.equal(error.part, 'frame')
    }
    assert.match(frameOutOfOrder(3, 4).message, /frame 3 was expected and frame 4 was found/)
    assert.match(frameNotAuthentic(7).message, /frame 7 is not authentic/)
  })
})
