import assert from 'node:assert/strict'
import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import {
  RawAesKeyring,
  RawRsaKeyring,
  type RsaPadding,
  type WrappingAlgorithm,
  WrappingKey,
  decrypt,
  encrypt,
} from 'esdk-streams'

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicPem = publicKey.export({ type: 'spki', format: 'pem' })
const privatePem = privateKey.export({ type: 'pkcs8', format: 'pem' })
const name = Buffer.from([0xff, 1, 2])
const names = { keyNamespace: 'spec', keyName: name }

const RSA: Readonly<Record<string, RsaPadding>> = {
  RSA_PKCS1: 'pkcs1',
  RSA_OAEP_SHA1_MGF1: 'oaep-sha1',
  RSA_OAEP_SHA256_MGF1: 'oaep-sha256',
  RSA_OAEP_SHA384_MGF1: 'oaep-sha384',
  RSA_OAEP_SHA512_MGF1: 'oaep-sha512',
}

describe('WrappingKey', () => {
  for (const bits of [128, 192, 256]) {
    it(`wraps with AES of ${bits} bits as the raw AES keyring does, under bytes or a KeyObject`, async () => {
      const bytes = randomBytes(bits / 8)
      const wrappingAlgorithm = `AES_${bits}_GCM_IV12_TAG16_NO_PADDING` as WrappingAlgorithm // one of the three
      const raw = new RawAesKeyring({ ...names, wrappingKey: bytes })
      for (const wrappingKey of [bytes, createSecretKey(bytes)]) {
        const key = new WrappingKey({ wrappingAlgorithm, wrappingKey, wrappingKeyType: 'symmetric' })
        const master = key.keyring('spec', name)
        for (const [from, to] of [
          [master, raw],
          [raw, master],
        ] as const) {
          const { ciphertext } = await encrypt('text', { keyring: from })
          assert.equal((await decrypt(ciphertext, { keyring: to })).plaintext.toString(), 'text')
        }
      }
    })
  }

  for (const [algorithm, padding] of Object.entries(RSA)) {
    it(`wraps with ${algorithm} as the raw RSA keyring does; a private key does both`, async () => {
      const wrappingAlgorithm = algorithm as WrappingAlgorithm // a key of RSA
      const raw = new RawRsaKeyring({ ...names, publicKey, privateKey, padding })
      for (const wrappingKey of [privatePem, privateKey, Buffer.from(privatePem)]) {
        const master = new WrappingKey({ wrappingAlgorithm, wrappingKey, wrappingKeyType: 'private' }).keyring(
          'spec',
          name,
        )
        for (const [from, to] of [
          [master, raw],
          [raw, master],
        ] as const) {
          const { ciphertext } = await encrypt('text', { keyring: from })
          assert.equal((await decrypt(ciphertext, { keyring: to })).plaintext.toString(), 'text')
        }
      }
      for (const wrappingKey of [publicPem, publicKey]) {
        const master = new WrappingKey({ wrappingAlgorithm, wrappingKey, wrappingKeyType: 'public' }).keyring(
          'spec',
          name,
        )
        const { ciphertext } = await encrypt('text', { keyring: master })
        assert.equal((await decrypt(ciphertext, { keyring: raw })).plaintext.toString(), 'text')
        await assert.rejects(decrypt(ciphertext, { keyring: master }), { code: 'ERR_ESDK_UNWRAP' })
      }
    })
  }

  it('copies the bytes of a key, and shows none', async () => {
    const bytes = randomBytes(32)
    const hex = bytes.toString('hex')
    const key = new WrappingKey({
      wrappingAlgorithm: 'AES_256_GCM_IV12_TAG16_NO_PADDING',
      wrappingKey: bytes,
      wrappingKeyType: 'symmetric',
    })
    const raw = new RawAesKeyring({ ...names, wrappingKey: bytes })
    bytes.fill(0)
    const { ciphertext } = await encrypt('text', { keyring: key.keyring('spec', name) })
    assert.equal((await decrypt(ciphertext, { keyring: raw })).plaintext.toString(), 'text')
    assert.ok(!inspect(key, { depth: 9, showHidden: true }).includes(hex.slice(0, 8)))
  })

  it('refuses parts that do not go together', () => {
    const aes = 'AES_256_GCM_IV12_TAG16_NO_PADDING'
    const rsa = 'RSA_OAEP_SHA256_MGF1'
    const wrong = [
      { wrappingAlgorithm: 'AES', wrappingKey: randomBytes(32), wrappingKeyType: 'symmetric' },
      { wrappingAlgorithm: 'toString', wrappingKey: randomBytes(32), wrappingKeyType: 'symmetric' },
      { wrappingAlgorithm: aes, wrappingKey: randomBytes(32), wrappingKeyType: 'private' },
      { wrappingAlgorithm: aes, wrappingKey: randomBytes(16), wrappingKeyType: 'symmetric' },
      { wrappingAlgorithm: aes, wrappingKey: 'x'.repeat(32), wrappingKeyType: 'symmetric' },
      { wrappingAlgorithm: aes, wrappingKey: createSecretKey(randomBytes(24)), wrappingKeyType: 'symmetric' },
      { wrappingAlgorithm: rsa, wrappingKey: privatePem, wrappingKeyType: 'symmetric' },
      { wrappingAlgorithm: rsa, wrappingKey: publicPem, wrappingKeyType: 'private' },
      { wrappingAlgorithm: rsa, wrappingKey: privateKey, wrappingKeyType: 'public' },
      { wrappingAlgorithm: rsa, wrappingKey: publicKey, wrappingKeyType: 'private' },
      { wrappingAlgorithm: rsa, wrappingKey: 'no pem', wrappingKeyType: 'public' },
    ]
    for (const options of wrong)
      assert.throws(() => new WrappingKey(options as never), TypeError, JSON.stringify(options))
  })
})
