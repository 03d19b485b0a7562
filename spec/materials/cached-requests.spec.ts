import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import type { EncryptionMaterials } from 'esdk-streams'
import { type CacheLimits, type CacheableRequest, CachedRequests } from '#lib/materials/cached-requests'
import type { CacheEntry, CryptographicMaterialsCache } from '#lib/materials/cryptographic-materials-cache'
import { LocalCryptographicMaterialsCache } from '#lib/materials/local-materials-cache'
import { encryptionMaterials, secret } from './sample.ts'

/** A call that a spec ends. */
interface Call {
  readonly signal: AbortSignal | undefined
  readonly materials: EncryptionMaterials
  readonly succeed: () => void
  readonly fail: (error: Error) => void
}

interface Setup {
  readonly requests: CachedRequests<EncryptionMaterials>
  readonly cache: LocalCryptographicMaterialsCache
  /** The calls so far. */
  readonly calls: Call[]
  readonly get: (signal?: AbortSignal, bytes?: number) => Promise<EncryptionMaterials>
}

function setup({
  limits = {},
  capacity = 10,
  through = (cache) => cache,
  cacheable = true,
}: {
  limits?: Partial<CacheLimits>
  capacity?: number
  through?: (cache: CryptographicMaterialsCache) => CryptographicMaterialsCache
  cacheable?: boolean
} = {}): Setup {
  const cache = new LocalCryptographicMaterialsCache({ capacity, now: () => 0 })
  const all = { maxAgeMs: 100, maxMessages: 1000, maxBytes: 1000, ...limits }
  const requests = new CachedRequests<EncryptionMaterials>(through(cache), all, () => 0)
  const calls: Call[] = []
  const ask: CacheableRequest<EncryptionMaterials>['ask'] = ({ signal }) =>
    new Promise((resolve, reject) => {
      const materials = encryptionMaterials({ dataKey: secret() })
      calls.push({
        signal,
        materials,
        succeed: () => {
          resolve(materials)
        },
        fail: reject,
      })
    })
  const get: Setup['get'] = (signal, bytes = 1) =>
    requests.get(
      {
        identifier: 'a',
        usage: { messages: 1, bytes },
        ask,
        askAlone: ask,
        materialsOf: (entry) => (entry.kind === 'encryption' ? entry.materials : undefined),
        cacheable: (materials) => (cacheable ? { kind: 'encryption', materials } : undefined),
        fits: () => true,
      },
      signal === undefined ? {} : { signal },
    )
  return { requests, cache, calls, get }
}

