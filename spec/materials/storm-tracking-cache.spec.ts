import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import type { CacheEntry, CryptographicMaterialsCache } from '#lib/materials/cryptographic-materials-cache'
import { LocalCryptographicMaterialsCache } from '#lib/materials/local-materials-cache'
import { type Clock, StormTrackingCache, type StormTrackingOptions } from '#lib/materials/storm-tracking-cache'
import { cacheEntry } from './cache-entry.ts'

/** A clock that a spec moves. */
class FakeClock implements Clock {
  #time = 0
  readonly #timers = new Set<{ readonly at: number; readonly wake: () => void }>()

  now(): number {
    return this.#time
  }

  after(milliseconds: number, wake: () => void): () => void {
    const timer = { at: this.#time + milliseconds, wake }
    this.#timers.add(timer)
    return () => void this.#timers.delete(timer)
  }

  get timers(): number {
    return this.#timers.size
  }

  async to(time: number): Promise<void> {
    this.#time = time
    for (const timer of this.#timers) {
      if (timer.at > time) continue
      this.#timers.delete(timer)
      timer.wake()
    }
    await settle()
  }
}

async function settle(): Promise<void> {
  await new Promise((done) => setImmediate(done))
}

/** What a promise has come to by now. */
function watch(promise: Promise<CacheEntry | undefined>): { state: string } {
  const seen = { state: 'waits' }
  promise.then(
    (entry) => (seen.state = entry === undefined ? 'none' : 'entry'),
    (error: unknown) => (seen.state = error instanceof Error ? error.name : 'rejected'),
  )
  return seen
}

const GRACE = { gracePeriodMs: 100, graceIntervalMs: 10, inFlightTtlMs: 50 } as const

function storm(options: Partial<StormTrackingOptions> = {}): {
  storm: StormTrackingCache
  clock: FakeClock
  ask: (id?: string, signal?: AbortSignal) => Promise<{ state: string }>
} {
  const clock = new FakeClock()
  const cache = new LocalCryptographicMaterialsCache({ capacity: 100, now: () => clock.now() })
  const tracking = new StormTrackingCache({ cache, clock, ...GRACE, ...options })
  const ask = async (id = 'a', signal?: AbortSignal): Promise<{ state: string }> => {
    const seen = watch(tracking.get(id, signal && { signal }))
    await settle()
    return seen
  }
  return { storm: tracking, clock, ask }
}

const lasting = (id = 'a'): CacheEntry => cacheEntry(id, { expiryTimeMs: 1000 })

describe('materials/storm-tracking-cache', () => {
  it('takes only times and a fan-out that go together', () => {
    const cache = new LocalCryptographicMaterialsCache({ capacity: 1 })
    assert.equal(new StormTrackingCache({ cache }).gracePeriodMs, 10_000)
    for (const wrong of [
      { gracePeriodMs: 9_999 },
      { graceIntervalMs: 10_001 },
      { inFlightTtlMs: 999 },
      { inFlightTtlMs: 20_000 },
      { fanOut: 0 },
      { graceIntervalMs: 0 },
      { gracePeriodMs: 2 ** 31 },
      { fanOut: 1.5 },
    ]) {
      assert.throws(() => new StormTrackingCache({ cache, ...wrong }), RangeError)
    }
    assert.ok(new StormTrackingCache({ cache, gracePeriodMs: 5, graceIntervalMs: 5, inFlightTtlMs: 5, fanOut: 1 }))
    assert.throws(() => new StormTrackingCache({ cache: {} as never }), TypeError) // what types would refuse
  })

  it('gives an entry that is not about to expire to everyone', async () => {
    const { storm: cache, clock, ask } = storm()
    await cache.put(lasting())
    await clock.to(899)
    for (let count = 0; count < 3; count++) assert.equal((await ask()).state, 'entry')
  })

  it('within the grace period, tells one in every interval that there is none', async () => {
    const { storm: cache, clock, ask } = storm()
    await cache.put(lasting())
    await clock.to(900)
    assert.equal((await ask()).state, 'none')
    for (const [time, state] of [
      [900, 'entry'],
      [909, 'entry'],
      [910, 'none'],
      [919, 'entry'],
      [920, 'none'],
    ] as const) {
      await clock.to(time)
      assert.equal((await ask()).state, state, `at ${time} ms`)
    }
    await cache.put(cacheEntry('a', { expiryTimeMs: 2000 }))
    for (let count = 0; count < 3; count++) assert.equal((await ask()).state, 'entry')
  })

  it('counts no request as under way after a put', async () => {
    const { storm: cache, clock, ask } = storm({ fanOut: 1 })
    assert.equal((await ask('a')).state, 'none')
    const other = await ask('b')
    assert.equal(other.state, 'waits')
    await cache.put(lasting('a'))
    await settle()
    assert.equal(other.state, 'none')
    assert.equal(clock.timers, 0)
  })

  it('without an entry, lets one request it and the others wait for it', async () => {
    const { storm: cache, clock, ask } = storm()
    assert.equal((await ask()).state, 'none')
    const others = await Promise.all([ask(), ask(), ask()])
    assert.deepEqual(
      others.map(({ state }) => state),
      ['waits', 'waits', 'waits'],
    )
    await cache.put(lasting())
    await settle()
    assert.deepEqual(
      others.map(({ state }) => state),
      ['entry', 'entry', 'entry'],
    )
    assert.equal(clock.timers, 0)
  })

  it('without an entry, lets the next one request it when the first took longer than the interval', async () => {
    const { clock, ask } = storm()
    assert.equal((await ask()).state, 'none')
    const [second, third] = [await ask(), await ask()]
    await clock.to(9)
    assert.deepEqual([second.state, third.state], ['waits', 'waits'])
    await clock.to(10)
    assert.deepEqual([second.state, third.state], ['none', 'waits'])
    await clock.to(20)
    assert.equal(third.state, 'none')
  })

  it('lets the next one request an entry that was deleted', async () => {
    const { storm: cache, ask } = storm()
    assert.equal((await ask()).state, 'none')
    const second = await ask()
    await cache.delete('a')
    await settle()
    assert.equal(second.state, 'none')
  })

  it('fails who has waited longer than a request may take', async () => {
    const { clock, ask, storm: cache } = storm()
    assert.equal((await ask()).state, 'none')
    const waiting = await Promise.all(Array.from({ length: 8 }, () => ask()))
    for (const time of [10, 20, 30, 40, 50]) await clock.to(time)
    const states = (): string[] => waiting.map(({ state }) => state)
    assert.deepEqual(states(), ['none', 'none', 'none', 'none', 'none', 'waits', 'waits', 'waits'])
    await clock.to(51)
    assert.deepEqual(states().slice(5), ['LimitError', 'LimitError', 'LimitError'])
    await clock.to(60)
    const late = cache.get('a')
    assert.equal(await late, undefined)
  })

  it('requests no more than the fan-out at once', async () => {
    const { storm: cache, clock, ask } = storm({ fanOut: 2 })
    await cache.put(lasting('kept'))
    await clock.to(900)
    assert.deepEqual([(await ask('a')).state, (await ask('b')).state], ['none', 'none'])
    assert.equal((await ask('kept')).state, 'entry') // within its grace period, but there are enough requests
    const third = await ask('c')
    assert.equal(third.state, 'waits')
    await clock.to(910)
    assert.equal(third.state, 'waits')
    await cache.put(lasting('b'))
    await settle()
    assert.equal(third.state, 'none')
  })

  it('does not wait longer than the time to live for requests that never brought an entry', async () => {
    const { clock, ask } = storm({ fanOut: 1 })
    assert.equal((await ask('lost')).state, 'none')
    await clock.to(20)
    const other = await ask('b')
    await clock.to(50)
    const third = await ask('c')
    assert.deepEqual([other.state, third.state], ['waits', 'waits'])
    await clock.to(51)
    assert.equal(other.state, 'none')
  })

  it('lets who is aborted go, without a request in its name', async () => {
    const { storm: cache, clock, ask } = storm()
    assert.equal((await ask()).state, 'none')
    const controller = new AbortController()
    const waiting = await ask('a', controller.signal)
    const next = await ask()
    controller.abort()
    await settle()
    assert.equal(waiting.state, 'AbortError')
    await clock.to(10)
    assert.equal(next.state, 'none')
    await assert.rejects(cache.get('b', { signal: controller.signal }), { name: 'AbortError' })
    assert.equal((await ask('b')).state, 'none')
  })

  it('makes no request in the name of one who was aborted while it looked', async () => {
    let release = (): void => undefined
    const slow: CryptographicMaterialsCache = {
      put: () => Promise.resolve(),
      delete: () => Promise.resolve(),
      get: () =>
        new Promise(
          (done) =>
            (release = () => {
              done(undefined)
            }),
        ),
    }
    const { ask } = storm({ cache: slow })
    const controller = new AbortController()
    const seen = await ask('a', controller.signal)
    controller.abort()
    release()
    await settle()
    assert.equal(seen.state, 'AbortError')
    const next = await ask('a')
    release()
    await settle()
    assert.equal(next.state, 'none')
  })

  it('looks again when an entry came while it looked', async () => {
    const inner = new LocalCryptographicMaterialsCache({ capacity: 1, now: () => 0 })
    let release = (): void => undefined
    const slow: CryptographicMaterialsCache = {
      put: (entry) => inner.put(entry),
      delete: (id) => inner.delete(id),
      get: async (id) => {
        const found = await inner.get(id)
        if (found === undefined) await new Promise<void>((done) => (release = done))
        return found
      },
    }
    const { storm: cache, ask } = storm({ cache: slow })
    const seen = await ask()
    await cache.put(lasting())
    release()
    await settle()
    assert.equal(seen.state, 'entry')
  })

  it('counts a request as done even where the entry could not be stored', async () => {
    const fails = (): Promise<never> => Promise.reject(new Error('full'))
    const cache = { get: () => Promise.resolve(undefined), put: fails, delete: fails }
    const { storm: failing, ask } = storm({ cache, fanOut: 1 })
    assert.equal((await ask('a')).state, 'none')
    await assert.rejects(failing.put(lasting('a')), /full/)
    assert.equal((await ask('b')).state, 'none')
    await assert.rejects(failing.delete('b'), /full/)
    assert.equal((await ask('c')).state, 'none')
  })

  describe('giving up', () => {
    it('fails those who wait for that entry, and lets the next one request it at once', async () => {
      const { storm: cache, clock, ask } = storm()
      assert.equal((await ask()).state, 'none')
      const waiting = await Promise.all([ask(), ask()])
      assert.equal(await cache.giveUp('a', new RangeError('denied')), undefined)
      await settle()
      assert.deepEqual(
        waiting.map(({ state }) => state),
        ['RangeError', 'RangeError'],
      )
      assert.equal(clock.timers, 0)
      assert.equal((await ask()).state, 'none')
    })

    it('without a reason lets one of them request it', async () => {
      const { storm: cache, ask } = storm()
      assert.equal((await ask()).state, 'none')
      const waiting = await Promise.all([ask(), ask()])
      await cache.giveUp('a')
      await settle()
      assert.deepEqual(
        waiting.map(({ state }) => state),
        ['none', 'waits'],
      )
    })

    it('gives the place to who waits for another entry', async () => {
      const { storm: cache, ask } = storm({ fanOut: 1 })
      assert.equal((await ask('a')).state, 'none')
      const other = await ask('b')
      await cache.giveUp('a', new RangeError('denied'))
      await settle()
      assert.equal(other.state, 'none')
    })

    it('fails nobody while somebody else has requested the entry too', async () => {
      const { storm: cache, clock, ask } = storm()
      assert.equal((await ask()).state, 'none')
      await clock.to(10)
      assert.equal((await ask()).state, 'none')
      const waiting = await ask()
      await cache.giveUp('a', new RangeError('the first'))
      await settle()
      assert.equal(waiting.state, 'waits')
      await cache.giveUp('a', new RangeError('the second'))
      await settle()
      assert.equal(waiting.state, 'RangeError')
    })

    it('gives the entry that was to be renewed, which others renew only after the interval', async () => {
      const { storm: cache, clock, ask } = storm()
      await cache.put(lasting())
      await clock.to(900)
      assert.equal((await ask()).state, 'none')
      assert.equal((await cache.giveUp('a', new RangeError('down')))?.identifier, 'a')
      assert.equal((await ask()).state, 'entry')
      await clock.to(996)
      assert.equal((await ask()).state, 'none')
      await cache.giveUp('a', new RangeError('down'))
      await clock.to(1001) // within the interval; expired, and nobody is about to bring another
      assert.equal((await ask()).state, 'none')
    })

    it('holds no place for an entry whose renewal was given up', async () => {
      const { storm: cache, clock, ask } = storm({ fanOut: 1 })
      await cache.put(lasting())
      await clock.to(900)
      assert.equal((await ask()).state, 'none')
      await cache.giveUp('a', new RangeError('down'))
      assert.equal((await ask('b')).state, 'none')
    })

    it('of what nobody requested says whether there is an entry', async () => {
      const { storm: cache } = storm()
      assert.equal(await cache.giveUp('a', new RangeError('denied')), undefined)
      await cache.put(lasting())
      assert.equal((await cache.giveUp('a'))?.identifier, 'a')
    })
  })

  it('waits by the system’s clock, and keeps no process alive', async () => {
    const inner = new LocalCryptographicMaterialsCache({ capacity: 1 })
    const cache = new StormTrackingCache({ cache: inner, graceIntervalMs: 5 })
    assert.equal(await cache.get('a'), undefined)
    const start = performance.now()
    const [late] = await Promise.all([cache.get('a'), new Promise((done) => setTimeout(done, 20))])
    assert.equal(late, undefined)
    assert.ok(performance.now() - start < 1000)
    const folder = JSON.stringify(resolve(import.meta.dirname, '../../dist/materials'))
    const code = `const { LocalCryptographicMaterialsCache } = await import(${folder} + '/local-materials-cache.js')
      const { StormTrackingCache } = await import(${folder} + '/storm-tracking-cache.js')
      const cache = new StormTrackingCache({ cache: new LocalCryptographicMaterialsCache({ capacity: 2 }) })
      await cache.get('a')
      void cache.get('a')
      console.log('done')`
    const options = { encoding: 'utf8', timeout: 5000 } as const
    const from = Date.now()
    assert.equal(execFileSync(process.execPath, ['--input-type=module', '--eval', code], options).trim(), 'done')
    assert.ok(Date.now() - from < 900)
  })
})
