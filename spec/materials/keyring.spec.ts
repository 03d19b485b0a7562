import assert from 'node:assert/strict'
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes } from 'node:crypto'
import {
  AuthenticationError,
  DecryptStream,
  type Keyring,
  LimitError,
  MultiKeyring,
  UnwrapError,
  WrapError,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { ALGORITHM_SUITES, algorithmSuite } from 'esdk-streams/format'
import { unwrapWith, wrapWith } from '#lib/materials/keyring'
import { aesKeyring, policyOf, sequence, through } from '../arbitraries.ts'
import { decryptionMaterials, encryptionMaterials, fakeKeyring, foreignKey, secret } from './sample.ts'

/** Whatever a user's own keyring may return. */
function returning(value: unknown): Keyring {
  const result = (): Promise<never> => Promise.resolve(value as never) // that it is none is what the check has to find
  return { onEncrypt: result, onDecrypt: result }
}

function failing(failure: Error): Keyring {
  const fail = (): Promise<never> => Promise.reject(failure)
  return { onEncrypt: fail, onDecrypt: fail }
}

describe('materials/keyring', () => {
  describe('wrapping', () => {
    it('returns what the keyring made, and hands it materials and options as they are', async () => {
      const before = encryptionMaterials()
      const { signal } = new AbortController()
      const calls: unknown[][] = []
      const fake = fakeKeyring()
      const keyring: Keyring = {
        ...fake,
        onEncrypt: (...parameters) => {
          calls.push(parameters)
          return fake.onEncrypt(...parameters)
        },
      }
      const after = await wrapWith(keyring, before, { signal })
      assert.equal(after.encryptedDataKeys.length, 1)
      assert.equal(calls[0]![0], before)
      assert.equal((calls[0]![1] as { signal: AbortSignal }).signal, signal) // what wrapWith was given
    })

    it('fails where the keyring did nothing', async () => {
      const idle = fakeKeyring({ onEncrypt: (materials) => materials })
      await assert.rejects(wrapWith(idle, encryptionMaterials(), {}), WrapError)
      const full = encryptionMaterials({ dataKey: secret(), encryptedDataKeys: [foreignKey()] })
      await assert.rejects(wrapWith(idle, full, {}), /neither generated nor wrapped/)
    })

    it('fails where the keyring broke a rule', async () => {
      const wrong = fakeKeyring({ onEncrypt: (materials) => ({ ...materials, dataKey: secret() }) })
      await assert.rejects(wrapWith(wrong, encryptionMaterials(), {}), /without wrapping it/)
    })

    it('fails where the keyring returned no materials', async () => {
      for (const value of [
        undefined,
        null,
        5,
        'text',
        {},
        [],
        { ...encryptionMaterials(), encryptedDataKeys: undefined },
      ]) {
        await assert.rejects(wrapWith(returning(value), encryptionMaterials(), {}), {
          code: 'ERR_ESDK_WRAP',
          message: 'the keyring returned no materials',
        })
      }
    })

    it('makes a foreign failure the cause, and passes on coded ones', async () => {
      const failure = new Error('no network')
      await assert.rejects(wrapWith(failing(failure), encryptionMaterials(), {}), (error) => {
        assert.ok(error instanceof WrapError)
        assert.equal(error.cause, failure)
        assert.match(error.message, /the keyring failed: no network/)
        return true
      })
      // Nothing keeps a keyring in JavaScript from throwing a string.
      await assert.rejects(wrapWith(failing('text' as never), encryptionMaterials(), {}), /the keyring failed: text/)
      const coded = new LimitError('too much')
      await assert.rejects(wrapWith(failing(coded), encryptionMaterials(), {}), coded)
    })

    it('takes a throw of a method that is not async for a rejection', async () => {
      const failure = new Error('at once')
      const keyring: Keyring = {
        ...fakeKeyring(),
        onEncrypt: () => {
          throw failure
        },
      }
      await assert.rejects(wrapWith(keyring, encryptionMaterials(), {}), { code: 'ERR_ESDK_WRAP', cause: failure })
    })

    it('rethrows an abort, whatever the keyring made of it', async () => {
      const reason = new Error('enough')
      const options = { signal: AbortSignal.abort(reason) }
      await assert.rejects(wrapWith(failing(new Error('closed')), encryptionMaterials(), options), reason)
      await assert.rejects(wrapWith(failing(new WrapError('closed')), encryptionMaterials(), options), reason)
    })
  })

  describe('unwrapping', () => {
    const keys = [foreignKey()]

    it('returns what the keyring found', async () => {
      const keyring = fakeKeyring()
      const before = decryptionMaterials()
      const after = await unwrapWith(keyring, before, keys, {})
      assert.ok(after.dataKey?.equals(secret()))
      assert.deepEqual(keyring.decryptCalls, [[before, keys]])
    })

    it('is a mistake where materials hold a data key, and asks nobody', async () => {
      const keyring = fakeKeyring()
      await assert.rejects(unwrapWith(keyring, decryptionMaterials({ dataKey: secret() }), keys, {}), TypeError)
      assert.equal(keyring.decryptCalls.length, 0)
    })

    it('fails where the keyring found nothing and said nothing', async () => {
      const idle = fakeKeyring({ onDecrypt: (materials) => materials })
      await assert.rejects(unwrapWith(idle, decryptionMaterials(), keys, {}), (error) => {
        assert.ok(error instanceof UnwrapError)
        assert.deepEqual(error.attempts, [{ reason: 'the keyring unwrapped no data key' }])
        return true
      })
    })

    it('fails where the keyring broke a rule', async () => {
      const wrong = fakeKeyring({ onDecrypt: (materials) => ({ ...materials, dataKey: secret(16) }) })
      await assert.rejects(unwrapWith(wrong, decryptionMaterials(), keys, {}), {
        code: 'ERR_ESDK_UNWRAP',
        message: /16 bytes/,
      })
    })

    it('fails where the keyring returned no materials', async () => {
      for (const value of [undefined, null, 5, 'text', {}, [], { ...decryptionMaterials(), encryptionContext: null }]) {
        await assert.rejects(unwrapWith(returning(value), decryptionMaterials(), keys, {}), {
          code: 'ERR_ESDK_UNWRAP',
          message: /the keyring returned no materials/,
        })
      }
    })

    it('makes a foreign failure an attempt and the cause, and passes on coded ones', async () => {
      const failure = new Error('no network')
      await assert.rejects(unwrapWith(failing(failure), decryptionMaterials(), keys, {}), (error) => {
        assert.ok(error instanceof UnwrapError)
        assert.equal(error.cause, failure)
        assert.deepEqual(error.attempts, [{ reason: 'the keyring failed: no network', cause: failure }])
        return true
      })
      const coded = new AuthenticationError('header', 'coded')
      await assert.rejects(unwrapWith(failing(coded), decryptionMaterials(), keys, {}), coded)
    })

    it('rethrows an abort, whatever the keyring made of it', async () => {
      const reason = new Error('enough')
      const options = { signal: AbortSignal.abort(reason) }
      for (const failure of [new Error('closed'), new UnwrapError([])]) {
        await assert.rejects(unwrapWith(failing(failure), decryptionMaterials(), keys, options), reason)
      }
    })
  })

  it('holds users’ keyrings to it in whole messages', async () => {
    await assert.rejects(encrypt('x', { keyring: returning(undefined) }), { code: 'ERR_ESDK_WRAP' })
    const { ciphertext } = await encrypt('x', { keyring: fakeKeyring() })
    assert.equal((await decrypt(ciphertext, { keyring: fakeKeyring() })).plaintext.toString(), 'x')
    await assert.rejects(decrypt(ciphertext, { keyring: returning(undefined) }), { code: 'ERR_ESDK_UNWRAP' })
  })

  describe('of a user’s own, a plain object,', () => {
    const wrappingKey = sequence(0x21, 32)
    const IV = Buffer.alloc(8, 0xa6)

    /** AES key wrap (RFC 3394), which this library does not have. */
    const keyring: Keyring = {
      onEncrypt(materials) {
        const dataKey = materials.dataKey ?? createSecretKey(randomBytes(materials.suite.keyBytes))
        const cipher = createCipheriv('id-aes256-wrap', wrappingKey, IV)
        const ciphertext = Buffer.concat([cipher.update(dataKey.export()), cipher.final()])
        const key = { keyProviderId: 'mine', keyProviderInfo: Buffer.from('vault'), ciphertext }
        return Promise.resolve({ ...materials, dataKey, encryptedDataKeys: [...materials.encryptedDataKeys, key] })
      },
      onDecrypt(materials, encryptedDataKeys) {
        for (const { keyProviderId, ciphertext } of encryptedDataKeys) {
          if (keyProviderId !== 'mine') continue
          const decipher = createDecipheriv('id-aes256-wrap', wrappingKey, IV)
          const raw = Buffer.concat([decipher.update(ciphertext), decipher.final()])
          return Promise.resolve({ ...materials, dataKey: createSecretKey(raw) })
        }
        return Promise.reject(new Error('none of mine'))
      },
    }

    it('wraps and unwraps whole messages of every suite', async () => {
      for (const suite of ALGORITHM_SUITES) {
        const options = { keyring, commitmentPolicy: policyOf(suite), encryptionContext: { a: '1' } }
        const { ciphertext, header } = await encrypt('text', { ...options, algorithmSuite: suite.id })
        assert.equal(header.encryptedDataKeys[0]!.keyProviderId, 'mine')
        const encryptedBytes = await through([ciphertext], new DecryptStream(options))
        assert.equal(encryptedBytes.toString(), 'text')
      }
    })

    it('goes with others in a multi-keyring', async () => {
      const both = new MultiKeyring({ generator: aesKeyring(), children: [keyring] })
      const { ciphertext } = await encrypt('text', { keyring: both })
      for (const one of [aesKeyring(), keyring, both, new MultiKeyring({ generator: keyring })]) {
        assert.equal((await decrypt(ciphertext, { keyring: one })).plaintext.toString(), 'text')
      }
    })

    it('fails with its own error as the cause', async () => {
      const { ciphertext } = await encrypt('text', { keyring: aesKeyring() })
      await assert.rejects(decrypt(ciphertext, { keyring }), (error) => {
        assert.ok(error instanceof UnwrapError)
        assert.ok(error.cause instanceof Error)
        assert.equal(error.cause.message, 'none of mine')
        return true
      })
    })

    it('gives a wrong data key: the message finds it', async () => {
      for (const [id, part] of [
        [0x0178, 'header'],
        [0x0478, 'commitment'],
      ] as const) {
        const options = { commitmentPolicy: policyOf(algorithmSuite(id)), algorithmSuite: id }
        const { ciphertext } = await encrypt('text', { ...options, keyring })
        const wrong = fakeKeyring()
        const expected = { code: 'ERR_ESDK_AUTHENTICATION', part }
        await assert.rejects(decrypt(ciphertext, { ...options, keyring: wrong }), expected)
        assert.equal(wrong.decryptCalls.length, 1)
      }
    })
  })
})
