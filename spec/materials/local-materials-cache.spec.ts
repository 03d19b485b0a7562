import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { mock } from 'node:test'
import fc from 'fast-check'
import type { CacheEntry } from '#lib/materials/cryptographic-materials-cache'
import { LocalCryptographicMaterialsCache } from '#lib/materials/local-materials-cache'
import { cacheEntry } from './cache-entry.ts'

/** A cache and a time that stands still until it is set. */
function local(
  capacity: number,
  entryPruningTailSize = 1,
): { cache: LocalCryptographicMaterialsCache; at: (ms: number) => void } {
  let time = 0
  const cache = new LocalCryptographicMaterialsCache({ capacity, entryPruningTailSize, now: () => time })
  return { cache, at: (ms) => void (time = ms) }
}

describe('materials/local-materials-cache', () => {
  it('takes a capacity of 0 or more, and prunes at least one', () => {
    for (const capacity of [-1, 1.5, NaN, Infinity]) {
      assert.throws(() => new LocalCryptographicMaterialsCache({ capacity }), RangeError)
    }
    const none = { capacity: 1, entryPruningTailSize: 0 }
    assert.throws(() => new LocalCryptographicMaterialsCache(none), /"entryPruningTailSize" expected integer in 1/)
  })

  it('gives what was put, until it is deleted or replaced', async () => {
    const { cache } = local(10)
    assert.equal(await cache.get('a'), undefined)
    const entry = cacheEntry('a')
    await cache.put(entry)
    assert.deepEqual(await cache.get('a'), entry)
    assert.equal((await cache.get('a'))?.materials, entry.materials)
    await cache.put(cacheEntry('a', { bytesUsed: 11 }))
    assert.equal((await cache.get('a'))?.bytesUsed, 11)
    await cache.delete('a')
    await cache.delete('a')
    assert.equal(await cache.get('a'), undefined)
  })

  it('counts a use in one step with the look-up, and changes no entry that was given before', async () => {
    const { cache } = local(10)
    await cache.put(cacheEntry('a'))
    const usage = { messages: 1, bytes: 5 }
    const [first, second] = await Promise.all([cache.get('a', { usage }), cache.get('a', { usage })])
    assert.deepEqual([first?.messagesUsed, first?.bytesUsed], [2, 15])
    assert.deepEqual([second?.messagesUsed, second?.bytesUsed], [3, 20])
    assert.equal((await cache.get('a'))?.messagesUsed, 3)
    assert.ok(Object.isFrozen(first) && Object.isFrozen(await cache.get('a')))
    assert.equal(await cache.get('b', { usage }), undefined)
  })

  it('gives an entry at its expiry time, and never after', async () => {
    const { cache, at } = local(10)
    await cache.put(cacheEntry('a', { expiryTimeMs: 100 }))
    at(100)
    assert.ok(await cache.get('a', { usage: { messages: 1, bytes: 0 } }))
    at(101)
    assert.equal(await cache.get('a'), undefined)
    assert.equal(cache.size, 0)
    await cache.put(cacheEntry('late', { expiryTimeMs: 50 }))
    await cache.put(cacheEntry('never', { expiryTimeMs: NaN }))
    assert.equal(await cache.get('late'), undefined)
    assert.equal(await cache.get('never'), undefined)
  })

  it('drops the least recently used', async () => {
    const { cache } = local(2)
    await cache.put(cacheEntry('a'))
    await cache.put(cacheEntry('b'))
    await cache.get('a')
    await cache.put(cacheEntry('c'))
    assert.equal(await cache.get('b'), undefined)
    assert.ok((await cache.get('a')) && (await cache.get('c')))
    assert.equal(cache.size, 2)
  })

  it('stores nothing at capacity 0', async () => {
    const { cache } = local(0)
    await cache.put(cacheEntry('a'))
    assert.equal(await cache.get('a'), undefined)
    await cache.delete('a')
    cache.clear()
    assert.equal(cache.size, 0)
  })

  it('checks the least recently used on every look-up, as many as are said', async () => {
    for (const tail of [1, 2, 3]) {
      const { cache, at } = local(10, tail)
      for (const id of ['a', 'b', 'c', 'd']) await cache.put(cacheEntry(id))
      at(101)
      await cache.get('none')
      assert.equal(cache.size, 4 - tail)
    }
  })

  it('drops what has expired within a minute, without a look-up', async () => {
    mock.timers.enable({ apis: ['setTimeout'] })
    try {
      const { cache, at } = local(10)
      await cache.put(cacheEntry('a', { expiryTimeMs: 100 }))
      await cache.put(cacheEntry('b', { expiryTimeMs: 1000 }))
      at(101)
      mock.timers.tick(60_000)
      assert.equal(cache.size, 1)
      at(1001)
      mock.timers.tick(60_000)
      assert.equal(cache.size, 0)
    } finally {
      mock.timers.reset()
    }
  })

  it('keeps no key of an entry that was evicted, deleted, replaced, expired or cleared', async () => {
    const gc = globalThis.gc
    assert.ok(gc !== undefined, 'run with --expose-gc')
    const { cache, at } = local(2)
    const put = async (id: string): Promise<WeakRef<object>> => {
      const entry = cacheEntry(id)
      await cache.put(entry)
      return new WeakRef((entry.materials as { dataKey: object }).dataKey) // cacheEntry makes one
    }
    const evicted = await put('a')
    const deleted = await put('b')
    const replaced = await put('c')
    await cache.delete('b')
    const expired = await put('c')
    at(101)
    await cache.get('c')
    at(0)
    const cleared = await put('d')
    const kept = await put('e')
    await cache.delete('d')
    for (let turn = 0; turn < 20; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      gc()
    }
    const dropped = [evicted, deleted, replaced, expired, cleared].map((ref) => ref.deref())
    assert.deepEqual(dropped, [undefined, undefined, undefined, undefined, undefined])
    assert.ok(kept.deref() !== undefined)
    assert.equal(cache.size, 1)
  })

  it('forgets everything when it is disposed of', async () => {
    const { cache } = local(2)
    await cache.put(cacheEntry('a'))
    await cache[Symbol.asyncDispose]()
    assert.equal(cache.size, 0)
  })

  it('keeps no process alive', () => {
    const module = resolve(import.meta.dirname, '../../dist/materials/local-materials-cache.js')
    const code = `const { LocalCryptographicMaterialsCache } = await import(${JSON.stringify(module)})
      const cache = new LocalCryptographicMaterialsCache({ capacity: 2 })
      await cache.put({ identifier: 'a', expiryTimeMs: Infinity })
      console.log('done')`
    const options = { encoding: 'utf8', timeout: 5000 } as const
    assert.equal(execFileSync(process.execPath, ['--input-type=module', '--eval', code], options).trim(), 'done')
  })

  it('does as a plain list in the order of use does', async () => {
    const steps = fc.array(
      fc.record({
        verb: fc.constantFrom('put', 'get', 'delete', 'wait'),
        id: fc.constantFrom('a', 'b', 'c', 'd'),
        ms: fc.nat(60),
      }),
      { maxLength: 60 },
    )
    await fc.assert(
      fc.asyncProperty(fc.nat(4), steps, async (capacity, taken) => {
        const { cache, at } = local(capacity)
        let time = 0
        let model: CacheEntry[] = [] // the most recently used last
        for (const { verb, id, ms } of taken) {
          if (verb === 'wait') at((time += ms))
          if (verb === 'delete') {
            await cache.delete(id)
            model = model.filter(({ identifier }) => identifier !== id)
          }
          if (verb === 'put') {
            const entry = cacheEntry(id, { expiryTimeMs: time + ms })
            await cache.put(entry)
            model = [...model.filter(({ identifier }) => identifier !== id), entry].slice(-capacity || Infinity)
          }
          if (verb === 'get') {
            model = model.filter(({ expiryTimeMs }, index) => index > 0 || time <= expiryTimeMs)
            const found = model.find(({ identifier }) => identifier === id)
            model = model.filter((entry) => entry !== found)
            const usable = found !== undefined && time <= found.expiryTimeMs ? found : undefined
            if (usable !== undefined) model.push(usable)
            assert.equal((await cache.get(id))?.materials, usable?.materials)
          }
          assert.equal(cache.size, model.length)
        }
      }),
    )
  })
})
