import assert from 'node:assert/strict'
import { createSecretKey, randomBytes } from 'node:crypto'
import { type CallOptions, LocalCryptographicMaterialsCache, StormTrackingCache } from 'esdk-streams'
import { type BranchKeyRequest, CachedBranchKeys } from '#lib/keyrings/kms/hierarchy/cached-branch-keys'
import type {
  BranchKeyMaterials,
  CacheEntry,
  CryptographicMaterialsCache,
} from '#lib/materials/cryptographic-materials-cache'
import { cacheEntry } from '../../../materials/cache-entry.ts'

function materials(branchKeyId = 'bk'): BranchKeyMaterials {
  const branchKey = createSecretKey(randomBytes(32))
  return { branchKeyId, branchKeyVersion: 'version', branchKey, encryptionContext: {} }
}

/** A store that answers when the spec says so. */
class Store {
  readonly calls: {
    readonly signal: AbortSignal
    readonly give: (made: BranchKeyMaterials) => void
    readonly fail: (error: Error) => void
  }[] = []

  readonly request: BranchKeyRequest = {
    identifier: 'id',
    ask: ({ signal }: CallOptions) =>
      new Promise((give, fail) => {
        this.calls.push({ signal: signal!, give, fail })
        signal!.addEventListener('abort', () => {
          fail(signal!.reason as Error)
        })
      }),
    fits: ({ branchKeyId }) => branchKeyId === 'bk',
  }
}

async function settle(): Promise<void> {
  for (let n = 0; n < 3; n++) await new Promise((done) => setImmediate(done))
}

/** What becomes of each of so many who ask at once. */
async function asking(
  count: number,
  keys: CachedBranchKeys,
  { request }: Store,
  signals: readonly AbortSignal[] = [],
): Promise<Promise<unknown>[]> {
  const all = Array.from({ length: count }, (_, n) => {
    const signal = signals[n]
    return keys.get(request, signal === undefined ? {} : { signal }).catch((error: unknown) => error)
  })
  await settle()
  return all
}

const TTL = 1000

