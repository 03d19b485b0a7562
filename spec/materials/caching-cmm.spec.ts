import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import {
  type CryptographicMaterialsManager,
  DecryptStream,
  DefaultCryptographicMaterialsManager,
  EncryptStream,
  type EncryptResult,
  type Keyring,
  RequiredEncryptionContextCryptographicMaterialsManager,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { algorithmSuite } from 'esdk-streams/format'
import { CachingCryptographicMaterialsManager, type CachingOptions } from '#lib/materials/caching-cmm'
import type { CacheEntry, CryptographicMaterialsCache } from '#lib/materials/cryptographic-materials-cache'
import { LocalCryptographicMaterialsCache } from '#lib/materials/local-materials-cache'
import { aesKeyring, encryptionContexts, rsaKeyring, through } from '../arbitraries.ts'
import { SIGNED, UNSIGNED, decryptionRequest, encryptionRequest, fakeKeyring } from './sample.ts'

const NO_KDF = algorithmSuite(0x0078)
const OLD = algorithmSuite(0x0178)
const FORBID = 'forbid-encrypt-allow-decrypt'
const known = encryptionRequest({ maxPlaintextLength: 10 })
const length10 = { maxPlaintextLength: 10 }

interface Setup {
  readonly manager: CachingCryptographicMaterialsManager
  readonly cache: LocalCryptographicMaterialsCache
  readonly at: (ms: number) => void
}

function caching(options: Partial<CachingOptions> = {}, capacity = 100): Setup {
  let time = 0
  const now = (): number => time
  const cache = new LocalCryptographicMaterialsCache({ capacity, now })
  const keys = options.materialsManager === undefined ? { keyring: fakeKeyring() } : {}
  const manager = new CachingCryptographicMaterialsManager({ ...keys, cache, maxAgeMs: 1000, now, ...options })
  return { manager, cache, at: (ms) => void (time = ms) }
}

/** A keyring, and how often it was asked. */
function counting(keyring: Keyring = aesKeyring()): Keyring & { wraps: number; unwraps: number } {
  return {
    wraps: 0,
    unwraps: 0,
    async onEncrypt(...args) {
      this.wraps += 1
      await turn()
      return keyring.onEncrypt(...args)
    },
    async onDecrypt(...args) {
      this.unwraps += 1
      await turn()
      return keyring.onDecrypt(...args)
    },
  }
}

/** Does `work` `count` times, `width` at a time. */
async function each(count: number, width: number, work: (index: number) => Promise<unknown>): Promise<void> {
  for (let start = 0; start < count; start += width) {
    await Promise.all(Array.from({ length: width }, (_, index) => work(start + index)))
  }
}

describe('materials/caching-cmm', () => {
  it('takes one of keyring and manager, a cache, and limits that limit', () => {
    const cache = new LocalCryptographicMaterialsCache({ capacity: 1 })
    const keyring = fakeKeyring()
    const good = { keyring, cache, maxAgeMs: 1 }
    assert.ok(new CachingCryptographicMaterialsManager({ ...good, maxMessages: 2 ** 32, maxBytes: 0, partitionId: '' }))
    const materialsManager = new DefaultCryptographicMaterialsManager(keyring)
    assert.throws(() => new CachingCryptographicMaterialsManager({ cache, maxAgeMs: 1 }), TypeError)
    for (const wrong of [
      { materialsManager },
      { cache: { get: () => undefined } as never }, // what types would refuse
      { partitionId: 'a\0b' },
      { partitionId: '\ud800' },
      { partitionId: 1 as never }, // as above
    ]) {
      assert.throws(() => new CachingCryptographicMaterialsManager({ ...good, ...wrong }), TypeError)
    }
    for (const wrong of [
      ...[0, -1, Infinity, NaN].map((maxAgeMs) => ({ maxAgeMs })),
      ...[0, 2 ** 32 + 1, 1.5].map((maxMessages) => ({ maxMessages })),
      ...[-1, 1.5, 2 ** 53].map((maxBytes) => ({ maxBytes })),
    ]) {
      assert.throws(() => new CachingCryptographicMaterialsManager({ ...good, ...wrong }), RangeError)
    }
  })

  describe('limits', () => {
    it('allow exactly as many messages as are said', async () => {
      for (const maxMessages of [1, 2, 5]) {
        const keyring = fakeKeyring()
        const { manager } = caching({ keyring, maxMessages })
        for (let count = 1; count <= 3 * maxMessages + 1; count++) {
          await manager.getEncryptionMaterials(known)
          assert.equal(keyring.encryptCalls.length, Math.ceil(count / maxMessages))
        }
      }
    })

    it('allow exactly as many bytes as are said, this message included', async () => {
      const keyring = fakeKeyring()
      const { manager } = caching({ keyring, maxBytes: 30 })
      for (const [maxPlaintextLength, calls] of [
        [10, 1],
        [20, 1],
        [0, 1],
        [1, 2],
        [29, 2],
        [30, 3],
        [0, 3],
        [31, 4], // goes past the cache,
        [0, 4], // whose entry stays
      ] as const) {
        await manager.getEncryptionMaterials({ ...known, maxPlaintextLength })
        assert.equal(keyring.encryptCalls.length, calls, `${maxPlaintextLength} bytes`)
      }
      assert.deepEqual(manager.stats, { hits: 5, misses: 3, bypasses: 1 })
    })

    it('of 0 bytes let empty messages share', async () => {
      const keyring = fakeKeyring()
      const { manager } = caching({ keyring, maxBytes: 0 })
      for (const maxPlaintextLength of [0, 0, 1, 0]) {
        await manager.getEncryptionMaterials({ ...known, maxPlaintextLength })
      }
      assert.deepEqual(manager.stats, { hits: 2, misses: 1, bypasses: 1 })
    })

    it('of age hold on both sides, and let materials be used at just that age', async () => {
      const keyring = fakeKeyring()
      const { manager, at } = caching({ keyring, maxAgeMs: 100 })
      for (const [time, calls] of [
        [0, 1],
        [100, 1],
        [101, 2],
        [201, 2],
        [202, 3],
      ] as const) {
        at(time)
        await manager.getEncryptionMaterials(known)
        await manager.decryptMaterials(decryptionRequest())
        assert.deepEqual([keyring.encryptCalls.length, keyring.decryptCalls.length], [calls, calls], `at ${time} ms`)
      }
    })

    it('of decryption are of age alone', async () => {
      const keyring = fakeKeyring()
      const { manager } = caching({ keyring, maxMessages: 1, maxBytes: 0 })
      for (let count = 0; count < 5; count++) await manager.decryptMaterials(decryptionRequest())
      assert.equal(keyring.decryptCalls.length, 1)
    })

    it('are this manager’s own, whoever made the entry, and an entry past them is replaced', async () => {
      let time = 0
      const now = (): number => time
      const cache = new LocalCryptographicMaterialsCache({ capacity: 9, now })
      const shared = { cache, partitionId: 'p', now }
      const keyring = fakeKeyring()
      const lax = new CachingCryptographicMaterialsManager({ ...shared, keyring: fakeKeyring(), maxAgeMs: 1000 })
      const strict = new CachingCryptographicMaterialsManager({ ...shared, keyring, maxAgeMs: 100, maxMessages: 3 })
      await lax.getEncryptionMaterials(known)
      time = 100
      await strict.getEncryptionMaterials(known)
      assert.equal(keyring.encryptCalls.length, 0)
      time = 101
      await strict.getEncryptionMaterials(known)
      assert.equal(keyring.encryptCalls.length, 1)
      for (let count = 0; count < 5; count++) await lax.getEncryptionMaterials(known)
      assert.deepEqual(lax.stats, { hits: 5, misses: 1, bypasses: 0 })
      await strict.getEncryptionMaterials(known)
      assert.equal(keyring.encryptCalls.length, 2)
    })

    it('take an entry from the cache before new materials are asked for', async () => {
      const broken = new Error('no service')
      let works = true
      const keyring = fakeKeyring({
        onEncrypt: (materials) => {
          if (!works) throw broken
          return fakeKeyring().onEncrypt(materials, {}) as never // the promise is awaited all the same
        },
      })
      const { manager, cache } = caching({ keyring, maxMessages: 1 })
      await manager.getEncryptionMaterials(known)
      assert.equal(cache.size, 1)
      works = false
      await assert.rejects(manager.getEncryptionMaterials(known), { code: 'ERR_ESDK_WRAP' })
      assert.equal(cache.size, 0)
    })
  })

  describe('passes the cache by', () => {
    const cases: Readonly<Record<string, Parameters<typeof encryptionRequest>[0]>> = {
      'where the length of the plaintext is unknown': {},
      'where the suite derives no keys': { algorithmSuite: NO_KDF, ...length10 },
      'where the plaintext alone is over the limit': { maxPlaintextLength: 1001 },
    }
    for (const [what, changes] of Object.entries(cases)) {
      it(what, async () => {
        const asked: unknown[] = []
        const inner = new DefaultCryptographicMaterialsManager(fakeKeyring())
        const materialsManager: CryptographicMaterialsManager = {
          getEncryptionMaterials: (request, options) => (
            asked.push(request),
            inner.getEncryptionMaterials(request, options)
          ),
          decryptMaterials: (request, options) => inner.decryptMaterials(request, options),
        }
        const { manager, cache } = caching({ materialsManager, maxBytes: 1000 })
        const request = encryptionRequest(changes)
        await Promise.all([manager.getEncryptionMaterials(request), manager.getEncryptionMaterials(request)])
        assert.deepEqual(asked, [request, request]) // with its length
        assert.equal(cache.size, 0)
        assert.deepEqual(manager.stats, { hits: 0, misses: 0, bypasses: 2 })
      })
    }

    it('where the suite of a message derives no keys', async () => {
      const { manager, cache } = caching()
      const request = decryptionRequest({ algorithmSuite: NO_KDF })
      for (let count = 0; count < 2; count++) await manager.decryptMaterials(request)
      assert.deepEqual([manager.stats.bypasses, cache.size], [2, 0])
    })

    it('where the suite that the underlying manager chose derives no keys, for each of those who asked at once', async () => {
      const inner = new DefaultCryptographicMaterialsManager(fakeKeyring())
      const materialsManager: CryptographicMaterialsManager = {
        getEncryptionMaterials: async (request) => inner.getEncryptionMaterials({ ...request, algorithmSuite: NO_KDF }),
        decryptMaterials: (request) => inner.decryptMaterials(request),
      }
      const { manager, cache } = caching({ materialsManager })
      const request = { ...known, commitmentPolicy: FORBID } as const
      const made = await Promise.all([1, 2, 3].map(() => manager.getEncryptionMaterials(request)))
      assert.ok(made.every(({ suite }) => suite === NO_KDF))
      assert.equal(new Set(made.map(({ signingKey, dataKey }) => signingKey ?? dataKey)).size, 3)
      assert.equal(cache.size, 0)
      assert.deepEqual(manager.stats, { hits: 0, misses: 1, bypasses: 2 })
    })

    it('and says so once, where it is for an unknown length', async () => {
      const seen: Error[] = []
      const listen = (warning: Error): void => void seen.push(warning)
      process.on('warning', listen)
      const { manager } = caching()
      await manager.getEncryptionMaterials(known)
      await manager.getEncryptionMaterials(encryptionRequest({ algorithmSuite: NO_KDF, ...length10 }))
      await turn()
      const before = seen.length
      for (let count = 0; count < 3; count++) await manager.getEncryptionMaterials(encryptionRequest())
      await caching().manager.getEncryptionMaterials(encryptionRequest())
      await turn()
      process.off('warning', listen)
      const warnings = seen.slice(before) as (Error & { code?: string })[] // as process.emitWarning makes them
      assert.deepEqual(
        warnings.map(({ code }) => code),
        ['ESDK_CACHE_BYPASSED', 'ESDK_CACHE_BYPASSED'],
      )
      assert.match(warnings[0]!.message, /plaintextLengthBound/)
      assert.equal(before, 0)
    })
  })

  it('asks for materials without the length of the plaintext, which is not theirs alone', async () => {
    const inner = new DefaultCryptographicMaterialsManager(fakeKeyring())
    const asked: object[] = []
    const materialsManager: CryptographicMaterialsManager = {
      getEncryptionMaterials: (request) => (asked.push(request), inner.getEncryptionMaterials(request)),
      decryptMaterials: (request) => inner.decryptMaterials(request),
    }
    const context = { encryptionContext: { a: '1' }, requiredEncryptionContextKeys: ['a'] }
    const request = encryptionRequest({ algorithmSuite: SIGNED, ...context })
    await caching({ materialsManager }).manager.getEncryptionMaterials({ ...request, maxPlaintextLength: 10 })
    assert.deepEqual(asked, [request])
  })

  describe('shares nothing between requests that differ', () => {
    it('in required names', async () => {
      const { manager } = caching()
      const request = { ...known, encryptionContext: { a: '1', b: '2' } }
      const plain = await manager.getEncryptionMaterials(request)
      const required = await manager.getEncryptionMaterials({ ...request, requiredEncryptionContextKeys: ['a'] })
      assert.deepEqual(
        [plain, required].map((made) => made.requiredEncryptionContextKeys),
        [[], ['a']],
      )
      assert.equal(manager.stats.misses, 2)
    })

    it('in the policy that chooses the suite', async () => {
      const { manager } = caching()
      const made = []
      for (const commitmentPolicy of [FORBID, 'require-encrypt-allow-decrypt', FORBID] as const) {
        made.push(await manager.getEncryptionMaterials({ ...known, commitmentPolicy }))
      }
      assert.deepEqual(
        made.map(({ suite }) => suite.id),
        [0x0378, 0x0578, 0x0378],
      )
      assert.equal(manager.stats.misses, 2)
    })

    it('in the reproduced context: a second decryption with a wrong or missing value fails as the first would', async () => {
      const keyring = aesKeyring()
      const { manager } = caching({ keyring })
      const encryptionContext = { tenant: '17', purpose: 'backup' }
      const names = { requiredEncryptionContextKeys: ['tenant'] }
      const { ciphertext } = await encrypt('text', { keyring, encryptionContext, ...names })
      const open = (reproduced: Record<string, string>): Promise<unknown> =>
        decrypt(ciphertext, { materialsManager: manager, encryptionContext: reproduced })
      await open({ tenant: '17' })
      await open({ tenant: '17' })
      assert.equal(manager.stats.hits, 1)
      for (const wrong of [{}, { tenant: '18' }, { tenant: '17', extra: 'x' }, { tenant: '17', purpose: 'other' }]) {
        await assert.rejects(open(wrong), { code: /^ERR_ESDK_(UNWRAP|POLICY)$/ })
      }
    })

    it('in partition', async () => {
      const keyring = fakeKeyring()
      const cache = new LocalCryptographicMaterialsCache({ capacity: 9 })
      for (const partitionId of [undefined, undefined, 'p', 'p', 'q']) {
        const partition = partitionId === undefined ? {} : { partitionId }
        const manager = new CachingCryptographicMaterialsManager({ keyring, cache, maxAgeMs: 1000, ...partition })
        await manager.getEncryptionMaterials(known)
      }
      assert.equal(keyring.encryptCalls.length, 4)
    })

    it('in any other way: each context has its own materials, and the right ones', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(encryptionContexts, { maxLength: 6 }), async (contexts) => {
          const { manager } = caching()
          const all = [...contexts, ...contexts]
          const made = await Promise.all(
            all.map((encryptionContext) =>
              manager.getEncryptionMaterials(
                encryptionRequest({ encryptionContext, algorithmSuite: UNSIGNED, ...length10 }),
              ),
            ),
          )
          made.forEach(({ encryptionContext }, index) => {
            assert.deepEqual(Object.entries(encryptionContext).sort(), Object.entries(all[index]!).sort())
          })
          const { hits, misses, bypasses } = manager.stats
          assert.deepEqual([hits + misses, bypasses], [all.length, 0])
        }),
      )
    })
  })

  describe('holds to the policy of each who asks', () => {
    it('on decryption, whatever another one with the same cache was allowed', async () => {
      const keyring = fakeKeyring()
      const { manager } = caching({ keyring })
      const allowed = decryptionRequest({ algorithmSuite: OLD })
      await manager.decryptMaterials(allowed)
      const strict = { ...allowed, commitmentPolicy: 'require-encrypt-require-decrypt' } as const
      for (let count = 0; count < 2; count++) {
        await assert.rejects(manager.decryptMaterials(strict), { code: 'ERR_ESDK_POLICY' })
      }
      await manager.decryptMaterials(allowed)
      assert.equal(keyring.decryptCalls.length, 1)
    })

    it('on encryption with a suite of one’s choice, also beside one who is allowed it', async () => {
      const { manager } = caching()
      const allowed = encryptionRequest({ algorithmSuite: OLD, ...length10 })
      const forbidden = { ...allowed, commitmentPolicy: 'require-encrypt-allow-decrypt' } as const
      const [first, second, third] = await Promise.allSettled([
        manager.getEncryptionMaterials(forbidden),
        manager.getEncryptionMaterials(allowed),
        manager.getEncryptionMaterials(forbidden),
      ])
      assert.deepEqual([first.status, second.status, third.status], ['rejected', 'fulfilled', 'rejected'])
      await assert.rejects(manager.getEncryptionMaterials(forbidden), { code: 'ERR_ESDK_POLICY' })
    })

    it('where the underlying manager chose a suite that the policy forbids', async () => {
      const inner = new DefaultCryptographicMaterialsManager(fakeKeyring())
      const materialsManager: CryptographicMaterialsManager = {
        getEncryptionMaterials: () => inner.getEncryptionMaterials(encryptionRequest({ algorithmSuite: OLD })),
        decryptMaterials: (request) => inner.decryptMaterials(request),
      }
      const { manager, cache } = caching({ materialsManager })
      await assert.rejects(manager.getEncryptionMaterials(known), { code: 'ERR_ESDK_POLICY' })
      assert.equal(cache.size, 0)
    })
  })

  describe('does not take a cache’s word for it', () => {
    /** A cache that answers with the last entry that was put into it, whatever was asked for. */
    function liar(): CryptographicMaterialsCache {
      let last: CacheEntry | undefined
      return {
        put: (entry) => Promise.resolve(void (last = entry)),
        get: () => Promise.resolve(last),
        delete: () => Promise.resolve(),
      }
    }

    const encryptions: Readonly<
      Record<string, [Parameters<typeof encryptionRequest>[0], Parameters<typeof encryptionRequest>[0]]>
    > = {
      'context on encryption': [{ encryptionContext: { a: '1' } }, { encryptionContext: { a: '2' } }],
      'required names': [
        { encryptionContext: { a: '1' } },
        { encryptionContext: { a: '1' }, requiredEncryptionContextKeys: ['a'] },
      ],
      'suite on encryption': [{ algorithmSuite: SIGNED }, { algorithmSuite: UNSIGNED }],
    }
    for (const [what, [first, second]] of Object.entries(encryptions)) {
      it(`about the ${what}`, async () => {
        const { manager } = caching({ cache: liar() })
        await manager.getEncryptionMaterials(encryptionRequest({ ...first, ...length10 }))
        const made = await manager.getEncryptionMaterials(encryptionRequest({ ...second, ...length10 }))
        for (const [name, value] of Object.entries(second?.encryptionContext ?? {})) {
          assert.equal(made.encryptionContext[name], value)
        }
        assert.deepEqual(made.requiredEncryptionContextKeys, second?.requiredEncryptionContextKeys ?? [])
        if (second?.algorithmSuite !== undefined) assert.equal(made.suite, second.algorithmSuite)
        assert.deepEqual(manager.stats, { hits: 0, misses: 1, bypasses: 1 })
      })
    }

    it('about the policy', async () => {
      const { manager } = caching({ cache: liar() })
      await manager.getEncryptionMaterials({ ...known, commitmentPolicy: FORBID })
      await assert.rejects(manager.getEncryptionMaterials(known), { code: 'ERR_ESDK_POLICY' })
    })

    const decryptions: Readonly<
      Record<string, [Parameters<typeof decryptionRequest>[0], Parameters<typeof decryptionRequest>[0]]>
    > = {
      suite: [{ algorithmSuite: OLD }, { algorithmSuite: UNSIGNED }],
      context: [{ encryptionContext: { a: '1' } }, { encryptionContext: { a: '2' } }],
      'reproduced context': [{ reproducedEncryptionContext: { a: '1' } }, { encryptionContext: { a: '1' } }],
      'larger context': [{ encryptionContext: { a: '1', b: '2' } }, { encryptionContext: { a: '1' } }],
    }
    for (const [what, [first, second]] of Object.entries(decryptions)) {
      it(`about the ${what} on decryption`, async () => {
        const keyring = fakeKeyring()
        const { manager } = caching({ keyring, cache: liar() })
        await manager.decryptMaterials(decryptionRequest(first))
        const made = await manager.decryptMaterials(decryptionRequest(second))
        assert.equal(made.suite, second?.algorithmSuite ?? UNSIGNED)
        assert.deepEqual({ ...made.encryptionContext }, { ...second?.encryptionContext })
        assert.deepEqual(made.requiredEncryptionContextKeys, [])
        assert.equal(keyring.decryptCalls.length, 2)
      })
    }

    it('about the kind', async () => {
      const { manager } = caching({ cache: liar() })
      await manager.getEncryptionMaterials(encryptionRequest({ algorithmSuite: UNSIGNED, ...length10 }))
      const made = await manager.decryptMaterials(decryptionRequest())
      assert.equal('encryptedDataKeys' in made, false)
      await manager.getEncryptionMaterials(encryptionRequest({ algorithmSuite: UNSIGNED, ...length10 }))
      assert.deepEqual(manager.stats, { hits: 0, misses: 3, bypasses: 0 })
    })

    it('about the expiry', async () => {
      const { manager, at } = caching({ cache: liar(), maxAgeMs: 100 })
      await manager.getEncryptionMaterials(known)
      at(101)
      await manager.getEncryptionMaterials(known)
      assert.equal(manager.stats.misses, 2)
    })

    it('about an expiry that came before the greatest age', async () => {
      let last: CacheEntry | undefined
      const cache: CryptographicMaterialsCache = {
        put: (entry) => Promise.resolve(void (last = { ...entry, expiryTimeMs: 50 })),
        get: () => Promise.resolve(last),
        delete: () => Promise.resolve(),
      }
      const { manager, at } = caching({ cache, maxAgeMs: 100 })
      for (const time of [0, 50, 51]) {
        at(time)
        await manager.decryptMaterials(decryptionRequest())
      }
      assert.deepEqual(manager.stats, { hits: 1, misses: 2, bypasses: 0 })
    })
  })

  it('keeps no data key that the header has yet to confirm, nor what was asked for after one was disproved', async () => {
    const keyring = counting(rsaKeyring('pkcs1'))
    const { manager, cache } = caching({ keyring })
    const { ciphertext } = await encrypt('text', { keyring })
    await each(6, 3, () => decrypt(ciphertext, { materialsManager: manager }))
    assert.deepEqual([keyring.unwraps, cache.size], [6, 0])
    const fake = caching()
    const attempt = { key: decryptionRequest().encryptedDataKeys[0]!, reason: 'none' }
    const request = decryptionRequest({ disproved: [{ unwrappedBy: {}, attempt }] })
    await fake.manager.decryptMaterials(request)
    await fake.manager.decryptMaterials(request)
    assert.deepEqual([fake.manager.stats.bypasses, fake.cache.size], [2, 0])
  })

  it('refuses materials that are not complete, and keeps none of them', async () => {
    const materialsManager: CryptographicMaterialsManager = {
      getEncryptionMaterials: (request) => Promise.resolve({ ...request, suite: UNSIGNED, encryptedDataKeys: [] }),
      decryptMaterials: (request) =>
        Promise.resolve({ ...request, suite: UNSIGNED, requiredEncryptionContextKeys: [] }),
    }
    const { manager, cache } = caching({ materialsManager })
    await assert.rejects(manager.getEncryptionMaterials(known), { code: 'ERR_ESDK_WRAP' })
    await assert.rejects(manager.decryptMaterials(decryptionRequest()), { code: 'ERR_ESDK_UNWRAP' })
    assert.equal(cache.size, 0)
  })

  it('hands out frozen materials, whose bytes are each message’s own', async () => {
    const { manager } = caching({ keyring: aesKeyring() })
    const request = { ...known, encryptionContext: { a: '1' }, requiredEncryptionContextKeys: ['a'] }
    const [first, second] = [
      await manager.getEncryptionMaterials(request),
      await manager.getEncryptionMaterials(request),
    ]
    assert.equal(first.dataKey, second.dataKey)
    assert.ok(first.signingKey !== undefined && first.signingKey === second.signingKey)
    for (const part of [
      first,
      second,
      first.encryptedDataKeys,
      first.encryptedDataKeys[0],
      first.encryptionContext,
      first.requiredEncryptionContextKeys,
    ]) {
      assert.ok(Object.isFrozen(part))
    }
    const opened = await caching().manager.decryptMaterials(decryptionRequest())
    assert.ok([opened, opened.encryptionContext, opened.requiredEncryptionContextKeys].every(Object.isFrozen))

    const { header, ciphertext } = await encrypt('one', { materialsManager: manager })
    header.encryptedDataKeys[0]!.ciphertext.fill(0)
    header.encryptedDataKeys[0]!.keyProviderInfo.fill(0)
    const next = await encrypt('two', { materialsManager: manager })
    for (const message of [ciphertext, next.ciphertext]) await decrypt(message, { keyring: aesKeyring() })
  })

  describe('through whole messages and streams', () => {
    it('gives messages of one data and signing key message ids and message keys of their own', async () => {
      const keyring = counting()
      const { manager } = caching({ keyring })
      const made: EncryptResult[] = []
      for (let count = 0; count < 20; count++) made.push(await encrypt('the same text', { materialsManager: manager }))
      assert.equal(keyring.wraps, 1)
      const distinct = (of: (message: (typeof made)[number]) => Buffer | string | undefined): number =>
        new Set(made.map((message) => of(message)?.toString('hex'))).size
      assert.equal(
        distinct(({ header }) => header.messageId),
        20,
      )
      assert.equal(
        distinct(({ header }) => header.encryptedDataKeys[0]!.ciphertext),
        1,
      )
      assert.equal(
        distinct(({ header }) => header.encryptionContext['aws-crypto-public-key']),
        1,
      )
      assert.equal(
        distinct(({ header }) => (header.version === 2 ? header.commitment : undefined)),
        20,
      )
      for (const { ciphertext } of made) {
        const { plaintext } = await decrypt(ciphertext, { keyring: aesKeyring() })
        assert.equal(plaintext.toString(), 'the same text')
      }
    })

    it('works in streams whose length or bound is said, also when one of them is destroyed', async () => {
      const keyring = counting()
      const { manager: materialsManager } = caching({ keyring })
      const text = Buffer.alloc(10_000, 'text')
      const abandoned = new EncryptStream({ materialsManager, plaintextLength: 10_000 })
      abandoned.resume().write(text.subarray(0, 100))
      await once(abandoned, 'header')
      abandoned.destroy()
      const messages = await Promise.all([
        through([text], new EncryptStream({ materialsManager, plaintextLength: 10_000 })),
        through([text], new EncryptStream({ materialsManager, plaintextLengthBound: 20_000 })),
      ])
      assert.equal(keyring.wraps, 1)
      for (const message of [...messages, messages[0]]) {
        assert.deepEqual(await through([message], new DecryptStream({ materialsManager })), text)
      }
      assert.equal(keyring.unwraps, 1)
      assert.deepEqual(materialsManager.stats, { hits: 4, misses: 2, bypasses: 0 })
    })

    it('works around and inside a manager of required pairs', async () => {
      const keyring = counting()
      const names = { requiredEncryptionContextKeys: ['tenant'] }
      const encryptionContext = { tenant: '17', purpose: 'backup' }
      const inside = caching({ keyring }).manager
      const around = caching({
        materialsManager: new RequiredEncryptionContextCryptographicMaterialsManager({ ...names, keyring }),
      }).manager
      const outside = new RequiredEncryptionContextCryptographicMaterialsManager({ ...names, materialsManager: inside })
      for (const materialsManager of [outside, around]) {
        keyring.wraps = keyring.unwraps = 0
        for (let count = 0; count < 3; count++) {
          const { ciphertext, header } = await encrypt('text', { materialsManager, encryptionContext })
          assert.equal(header.encryptionContext['tenant'], undefined)
          await decrypt(ciphertext, { materialsManager, encryptionContext: { tenant: '17' } })
          await assert.rejects(decrypt(ciphertext, { materialsManager }), { code: 'ERR_ESDK_POLICY' })
        }
        assert.deepEqual([keyring.wraps, keyring.unwraps], [1, 1])
      }
    })

    for (const width of [1, 100]) {
      it(`makes exactly 10 data keys for 10,000 messages of at most 1,000 each, ${width} at a time`, async () => {
        const keyring = counting()
        const { manager: materialsManager } = caching({ keyring, maxMessages: 1000 })
        const uses = new Map<string, number>()
        await each(10_000, width, async () => {
          const { header } = await encrypt('one frame', { materialsManager, algorithmSuite: 0x0478 })
          const key = header.encryptedDataKeys[0]!.ciphertext.toString('hex')
          uses.set(key, (uses.get(key) ?? 0) + 1)
        })
        assert.equal(keyring.wraps, 10)
        assert.deepEqual(
          [...uses.values()],
          Array.from({ length: 10 }, () => 1000),
        )
        assert.deepEqual(materialsManager.stats, { hits: 9990, misses: 10, bypasses: 0 })
      })

      it(`unwraps the data key of one message once for 1,000 decryptions, ${width} at a time`, async () => {
        const keyring = counting()
        const { manager: materialsManager } = caching({ keyring })
        const { ciphertext } = await encrypt('text', { keyring, algorithmSuite: 0x0478 })
        await each(1000, width, () => decrypt(ciphertext, { materialsManager }))
        assert.equal(keyring.unwraps, 1)
        assert.deepEqual(materialsManager.stats, { hits: 999, misses: 1, bypasses: 0 })
      })
    }
  })
})
