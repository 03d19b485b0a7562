import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { transformEach } from '#lib/adapters/fleet/transform-each'

// eslint-disable-next-line @typescript-eslint/require-await -- a list that is there at once
async function* upTo(count: number): AsyncGenerator<number> {
  for (let number = 0; number < count; number++) yield number
}

describe('transformEach', () => {
  it('gives what comes of each item, and works on as many at once as are allowed and there', async () => {
    const counts = fc.integer({ min: 0, max: 40 })
    await fc.assert(
      fc.asyncProperty(
        counts,
        fc.integer({ min: 1, max: 8 }),
        fc.array(fc.nat(2)),
        async (count, concurrency, delays) => {
          let [running, most] = [0, 0]
          const work = async (item: number): Promise<{ item: number }> => {
            running += 1
            most = Math.max(most, running)
            await setTimeout(delays[item % Math.max(1, delays.length)] ?? 0)
            running -= 1
            return { item }
          }
          const seen: number[] = []
          for await (const { item } of transformEach(upTo(count), work, { concurrency })) seen.push(item)
          assert.deepEqual(
            seen.sort((a, b) => a - b),
            Array.from({ length: count }, (_, index) => index),
          )
          assert.equal(most, Math.min(count, concurrency))
        },
      ),
      { numRuns: 20 },
    )
  })

  it('asks the list for no more than it works on', async () => {
    let asked = 0
    const list = async function* (): AsyncGenerator<number> {
      for await (const number of upTo(100)) {
        asked += 1
        yield number
      }
    }
    const outcomes = transformEach(list(), async () => setTimeout(1, {}), { concurrency: 3 })
    await outcomes.next()
    assert.ok(asked < 20, `${asked}`)
    await outcomes.return()
  })

  it('gives what was begun before the error of the list is thrown', async () => {
    const list = async function* (): AsyncGenerator<number> {
      yield* upTo(3)
      await setTimeout(1)
      throw new Error('no more')
    }
    const seen: number[] = []
    const work = async (item: number): Promise<{ item: number }> => setTimeout(20, { item })
    await assert.rejects(async () => {
      for await (const { item } of transformEach(list(), work, { concurrency: 4 })) seen.push(item)
    }, /no more/)
    assert.deepEqual(seen.sort(), [0, 1, 2])
  })

  it('begins nothing more when the signal is aborted or the work fails, and waits when a reader stops', async () => {
    const controller = new AbortController()
    let [begun, ended] = [0, 0]
    const work = async (item: number): Promise<{ item: number }> => {
      begun += 1
      await setTimeout(10)
      ended += 1
      if (item === 1 && !controller.signal.aborted) controller.abort()
      return { item }
    }
    const seen: number[] = []
    const { signal } = controller
    for await (const { item } of transformEach(upTo(50), work, { concurrency: 2, signal })) seen.push(item)
    assert.ok(begun < 6 && ended === begun && seen.length === begun)
    ;[begun, ended] = [0, 0]
    for await (const { item } of transformEach(upTo(50), work, { concurrency: 5 })) if (item >= 0) break
    assert.equal(ended, begun)
    begun = 0
    const failing = (): Promise<object> => Promise.reject(new Error(`at ${++begun}`))
    await assert.rejects(async () => {
      for await (const outcome of transformEach(upTo(50), failing, { concurrency: 1 }))
        assert.fail(JSON.stringify(outcome))
    }, /at 1/)
    assert.equal(begun, 1)
  })
})
