import assert from 'node:assert/strict'
import {
  type KeyObject,
  constants,
  createPrivateKey,
  createSecretKey,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { MultiKeyring, RawRsaKeyring, type RsaPadding, UnwrapError, WrapError, decrypt, encrypt } from 'esdk-streams'
import { ALGORITHM_SUITES, type EncryptedDataKey, algorithmSuite } from 'esdk-streams/format'
import { decryptPkcs1 } from '#lib/crypto/rsa-pkcs1'
import { policyOf } from '../arbitraries.ts'
import { decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../materials/sample.ts'
import { craft } from '../message-recipe.ts'
import { assertLeaksNothing } from './leaks.ts'

const PADDINGS = ['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512'] as const
const REASON = 'not unwrapped by this private key'

const names = { keyNamespace: 'namespace', keyName: 'key1' }
const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
// Short, so that what must be found by trying is found soon.
const short = generateKeyPairSync('rsa', { modulusLength: 1024 })
const other = generateKeyPairSync('rsa', { modulusLength: 1024 })

function keyringOf(padding: RsaPadding, keys: { publicKey?: KeyObject; privateKey?: KeyObject } = pair): RawRsaKeyring {
  return new RawRsaKeyring({ ...names, padding, ...keys })
}

async function wrapped(by: RawRsaKeyring, dataKey = secret()): Promise<EncryptedDataKey> {
  return (await by.onEncrypt(encryptionMaterials({ dataKey }))).encryptedDataKeys[0]!
}

async function attemptsOf(by: RawRsaKeyring, ...keys: EncryptedDataKey[]): Promise<UnwrapError['attempts']> {
  try {
    await by.onDecrypt(decryptionMaterials(), keys)
  } catch (error) {
    assert.ok(error instanceof UnwrapError, String(error))
    assertLeaksNothing(error, secret().export())
    return error.attempts
  }
  assert.fail('a data key was unwrapped')
}

/** A ciphertext from `make` that decrypts to a wrong data key of 32 bytes under this key. */
function disprovable(privateKey: KeyObject, make: () => Buffer): Buffer {
  for (;;) {
    const ciphertext = make()
    try {
      if (decryptPkcs1(privateKey, ciphertext).length === 32) return ciphertext
    } catch {
      // It is above this key's modulus.
    }
  }
}

function randomCiphertext(): Buffer {
  return Buffer.concat([Buffer.alloc(1), randomBytes(127)])
}

function entry(ciphertext: Buffer): EncryptedDataKey {
  return { keyProviderId: names.keyNamespace, keyProviderInfo: Buffer.from(names.keyName), ciphertext }
}

describe('keyrings/raw-rsa-keyring', () => {
  for (const padding of PADDINGS) {
    it(`wraps data keys of every suite with ${padding} and unwraps them`, async () => {
      const keyring = keyringOf(padding)
      for (const suite of ALGORITHM_SUITES) {
        const full = await keyring.onEncrypt(encryptionMaterials({ suite }))
        const [key] = full.encryptedDataKeys
        assert.equal(key!.keyProviderId, 'namespace')
        assert.equal(key!.keyProviderInfo.toString(), 'key1')
        assert.equal(key!.ciphertext.length, 256)
        // Raw RSA does not bind the encryption context.
        const given = decryptionMaterials({ suite, encryptionContext: { any: 'context' } })
        const opened = await keyring.onDecrypt(given, [key!])
        assert.ok(full.dataKey !== undefined && opened.dataKey?.equals(full.dataKey))
        assert.equal(opened.unconfirmed !== undefined, padding === 'pkcs1')
      }
    })

    it(`writes and reads whole messages with ${padding}`, async () => {
      const options = { keyring: keyringOf(padding), encryptionContext: { a: '1' } }
      const { ciphertext } = await encrypt('text', options)
      assert.equal((await decrypt(ciphertext, options)).plaintext.toString(), 'text')
    })
  }

  it('pads as node:crypto does, MGF1 with the same hash', async () => {
    const hashes = { 'oaep-sha1': 'sha1', 'oaep-sha256': 'sha256', 'oaep-sha384': 'sha384', 'oaep-sha512': 'sha512' }
    for (const [padding, oaepHash] of Object.entries(hashes) as [RsaPadding, string][]) {
      const { ciphertext } = await wrapped(keyringOf(padding))
      const key = { key: pair.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }
      assert.deepEqual(privateDecrypt(key, ciphertext), secret().export())
      for (const wrong of PADDINGS.filter((candidate) => candidate !== padding && candidate !== 'pkcs1')) {
        const key2 = await wrapped(keyringOf(padding))
        assert.deepEqual(await attemptsOf(keyringOf(wrong), key2), [{ key: key2, reason: REASON }])
      }
    }
  })

  describe('with half a key pair', () => {
    it('encrypts with the public half, and does not decrypt', async () => {
      const keyring = keyringOf('oaep-sha256', { publicKey: pair.publicKey })
      const key = await wrapped(keyring)
      assert.deepEqual(await attemptsOf(keyring, foreignKey(), key), [
        { key: foreignKey(), reason: 'this keyring has no private key' },
        { key, reason: 'this keyring has no private key' },
      ])
    })

    it('decrypts with the private half, and does not encrypt: no public key is derived', async () => {
      const keyring = keyringOf('oaep-sha256', { privateKey: pair.privateKey })
      const { dataKey } = await keyring.onDecrypt(decryptionMaterials(), [await wrapped(keyringOf('oaep-sha256'))])
      assert.ok(dataKey?.equals(secret()))
      await assert.rejects(keyring.onEncrypt(encryptionMaterials()), (error) => {
        assert.ok(error instanceof WrapError)
        assert.match(error.message, /without a public key cannot encrypt/)
        return true
      })
    })

    it('opens in one place what was sealed in another', async () => {
      const sealing = keyringOf('oaep-sha512', { publicKey: pair.publicKey })
      const opening = keyringOf('oaep-sha512', { privateKey: pair.privateKey })
      const { ciphertext } = await encrypt('text', { keyring: sealing })
      assert.equal((await decrypt(ciphertext, { keyring: opening })).plaintext.toString(), 'text')
      await assert.rejects(decrypt(ciphertext, { keyring: sealing }), { code: 'ERR_ESDK_UNWRAP' })
      await assert.rejects(encrypt('text', { keyring: opening }), { code: 'ERR_ESDK_WRAP' })
    })
  })

  it('passes over other namespaces and names, exactly', async () => {
    const keyring = keyringOf('oaep-sha256')
    const key = await wrapped(keyring)
    const renamed = (keyName: string): EncryptedDataKey => ({ ...key, keyProviderInfo: Buffer.from(keyName) })
    const others = ['key', 'key10', 'Key1', '', 'key1\0'].map(renamed)
    assert.deepEqual(
      await attemptsOf(keyring, { ...key, keyProviderId: 'namespace2' }, ...others),
      [{ ...key, keyProviderId: 'namespace2' }, ...others].map((tried, index) => ({
        key: tried,
        reason: index === 0 ? 'another key namespace' : 'another key name',
      })),
    )
    const opened = await keyring.onDecrypt(decryptionMaterials(), [...others, key])
    assert.ok(opened.dataKey?.equals(secret()))
  })

  it('does not unwrap data keys of another length, with any padding', async () => {
    for (const padding of PADDINGS) {
      for (const length of [0, 1, 16, 24, 31, 33]) {
        const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: padding.replace('oaep-', '') }
        const how = padding === 'pkcs1' ? { padding: constants.RSA_PKCS1_PADDING } : oaep
        const key = entry(publicEncrypt({ key: pair.publicKey, ...how }, Buffer.alloc(length, 1)))
        assert.deepEqual(await attemptsOf(keyringOf(padding), key), [{ key, reason: REASON }])
      }
    }
  })

  it('says the same of every failure of PKCS #1 v1.5', async () => {
    const keyring = keyringOf('pkcs1', short)
    const block = (start: number[]): Buffer => {
      const bytes = Buffer.alloc(128, 0x5a)
      Buffer.from(start).copy(bytes)
      bytes[95] = 0
      return publicEncrypt({ key: short.publicKey, padding: constants.RSA_NO_PADDING }, bytes)
    }
    const ciphertexts = [
      ...[Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(127, 1), Buffer.alloc(129, 1), Buffer.alloc(128, 0xff)],
      ...[block([0, 1]), block([1, 2]), block([0, 2, 1, 0]), randomCiphertext(), randomCiphertext()],
      publicEncrypt({ key: short.publicKey, padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(16)),
    ]
    // A block that is right has 32 bytes after the zero: the faults above are in nothing else.
    assert.equal(decryptPkcs1(short.privateKey, block([0, 2])).length, 32)
    const seen: string[] = []
    for (const ciphertext of ciphertexts) {
      // By chance, one of them may have the length of a data key: then the header would disprove it.
      try {
        if (decryptPkcs1(short.privateKey, ciphertext).length === 32) continue
      } catch {
        // A failure is what is looked for.
      }
      const [attempt, ...rest] = await attemptsOf(keyring, entry(ciphertext))
      assert.deepEqual(rest, [])
      assert.deepEqual(Object.keys(attempt!).sort(), ['key', 'reason'])
      seen.push(attempt!.reason)
    }
    assert.ok(seen.length > 5)
    assert.deepEqual([...new Set(seen)], [REASON])
  })

  describe('where PKCS #1 v1.5 gives a wrong data key of the right length', () => {
    const suites = [0x0178, 0x0478, 0x0578].map((id) => algorithmSuite(id))
    const keyring = keyringOf('pkcs1', short)

    it('ends in the same error as where it gives none', async () => {
      for (const suite of suites) {
        const wrong = entry(disprovable(short.privateKey, randomCiphertext))
        const none = entry(Buffer.alloc(128, 0xff))
        const errors: UnwrapError[] = []
        for (const key of [wrong, none]) {
          const { message } = craft({ suite, keys: [key] })
          await assert.rejects(decrypt(message, { keyring, commitmentPolicy: policyOf(suite) }), (error) => {
            assert.ok(error instanceof UnwrapError, String(error))
            assert.equal(error.attempts.length, 1)
            assert.equal(error.attempts[0]!.reason, REASON)
            assert.equal(error.attempts[0]!.cause, undefined)
            assert.deepEqual(error.attempts[0]!.key, key)
            errors.push(error)
            return true
          })
        }
        assert.equal(errors[0]!.message, errors[1]!.message)
        assert.deepEqual(Object.keys(errors[0]!).sort(), Object.keys(errors[1]!).sort())
      }
    })

    it('goes on with the next data key', async () => {
      for (const suite of suites) {
        const { encryptedDataKeys } = await keyring.onEncrypt(
          encryptionMaterials({ suite, dataKey: secret(suite.keyBytes, 0x40) }), // the data key of crafted messages
        )
        const wrong = [1, 2].map(() => entry(disprovable(short.privateKey, randomCiphertext)))
        const { message } = craft({ suite, keys: [...wrong, foreignKey(), ...encryptedDataKeys] })
        const { plaintext } = await decrypt(message, { keyring, commitmentPolicy: policyOf(suite) })
        assert.equal(plaintext.length, 40)
      }
    })

    it('goes on with the next keyring, though it have the same name and namespace', async () => {
      const second = keyringOf('pkcs1', other)
      const genuine = disprovable(short.privateKey, () =>
        publicEncrypt(
          { key: other.publicKey, padding: constants.RSA_PKCS1_PADDING },
          secret(32, 0x40).export(), // the data key of crafted messages
        ),
      )
      for (const suite of suites) {
        const { message } = craft({ suite, keys: [entry(genuine)] })
        for (const children of [
          [keyring, second],
          [second, keyring],
        ]) {
          const both = new MultiKeyring({ children })
          const { plaintext } = await decrypt(message, { keyring: both, commitmentPolicy: policyOf(suite) })
          assert.equal(plaintext.length, 40)
        }
        const nested = new MultiKeyring({ generator: new MultiKeyring({ children: [keyring] }), children: [second] })
        await decrypt(message, { keyring: nested, commitmentPolicy: policyOf(suite) })
        await assert.rejects(decrypt(message, { keyring, commitmentPolicy: policyOf(suite) }), UnwrapError)
      }
    })

    it('is told so by the keyring, which then passes over just that', async () => {
      const key = entry(disprovable(short.privateKey, randomCiphertext))
      const { unconfirmed } = await keyring.onDecrypt(decryptionMaterials(), [key])
      assert.deepEqual(unconfirmed, { unwrappedBy: keyring, attempt: { key, reason: REASON } })
      const disproved = [unconfirmed]
      await assert.rejects(keyring.onDecrypt(decryptionMaterials({ disproved }), [key]), (error) => {
        assert.ok(error instanceof UnwrapError)
        assert.deepEqual(error.attempts, [{ key, reason: REASON }])
        return true
      })
      const twin = { ...key }
      assert.ok((await keyring.onDecrypt(decryptionMaterials({ disproved }), [key, twin])).dataKey !== undefined)
      const elsewhere = [{ ...unconfirmed, unwrappedBy: keyringOf('pkcs1', short) }]
      assert.ok((await keyring.onDecrypt(decryptionMaterials({ disproved: elsewhere }), [key])).dataKey !== undefined)
    })
  })

  it('does not open a message whose context was changed: the header’s tag finds it', async () => {
    const { ciphertext } = await encrypt('text', {
      keyring: keyringOf('oaep-sha256'),
      encryptionContext: { tenant: 'one' },
      algorithmSuite: 0x0478,
    })
    ciphertext[ciphertext.indexOf('tenant')]! ^= 0x20
    await assert.rejects(decrypt(ciphertext, { keyring: keyringOf('oaep-sha256') }), {
      code: 'ERR_ESDK_AUTHENTICATION',
      part: 'header',
    })
  })

  it('fails where the key is too short for the padding, and keeps the data key to itself', async () => {
    const keyring = keyringOf('oaep-sha512', short)
    await assert.rejects(keyring.onEncrypt(encryptionMaterials({ dataKey: secret() })), (error) => {
      assert.ok(error instanceof WrapError)
      assert.match(error.message, /may be too short for this padding/)
      assert.ok(error.cause instanceof Error)
      assertLeaksNothing(error, secret().export())
      return true
    })
  })

  it('does not decrypt into materials that hold a data key, and stops where it is aborted', async () => {
    const keyring = keyringOf('oaep-sha256')
    const keys = [await wrapped(keyring)]
    await assert.rejects(keyring.onDecrypt(decryptionMaterials({ dataKey: secret() }), keys), TypeError)
    const reason = new Error('enough')
    await assert.rejects(keyring.onDecrypt(decryptionMaterials(), keys, { signal: AbortSignal.abort(reason) }), reason)
  })

  describe('its options', () => {
    const publicPem = pair.publicKey.export({ format: 'pem', type: 'spki' }).toString()
    const privatePem = pair.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    const oldPublicPem = pair.publicKey.export({ format: 'pem', type: 'pkcs1' }).toString()
    const oldPrivatePem = pair.privateKey.export({ format: 'pem', type: 'pkcs1' }).toString()

    it('take PEM as text or bytes, of both kinds, and KeyObjects', async () => {
      for (const [publicKey, privateKey] of [
        [publicPem, privatePem],
        [oldPublicPem, oldPrivatePem],
        [Buffer.from(publicPem), Buffer.from(privatePem)],
        [pair.publicKey, createPrivateKey(privatePem)],
      ] as const) {
        const keyring = new RawRsaKeyring({ ...names, padding: 'oaep-sha256', publicKey, privateKey })
        const { dataKey } = await keyring.onDecrypt(decryptionMaterials(), [await wrapped(keyring)])
        assert.ok(dataKey?.equals(secret()))
      }
    })

    it('need one key at least', () => {
      assert.throws(() => keyringOf('pkcs1', {}), /needs a "publicKey", a "privateKey" or both/)
    })

    it('take no private key for a public one, nor the other way round', () => {
      for (const publicKey of [privatePem, oldPrivatePem, Buffer.from(privatePem), pair.privateKey]) {
        assert.throws(() => new RawRsaKeyring({ ...names, padding: 'pkcs1', publicKey }), {
          name: 'TypeError',
          message: /"publicKey" expected a public RSA key/,
        })
      }
      for (const privateKey of [publicPem, Buffer.from(publicPem), pair.publicKey]) {
        assert.throws(() => new RawRsaKeyring({ ...names, padding: 'pkcs1', privateKey }), {
          name: 'TypeError',
          message: /"privateKey" expected a private RSA key/,
        })
      }
    })

    it('take RSA keys only', () => {
      const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      const pss = generateKeyPairSync('rsa-pss', { modulusLength: 1024 })
      for (const { publicKey, privateKey } of [curve, pss]) {
        assert.throws(() => keyringOf('oaep-sha256', { publicKey }), TypeError)
        assert.throws(() => keyringOf('oaep-sha256', { privateKey }), TypeError)
      }
      for (const key of ['', 'no PEM', Buffer.alloc(10), createSecretKey(Buffer.alloc(32))]) {
        assert.throws(() => new RawRsaKeyring({ ...names, padding: 'pkcs1', publicKey: key }), TypeError)
        assert.throws(() => new RawRsaKeyring({ ...names, padding: 'pkcs1', privateKey: key }), TypeError)
      }
    })

    it('are told of a broken private key without its bytes', () => {
      const broken = privatePem.replace('MII', 'MIA')
      try {
        new RawRsaKeyring({ ...names, padding: 'pkcs1', privateKey: broken })
        assert.fail('a broken key was taken')
      } catch (error) {
        assert.ok(error instanceof TypeError, String(error))
        assertLeaksNothing(error, Buffer.from(privatePem.split('\n')[3]!, 'base64'))
      }
    })

    it('take five paddings, and list them', () => {
      for (const padding of ['', 'oaep', 'PKCS1', 'oaep-sha224', 'toString', '__proto__', undefined, 1]) {
        const wrong = padding as RsaPadding // that it is none is what the constructor has to find
        assert.throws(() => keyringOf(wrong), {
          name: 'TypeError',
          message: /"padding" expected one of pkcs1, oaep-sha1, oaep-sha256, oaep-sha384, oaep-sha512/,
        })
      }
    })

    it('are checked by name', () => {
      for (const wrong of [{ keyNamespace: 'aws-kms' }, { keyNamespace: 'aws-kms-rsa' }, { keyName: '' }]) {
        assert.throws(() => new RawRsaKeyring({ ...names, ...wrong, padding: 'pkcs1', ...pair }), TypeError)
      }
    })
  })
})
