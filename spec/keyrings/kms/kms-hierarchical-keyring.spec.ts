import assert from 'node:assert/strict'
import { createSecretKey } from 'node:crypto'
import {
  type CryptographicMaterialsCache,
  type DecryptionMaterials,
  LocalCryptographicMaterialsCache,
  MultiKeyring,
  RawAesKeyring,
  StormTrackingCache,
  WrapError,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { ALGORITHM_SUITES, type EncryptedDataKey } from 'esdk-streams/format'
import { type BranchKeyStore, KmsHierarchicalKeyring, type KmsHierarchicalKeyringOptions } from 'esdk-streams/kms'
import { policyOf, sequence } from '../../arbitraries.ts'
import type { Fault } from '../../emulators/fault-proxy.ts'
import { SIGNED, decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../../materials/sample.ts'
import { assertLeaksNothing } from '../leaks.ts'
import { operations, useTable } from './hierarchy/setup.ts'
import { attemptsOf, unwrapErrorOf } from './setup.ts'

const TTL = 600_000
const encryptionContext = { tenant: 'red', ключ: 'значение' }

describe('keyrings/kms/kms-hierarchical-keyring', () => {
  const shared = useTable()
  let keyStore: BranchKeyStore
  let branchKeyId: string

  before(async () => {
    keyStore = shared.table.store()
    branchKeyId = await keyStore.createKey({ branchKeyId: 'bränch', encryptionContext: { department: 'admin' } })
  })

  /** A keyring of the one branch key. */
  function keyringOf(changes: Partial<KmsHierarchicalKeyringOptions> = {}): KmsHierarchicalKeyring {
    return new KmsHierarchicalKeyring({ keyStore, branchKeyId, ttlMs: TTL, ...changes })
  }

  /** A clock that a spec moves, and caches that keep to it. */
  function clocked(): {
    passing: (milliseconds: number) => void
    now: () => number
    cache: StormTrackingCache
    local: CryptographicMaterialsCache
  } {
    let time = Date.now()
    const now = (): number => time
    const local = new LocalCryptographicMaterialsCache({ capacity: 100, now })
    const cache = new StormTrackingCache({ cache: local, clock: { now, after: () => () => undefined } })
    return { passing: (milliseconds) => void (time += milliseconds), now, cache, local }
  }

  describe('the encrypted data key', () => {
    it('opens the known answer', async () => {
      const known = new KmsHierarchicalKeyring({
        keyStore: {
          getKeyStoreInfo: () => keyStore.getKeyStoreInfo(),
          getActiveBranchKey: () => assert.fail('not asked for'),
          getBranchKeyVersion: (id, version) =>
            Promise.resolve({
              ...{ branchKeyId: id, branchKeyVersion: version, encryptionContext: {} },
              branchKey: createSecretKey(sequence(0, 32)),
            }),
        },
        branchKeyId: 'bbb9baf1-03e6-4716-a586-6bf29995314b',
        ttlMs: TTL,
      })
      const key: EncryptedDataKey = {
        keyProviderId: 'aws-kms-hierarchy',
        keyProviderInfo: Buffer.from('bbb9baf1-03e6-4716-a586-6bf29995314b'),
        ciphertext: Buffer.from(
          'b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacb83eec00756594554bf11699b90f41ac6' +
            '970f4158307a176bb51e9e325b7bae2bb719850af937078265e7b16a9fa049c9278e95d6370ab19d24c71d2b0bc65849',
          'hex',
        ),
      }
      const { dataKey } = await known.onDecrypt(decryptionMaterials({ encryptionContext: { department: 'admin' } }), [
        key,
      ])
      assert.equal(dataKey!.export().toString('hex'), sequence(0x40, 32).toString('hex'))
    })

    it('names provider and branch key, and holds the version', async () => {
      const { branchKeyVersion } = await keyStore.getActiveBranchKey(branchKeyId)
      const { encryptedDataKeys, dataKey } = await keyringOf().onEncrypt(encryptionMaterials({ encryptionContext }))
      assert.equal(encryptedDataKeys.length, 1)
      const [{ keyProviderId, keyProviderInfo, ciphertext }] = encryptedDataKeys as [EncryptedDataKey] // one
      assert.equal(keyProviderId, 'aws-kms-hierarchy')
      assert.equal(keyProviderInfo.toString('hex'), Buffer.from('bränch').toString('hex'))
      assert.equal(ciphertext.length, 32 + 60)
      assert.equal(ciphertext.subarray(28, 44).toString('hex'), branchKeyVersion.replaceAll('-', ''))
      assert.equal(dataKey!.symmetricKeySize, 32)
    })
  })

  for (const suite of Object.values(ALGORITHM_SUITES)) {
    it(`encrypts and decrypts with ${suite.name}`, async () => {
      const options = { commitmentPolicy: policyOf(suite), keyring: keyringOf() }
      const { ciphertext } = await encrypt('text', { ...options, encryptionContext, algorithmSuite: suite.id })
      assert.equal((await decrypt(ciphertext, { ...options, encryptionContext })).plaintext.toString(), 'text')
    })
  }

  it('wraps the data key that another keyring made, and is one of several', async () => {
    const raw = new RawAesKeyring({ keyNamespace: 'n', keyName: 'k', wrappingKey: sequence(1, 32) })
    for (const keyring of [
      new MultiKeyring({ generator: raw, children: [keyringOf()] }),
      new MultiKeyring({ generator: keyringOf(), children: [raw] }),
    ]) {
      const { ciphertext } = await encrypt('text', { keyring, encryptionContext })
      for (const one of [raw, keyringOf(), keyring]) {
        assert.equal((await decrypt(ciphertext, { keyring: one })).plaintext.toString(), 'text')
      }
    }
    const materials = encryptionMaterials({ dataKey: secret(), encryptedDataKeys: [foreignKey()] })
    const wrapped = await keyringOf().onEncrypt(materials)
    assert.equal(wrapped.dataKey, materials.dataKey)
    assert.equal(wrapped.encryptedDataKeys[0], materials.encryptedDataKeys[0])
    assert.equal(wrapped.encryptedDataKeys.length, 2)
  })

  it('authenticates the encryption context, pairs that are not stored among it', async () => {
    const keyring = keyringOf()
    const required = { keyring, requiredEncryptionContextKeys: ['tenant'] }
    const { ciphertext } = await encrypt('text', { ...required, encryptionContext })
    assert.equal((await decrypt(ciphertext, { keyring, encryptionContext })).plaintext.toString(), 'text')
    const wrong = { ...encryptionContext, tenant: 'blue' }
    await assert.rejects(decrypt(ciphertext, { keyring, encryptionContext: wrong }), {
      code: 'ERR_ESDK_UNWRAP',
      message: /not authentic under its branch key and this encryption context/,
    })
    await assert.rejects(decrypt(ciphertext, { keyring }), { code: 'ERR_ESDK_UNWRAP' })
  })

  it('reads what each version wrapped, and wraps under the newest', async () => {
    const id = await keyStore.createKey()
    const messages: Buffer[] = []
    const versions = new Set<string>()
    for (let n = 0; n < 3; n++) {
      const keyring = keyringOf({ branchKeyId: id })
      const { ciphertext, header } = await encrypt(String(n), { keyring })
      versions.add(header.encryptedDataKeys[0]!.ciphertext.subarray(28, 44).toString('hex'))
      messages.push(ciphertext)
      await keyStore.versionKey(id)
    }
    assert.equal(versions.size, 3)
    const keyring = keyringOf({ branchKeyId: id })
    for (const [n, message] of messages.entries()) {
      assert.equal((await decrypt(message, { keyring })).plaintext.toString(), String(n))
    }
  })

  describe('on decryption', () => {
    it('passes over what is not its own, and says of each data key why it was of no use', async () => {
      const keyring = keyringOf()
      const { encryptedDataKeys, dataKey } = await keyring.onEncrypt(encryptionMaterials())
      const [key] = encryptedDataKeys as [EncryptedDataKey] // one
      const named = (info: Buffer): EncryptedDataKey => ({ ...key, keyProviderInfo: info })
      const changed = (change: (bytes: Buffer) => Buffer): EncryptedDataKey => ({
        ...key,
        ciphertext: change(Buffer.from(key.ciphertext)),
      })
      const keys = [
        foreignKey(),
        foreignKey('aws-kms'),
        { ...key, keyProviderId: 'aws-kms-hierarchy2' },
        named(Buffer.from('branch')),
        named(Buffer.from('bränch2')),
        named(Buffer.from('br\xe4nch', 'latin1')), // no UTF-8
        named(Buffer.from('\ufeffbränch')),
        named(Buffer.alloc(0)),
        changed((bytes) => bytes.subarray(1)),
        changed((bytes) => Buffer.concat([bytes, Buffer.alloc(1)])),
        changed(() => Buffer.alloc(0)),
        changed((bytes) => bytes.fill(0, 28, 44)),
        changed((bytes) => bytes.fill(0, 44)),
      ]
      const attempts = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), keys))
      const nil = '00000000-0000-0000-0000-000000000000'
      assert.deepEqual(
        attempts.map(({ reason }) => reason),
        [
          ...Array<string>(3).fill('not wrapped under a branch key'),
          ...Array<string>(5).fill('wrapped under another branch key'),
          ...Array<string>(3).fill('not a wrapped data key of 32 bytes'),
          `branch key "bränch": the key store has no item "branch:version:${nil}" of it`,
          'not authentic under its branch key and this encryption context',
        ],
      )
      assert.deepEqual(
        attempts.map(({ key: tried }) => tried),
        keys,
      )
      const unwrapped = await keyring.onDecrypt(decryptionMaterials(), [...keys, key])
      assert.equal(unwrapped.dataKey!.equals(dataKey!), true)
    })

    it('refuses materials that hold a data key', async () => {
      const { encryptedDataKeys, dataKey } = await keyringOf().onEncrypt(encryptionMaterials())
      const full: DecryptionMaterials = decryptionMaterials({ dataKey: dataKey! })
      await assert.rejects(keyringOf().onDecrypt(full, encryptedDataKeys), TypeError)
    })

    it('asks nobody about messages that no branch key wrapped', async () => {
      let suppliedIds = 0
      const branchKeyIdSupplier = { getBranchKeyId: () => String(++suppliedIds) }
      const keyring = new KmsHierarchicalKeyring({ keyStore, branchKeyIdSupplier, ttlMs: TTL })
      await unwrapErrorOf(keyring.onDecrypt(decryptionMaterials(), [foreignKey()]))
      assert.equal(suppliedIds, 0)
      assert.equal(shared.server.proxy.asked.length, 0)
    })
  })

  describe('branchKeyIdSupplier', () => {
    function supplied(getBranchKeyId: (context: Readonly<Record<string, string>>) => unknown): KmsHierarchicalKeyring {
      const branchKeyIdSupplier = { getBranchKeyId: getBranchKeyId as () => string } // or what types would refuse
      return new KmsHierarchicalKeyring({ keyStore, branchKeyIdSupplier, ttlMs: TTL })
    }

    it('chooses by all pairs, those that are not stored among them, at once or later', async () => {
      const tenants: Record<string, string> = { red: await keyStore.createKey(), blue: await keyStore.createKey() }
      for (const keyring of [
        supplied(({ tenant }) => tenants[tenant!]),
        supplied(({ tenant }) => Promise.resolve(tenants[tenant!])),
      ]) {
        for (const [tenant, id] of Object.entries(tenants)) {
          const options = { keyring, encryptionContext: { tenant, more: 'x' } }
          const { ciphertext, header } = await encrypt(tenant, {
            ...options,
            requiredEncryptionContextKeys: ['tenant'],
          })
          assert.equal(String(header.encryptedDataKeys[0]!.keyProviderInfo), id)
          assert.equal((await decrypt(ciphertext, options)).plaintext.toString(), tenant)
          const [other] = Object.keys(tenants).filter((name) => name !== tenant)
          await assert.rejects(decrypt(ciphertext, { keyring, encryptionContext: { tenant: other!, more: 'x' } }), {
            code: 'ERR_ESDK_UNWRAP',
            message: /wrapped under another branch key/,
          })
        }
      }
    })

    it('fails with a coded error where it fails, or gives no id', async () => {
      const { encryptedDataKeys } = await keyringOf().onEncrypt(encryptionMaterials())
      for (const getBranchKeyId of [
        () => {
          throw new Error('no such tenant')
        },
        () => Promise.reject(new Error('no such tenant')),
      ]) {
        const keyring = supplied(getBranchKeyId)
        const { attempts } = await unwrapErrorOf(keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys))
        assert.equal(attempts[0]!.reason, 'no branch key was chosen: no such tenant')
        await assert.rejects(keyring.onEncrypt(encryptionMaterials()), {
          code: 'ERR_ESDK_WRAP',
          message: 'no branch key was obtained: no such tenant',
        })
      }
      for (const id of ['', undefined, 1, 'a\0b', '\ud800', 'x'.repeat(2049)]) {
        const keyring = supplied(() => id)
        await assert.rejects(keyring.onEncrypt(encryptionMaterials()), {
          code: 'ERR_ESDK_WRAP',
          message: /"branchKeyIdSupplier"/,
        })
        await unwrapErrorOf(keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys))
      }
    })

    it('is not waited for by who is aborted', async () => {
      const { encryptedDataKeys } = await keyringOf().onEncrypt(encryptionMaterials())
      const keyring = supplied(() => new Promise(() => undefined))
      for (const work of [
        (signal: AbortSignal) => keyring.onEncrypt(encryptionMaterials(), { signal }),
        (signal: AbortSignal) => keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys, { signal }),
      ]) {
        const controller = new AbortController()
        const ended = work(controller.signal)
        const reason = new Error('enough')
        controller.abort(reason)
        await assert.rejects(ended, reason)
      }
    })
  })

  describe('the cache', () => {
    const ONCE = ['GetItem', 'Decrypt']

    it('asks once for 100 messages at once, in each direction, and for those that follow', async () => {
      const keyring = keyringOf()
      shared.server.proxy.faults()
      const all = Array.from({ length: 100 }, (_, n) => n)
      const messages = await Promise.all(
        all.map(async (n) => (await encrypt(String(n), { keyring, algorithmSuite: 0x0478 })).ciphertext),
      )
      assert.deepEqual(operations(shared.server), ONCE)
      const texts = await Promise.all(
        messages.map(async (message) => (await decrypt(message, { keyring })).plaintext.toString()),
      )
      assert.deepEqual(texts, all.map(String))
      assert.deepEqual(operations(shared.server), [...ONCE, ...ONCE])
      for (const message of messages) await decrypt(message, { keyring })
      await encrypt('one more', { keyring })
      assert.deepEqual(operations(shared.server), [...ONCE, ...ONCE])
    })

    it('asks once for a hundred decryptions at once, and a thousand one after another', async () => {
      const { ciphertext } = await encrypt('text', { keyring: keyringOf(), algorithmSuite: 0x0478 })
      const keyring = keyringOf()
      shared.server.proxy.faults()
      for (let n = 0; n < 10; n++) {
        await Promise.all(Array.from({ length: 100 }, () => decrypt(ciphertext, { keyring })))
      }
      assert.deepEqual(operations(shared.server), ONCE)
    })

    it('asks again when the time to live is over', async () => {
      for (const name of ['cache', 'local'] as const) {
        const { passing, now, [name]: cache } = clocked()
        const keyring = keyringOf({ cache, now })
        shared.server.proxy.faults()
        const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials())
        await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
        passing(TTL - 10_001)
        await keyring.onEncrypt(encryptionMaterials())
        await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
        assert.deepEqual(operations(shared.server), [...ONCE, ...ONCE])
        passing(10_002)
        await keyring.onEncrypt(encryptionMaterials())
        await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
        assert.deepEqual(operations(shared.server), [...ONCE, ...ONCE, ...ONCE, ...ONCE])
      }
    })

    it('renews once for a hundred messages, before the time to live is over', async () => {
      const { passing, now, cache } = clocked()
      const keyring = keyringOf({ cache, now })
      await keyring.onEncrypt(encryptionMaterials())
      passing(TTL - 10_000)
      shared.server.proxy.faults()
      await Promise.all(Array.from({ length: 100 }, () => keyring.onEncrypt(encryptionMaterials())))
      assert.deepEqual(operations(shared.server), ONCE)
      passing(TTL - 10_001)
      await keyring.onEncrypt(encryptionMaterials())
      assert.deepEqual(operations(shared.server), ONCE)
    })

    it('goes on with what it has where AWS fails, until the time to live is over', async () => {
      const { passing, now, cache } = clocked()
      const keyring = keyringOf({ cache, now })
      const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials())
      await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
      const start = now()
      const faults: Fault[] = [
        { error: 'AccessDeniedException', status: 400 },
        { error: 'InternalServerError', status: 500 },
        'reset',
        { text: '<html></html>' },
      ]
      for (const failing of ['GetItem', 'Decrypt']) {
        for (const fault of faults) {
          passing(now() === start ? TTL - 10_000 : 1000)
          shared.server.proxy.faults(({ operation }) => (operation === failing ? fault : undefined))
          await Promise.all(
            Array.from({ length: 5 }, async () => {
              await keyring.onEncrypt(encryptionMaterials())
              await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
            }),
          )
          assert.ok(operations(shared.server).filter((asked) => asked === failing).length >= 2) // one in each direction
        }
      }
      passing(start + TTL + 1 - now())
      await assert.rejects(keyring.onEncrypt(encryptionMaterials()), WrapError)
      await unwrapErrorOf(keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys))
    })

    it('is shared by keyrings of one partition and one store, and by no others', async () => {
      const { now, cache } = clocked()
      const partitionId = 'partition'
      const of = (changes: Partial<KmsHierarchicalKeyringOptions>): KmsHierarchicalKeyring =>
        keyringOf({ cache, now, partitionId, ...changes })
      const asked = async (keyring: KmsHierarchicalKeyring): Promise<number> => {
        shared.server.proxy.faults()
        const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials())
        await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
        return shared.server.proxy.asked.length
      }
      assert.equal(await asked(of({})), 4)
      assert.equal(await asked(of({})), 0)
      assert.equal(await asked(of({ keyStore: shared.table.store() })), 0)
      assert.equal(await asked(of({ ttlMs: 2 * TTL })), 0)
      assert.equal(await asked(of({ partitionId: 'other' })), 4)
      assert.equal(await asked(keyringOf({ cache, now })), 4) // a random partition
      assert.equal(await asked(keyringOf({ partitionId })), 4) // a cache of its own
      const other = shared.table.store({ logicalKeyStoreName: 'another' })
      await assert.rejects(asked(of({ keyStore: other })), WrapError)
      assert.deepEqual(operations(shared.server), ONCE) // it was asked, and AWS KMS did not decrypt
    })

    it('holds each keyring to its own time to live, whoever filled it', async () => {
      for (const name of ['cache', 'local'] as const) {
        const { passing, now, [name]: cache } = clocked()
        const patient = keyringOf({ cache, now, partitionId: 'p' })
        const strict = keyringOf({ cache, now, partitionId: 'p', ttlMs: 60_000 })
        const { encryptedDataKeys } = await patient.onEncrypt(encryptionMaterials())
        await patient.onDecrypt(decryptionMaterials(), encryptedDataKeys)
        shared.server.proxy.faults()
        passing(60_000)
        await strict.onEncrypt(encryptionMaterials())
        await strict.onDecrypt(decryptionMaterials(), encryptedDataKeys)
        assert.equal(shared.server.proxy.asked.length, 0)
        passing(1)
        shared.server.proxy.faults(() => ({ error: 'AccessDeniedException', status: 400 }))
        await assert.rejects(strict.onEncrypt(encryptionMaterials()), WrapError)
        await unwrapErrorOf(strict.onDecrypt(decryptionMaterials(), encryptedDataKeys))
        await patient.onEncrypt(encryptionMaterials()) // whose entry the other one's failure leaves
        await patient.onDecrypt(decryptionMaterials(), encryptedDataKeys)
        shared.server.proxy.faults()
        await Promise.all(Array.from({ length: 50 }, () => strict.onEncrypt(encryptionMaterials())))
        assert.deepEqual(operations(shared.server), ONCE)
      }
    })

    it('is not believed where it gives another branch key, or another version', async () => {
      const other = await keyStore.getActiveBranchKey(await keyStore.createKey())
      const { encryptedDataKeys, dataKey } = await keyringOf().onEncrypt(encryptionMaterials())
      const { branchKeyVersion } = await keyStore.getActiveBranchKey(branchKeyId)
      for (const materials of [
        other,
        { ...other, branchKeyVersion },
        { ...other, branchKeyId, branchKeyVersion: other.branchKeyVersion },
      ]) {
        const times = { creationTimeMs: Date.now(), expiryTimeMs: Date.now() + TTL, messagesUsed: 0, bytesUsed: 0 }
        const cache: CryptographicMaterialsCache = {
          get: (identifier) => Promise.resolve({ kind: 'branch-key', materials, identifier, ...times }),
          put: () => Promise.resolve(),
          delete: () => Promise.resolve(),
        }
        const keyring = keyringOf({ cache })
        const unwrapped = await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
        assert.equal(unwrapped.dataKey!.equals(dataKey!), true)
        if (materials.branchKeyId === branchKeyId) continue // which may have been the active version
        const wrapped = await keyring.onEncrypt(encryptionMaterials())
        const again = await keyringOf().onDecrypt(decryptionMaterials(), wrapped.encryptedDataKeys)
        assert.equal(again.dataKey!.equals(wrapped.dataKey!), true)
        assert.equal(String(wrapped.encryptedDataKeys[0]!.keyProviderInfo), branchKeyId)
      }
    })

    it('of no capacity is none', async () => {
      const keyring = keyringOf({ cache: new LocalCryptographicMaterialsCache({ capacity: 0 }) })
      shared.server.proxy.faults()
      for (let n = 0; n < 2; n++) await keyring.onEncrypt(encryptionMaterials())
      assert.deepEqual(operations(shared.server), [...ONCE, ...ONCE])
    })

    it('has a place for a thousand branch keys, and asks again for the next', async () => {
      let calls = 0
      const made = await keyStore.getActiveBranchKey(branchKeyId)
      const counting = {
        getKeyStoreInfo: () => keyStore.getKeyStoreInfo(),
        getBranchKeyVersion: () => assert.fail('not asked for'),
        getActiveBranchKey: (id: string) => {
          calls += 1
          return Promise.resolve({ ...made, branchKeyId: id })
        },
      }
      const branchKeyIdSupplier = { getBranchKeyId: ({ n }: Readonly<Record<string, string>>) => n! }
      const keyring = new KmsHierarchicalKeyring({ keyStore: counting, branchKeyIdSupplier, ttlMs: TTL })
      const use = async (n: number): Promise<unknown> =>
        keyring.onEncrypt(encryptionMaterials({ encryptionContext: { n: String(n) } }))
      for (let round = 0; round < 2; round++) for (let n = 0; n < 1000; n++) await use(n)
      assert.equal(calls, 1000)
      await use(1000)
      await use(0)
      assert.equal(calls, 1002)
    })
  })

  it('fails with a coded error where there is no branch key to be had, once for all who asked', async () => {
    const keyring = keyringOf({ branchKeyId: 'nobody' })
    shared.server.proxy.faults()
    const expected = {
      code: 'ERR_ESDK_WRAP',
      message: 'no branch key was obtained: branch key "nobody": the key store has no item "branch:ACTIVE" of it',
    }
    const start = performance.now()
    await Promise.all(Array.from({ length: 50 }, () => assert.rejects(encrypt('text', { keyring }), expected)))
    assert.deepEqual(operations(shared.server), ['GetItem'])
    await assert.rejects(encrypt('text', { keyring }), expected)
    assert.ok(performance.now() - start < 1000) // the next is not held up
  })

  it('ends when it is aborted: at DynamoDB, at AWS KMS, and before; others have what they asked for', async () => {
    const { encryptedDataKeys } = await keyringOf().onEncrypt(encryptionMaterials())
    const reason = new Error('enough')
    const works = [
      (keyring: KmsHierarchicalKeyring, signal?: AbortSignal) =>
        keyring.onEncrypt(encryptionMaterials(), signal === undefined ? {} : { signal }),
      (keyring: KmsHierarchicalKeyring, signal?: AbortSignal) =>
        keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys, signal === undefined ? {} : { signal }),
    ]
    for (const work of works) {
      for (const stalling of ['GetItem', 'Decrypt']) {
        const controller = new AbortController()
        let stalls = 1
        shared.server.proxy.faults(({ operation }) => {
          if (operation !== stalling || stalls-- <= 0) return undefined
          setTimeout(() => {
            controller.abort(reason)
          }, 20)
          return 'stall'
        })
        const keyring = keyringOf()
        const aborted = assert.rejects(work(keyring, controller.signal), reason)
        const other = work(keyring)
        await aborted
        assert.notEqual((await other).dataKey, undefined)
      }
      shared.server.proxy.faults()
      await assert.rejects(work(keyringOf(), AbortSignal.abort(reason)), reason)
      assert.equal(shared.server.proxy.asked.length, 0)
    }
    const { ciphertext } = await encrypt('text', { keyring: keyringOf() })
    shared.server.proxy.faults(() => 'stall')
    for (const work of [
      encrypt('text', { keyring: keyringOf(), signal: AbortSignal.timeout(50) }),
      decrypt(ciphertext, { keyring: keyringOf(), signal: AbortSignal.timeout(50) }),
    ]) {
      await assert.rejects(work, { name: 'AbortError', code: 'ABORT_ERR' })
    }
  })

  it('shows no byte of a key in its failures, and none of itself', async () => {
    const { branchKey } = await keyStore.getActiveBranchKey(branchKeyId)
    const raw = branchKey.export()
    const { encryptedDataKeys, dataKey } = await keyringOf().onEncrypt(encryptionMaterials({ suite: SIGNED }))
    const secrets = [raw, dataKey!.export()]
    const other = decryptionMaterials({ encryptionContext: { a: 'b' } })
    const keyring = keyringOf()
    assertLeaksNothing(await unwrapErrorOf(keyring.onDecrypt(other, encryptedDataKeys)), ...secrets)
    assertLeaksNothing(Object.assign(new Error('shown'), { keyring, other, branchKey }), ...secrets)
    for (const fault of [
      { text: `{"Plaintext":${raw.toString('base64')}` },
      (answer: object) => ({ ...answer, KeyId: 'other' }),
      (answer: object) => ({ ...answer, Plaintext: Buffer.concat([raw, raw]).toString('base64') }),
    ]) {
      shared.server.proxy.faults(({ operation }) => (operation === 'Decrypt' ? fault : undefined))
      const failed = await unwrapErrorOf(keyringOf().onDecrypt(decryptionMaterials(), encryptedDataKeys))
      assertLeaksNothing(failed, ...secrets)
      const failure: unknown = await keyringOf()
        .onEncrypt(encryptionMaterials())
        .catch((error: unknown) => error)
      assertLeaksNothing(failure, ...secrets)
      for (const shown of [failed, failure]) assert.ok(!String(shown).includes(raw.toString('base64').slice(0, 6)))
    }
  })

  it('fails where the encryption context is too long for the format', async () => {
    const long = encryptionMaterials({ encryptionContext: { a: 'x'.repeat(0xffff) } })
    await assert.rejects(keyringOf().onEncrypt(long), { code: 'ERR_ESDK_LIMIT' })
  })

  it('refuses unfit options', () => {
    const fit = { keyStore, branchKeyId, ttlMs: TTL }
    const branchKeyIdSupplier = { getBranchKeyId: () => 'a' }
    const local = new LocalCryptographicMaterialsCache({ capacity: 1 })
    assert.ok(new KmsHierarchicalKeyring(fit))
    assert.ok(new KmsHierarchicalKeyring({ ...fit, ttlMs: 0.5, cache: local }))
    const types: object[] = [
      { keyStore: undefined },
      { keyStore: {} },
      { branchKeyId: undefined },
      { branchKeyId: '' },
      { branchKeyId: 1 },
      { branchKeyIdSupplier },
      { branchKeyId: undefined, branchKeyIdSupplier: () => 'a' },
      { branchKeyId: undefined, branchKeyIdSupplier: {} },
      { cache: {} },
      { partitionId: '' },
      { partitionId: 'a\0b' },
      { partitionId: 1 },
    ]
    for (const options of types) assert.throws(() => new KmsHierarchicalKeyring({ ...fit, ...options }), TypeError)
    for (const ttlMs of [0, -1, NaN, Infinity, '1000', undefined]) {
      assert.throws(() => new KmsHierarchicalKeyring({ ...fit, ttlMs: ttlMs as number, cache: local }), RangeError) // what types would refuse
    }
    const cache = new StormTrackingCache({ cache: local, gracePeriodMs: 20_000 })
    for (const options of [{ ttlMs: 10_000 }, { ttlMs: 20_000, cache }]) {
      assert.throws(() => new KmsHierarchicalKeyring({ ...fit, ...options }), {
        name: 'RangeError',
        message: /"ttlMs" expected more than the grace period of the cache/,
      })
    }
    assert.ok(new KmsHierarchicalKeyring({ ...fit, ttlMs: 10_001 }))
    assert.ok(new KmsHierarchicalKeyring({ ...fit, ttlMs: 20_001, cache }))
  })
})