describe('materials/cached-requests', () => {
  it('passes one of many requests at once on, and gives its materials to all', async () => {
    const { requests, cache, calls, get } = setup()
    const all = Array.from({ length: 50 }, () => get())
    await turn()
    all.push(get())
    await turn()
    assert.equal(calls.length, 1)
    calls[0]!.succeed()
    assert.deepEqual(new Set(await Promise.all(all)), new Set([calls[0]!.materials]))
    assert.deepEqual(requests.stats, { hits: 50, misses: 1, bypasses: 0 })
    const entry = await cache.get('a')
    assert.deepEqual([entry?.messagesUsed, entry?.bytesUsed], [51, 51])
  })

  it('gives its materials to all even where the cache stores nothing', async () => {
    const { calls, get } = setup({ capacity: 0 })
    const all = [get(), get(), get()]
    await turn()
    calls[0]!.succeed()
    assert.equal(new Set(await Promise.all(all)).size, 1)
    void get()
    await turn()
    assert.equal(calls.length, 2)
  })

  for (const [what, limits] of Object.entries({ messages: { maxMessages: 2 }, bytes: { maxBytes: 2 } })) {
    it(`begins another request at once where one has no room for more ${what}`, async () => {
      const { requests, cache, calls, get } = setup({ limits })
      const all = Array.from({ length: 5 }, () => get())
      await turn()
      assert.equal(calls.length, 3)
      for (const call of calls.toReversed()) {
        call.succeed()
        await turn()
      }
      const made = await Promise.all(all)
      assert.deepEqual(
        made.map((materials) => calls.findIndex((call) => call.materials === materials)),
        [0, 0, 1, 1, 2],
      )
      assert.deepEqual(requests.stats, { hits: 2, misses: 3, bypasses: 0 })
      // The last one, which has room, is what the cache has, though the others landed after it.
      assert.equal((await cache.get('a'))?.messagesUsed, 1)
      assert.equal(await get(), calls[2]!.materials)
    })
  }

  it('rejects all who wait when the request fails, and keeps nothing of it', async () => {
    const { cache, calls, get } = setup()
    const all = [get(), get(), get()]
    await turn()
    const failure = new Error('no service')
    calls[0]!.fail(failure)
    const settled = await Promise.allSettled(all)
    assert.ok(settled.every((outcome) => outcome.status === 'rejected' && outcome.reason === failure))
    assert.equal(cache.size, 0)
    const again = get()
    await turn()
    calls[1]!.succeed()
    assert.equal(await again, calls[1]!.materials)
  })

  it('passes every request on where the materials are for one alone', async () => {
    const { requests, cache, calls, get } = setup({ cacheable: false })
    const all = [get(), get(), get()]
    await turn()
    calls[0]!.succeed()
    await turn()
    for (const call of calls) call.succeed()
    assert.equal(new Set(await Promise.all(all)).size, 3)
    assert.equal(cache.size, 0)
    assert.deepEqual(requests.stats, { hits: 0, misses: 1, bypasses: 2 })
  })

  describe('when one is aborted', () => {
    for (const gone of [0, 1, 2]) {
      it(`lets the others have what they wait for (${gone})`, async () => {
        const { cache, calls, get } = setup()
        const controllers = [0, 1, 2].map(() => new AbortController())
        const all = controllers.map(({ signal }) => get(signal))
        const rejected = assert.rejects(all[gone]!, /changed my mind/)
        await turn()
        controllers[gone]!.abort(new Error('changed my mind'))
        await rejected
        assert.equal(calls[0]!.signal?.aborted, false)
        calls[0]!.succeed()
        const settled = await Promise.allSettled(all)
        assert.equal(settled.filter(({ status }) => status === 'fulfilled').length, 2)
        assert.equal((await cache.get('a'))?.messagesUsed, 2) // who has gone used nothing
        assert.equal(calls.length, 1)
        for (const { signal } of controllers) assert.equal(listeners(signal), 0)
      })
    }

    it('aborts the request when the last has gone, and lets the next one begin its own', async () => {
      const { cache, calls, get } = setup()
      const controllers = [0, 1].map(() => new AbortController())
      const all = controllers.map(({ signal }) => get(signal))
      await turn()
      const settled = Promise.allSettled(all)
      controllers[0]!.abort()
      await turn()
      assert.equal(calls[0]!.signal?.aborted, false)
      controllers[1]!.abort()
      await settled
      assert.equal(calls[0]!.signal.aborted, true)
      const next = get()
      await turn()
      assert.equal(calls.length, 2)
      calls[0]!.succeed() // a callee that does not listen
      await turn()
      assert.equal(cache.size, 0)
      calls[1]!.succeed()
      assert.equal(await next, calls[1]!.materials)
      assert.equal((await cache.get('a'))?.materials, calls[1]!.materials)
    })

    it('asks nobody for one who was aborted before', async () => {
      const { calls, get, requests } = setup()
      await assert.rejects(get(AbortSignal.abort(new Error('before'))), /before/)
      await turn()
      assert.equal(calls.length, 0)
      assert.equal(requests.stats.misses, 0)
    })

    it('does not abort a request that has succeeded', async () => {
      const { calls, get } = setup()
      const controller = new AbortController()
      const made = get(controller.signal)
      await turn()
      calls[0]!.succeed()
      await made
      controller.abort()
      assert.equal(calls[0]!.signal?.aborted, false)
    })

    it('ends a look-up that takes long', async () => {
      const never = new Promise<never>(() => undefined)
      const { calls, get } = setup({ through: (cache) => ({ ...methods(cache), get: () => never }) })
      const controller = new AbortController()
      const waiting = get(controller.signal)
      await turn()
      controller.abort(new Error('enough'))
      await assert.rejects(waiting, /enough/)
      assert.equal(calls.length, 0)
    })
  })

  it('looks again when another request landed during its look-up', async () => {
    const slow: (() => void)[] = []
    const { calls, get } = setup({
      through: (cache) => ({
        ...methods(cache),
        get: async (...args) => {
          const entry = await cache.get(...args)
          if (slow.length < 2) await new Promise<void>((done) => slow.push(done))
          return entry
        },
      }),
    })
    const [first, second] = [get(), get()]
    await turn()
    slow[0]!()
    await turn()
    calls[0]!.succeed()
    await first
    slow[1]!()
    assert.equal(await second, calls[0]!.materials)
    assert.equal(calls.length, 1)
  })

  it('has who comes while the entry is being stored look for it there', async () => {
    let stored = (): void => undefined
    const { cache, calls, get, requests } = setup({
      through: (inner) => ({
        ...methods(inner),
        put: async (entry: CacheEntry) => {
          await new Promise<void>((done) => (stored = done))
          await inner.put(entry)
        },
      }),
    })
    const first = get()
    await turn()
    calls[0]!.succeed()
    await turn()
    const second = get()
    await turn()
    stored()
    assert.deepEqual(await Promise.all([first, second]), [calls[0]!.materials, calls[0]!.materials])
    assert.equal((await cache.get('a'))?.messagesUsed, 2)
    assert.deepEqual(requests.stats, { hits: 1, misses: 1, bypasses: 0 })
  })

  it('passes a failure of the cache on', async () => {
    const fails = (): Promise<never> => Promise.reject(new Error('no cache'))
    await assert.rejects(setup({ through: (cache) => ({ ...methods(cache), get: fails }) }).get(), /no cache/)
    const { calls, get } = setup({ through: (cache) => ({ ...methods(cache), put: fails }) })
    const waiting = get()
    await turn()
    calls[0]!.succeed()
    await assert.rejects(waiting, /no cache/)
  })

  it('never uses materials past a limit, however requests, ends and aborts are mixed', async () => {
    const steps = fc.array(fc.constantFrom('get', 'get', 'get', 'succeed', 'fail', 'abort', 'turn'), { maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 12 }),
        steps,
        async (maxMessages, maxBytes, taken) => {
          const { requests, calls, get } = setup({ limits: { maxMessages, maxBytes } })
          const open = new Set<AbortController>()
          const outcomes: Promise<void>[] = []
          const used = new Map<EncryptionMaterials, { messages: number; bytes: number }>()
          let served = 0
          for (const [index, step] of [...taken, 'turn'].entries()) {
            if (step === 'get') {
              const controller = new AbortController()
              open.add(controller)
              const bytes = index % (maxBytes + 1)
              const use = (materials: EncryptionMaterials): void => {
                const sum = used.get(materials) ?? { messages: 0, bytes: 0 }
                used.set(materials, { messages: sum.messages + 1, bytes: sum.bytes + bytes })
                served += 1
              }
              outcomes.push(get(controller.signal, bytes).then(use, () => undefined))
            }
            const call = calls[index % (calls.length || 1)]
            if (step === 'succeed') call?.succeed()
            if (step === 'fail') call?.fail(new Error('no service'))
            if (step === 'abort') [...open][index % (open.size || 1)]?.abort()
            if (step === 'turn') await turn()
          }
          for (let done = -1; done < calls.length;) {
            done = calls.length
            for (const call of calls) call.succeed()
            await turn()
            await turn()
          }
          await Promise.all(outcomes)
          for (const { messages, bytes } of used.values()) assert.ok(messages <= maxMessages && bytes <= maxBytes)
          const { hits, misses, bypasses } = requests.stats
          assert.ok(misses === calls.length && bypasses === 0 && hits <= served && served <= hits + misses)
        },
      ),
      { numRuns: 200 },
    )
  })
})

function methods(cache: CryptographicMaterialsCache): CryptographicMaterialsCache {
  return {
    put: (entry) => cache.put(entry),
    get: (...args) => cache.get(...args),
    delete: (identifier) => cache.delete(identifier),
  }
}

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, 'abort').length
}
