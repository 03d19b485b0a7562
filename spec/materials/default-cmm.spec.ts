import assert from 'node:assert/strict'
import { createPublicKey } from 'node:crypto'
import { DefaultCryptographicMaterialsManager, PolicyError, decrypt, encrypt } from 'esdk-streams'
import { ALGORITHM_SUITES, algorithmSuite } from 'esdk-streams/format'
import { compressPoint } from '#lib/crypto/ec-point'
import { encryptionContextOf } from '#lib/format/encryption-context'
import { aesKeyring, policyOf } from '../arbitraries.ts'
import { craft, craftingKeyring, publicKeyText } from '../message-recipe.ts'
import { SIGNED, UNSIGNED, decryptionRequest, encryptionRequest, fakeKeyring, foreignKey } from './sample.ts'

const PUBLIC_KEY = 'aws-crypto-public-key'
const publicKey = publicKeyText(SIGNED.signature!)

describe('materials/default-cmm', () => {
  describe('encryption materials', () => {
    it('are of the policy’s suite unless one is asked for', async () => {
      const manager = new DefaultCryptographicMaterialsManager(fakeKeyring())
      for (const [commitmentPolicy, id] of [
        ['forbid-encrypt-allow-decrypt', 0x0378],
        ['require-encrypt-allow-decrypt', 0x0578],
        ['require-encrypt-require-decrypt', 0x0578],
      ] as const) {
        const { suite } = await manager.getEncryptionMaterials({ ...encryptionRequest(), commitmentPolicy })
        assert.equal(suite.id, id)
      }
    })

    it('are of every suite that is asked for, with a signing key exactly where it signs', async () => {
      const manager = new DefaultCryptographicMaterialsManager(fakeKeyring())
      for (const suite of ALGORITHM_SUITES) {
        const materials = await manager.getEncryptionMaterials(encryptionRequest({ algorithmSuite: suite }))
        assert.equal(materials.suite, suite)
        assert.equal(materials.dataKey?.symmetricKeySize, suite.keyBytes)
        assert.equal(materials.encryptedDataKeys.length, 1)
        const stored = materials.encryptionContext[PUBLIC_KEY]
        assert.equal(materials.signingKey !== undefined, suite.signature !== undefined)
        const point = materials.signingKey && compressPoint(createPublicKey(materials.signingKey)).toString('base64')
        assert.equal(stored, point)
      }
    })

    it('are refused where the policy forbids the suite, before the keyring is asked', async () => {
      const keyring = fakeKeyring()
      const manager = new DefaultCryptographicMaterialsManager(keyring)
      for (const suite of ALGORITHM_SUITES) {
        const commitmentPolicy = suite.committing ? 'forbid-encrypt-allow-decrypt' : 'require-encrypt-allow-decrypt'
        const request = { ...encryptionRequest(), commitmentPolicy, algorithmSuite: suite } as const
        await assert.rejects(manager.getEncryptionMaterials(request), PolicyError)
      }
      assert.equal(keyring.encryptCalls.length, 0)
    })

    it('have a fresh signing key each, in a copy of the context that the keyring sees', async () => {
      const keyring = fakeKeyring()
      const manager = new DefaultCryptographicMaterialsManager(keyring)
      const encryptionContext = encryptionContextOf([['a', '1']])
      const request = encryptionRequest({ encryptionContext, algorithmSuite: SIGNED })
      const first = await manager.getEncryptionMaterials(request)
      const second = await manager.getEncryptionMaterials(request)
      assert.notEqual(first.encryptionContext[PUBLIC_KEY], second.encryptionContext[PUBLIC_KEY])
      assert.deepEqual({ ...encryptionContext }, { a: '1' })
      assert.deepEqual(keyring.encryptCalls[0]!.encryptionContext, first.encryptionContext)
      assert.equal(first.encryptionContext['a'], '1')
      assert.ok(Object.isFrozen(first.encryptionContext))
    })

    it('are refused where the context holds a public key already, before the keyring is asked', async () => {
      const keyring = fakeKeyring()
      const manager = new DefaultCryptographicMaterialsManager(keyring)
      for (const algorithmSuite of [SIGNED, UNSIGNED]) {
        const encryptionContext = { [PUBLIC_KEY]: publicKey }
        const request = encryptionRequest({ algorithmSuite, encryptionContext })
        await assert.rejects(manager.getEncryptionMaterials(request), { code: 'ERR_ESDK_POLICY', message: /to set/ })
      }
      assert.equal(keyring.encryptCalls.length, 0)
    })

    it('pass on required names, which have to be in the context', async () => {
      const keyring = fakeKeyring()
      const manager = new DefaultCryptographicMaterialsManager(keyring)
      const request = encryptionRequest({ encryptionContext: { a: '1' }, requiredEncryptionContextKeys: ['a'] })
      const materials = await manager.getEncryptionMaterials(request)
      assert.deepEqual(materials.requiredEncryptionContextKeys, ['a'])
      assert.deepEqual(keyring.encryptCalls[0]!.requiredEncryptionContextKeys, ['a'])
      assert.equal(keyring.encryptCalls[0]!.encryptionContext['a'], '1')
      const missing = { ...request, requiredEncryptionContextKeys: ['b'] }
      await assert.rejects(manager.getEncryptionMaterials(missing), { code: 'ERR_ESDK_WRAP', message: /"b"/ })
    })

    it('are refused where the keyring does not wrap a data key', async () => {
      const manager = new DefaultCryptographicMaterialsManager(fakeKeyring({ onEncrypt: (materials) => materials }))
      await assert.rejects(manager.getEncryptionMaterials(encryptionRequest()), { code: 'ERR_ESDK_WRAP' })
    })
  })

  describe('decryption materials', () => {
    it('have the verification key of the context exactly where the suite signs', async () => {
      const keyring = fakeKeyring()
      const manager = new DefaultCryptographicMaterialsManager(keyring)
      for (const suite of ALGORITHM_SUITES) {
        const { signature } = suite
        const encryptionContext = signature === undefined ? {} : { [PUBLIC_KEY]: publicKeyText(signature) }
        const request = decryptionRequest({ algorithmSuite: suite, encryptionContext })
        const { verificationKey, dataKey } = await manager.decryptMaterials(request)
        assert.equal(
          verificationKey && compressPoint(verificationKey).toString('base64'),
          encryptionContext[PUBLIC_KEY],
        )
        assert.equal(dataKey?.symmetricKeySize, suite.keyBytes)
      }
    })

    describe('are refused before the keyring is asked', () => {
      const CASES: Readonly<Record<string, [Parameters<typeof decryptionRequest>[0], string, RegExp]>> = {
        'where the policy forbids the suite': [
          { algorithmSuite: algorithmSuite(0x0178), commitmentPolicy: 'require-encrypt-require-decrypt' },
          'ERR_ESDK_POLICY',
          /forbids decrypting/,
        ],
        'where a signed message has no public key': [{ algorithmSuite: SIGNED }, 'ERR_ESDK_MALFORMED', /no public key/],
        'where an unsigned message has a public key': [
          { encryptionContext: { [PUBLIC_KEY]: publicKey } },
          'ERR_ESDK_MALFORMED',
          /does not sign/,
        ],
        'where an unsigned message is given a public key': [
          { reproducedEncryptionContext: { [PUBLIC_KEY]: publicKey } },
          'ERR_ESDK_MALFORMED',
          /does not sign/,
        ],
        'where the public key is none': [
          { algorithmSuite: SIGNED, encryptionContext: { [PUBLIC_KEY]: '' } },
          'ERR_ESDK_MALFORMED',
          /not a compressed P-384 point/,
        ],
        'where the public key is of another curve': [
          { algorithmSuite: algorithmSuite(0x0214), encryptionContext: { [PUBLIC_KEY]: publicKey } },
          'ERR_ESDK_MALFORMED',
          /not a compressed P-256 point/,
        ],
        'where a reproduced pair differs': [
          { encryptionContext: { a: '1' }, reproducedEncryptionContext: { a: '2' } },
          'ERR_ESDK_POLICY',
          /another value for "a"/,
        ],
      }
      for (const [what, [changes, code, text]] of Object.entries(CASES)) {
        it(what, async () => {
          const keyring = fakeKeyring()
          const manager = new DefaultCryptographicMaterialsManager(keyring)
          await assert.rejects(manager.decryptMaterials(decryptionRequest(changes)), { code, message: text })
          assert.equal(keyring.decryptCalls.length, 0)
        })
      }
    })

    it('join reproduced pairs to the stored ones, for the keyring too', async () => {
      const keyring = fakeKeyring()
      const manager = new DefaultCryptographicMaterialsManager(keyring)
      const request = decryptionRequest({
        encryptionContext: { a: '1', b: '2' },
        reproducedEncryptionContext: { b: '2', c: '3' },
        encryptedDataKeys: [foreignKey('one'), foreignKey('two')],
      })
      const materials = await manager.decryptMaterials(request)
      assert.deepEqual({ ...materials.encryptionContext }, { a: '1', b: '2', c: '3' })
      assert.deepEqual(materials.requiredEncryptionContextKeys, ['c'])
      const [[given, keys]] = keyring.decryptCalls as [(typeof keyring.decryptCalls)[number]] // it was asked once
      assert.deepEqual({ ...given.encryptionContext }, { a: '1', b: '2', c: '3' })
      assert.deepEqual(given.requiredEncryptionContextKeys, ['c'])
      assert.equal(keys, request.encryptedDataKeys)
    })

    it('tell the keyring what was disproved', async () => {
      const keyring = fakeKeyring()
      const disproved = [{ unwrappedBy: keyring, attempt: { key: foreignKey(), reason: 'none' } }]
      await new DefaultCryptographicMaterialsManager(keyring).decryptMaterials(decryptionRequest({ disproved }))
      assert.equal(keyring.decryptCalls[0]![0].disproved, disproved)
    })

    it('are refused where the keyring unwraps no data key', async () => {
      const manager = new DefaultCryptographicMaterialsManager(fakeKeyring({ onDecrypt: (materials) => materials }))
      await assert.rejects(manager.decryptMaterials(decryptionRequest()), { code: 'ERR_ESDK_UNWRAP' })
    })
  })

  it('opens a signed message whose public key is not stored but reproduced', async () => {
    const required = { [PUBLIC_KEY]: publicKey }
    const { message } = craft({ suite: SIGNED, publicKey: null, required })
    const { header } = await decrypt(message, { keyring: craftingKeyring(), encryptionContext: required })
    assert.equal(header.encryptionContext[PUBLIC_KEY], undefined)
    await assert.rejects(decrypt(message, { keyring: craftingKeyring() }), { code: 'ERR_ESDK_MALFORMED' })
    const other = { [PUBLIC_KEY]: publicKeyText(SIGNED.signature!, 2) }
    await assert.rejects(decrypt(message, { keyring: craftingKeyring(), encryptionContext: other }), {
      code: 'ERR_ESDK_UNWRAP',
    })
  })

  it('is what a keyring is wrapped in', async () => {
    const materialsManager = new DefaultCryptographicMaterialsManager(aesKeyring())
    for (const suite of ALGORITHM_SUITES) {
      const options = { commitmentPolicy: policyOf(suite), algorithmSuite: suite.id }
      const { ciphertext } = await encrypt('text', { ...options, materialsManager })
      const { plaintext } = await decrypt(ciphertext, { ...options, keyring: aesKeyring() })
      assert.equal(plaintext.toString(), 'text')
    }
  })
})
