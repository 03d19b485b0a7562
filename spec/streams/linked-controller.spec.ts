import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { LinkedController } from '#lib/streams/linked-controller'

const listeners = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length

describe('streams/linked-controller', () => {
  it('is aborted with the first signal that is, for its reason, and listens to none of them any more', () => {
    for (const first of [0, 1]) {
      const followed = [new AbortController(), new AbortController()]
      const linked = new LinkedController(followed[0]!.signal, undefined, followed[1]!.signal)
      assert.equal(linked.signal.aborted, false)
      assert.deepEqual(
        followed.map(({ signal }) => listeners(signal)),
        [1, 1],
      )
      followed[first]!.abort(first)
      followed[1 - first]!.abort('later')
      assert.deepEqual([linked.signal.aborted, linked.signal.reason], [true, first])
      assert.deepEqual(
        followed.map(({ signal }) => listeners(signal)),
        [0, 0],
      )
    }
  })

  it('is aborted at once where a signal is already, and by itself without aborting anyone', () => {
    const other = new AbortController()
    const linked = new LinkedController(other.signal, AbortSignal.abort('before'))
    assert.deepEqual([linked.signal.reason, listeners(other.signal)], ['before', 0])
    const alone = new LinkedController(other.signal)
    alone.abort('itself')
    assert.deepEqual([alone.signal.reason, other.signal.aborted, listeners(other.signal)], ['itself', false, 0])
  })

  it('follows nobody when it is released', () => {
    const other = new AbortController()
    const linked = new LinkedController(other.signal)
    linked.release()
    assert.equal(listeners(other.signal), 0)
    other.abort()
    assert.equal(linked.signal.aborted, false)
  })
})
