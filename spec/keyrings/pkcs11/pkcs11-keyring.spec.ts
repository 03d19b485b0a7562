// SoftHSM 2 has OAEP with SHA-1 only: how the other hashes are unwrapped is in token-key.spec.ts, with a stated double.
import assert from 'node:assert/strict'
import { constants, publicEncrypt } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { inspect } from 'node:util'
import {
  DecryptStream,
  EncryptStream,
  MultiKeyring,
  RawAesKeyring,
  RawRsaKeyring,
  type RsaPadding,
  UnwrapError,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { ALGORITHM_SUITES, type EncryptedDataKey, algorithmSuite } from 'esdk-streams/format'
import { Pkcs11Keyring, type Pkcs11KeyringOptions } from 'esdk-streams/pkcs11'
import { policyOf } from '../../arbitraries.ts'
import { decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../../materials/sample.ts'
import { craft, uint } from '../../message-recipe.ts'
import {
  AES_KEYS,
  OTHER_TOKEN,
  PIN,
  TOKEN,
  assertUnwraps,
  attemptsOf,
  names,
  pair,
  reasonsOf,
  short,
  useToken,
  without,
  wrapErrorOf,
  wrapped,
} from './setup.ts'

const PADDINGS = ['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512'] as const
/** What SoftHSM unwraps. */
const UNWRAPPED = ['pkcs1', 'oaep-sha1'] as const
const CONTEXTS = [{}, { purpose: 'backup' }, { '': 'x', éclair: '3', Zebra: '1', '\u{1F600}': '4' }]
const NOT_AUTHENTIC = 'not authentic under this key and encryption context'
const NOT_UNWRAPPED = 'not unwrapped by this private key'

describe('keyrings/pkcs11/pkcs11-keyring', () => {
  const token = useToken()
  const opened: Pkcs11Keyring[] = []

  afterEach(() => Promise.all(opened.splice(0).map((keyring) => keyring.close())))

  function make(changes: Partial<Pkcs11KeyringOptions>): Pkcs11Keyring {
    const all = { ...token.options, ...names, keyLabel: 'aes', wrappingAlgorithm: 'aes-gcm', ...changes } as const
    const keyring = new Pkcs11Keyring(all)
    opened.push(keyring)
    return keyring
  }

  function rsa(padding: RsaPadding, keyLabel = 'rsa'): Pkcs11Keyring {
    return make({ keyLabel, wrappingAlgorithm: padding })
  }

  describe('with an AES key', () => {
    it('wraps data keys of every suite under keys of every size, and unwraps them', async () => {
      for (const keyLabel of Object.keys(AES_KEYS)) {
        const keyring = make({ keyLabel })
        for (const suite of ALGORITHM_SUITES) {
          const full = await keyring.onEncrypt(encryptionMaterials({ suite }))
          const result = await keyring.onDecrypt(decryptionMaterials({ suite }), full.encryptedDataKeys)
          assert.equal(result.dataKey?.symmetricKeySize, suite.keyBytes)
          assert.equal(full.dataKey?.equals(result.dataKey), true)
          assert.equal(result.unconfirmed, undefined)
        }
      }
    })

    it('writes what a RawAesKeyring with the same key reads, and the other way', async () => {
      for (const [keyLabel, wrappingKey] of Object.entries(AES_KEYS)) {
        const ours = make({ keyLabel })
        const raw = new RawAesKeyring({ ...names, wrappingKey })
        for (const encryptionContext of CONTEXTS) {
          for (const [from, to] of [
            [ours, raw],
            [raw, ours],
          ] as const) {
            const { ciphertext } = await encrypt('text', { keyring: from, encryptionContext })
            const { plaintext } = await decrypt(ciphertext, { keyring: to, encryptionContext })
            assert.equal(plaintext.toString(), 'text')
          }
        }
      }
    })

    it('writes name, lengths and a fresh IV, as the specification says', async () => {
      const keyring = make({ keyName: 'kn' })
      const seen = new Set<string>()
      for (let index = 0; index < 50; index++) {
        const { keyProviderId, keyProviderInfo, ciphertext } = await wrapped(keyring)
        assert.equal(keyProviderId, 'namespace')
        assert.match(keyProviderInfo.toString('hex'), /^6b6e000000800000000c[0-9a-f]{24}$/)
        assert.equal(ciphertext.length, 32 + 16)
        seen.add(keyProviderInfo.toString('hex', 10))
      }
      assert.equal(seen.size, 50)
    })

    it('does not unwrap what was changed, or was wrapped in another context', async () => {
      const keyring = make({})
      const key = await wrapped(keyring, { a: '1' })
      const flipped = (bytes: Buffer, at: number): Buffer => {
        const copy = Buffer.from(bytes)
        copy[at]! ^= 1
        return copy
      }
      const tampered = [
        ...[0, 31, 32, 47].map((at) => ({ ...key, ciphertext: flipped(key.ciphertext, at) })),
        ...[12, 23].map((at) => ({ ...key, keyProviderInfo: flipped(key.keyProviderInfo, at) })),
      ]
      const attempts = await attemptsOf(keyring, tampered, { encryptionContext: { a: '1' } })
      assert.deepEqual(
        attempts.map(({ reason }) => reason),
        tampered.map(() => NOT_AUTHENTIC),
      )
      for (const encryptionContext of [{}, { a: '2' }, { a: '1', b: '' }]) {
        const [attempt] = await attemptsOf(keyring, [key], { encryptionContext })
        assert.equal(attempt?.reason, NOT_AUTHENTIC)
      }
      await assertUnwraps(keyring, key, { a: '1' })
    })

    it('passes over the data keys of others, and goes on to its own', async () => {
      const keyring = make({})
      const key = await wrapped(keyring)
      const info = (prefix: string, tagBits = 128, ivBytes = 12): Buffer =>
        Buffer.concat([Buffer.from(prefix), uint(tagBits, 4), uint(ivBytes, 4), Buffer.alloc(12)])
      const others: [EncryptedDataKey, string][] = [
        [foreignKey(), 'another key namespace'],
        [{ ...key, keyProviderId: 'namespace2' }, 'another key namespace'],
        [{ ...key, keyProviderInfo: info('key2') }, 'another key name'],
        [{ ...key, keyProviderInfo: info('key10') }, 'another key name'],
        [{ ...key, keyProviderInfo: Buffer.from('key1') }, 'another key name'],
        [{ ...key, keyProviderInfo: info('key1', 96) }, 'a tag of other than 128 bits'],
        [{ ...key, keyProviderInfo: info('key1', 128, 16) }, 'an IV of other than 12 bytes'],
        [{ ...key, ciphertext: Buffer.alloc(47) }, 'not a wrapped data key of 32 bytes'],
      ]
      const keys = others.map(([other]) => other)
      assert.deepEqual(
        await attemptsOf(keyring, keys),
        others.map(([other, reason]) => ({ key: other, reason })),
      )
      const { dataKey } = await keyring.onDecrypt(decryptionMaterials(), [...keys, key])
      assert.equal(dataKey?.equals(secret()), true)
      const another = make({ keyLabel: 'aes-128' }) // by the same name, and yet not this key
      const theirs = await wrapped(another)
      const { dataKey: second } = await keyring.onDecrypt(decryptionMaterials(), [theirs, key])
      assert.equal(second?.equals(secret()), true)
    })

    it('serves a hundred at a time, streams, and a multi-keyring', async () => {
      const keyring = make({})
      const texts = Array.from({ length: 100 }, (_, index) => `message ${index}`)
      const messages = await Promise.all(texts.map((text) => encrypt(text, { keyring, algorithmSuite: 0x0478 })))
      const read = await Promise.all(messages.map(({ ciphertext }) => decrypt(ciphertext, { keyring })))
      assert.deepEqual(
        read.map(({ plaintext }) => plaintext.toString()),
        texts,
      )
      const raw = new RawAesKeyring({ ...names, keyName: 'escrow', wrappingKey: Buffer.alloc(32, 1) })
      const both = new MultiKeyring({ generator: keyring, children: [raw] })
      const sealed = await buffer(Readable.from([Buffer.alloc(100_000, 7)]).pipe(new EncryptStream({ keyring: both })))
      for (const one of [keyring, raw]) {
        const back = await buffer(Readable.from([sealed]).pipe(new DecryptStream({ keyring: one })))
        assert.equal(back.equals(Buffer.alloc(100_000, 7)), true)
      }
    })
  })

  describe('with an RSA key', () => {
    for (const padding of PADDINGS) {
      it(`writes what a RawRsaKeyring with the same key reads, padded with ${padding}`, async () => {
        const raw = new RawRsaKeyring({ ...names, ...pair, padding })
        const keyring = rsa(padding)
        for (const suite of ALGORITHM_SUITES) {
          const { dataKey, encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials({ suite }))
          const [key] = encryptedDataKeys
          assert.equal(key?.keyProviderId, 'namespace')
          assert.equal(key.keyProviderInfo.toString(), 'key1')
          assert.equal(key.ciphertext.length, 256)
          const result = await raw.onDecrypt(decryptionMaterials({ suite }), [key])
          assert.equal(dataKey !== undefined && result.dataKey?.equals(dataKey), true)
        }
      })
    }

    for (const padding of UNWRAPPED) {
      it(`reads what it and a RawRsaKeyring wrote, padded with ${padding}`, async () => {
        const keyring = rsa(padding)
        const raw = new RawRsaKeyring({ ...names, ...pair, padding })
        for (const from of [keyring, raw]) {
          const { ciphertext } = await encrypt('text', { keyring: from, encryptionContext: { a: '1' } })
          assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), 'text')
          const { unconfirmed } = await keyring.onDecrypt(decryptionMaterials(), [await wrapped(from)])
          assert.equal(unconfirmed !== undefined, padding === 'pkcs1')
        }
      })

      it(`says the same of every failure, with ${padding}`, async () => {
        const keyring = rsa(padding, 'short')
        const how =
          padding === 'pkcs1'
            ? { padding: constants.RSA_PKCS1_PADDING }
            : { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' }
        const key = { keyProviderId: 'namespace', keyProviderInfo: Buffer.from('key1') }
        const block = (start: number[]): Buffer => {
          const bytes = Buffer.alloc(128, 0x5a)
          Buffer.from(start).copy(bytes)
          bytes[100] = 0
          return publicEncrypt({ key: short.publicKey, padding: constants.RSA_NO_PADDING }, bytes)
        }
        const ciphertexts = [
          ...[Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(127, 1), Buffer.alloc(129, 1), Buffer.alloc(128, 0xff)],
          ...[block([0, 1]), block([1, 2]), block([0, 2, 1, 0]), block([0, 2]), Buffer.alloc(300, 1)],
          ...[0, 1, 16, 24, 31, 33].map((length) =>
            publicEncrypt({ key: short.publicKey, ...how }, Buffer.alloc(length, 1)),
          ),
        ]
        for (const ciphertext of ciphertexts) {
          const tried = { ...key, ciphertext }
          assert.deepEqual(await attemptsOf(keyring, [tried]), [{ key: tried, reason: NOT_UNWRAPPED }])
        }
        await assertUnwraps(keyring, await wrapped(keyring)) // the session is as good as before
      })
    }

    it('tells of a token that lacks the hash, which no ciphertext has to do with', async () => {
      for (const padding of ['oaep-sha256', 'oaep-sha384', 'oaep-sha512'] as const) {
        const keyring = rsa(padding)
        const key = await wrapped(keyring)
        const result = await keyring.onDecrypt(decryptionMaterials(), [key]).catch((error: unknown) => error)
        // Later versions of SoftHSM than 2.6.1 may have it.
        if (result instanceof UnwrapError) assert.match(result.message, /the token answered CKR_ARGUMENTS_BAD$/)
        else await assertUnwraps(keyring, key)
      }
    })

    it('passes over the data keys of others, and goes on to its own', async () => {
      const keyring = rsa('oaep-sha1')
      const key = await wrapped(keyring)
      const others = [
        { ...key, keyProviderId: 'namespace2' },
        ...['key', 'key10', 'Key1', ''].map((name) => ({ ...key, keyProviderInfo: Buffer.from(name) })),
      ]
      const reasons = ['another key namespace', ...Array.from({ length: 4 }, () => 'another key name')]
      assert.deepEqual(await reasonsOf(keyring, ...others), reasons)
      const foreign = await wrapped(rsa('oaep-sha1', 'short'))
      const { dataKey } = await keyring.onDecrypt(decryptionMaterials(), [...others, foreign, key])
      assert.equal(dataKey?.equals(secret()), true)
    })

    describe('where PKCS #1 v1.5 gives a wrong data key of the right length', () => {
      const suites = [0x0178, 0x0478, 0x0578].map((id) => algorithmSuite(id))
      const wrong = (): EncryptedDataKey => ({
        keyProviderId: 'namespace',
        keyProviderInfo: Buffer.from('key1'),
        ciphertext: publicEncrypt({ key: short.publicKey, padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(32, 9)),
      })

      it('ends in the same error as where it gives none', async () => {
        const keyring = rsa('pkcs1', 'short')
        for (const suite of suites) {
          const errors: UnwrapError[] = []
          for (const key of [wrong(), { ...wrong(), ciphertext: Buffer.alloc(128, 0xff) }]) {
            const { message } = craft({ suite, keys: [key] })
            await assert.rejects(decrypt(message, { keyring, commitmentPolicy: policyOf(suite) }), (error) => {
              assert.ok(error instanceof UnwrapError, String(error))
              assert.deepEqual(error.attempts, [{ key, reason: NOT_UNWRAPPED }])
              errors.push(error)
              return true
            })
          }
          assert.equal(errors[0]!.message, errors[1]!.message)
          assert.deepEqual(Object.keys(errors[0]!).sort(), Object.keys(errors[1]!).sort())
        }
      })

      it('goes on with the next data key', async () => {
        const keyring = rsa('pkcs1', 'short')
        for (const suite of suites) {
          const { encryptedDataKeys } = await keyring.onEncrypt(
            encryptionMaterials({ suite, dataKey: secret(suite.keyBytes, 0x40) }), // the data key of crafted messages
          )
          const { message } = craft({ suite, keys: [wrong(), wrong(), foreignKey(), ...encryptedDataKeys] })
          const { plaintext } = await decrypt(message, { keyring, commitmentPolicy: policyOf(suite) })
          assert.equal(plaintext.length, 40)
        }
      })

      it('is told so by the keyring, which then passes over just that', async () => {
        const keyring = rsa('pkcs1', 'short')
        const key = wrong()
        const { unconfirmed } = await keyring.onDecrypt(decryptionMaterials(), [key])
        assert.deepEqual(unconfirmed, { unwrappedBy: keyring, attempt: { key, reason: NOT_UNWRAPPED } })
        const disproved = [unconfirmed]
        assert.deepEqual(await attemptsOf(keyring, [key], { disproved }), [{ key, reason: NOT_UNWRAPPED }])
        const twin = { ...key }
        const second = await keyring.onDecrypt(decryptionMaterials({ disproved }), [key, twin])
        assert.equal(second.dataKey !== undefined, true)
        const elsewhere = [{ ...unconfirmed, unwrappedBy: rsa('pkcs1', 'short') }]
        const third = await keyring.onDecrypt(decryptionMaterials({ disproved: elsewhere }), [key])
        assert.equal(third.dataKey !== undefined, true)
      })
    })

    it('fails where the key is too short for the padding', async () => {
      const { message } = await wrapErrorOf(rsa('oaep-sha512', 'short'))
      assert.match(message, /labelled "short" could not wrap the data key: .* may be too short for this padding/)
    })
  })

  describe('finds its key', () => {
    it('by label, by id, or by both', async () => {
      const key = await wrapped(make({ keyLabel: 'aes' }))
      const [label, id] = ['twice', Buffer.from([6])] // the same key, once more
      await assertUnwraps(make({ keyLabel: label, keyId: id }), key)
      const rest = { ...token.options, ...names, wrappingAlgorithm: 'aes-gcm' } as const
      const byId = new Pkcs11Keyring({ ...rest, keyId: id })
      opened.push(byId)
      await assertUnwraps(byId, key)
      assert.deepEqual(await reasonsOf(make({ keyLabel: label, keyId: Buffer.from([7]) }), key), [NOT_AUTHENTIC])
    })

    it('in the slot with that number', async () => {
      token.hsm.initialize()
      const slot = Number(token.hsm.slotOf(TOKEN).readBigUInt64LE())
      token.hsm.finalize()
      const rest = without(token.options, 'tokenLabel')
      const bySlot = new Pkcs11Keyring({ ...rest, slot, ...names, keyLabel: 'aes', wrappingAlgorithm: 'aes-gcm' })
      opened.push(bySlot)
      await assertUnwraps(make({}), await wrapped(bySlot))
      const wrong = new Pkcs11Keyring({ ...rest, slot: 77, ...names, keyLabel: 'aes', wrappingAlgorithm: 'aes-gcm' })
      opened.push(wrong)
      assert.match((await wrapErrorOf(wrong)).message, /there is no token in slot 77$/)
    })

    const aes = { wrappingAlgorithm: 'aes-gcm' } as const
    const oaep = { wrappingAlgorithm: 'oaep-sha1' } as const
    const id = Buffer.from([9, 9])
    const WRAP_FAILURES: [Partial<Pkcs11KeyringOptions>, RegExp][] = [
      [{ keyLabel: 'nope', ...aes }, /there is no AES key labelled "nope" on the token$/],
      [{ keyLabel: 'aes', keyId: id, ...aes }, /there is no AES key labelled "aes" with id 0909 on the token$/],
      [{ keyLabel: 'rsa', ...aes }, /there is no AES key labelled "rsa" on the token$/],
      [{ keyLabel: 'aes', ...oaep }, /there is no public RSA key labelled "aes" on the token$/],
      [{ keyLabel: 'private half', ...oaep }, /there is no public RSA key labelled "private half" on the token$/],
      [{ keyLabel: 'twice', ...aes }, /there is more than one AES key labelled "twice" on the token$/],
      [{ keyLabel: 'only decrypts', ...aes }, /the key may not be used for this \(CKR_KEY_FUNCTION_NOT_PERMITTED\)$/],
      [{ keyLabel: 'signs', ...oaep }, /the public RSA key labelled "signs" may not be used to encrypt$/],
      [{ keyLabel: 'planted', ...oaep }, /labelled "planted" does not belong to the private one$/],
      [{ tokenLabel: 'nope', ...aes }, /there is no token labelled "nope"$/],
      [{ tokenLabel: OTHER_TOKEN, ...aes }, /there is no AES key labelled "aes" on the token$/],
    ]
    for (const [options, message] of WRAP_FAILURES) {
      it(`or encrypts nothing: ${message.source}`, async () => {
        const keyring = make(options)
        for (let time = 0; time < 2; time++) assert.match((await wrapErrorOf(keyring)).message, message)
      })
    }

    it('or decrypts nothing', async () => {
      const [aesKey, rsaKey] = [await wrapped(make({})), await wrapped(rsa('oaep-sha1'))]
      const permitted = 'the key may not be used for this (CKR_KEY_FUNCTION_NOT_PERMITTED)'
      const cases: [Partial<Pkcs11KeyringOptions>, EncryptedDataKey, string][] = [
        [{ keyLabel: 'only encrypts', ...aes }, aesKey, permitted],
        [{ keyLabel: 'signs', ...oaep }, rsaKey, permitted],
        [{ keyLabel: 'nope', ...aes }, aesKey, 'there is no AES key labelled "nope" on the token'],
        [
          { keyLabel: 'public half', ...oaep },
          rsaKey,
          'there is no private RSA key labelled "public half" on the token',
        ],
        [{ tokenLabel: 'nope', ...aes }, aesKey, 'there is no token labelled "nope"'],
      ]
      for (const [options, key, reason] of cases) assert.deepEqual(await reasonsOf(make(options), key), [reason])
      await assertUnwraps(make({ keyLabel: 'private half', ...oaep }), rsaKey)
      await assertUnwraps(make({ keyLabel: 'only decrypts', ...aes }), aesKey)
    })
  })

  it('does not decrypt into materials that hold a data key', async () => {
    const keyring = make({})
    const keys = [await wrapped(keyring)]
    await assert.rejects(keyring.onDecrypt(decryptionMaterials({ dataKey: secret() }), keys), TypeError)
  })

  it('shows no PIN', () => {
    const shown = inspect(make({}), { depth: 10, showHidden: true })
    assert.equal(shown.includes(PIN), false)
  })
})
