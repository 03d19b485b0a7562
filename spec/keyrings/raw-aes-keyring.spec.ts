import assert from 'node:assert/strict'
import { createPublicKey, createSecretKey, generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import {
  CommitmentPolicy,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  buildClient,
} from '@aws-crypto/client-node'
import fc from 'fast-check'
import { MultiKeyring, RawAesKeyring, UnwrapError, decrypt, encrypt } from 'esdk-streams'
import { ALGORITHM_SUITES, type EncryptedDataKey } from 'esdk-streams/format'
import { encryptionContexts, sequence } from '../arbitraries.ts'
import { decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../materials/sample.ts'
import { uint } from '../message-recipe.ts'
import { assertLeaksNothing } from './leaks.ts'

const names = { keyNamespace: 'namespace', keyName: 'key1' }
const wrappingKey = sequence(0x11, 32)
const keyring = new RawAesKeyring({ ...names, wrappingKey })
const encryptionContext = { department: 'admin', 'aws-crypto-public-key': 'all pairs count' }
const materials = decryptionMaterials({ encryptionContext })

async function wrapped(
  by = keyring,
  context: Readonly<Record<string, string>> = encryptionContext,
): Promise<EncryptedDataKey> {
  const full = encryptionMaterials({ encryptionContext: context, dataKey: secret() })
  return (await by.onEncrypt(full)).encryptedDataKeys[0]!
}

/** Asserts that a data key is not unwrapped, for this reason, and that nothing leaks. */
async function assertNotUnwrapped(
  key: EncryptedDataKey,
  reason: string,
  by = keyring,
  given = materials,
): Promise<void> {
  await assert.rejects(by.onDecrypt(given, [key]), (error) => {
    assert.ok(error instanceof UnwrapError)
    assert.deepEqual(error.attempts, [{ key, reason }])
    assert.match(error.message, new RegExp(reason))
    assertLeaksNothing(error, wrappingKey, secret().export())
    return true
  })
}

describe('keyrings/raw-aes-keyring', () => {
  describe('the known answer', () => {
    const key = {
      keyProviderId: 'namespace',
      keyProviderInfo: Buffer.from('6b6e000000800000000cc0c1c2c3c4c5c6c7c8c9cacb', 'hex'),
      ciphertext: Buffer.from(
        '40096524333dd019d090b7e97ee1a6191c22b16c68b749ed729a11516b2021e96e66117327925eb757c176a4c22e04e7',
        'hex',
      ),
    }
    const known = new RawAesKeyring({ keyNamespace: 'namespace', keyName: 'kn', wrappingKey: sequence(0, 32) })

    it('is unwrapped', async () => {
      const { dataKey } = await known.onDecrypt(decryptionMaterials({ encryptionContext: { department: 'admin' } }), [
        key,
      ])
      assert.deepEqual(dataKey?.export(), sequence(0x40, 32))
    })

    it('is not unwrapped in another context', async () => {
      for (const context of [{}, { department: 'Admin' }, { department: 'admin', a: '' }]) {
        const given = decryptionMaterials({ encryptionContext: context })
        await assertNotUnwrapped(key, 'not authentic under this key and encryption context', known, given)
      }
    })
  })

  it('wraps data keys of every suite under keys of every size, and unwraps them', async () => {
    for (const suite of ALGORITHM_SUITES) {
      for (const size of [16, 24, 32]) {
        const by = new RawAesKeyring({ ...names, wrappingKey: sequence(1, size) })
        const full = await by.onEncrypt(encryptionMaterials({ suite, encryptionContext }))
        const opened = await by.onDecrypt(decryptionMaterials({ suite, encryptionContext }), full.encryptedDataKeys)
        assert.equal(opened.dataKey?.symmetricKeySize, suite.keyBytes)
        assert.ok(full.dataKey?.equals(opened.dataKey))
        assert.equal(opened.unconfirmed, undefined)
      }
    }
  })

  it('binds the whole encryption context, whatever its names', async () => {
    await fc.assert(
      fc.asyncProperty(encryptionContexts, async (context) => {
        const key = await wrapped(keyring, context)
        const given = decryptionMaterials({ encryptionContext: context })
        assert.ok((await keyring.onDecrypt(given, [key])).dataKey?.equals(secret()))
        const other = decryptionMaterials({ encryptionContext: { ...context, more: 'than that' } })
        await assert.rejects(keyring.onDecrypt(other, [key]), UnwrapError)
      }),
      { numRuns: 30 },
    )
  })

  it('writes name, lengths and a fresh IV, as the specification says', async () => {
    const seen = new Set<string>()
    for (let index = 0; index < 50; index++) {
      const { keyProviderId, keyProviderInfo, ciphertext } = await wrapped()
      assert.equal(keyProviderId, 'namespace')
      assert.equal(keyProviderInfo.length, 4 + 4 + 4 + 12)
      assert.equal(keyProviderInfo.toString('latin1', 0, 4), 'key1')
      assert.equal(keyProviderInfo.toString('hex', 4, 12), '00000080' + '0000000c')
      assert.equal(ciphertext.length, 32 + 16)
      seen.add(keyProviderInfo.toString('hex', 12))
    }
    assert.equal(seen.size, 50)
  })

  describe('passes over', () => {
    const CASES: Readonly<Record<string, [(key: EncryptedDataKey) => EncryptedDataKey, string]>> = {
      'another namespace': [(key) => ({ ...key, keyProviderId: 'Namespace' }), 'another key namespace'],
      'a longer namespace': [(key) => ({ ...key, keyProviderId: 'namespaces' }), 'another key namespace'],
      'a name of the same length': [(key) => withInfo(key, 'key2'), 'another key name'],
      'a name in other case': [(key) => withInfo(key, 'Key1'), 'another key name'],
      'a name that goes on': [(key) => withInfo(key, 'key10'), 'another key name'],
      'a name that ends earlier': [(key) => withInfo(key, 'key'), 'another key name'],
      'info that is cut': [
        (key) => ({ ...key, keyProviderInfo: key.keyProviderInfo.subarray(0, -1) }),
        'another key name',
      ],
      'info that is the name alone': [(key) => ({ ...key, keyProviderInfo: Buffer.from('key1') }), 'another key name'],
      'no info': [(key) => ({ ...key, keyProviderInfo: Buffer.alloc(0) }), 'another key name'],
      'a tag of 96 bits': [(key) => withInfo(key, 'key1', 96), 'a tag of other than 128 bits'],
      'a tag of 16 bits (bytes taken for bits)': [(key) => withInfo(key, 'key1', 16), 'a tag of other than 128 bits'],
      'an IV of 96 bytes (bits taken for bytes)': [
        (key) => withInfo(key, 'key1', 128, 96),
        'an IV of other than 12 bytes',
      ],
      'an IV of 16 bytes': [(key) => withInfo(key, 'key1', 128, 16), 'an IV of other than 12 bytes'],
      'a ciphertext a byte short': [
        (key) => ({ ...key, ciphertext: key.ciphertext.subarray(1) }),
        'not a wrapped data key of 32 bytes',
      ],
      'a ciphertext a byte long': [
        (key) => ({ ...key, ciphertext: Buffer.concat([key.ciphertext, Buffer.alloc(1)]) }),
        'not a wrapped data key of 32 bytes',
      ],
      'no ciphertext': [(key) => ({ ...key, ciphertext: Buffer.alloc(0) }), 'not a wrapped data key of 32 bytes'],
    }
    for (const [what, [change, reason]] of Object.entries(CASES)) {
      it(what, async () => {
        await assertNotUnwrapped(change(await wrapped()), reason)
      })
    }

    function withInfo(key: EncryptedDataKey, name: string, tagBits = 128, ivBytes = 12): EncryptedDataKey {
      const iv = key.keyProviderInfo.subarray(-12)
      return { ...key, keyProviderInfo: Buffer.concat([Buffer.from(name), uint(tagBits, 4), uint(ivBytes, 4), iv]) }
    }
  })

  it('does not take key10 for key1, nor the other way round, though their keys be the same', async () => {
    const longer = new RawAesKeyring({ ...names, keyName: 'key10', wrappingKey })
    await assertNotUnwrapped(await wrapped(longer), 'another key name')
    await assertNotUnwrapped(await wrapped(), 'another key name', longer)
  })

  it('does not unwrap a data key that is shorter than the suite’s, though it is authentic', async () => {
    const [suite] = ALGORITHM_SUITES
    const full = await keyring.onEncrypt(encryptionMaterials({ suite: suite!, encryptionContext }))
    await assertNotUnwrapped(full.encryptedDataKeys[0]!, 'not a wrapped data key of 32 bytes')
  })

  it('does not unwrap what another key wrapped, or what was changed in any byte', async () => {
    const reason = 'not authentic under this key and encryption context'
    const other = new RawAesKeyring({ ...names, wrappingKey: sequence(0x12, 32) })
    await assertNotUnwrapped(await wrapped(other), reason)
    const key = await wrapped()
    for (let at = 0; at < key.ciphertext.length; at++) {
      const ciphertext = Buffer.from(key.ciphertext)
      ciphertext[at]! ^= 1
      await assertNotUnwrapped({ ...key, ciphertext }, reason)
    }
    for (let at = 12; at < key.keyProviderInfo.length; at++) {
      const keyProviderInfo = Buffer.from(key.keyProviderInfo)
      keyProviderInfo[at]! ^= 1
      await assertNotUnwrapped({ ...key, keyProviderInfo }, reason)
    }
  })

  it('tries data keys in their order, and says of each why it gave nothing', async () => {
    const key = await wrapped()
    const twin = await wrapped()
    const broken = { ...key, ciphertext: Buffer.alloc(48) }
    const opened = await keyring.onDecrypt(materials, [foreignKey(), broken, key, twin])
    assert.ok(opened.dataKey?.equals(secret()))
    await assert.rejects(keyring.onDecrypt(materials, [foreignKey(), broken, broken]), (error) => {
      assert.ok(error instanceof UnwrapError)
      assert.deepEqual(
        error.attempts.map(({ key: tried, reason }) => [tried, reason]),
        [
          [foreignKey(), 'another key namespace'],
          [broken, 'not authentic under this key and encryption context'],
          [broken, 'not authentic under this key and encryption context'],
        ],
      )
      return true
    })
    await assert.rejects(keyring.onDecrypt(materials, []), (error) => {
      assert.ok(error instanceof UnwrapError)
      assert.deepEqual(error.attempts, [])
      return true
    })
  })

  it('does not decrypt into materials that hold a data key', async () => {
    await assert.rejects(keyring.onDecrypt({ ...materials, dataKey: secret() }, [await wrapped()]), TypeError)
  })

  it('stops where its signal is aborted', async () => {
    const reason = new Error('enough')
    await assert.rejects(keyring.onDecrypt(materials, [await wrapped()], { signal: AbortSignal.abort(reason) }), reason)
  })

  it('fails where the context can’t be serialised', async () => {
    const tooLong = encryptionMaterials({ encryptionContext: { a: 'x'.repeat(0x10000) } })
    await assert.rejects(keyring.onEncrypt(tooLong), { code: 'ERR_ESDK_LIMIT' })
  })

  describe('its options', () => {
    it('take bytes of 16, 24 or 32, or a secret KeyObject of that size', async () => {
      const view = new Uint8Array(40).fill(7).subarray(4, 36)
      for (const key of [Buffer.alloc(32, 7), view, createSecretKey(view)]) {
        const by = new RawAesKeyring({ ...names, wrappingKey: key })
        const twin = new RawAesKeyring({ ...names, wrappingKey: Buffer.alloc(32, 7) })
        assert.ok((await twin.onDecrypt(materials, [await wrapped(by)])).dataKey?.equals(secret()))
      }
    })

    it('take nothing else for a key, no text above all', () => {
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
      const wrong = [
        ...[0, 1, 15, 17, 31, 33, 48, 64].map((size) => Buffer.alloc(size)),
        ...[createSecretKey(Buffer.alloc(20)), privateKey, publicKey, createPublicKey(privateKey)],
        ...[
          '0123456789abcdef0123456789abcdef',
          undefined,
          null,
          5,
          [1, 2],
          new Uint16Array(16),
          new ArrayBuffer(32),
          {},
        ],
      ]
      for (const key of wrong) {
        const wrongKey = key as Buffer // that it is none is what the constructor has to find
        assert.throws(() => new RawAesKeyring({ ...names, wrappingKey: wrongKey }), {
          name: 'TypeError',
          message: /"wrappingKey" expected 16, 24 or 32 bytes/,
        })
      }
    })

    it('are checked by name', () => {
      assert.throws(() => new RawAesKeyring({ ...names, keyNamespace: 'aws-kms', wrappingKey }), TypeError)
      assert.throws(() => new RawAesKeyring({ ...names, keyName: '', wrappingKey }), TypeError)
    })

    it('are copied: a caller may clear its key', async () => {
      const mine = Buffer.from(wrappingKey)
      const by = new RawAesKeyring({ ...names, wrappingKey: mine })
      mine.fill(0)
      assert.ok((await by.onDecrypt(materials, [await wrapped()])).dataKey?.equals(secret()))
      const still = Buffer.from(wrappingKey)
      await wrapped(new RawAesKeyring({ ...names, wrappingKey: still }))
      assert.deepEqual(still, wrappingKey)
    })
  })

  it('shows no key when it is printed', () => {
    assert.ok(!inspect(keyring, { depth: 10, showHidden: true }).includes('11 12 13'))
    assert.equal(JSON.stringify(keyring), '{}')
  })

  describe('contexts in the order of localeCompare', () => {
    const context = { B: '1', a: '2', Z: '3' }
    const legacy = new RawAesKeyring({ ...names, wrappingKey, allowLocaleSortedContext: true })
    const { encrypt: encryptByPeer, decrypt: decryptByPeer } = buildClient(
      CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
    )

    function peer(utf8Sorting: boolean): RawAesKeyringNode {
      return new RawAesKeyringNode({
        keyName: names.keyName,
        keyNamespace: names.keyNamespace,
        unencryptedMasterKey: new Uint8Array(wrappingKey),
        wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
        utf8Sorting,
      })
    }

    it('are unwrapped from the SDK for JavaScript only where that is allowed', async () => {
      const { result } = await encryptByPeer(peer(false), 'text', { encryptionContext: context })
      await assert.rejects(decrypt(result, { keyring }), UnwrapError)
      assert.equal((await decrypt(result, { keyring: legacy })).plaintext.toString(), 'text')
      const sorted = await encryptByPeer(peer(true), 'text', { encryptionContext: context })
      for (const by of [keyring, legacy]) {
        assert.equal((await decrypt(sorted.result, { keyring: by })).plaintext.toString(), 'text')
      }
    })

    it('are never written', async () => {
      for (const by of [keyring, legacy]) {
        const { ciphertext } = await encrypt('text', { keyring: by, encryptionContext: context })
        assert.equal((await decryptByPeer(peer(true), ciphertext)).plaintext.toString(), 'text')
        await assert.rejects(decryptByPeer(peer(false), ciphertext))
      }
    })

    it('open nothing that is changed', async () => {
      const { result } = await encryptByPeer(peer(false), 'text', { encryptionContext: { ...context, c: '4' } })
      const pair = Buffer.from('00015a000133', 'hex') // Z: 3
      const at = result.indexOf(pair)
      assert.ok(at > 0)
      result[at + 2]! ^= 1
      await assert.rejects(decrypt(result, { keyring: legacy }), UnwrapError)
    })
  })

  it('leaves a message that another keyring wrapped to that one', async () => {
    const other = new RawAesKeyring({ ...names, keyName: 'key10', wrappingKey: sequence(3, 16) })
    const both = new MultiKeyring({ generator: keyring, children: [other] })
    const { ciphertext } = await encrypt('text', { keyring: both, encryptionContext: { department: 'admin' } })
    for (const by of [keyring, other])
      assert.equal((await decrypt(ciphertext, { keyring: by })).plaintext.toString(), 'text')
  })
})