describe('keyrings/kms/hierarchy/cached-branch-keys', () => {
  let time = 0
  const now = (): number => time
  beforeEach(() => (time = 10_000))

  function local(): LocalCryptographicMaterialsCache {
    return new LocalCryptographicMaterialsCache({ capacity: 10, now })
  }

  function storm(): StormTrackingCache {
    const clock = { now, after: () => () => undefined } // nobody's patience ends
    const times = { gracePeriodMs: 100, graceIntervalMs: 10, inFlightTtlMs: 50 }
    return new StormTrackingCache({ cache: local(), clock, ...times })
  }

  const CACHES: readonly [name: string, make: () => CryptographicMaterialsCache][] = [
    ['a local cache', local],
    ['a storm-tracking cache', storm],
  ]

  for (const [name, make] of CACHES) {
    describe(`with ${name}`, () => {
      it('asks once for all who ask at once, and not again within the time to live', async () => {
        const [store, keys] = [new Store(), new CachedBranchKeys(make(), TTL, now)]
        const all = await asking(100, keys, store)
        assert.equal(store.calls.length, 1)
        const made = materials()
        store.calls[0]!.give(made)
        assert.deepEqual(new Set(await Promise.all(all)), new Set([made]))
        time += TTL - 100 - 1 // the grace period of the one is yet to begin
        assert.equal(await keys.get(store.request, {}), made)
        assert.equal(store.calls.length, 1)
      })

      it('uses an entry to the end of its time to live, and no longer', async () => {
        const cache = make()
        const [store, keys] = [new Store(), new CachedBranchKeys(cache, TTL, now)]
        const old = materials()
        const entry: CacheEntry = {
          ...{ kind: 'branch-key', materials: old, identifier: 'id', messagesUsed: 0, bytesUsed: 0 },
          ...{ creationTimeMs: time, expiryTimeMs: time + 100 * TTL },
        }
        await cache.put(entry) // by somebody with more time to live
        time += TTL
        assert.equal(await keys.get(store.request, {}), old)
        time += 1
        const all = await asking(100, keys, store)
        assert.equal(store.calls.length, 1) // not too many either
        const made = materials()
        store.calls[0]!.give(made)
        assert.deepEqual(new Set(await Promise.all(all)), new Set([made]))
        assert.equal((await cache.get('id'))?.expiryTimeMs, time + TTL)
      })

      it('fails all who asked at once with the one failure, and asks again for the next', async () => {
        const [store, keys] = [new Store(), new CachedBranchKeys(make(), TTL, now)]
        const all = await asking(100, keys, store)
        const failure = new Error('denied')
        store.calls[0]!.fail(failure)
        assert.deepEqual(new Set(await Promise.all(all)), new Set([failure]))
        assert.equal(store.calls.length, 1)
        const [next] = await asking(1, keys, store)
        assert.equal(store.calls.length, 2) // at once: nothing is counted as under way
        const made = materials()
        store.calls[1]!.give(made)
        assert.equal(await next, made)
      })

      it('lets those who stay have the key when who asked first is aborted', async () => {
        const [store, keys] = [new Store(), new CachedBranchKeys(make(), TTL, now)]
        const controller = new AbortController()
        const [first, ...others] = await asking(3, keys, store, [controller.signal])
        const reason = new Error('gone')
        controller.abort(reason)
        assert.equal(await first, reason)
        await settle()
        const made = materials()
        store.calls.at(-1)!.give(made)
        assert.deepEqual(await Promise.all(others), [made, made])
      })

      it('aborts the request when all have gone, and asks nobody for who has gone before', async () => {
        const [store, keys] = [new Store(), new CachedBranchKeys(make(), TTL, now)]
        const controllers = [new AbortController(), new AbortController()]
        const signals = controllers.map(({ signal }) => signal)
        const both = await asking(2, keys, store, signals)
        for (const controller of controllers) controller.abort(new Error('gone'))
        await Promise.all(both)
        await settle()
        assert.ok(store.calls.every(({ signal }) => signal.aborted))
        const { length } = store.calls
        assert.match(String(await (await asking(1, keys, store, signals))[0]), /gone/)
        assert.equal(store.calls.length, length)
        const [next] = await asking(1, keys, store)
        const made = materials()
        store.calls.at(-1)!.give(made)
        assert.equal(await next, made)
      })

      it('does not use what is no branch key, or another one', async () => {
        const cache = make()
        const [store, keys] = [new Store(), new CachedBranchKeys(cache, TTL, now)]
        const times = { creationTimeMs: time, expiryTimeMs: time + TTL }
        const other = { kind: 'branch-key', materials: materials('other'), identifier: 'id' } as const
        for (const [entry, fits] of [
          [cacheEntry('id', times), () => true],
          [{ ...cacheEntry('id', times), ...other }, (made: BranchKeyMaterials) => store.request.fits(made)],
        ] as const) {
          await cache.put(entry)
          const asked = keys.get({ ...store.request, fits }, {})
          await settle()
          const made = materials()
          store.calls.at(-1)!.give(made)
          assert.equal(await asked, made)
        }
        assert.equal(store.calls.length, 2)
      })
    })
  }

  it('does not use an entry past its expiry, should a cache give one', async () => {
    const given: CacheEntry = {
      ...{ kind: 'branch-key', materials: materials(), identifier: 'id', messagesUsed: 0, bytesUsed: 0 },
      ...{ creationTimeMs: time, expiryTimeMs: time + 10 },
    }
    const cache = { get: () => Promise.resolve(given), put: () => Promise.resolve(), delete: () => Promise.resolve() }
    const [store, keys] = [new Store(), new CachedBranchKeys(cache, TTL, now)]
    time += 10
    assert.equal(await keys.get(store.request, {}), given.materials)
    time += 1
    const [asked] = await asking(1, keys, store)
    store.calls[0]!.fail(new Error('denied'))
    assert.match(String(await asked), /denied/)
  })

  describe('within the grace period', () => {
    async function aboutToExpire(): Promise<{ keys: CachedBranchKeys; store: Store; old: BranchKeyMaterials }> {
      const [store, keys, old] = [new Store(), new CachedBranchKeys(storm(), TTL, now), materials()]
      const [first] = await asking(1, keys, store)
      store.calls[0]!.give(old)
      await first
      store.calls.length = 0
      time += TTL - 50
      return { keys, store, old }
    }

    it('one renews, and the others use what there is', async () => {
      const { keys, store, old } = await aboutToExpire()
      const [first, ...others] = await asking(100, keys, store)
      assert.equal(store.calls.length, 1)
      assert.deepEqual(new Set(await Promise.all(others)), new Set([old]))
      const made = materials()
      store.calls[0]!.give(made)
      assert.equal(await first, made)
      assert.equal(await keys.get(store.request, {}), made)
      assert.equal(store.calls.length, 1)
    })

    it('a renewal that fails does not fail who asked, as long as there is what can be used', async () => {
      const { keys, store, old } = await aboutToExpire()
      for (const at of [0, 10, 40, 50]) {
        time = 10_000 + TTL - 50 + at
        const [first, ...others] = await asking(5, keys, store)
        store.calls.at(-1)!.fail(new Error('down'))
        assert.deepEqual(new Set(await Promise.all([first, ...others])), new Set([old]))
      }
      assert.equal(store.calls.length, 4) // one an interval
      time += 1
      const late = await asking(5, keys, store)
      assert.equal(store.calls.length, 5)
      store.calls.at(-1)!.fail(new Error('still down'))
      for (const failure of await Promise.all(late)) assert.match(String(failure), /still down/)
    })

    it('a renewal that fails after the expiry does fail', async () => {
      const { keys, store } = await aboutToExpire()
      const [first] = await asking(1, keys, store)
      time += 51
      store.calls[0]!.fail(new Error('too late'))
      assert.match(String(await first), /too late/)
    })

    it('a renewal that is slow is not waited for alone: the next one after an interval', async () => {
      const { keys, store, old } = await aboutToExpire()
      const [first] = await asking(1, keys, store)
      time += 10
      const [second, third] = await asking(2, keys, store)
      assert.equal(store.calls.length, 2)
      assert.equal(await third, old)
      const made = materials()
      store.calls[1]!.give(made)
      assert.equal(await second, made)
      store.calls[0]!.fail(new Error('slow'))
      assert.equal(await first, made) // by then there is something to use
    })

    it('who is aborted while renewing leaves it to the next', async () => {
      const { keys, store, old } = await aboutToExpire()
      const controller = new AbortController()
      const [first] = await asking(1, keys, store, [controller.signal])
      controller.abort(new Error('gone'))
      assert.match(String(await first), /gone/)
      assert.equal(await keys.get(store.request, {}), old)
      time += 10
      const [next] = await asking(1, keys, store)
      assert.equal(store.calls.length, 2)
      const made = materials()
      store.calls[1]!.give(made)
      assert.equal(await next, made)
    })
  })

  it('takes no more place among the requests for what failed: bogus versions hold nobody up', async () => {
    const cache = storm()
    const keys = new CachedBranchKeys(cache, TTL, now)
    for (let n = 0; n < 50; n++) {
      const request = { identifier: `bogus ${n}`, ask: () => Promise.reject(new Error('none')), fits: () => true }
      await assert.rejects(keys.get(request, {}), /none/)
    }
    const made = materials()
    const request = { identifier: 'real', ask: () => Promise.resolve(made), fits: () => true }
    assert.equal(await keys.get(request, {}), made)
  })

  it('tells of the failure of the store rather than of the cache’s after it, and fails where a cache does', async () => {
    const broken = (): Promise<never> => Promise.reject(new Error('cache'))
    const nothing = (): Promise<undefined> => Promise.resolve(undefined)
    const lost = { identifier: 'id', ask: () => Promise.reject(new Error('store')), fits: () => true }
    const giving = { get: nothing, put: nothing, delete: nothing, giveUp: broken }
    await assert.rejects(new CachedBranchKeys(giving, TTL, now).get(lost, {}), /store/)
    for (const cache of [
      { get: broken, put: nothing, delete: nothing },
      { get: nothing, put: broken, delete: nothing },
    ]) {
      const made = { ...lost, ask: () => Promise.resolve(materials()) }
      await assert.rejects(new CachedBranchKeys(cache, TTL, now).get(made, {}), /cache/)
    }
  })

  it('ends a look-up that takes long', async () => {
    const cache = {
      get: () => new Promise<never>(() => undefined),
      put: () => Promise.resolve(),
      delete: () => Promise.resolve(),
    }
    const store = new Store()
    const controller = new AbortController()
    const [asked] = await asking(1, new CachedBranchKeys(cache, TTL, now), store, [controller.signal])
    controller.abort(new Error('gone'))
    assert.match(String(await asked), /gone/)
    assert.equal(store.calls.length, 0)
  })
})
