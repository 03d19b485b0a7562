import assert from 'node:assert/strict'
import {
  type Keyring,
  MultiKeyring,
  PolicyError,
  RawAesKeyring,
  UnwrapError,
  WrapError,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { isKeyring } from '#lib/keyrings/multi-keyring'
import { aesKeyring, rsaKeyring, sequence } from '../arbitraries.ts'
import { decryptionMaterials, encryptionMaterials, fakeKeyring, foreignKey, secret } from '../materials/sample.ts'
import { assertLeaksNothing } from './leaks.ts'

const keys = [foreignKey('one'), foreignKey('two')]

/** A keyring that wraps nothing and unwraps nothing: both end in this error. */
function failing(error: Error): ReturnType<typeof fakeKeyring> {
  const fail = (): never => {
    throw error
  }
  return fakeKeyring({ onEncrypt: fail, onDecrypt: fail })
}

/** A keyring that adds an encrypted data key of that name. */
function wrapping(keyProviderId: string): ReturnType<typeof fakeKeyring> {
  return fakeKeyring({
    onEncrypt: (materials) => ({
      ...materials,
      dataKey: materials.dataKey ?? secret(),
      encryptedDataKeys: [...materials.encryptedDataKeys, foreignKey(keyProviderId)],
    }),
  })
}

describe('keyrings/multi-keyring', () => {
  describe('its options', () => {
    it('need a generator or a child', () => {
      assert.throws(() => new MultiKeyring({}), /needs a generator or at least one child/)
      assert.throws(() => new MultiKeyring({ children: [] }), TypeError)
      assert.ok(new MultiKeyring({ generator: fakeKeyring() }))
      assert.ok(new MultiKeyring({ children: [fakeKeyring()] }))
    })

    it('take keyrings only', () => {
      const onEncrypt = (): undefined => undefined
      const onDecrypt = onEncrypt
      for (const wrong of [null, 5, 'keyring', {}, { onEncrypt }, { onDecrypt }, { onEncrypt, onDecrypt: true }]) {
        const keyring = wrong as Keyring // that it is none is what the constructor has to find
        assert.throws(() => new MultiKeyring({ generator: keyring }), TypeError)
        assert.throws(() => new MultiKeyring({ children: [fakeKeyring(), keyring] }), /expected keyrings/)
        assert.equal(isKeyring(wrong), false)
      }
      const missing = undefined as never // a child that a caller forgot to make
      assert.throws(() => new MultiKeyring({ generator: fakeKeyring(), children: [missing] }), /expected keyrings/)
      assert.throws(() => new MultiKeyring({ children: [undefined as never] }), /expected keyrings/)
      assert.equal(isKeyring({ onEncrypt, onDecrypt }), true)
    })

    it('are copied', async () => {
      const children = [wrapping('a')]
      const keyring = new MultiKeyring({ children })
      children.push(wrapping('b'))
      const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials({ dataKey: secret() }))
      assert.equal(encryptedDataKeys.length, 1)
    })
  })

  describe('on encryption', () => {
    it('lets the generator make the data key and the children wrap it, one after the other', async () => {
      const [generator, first, second] = ['generator', 'first', 'second'].map(wrapping) as [
        ReturnType<typeof wrapping>,
        ReturnType<typeof wrapping>,
        ReturnType<typeof wrapping>,
      ] // three of three
      const materials = await new MultiKeyring({ generator, children: [first, second] }).onEncrypt(
        encryptionMaterials(),
      )
      assert.deepEqual(
        materials.encryptedDataKeys.map(({ keyProviderId }) => keyProviderId),
        ['generator', 'first', 'second'],
      )
      assert.equal(generator.encryptCalls[0]!.dataKey, undefined)
      assert.equal(first.encryptCalls[0]!.dataKey, materials.dataKey)
      assert.equal(first.encryptCalls[0]!.encryptedDataKeys.length, 1)
      assert.equal(second.encryptCalls[0]!.encryptedDataKeys.length, 2)
    })

    it('fails with a generator where there is a data key already, and asks nobody', async () => {
      const generator = fakeKeyring()
      const child = fakeKeyring()
      const full = encryptionMaterials({ dataKey: secret(), encryptedDataKeys: keys })
      const keyring = new MultiKeyring({ generator, children: [child] })
      await assert.rejects(keyring.onEncrypt(full), { code: 'ERR_ESDK_WRAP', message: /hold a data key already/ })
      assert.deepEqual([generator.encryptCalls, child.encryptCalls], [[], []])
    })

    it('fails without a generator where there is no data key, and asks nobody', async () => {
      const child = fakeKeyring()
      const keyring = new MultiKeyring({ children: [child] })
      await assert.rejects(keyring.onEncrypt(encryptionMaterials()), {
        code: 'ERR_ESDK_WRAP',
        message: /without a generator was given materials that hold no data key/,
      })
      assert.equal(child.encryptCalls.length, 0)
      await assert.rejects(encrypt('text', { keyring }), WrapError)
    })

    it('wraps a data key that is there without a generator', async () => {
      const full = encryptionMaterials({ dataKey: secret(), encryptedDataKeys: keys })
      const materials = await new MultiKeyring({ children: [wrapping('a'), wrapping('b')] }).onEncrypt(full)
      assert.equal(materials.dataKey, full.dataKey)
      assert.equal(materials.encryptedDataKeys.length, 4)
    })

    it('fails as a whole where any of them fails, and asks no more', async () => {
      const foreign = new Error('no network')
      const coded = new PolicyError('not this one')
      for (const [error, expected] of [
        [foreign, { code: 'ERR_ESDK_WRAP', cause: foreign }],
        [coded, coded],
      ] as const) {
        const last = fakeKeyring()
        const asGenerator = new MultiKeyring({ generator: failing(error), children: [last] })
        await assert.rejects(asGenerator.onEncrypt(encryptionMaterials()), expected)
        const asChild = new MultiKeyring({ generator: fakeKeyring(), children: [failing(error), last] })
        await assert.rejects(asChild.onEncrypt(encryptionMaterials()), expected)
        assert.equal(last.encryptCalls.length, 0)
      }
    })

    it('fails where a generator or child does nothing, or breaks a rule', async () => {
      const idle = fakeKeyring({ onEncrypt: (materials) => materials })
      const generating = new MultiKeyring({ generator: idle })
      await assert.rejects(generating.onEncrypt(encryptionMaterials()), /neither generated nor wrapped/)
      const child = new MultiKeyring({ generator: fakeKeyring(), children: [idle] })
      await assert.rejects(child.onEncrypt(encryptionMaterials()), /neither generated nor wrapped/)
      const replacing = fakeKeyring({ onEncrypt: (materials) => ({ ...materials, dataKey: secret(32, 9) }) })
      const replaced = new MultiKeyring({ generator: fakeKeyring(), children: [replacing] })
      await assert.rejects(replaced.onEncrypt(encryptionMaterials()), /replaced the data key/)
    })

    it('rethrows an abort', async () => {
      const reason = new Error('enough')
      const keyring = new MultiKeyring({ generator: failing(new Error('closed')) })
      await assert.rejects(keyring.onEncrypt(encryptionMaterials(), { signal: AbortSignal.abort(reason) }), reason)
    })
  })

  describe('on decryption', () => {
    it('asks generator and children in order until one has it, each with the materials as they were', async () => {
      const [first, second] = [failing(new UnwrapError([])), failing(new Error('no network'))]
      const [third, fourth] = [fakeKeyring(), fakeKeyring()]
      const before = decryptionMaterials()
      const keyring = new MultiKeyring({ generator: first, children: [second, third, fourth] })
      const { dataKey } = await keyring.onDecrypt(before, keys)
      assert.ok(dataKey?.equals(secret()))
      for (const { decryptCalls } of [first, second, third]) {
        assert.equal(decryptCalls.length, 1)
        assert.equal(decryptCalls[0]![0], before)
        assert.equal(decryptCalls[0]![1], keys)
      }
      assert.equal(fourth.decryptCalls.length, 0)
    })

    it('passes over one that does nothing or breaks a rule', async () => {
      const idle = fakeKeyring({ onDecrypt: (materials) => materials })
      const wrong = fakeKeyring({
        onDecrypt: (materials) => ({ ...materials, encryptionContext: { a: '1' }, dataKey: secret() }),
      })
      const wrongLength = fakeKeyring({ onDecrypt: (materials) => ({ ...materials, dataKey: secret(16) }) })
      const keyring = new MultiKeyring({ children: [idle, wrong, wrongLength, fakeKeyring()] })
      const { encryptionContext } = await keyring.onDecrypt(decryptionMaterials(), keys)
      assert.deepEqual(encryptionContext, {})
      const none = new MultiKeyring({ children: [idle, wrong, wrongLength] })
      await assert.rejects(none.onDecrypt(decryptionMaterials(), keys), (error) => {
        assert.ok(error instanceof UnwrapError)
        const reasons = error.attempts.map(({ reason }) => reason)
        assert.equal(reasons.length, 3)
        assert.match(reasons[0]!, /unwrapped no data key/)
        assert.match(reasons[1]!, /changed the encryption context/)
        assert.match(reasons[2]!, /16 bytes/)
        return true
      })
    })

    it('lists every attempt of every keyring, in order, with foreign and other failures among them', async () => {
      const [one, two] = keys as [(typeof keys)[number], (typeof keys)[number]] // two of two
      const foreign = new Error('no network')
      const coded = new PolicyError('not this one')
      const failures = [
        new UnwrapError([
          { key: one, reason: 'first of one' },
          { key: two, reason: 'first of two' },
        ]),
        foreign,
        coded,
        new UnwrapError([{ key: two, reason: 'last of two' }]),
      ]
      const [generator, ...children] = failures.map(failing) as [ReturnType<typeof failing>] // four
      const keyring = new MultiKeyring({ generator, children })
      await assert.rejects(keyring.onDecrypt(decryptionMaterials(), keys), (error) => {
        assert.ok(error instanceof UnwrapError)
        assert.deepEqual(error.attempts, [
          { key: one, reason: 'first of one' },
          { key: two, reason: 'first of two' },
          { reason: 'the keyring failed: no network', cause: foreign },
          { reason: 'not this one', cause: coded },
          { key: two, reason: 'last of two' },
        ])
        assert.ok(error.cause instanceof AggregateError)
        assert.equal(error.cause.errors.length, 4)
        assert.equal(error.cause.errors[0], failures[0])
        assert.equal((error.cause.errors[1] as Error).cause, foreign) // an UnwrapError, see the attempts
        assert.equal(error.cause.errors[2], coded)
        return true
      })
    })

    it('has one attempt for each data key that each keyring tried or skipped', async () => {
      const children = [aesKeyring('a'), aesKeyring('b', 16), rsaKeyring('pkcs1')]
      const sealing = new MultiKeyring({ generator: aesKeyring('x'), children: [aesKeyring('y')] })
      const { ciphertext } = await encrypt('text', { keyring: sealing })
      await assert.rejects(decrypt(ciphertext, { keyring: new MultiKeyring({ children }) }), (error) => {
        assert.ok(error instanceof UnwrapError)
        assert.equal(error.attempts.length, 6)
        assert.ok(error.attempts.every(({ key, reason }) => key !== undefined && reason === 'another key name'))
        assert.match(error.message, /; and 1 more$/)
        assertLeaksNothing(error, sequence(1, 32), sequence(1, 16))
        return true
      })
    })

    it('is a mistake where materials hold a data key', async () => {
      const child = fakeKeyring()
      const given = decryptionMaterials({ dataKey: secret() })
      await assert.rejects(new MultiKeyring({ children: [child] }).onDecrypt(given, keys), TypeError)
      assert.equal(child.decryptCalls.length, 0)
    })

    it('rethrows an abort and asks no more', async () => {
      const controller = new AbortController()
      const reason = new Error('enough')
      const aborting = fakeKeyring({
        onDecrypt: () => {
          controller.abort(reason)
          throw new UnwrapError([])
        },
      })
      const next = fakeKeyring()
      const keyring = new MultiKeyring({ children: [aborting, next] })
      await assert.rejects(keyring.onDecrypt(decryptionMaterials(), keys, { signal: controller.signal }), reason)
      assert.equal(next.decryptCalls.length, 0)
    })
  })

  it('makes messages that any one of its keyrings opens, and no other', async () => {
    const all = [aesKeyring('first'), aesKeyring('second', 16), rsaKeyring('oaep-sha256'), rsaKeyring('pkcs1')]
    const [generator, ...children] = all
    const keyring = new MultiKeyring({ generator: generator!, children })
    const { ciphertext, header } = await encrypt('text', { keyring, encryptionContext: { a: '1' } })
    assert.equal(header.encryptedDataKeys.length, 4)
    for (const one of [...all, keyring, new MultiKeyring({ children: [aesKeyring('none'), ...children] })]) {
      assert.equal((await decrypt(ciphertext, { keyring: one })).plaintext.toString(), 'text')
    }
    const stranger = new RawAesKeyring({ keyNamespace: 'spec', keyName: 'first', wrappingKey: sequence(2, 32) })
    await assert.rejects(decrypt(ciphertext, { keyring: stranger }), UnwrapError)
  })

  it('nests', async () => {
    const inner = new MultiKeyring({ generator: aesKeyring('a'), children: [aesKeyring('b')] })
    const outer = new MultiKeyring({ generator: inner, children: [new MultiKeyring({ children: [aesKeyring('c')] })] })
    const { ciphertext } = await encrypt('text', { keyring: outer })
    for (const one of ['a', 'b', 'c'].map((name) => aesKeyring(name))) {
      assert.equal((await decrypt(ciphertext, { keyring: one })).plaintext.toString(), 'text')
    }
  })
})
