import assert from 'node:assert/strict'
import {
  type CryptographicMaterialsManager,
  DefaultCryptographicMaterialsManager,
  type Keyring,
  PolicyError,
  RequiredEncryptionContextCryptographicMaterialsManager as RequiredManager,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { readFrom, readMessageHeader } from 'esdk-streams/format'
import { aesKeyring, rsaKeyring } from '../arbitraries.ts'
import { decryptionRequest, encryptionRequest, fakeKeyring } from './sample.ts'

const names = ['tenant', 'toString']
const required = { tenant: '17', toString: 'x' } as object as Record<string, string> // toString as a name
const context = { ...required, purpose: 'backup' } as Record<string, string> // as above

function manager(keyring: Keyring = fakeKeyring(), requiredNames = names): RequiredManager {
  return new RequiredManager({ keyring, requiredEncryptionContextKeys: requiredNames })
}

describe('materials/required-encryption-context-cmm', () => {
  it('takes at least one name, and exactly one of keyring and manager', () => {
    const keyring = fakeKeyring()
    const materialsManager = new DefaultCryptographicMaterialsManager(keyring)
    assert.throws(() => manager(keyring, []), TypeError)
    assert.throws(() => new RequiredManager({ requiredEncryptionContextKeys: names }), TypeError)
    const both = { requiredEncryptionContextKeys: names, keyring, materialsManager }
    assert.throws(() => new RequiredManager(both), /exactly one of "keyring", "keyProvider" and "materialsManager"/)
    assert.ok(new RequiredManager({ requiredEncryptionContextKeys: names, materialsManager }))
  })

  it('is not changed by its caller afterwards', async () => {
    const mutable = ['tenant']
    const required17 = manager(fakeKeyring(), mutable)
    mutable.pop()
    await assert.rejects(required17.getEncryptionMaterials(encryptionRequest()), PolicyError)
  })

  describe('on encryption', () => {
    it('refuses a context without one of the names, before anyone is asked', async () => {
      const keyring = fakeKeyring()
      for (const encryptionContext of [{}, { tenant: '17' }, { Tenant: '17' }]) {
        const request = encryptionRequest({ encryptionContext })
        await assert.rejects(manager(keyring).getEncryptionMaterials(request), {
          code: 'ERR_ESDK_POLICY',
          message: /the encryption context lacks the required pair "(tenant|toString)"/,
        })
      }
      assert.equal(keyring.encryptCalls.length, 0)
    })

    it('adds its names to those of the request, each once, and shows the keyring all pairs', async () => {
      const keyring = fakeKeyring()
      const request = encryptionRequest({
        encryptionContext: context,
        requiredEncryptionContextKeys: ['purpose', 'tenant'],
      })
      const materials = await manager(keyring).getEncryptionMaterials(request)
      assert.deepEqual([...materials.requiredEncryptionContextKeys].sort(), ['purpose', 'tenant', 'toString'])
      const given = keyring.encryptCalls[0]!.encryptionContext
      assert.deepEqual(given, materials.encryptionContext)
      assert.equal(given['tenant'], '17')
    })

    it('refuses materials that do not require its names, or the request’s', async () => {
      const inner = new DefaultCryptographicMaterialsManager(fakeKeyring())
      for (const kept of [[], ['tenant'], ['tenant', 'toString']]) {
        const dropping: CryptographicMaterialsManager = {
          getEncryptionMaterials: (request, options) =>
            inner.getEncryptionMaterials({ ...request, requiredEncryptionContextKeys: kept }, options),
          decryptMaterials: (request, options) => inner.decryptMaterials(request, options),
        }
        const outer = new RequiredManager({ requiredEncryptionContextKeys: names, materialsManager: dropping })
        const request = { encryptionContext: context, requiredEncryptionContextKeys: ['purpose'] }
        await assert.rejects(outer.getEncryptionMaterials(encryptionRequest(request)), {
          code: 'ERR_ESDK_POLICY',
          message: /does not require the pair/,
        })
      }
    })
  })

  describe('on decryption', () => {
    it('refuses reproduced pairs without one of the names, before anyone is asked', async () => {
      const keyring = fakeKeyring()
      for (const reproducedEncryptionContext of [{}, { tenant: '17' }]) {
        // That they are stored does not help.
        const request = decryptionRequest({ encryptionContext: context, reproducedEncryptionContext })
        await assert.rejects(manager(keyring).decryptMaterials(request), {
          code: 'ERR_ESDK_POLICY',
          message: /the reproduced encryption context lacks/,
        })
      }
      assert.equal(keyring.decryptCalls.length, 0)
    })

    it('hands the request on as it is', async () => {
      const keyring = fakeKeyring()
      const request = decryptionRequest({
        encryptionContext: { purpose: 'backup' },
        reproducedEncryptionContext: required,
      })
      const materials = await manager(keyring).decryptMaterials(request)
      assert.deepEqual(new Map(Object.entries(materials.encryptionContext)), new Map(Object.entries(context)))
      assert.deepEqual([...materials.requiredEncryptionContextKeys].sort(), names)
    })

    it('refuses materials whose context lacks one of the names', async () => {
      const inner = new DefaultCryptographicMaterialsManager(fakeKeyring())
      const forgetful: CryptographicMaterialsManager = {
        getEncryptionMaterials: (request, options) => inner.getEncryptionMaterials(request, options),
        decryptMaterials: (request, options) =>
          inner.decryptMaterials({ ...request, reproducedEncryptionContext: {} }, options),
      }
      const outer = new RequiredManager({ requiredEncryptionContextKeys: names, materialsManager: forgetful })
      const request = decryptionRequest({ reproducedEncryptionContext: required })
      await assert.rejects(outer.decryptMaterials(request), {
        code: 'ERR_ESDK_POLICY',
        message: /of the materials lacks/,
      })
    })
  })

  describe('in whole messages', () => {
    const KEYRINGS = { 'raw AES': aesKeyring(), 'raw RSA': rsaKeyring('oaep-sha256') }

    for (const [kind, keyring] of Object.entries(KEYRINGS)) {
      for (const algorithmSuite of [0x0478, 0x0578]) {
        it(`leaves the pairs out of the header and authenticates them (${kind}, ${algorithmSuite.toString(16)})`, async () => {
          const materialsManager = manager(keyring)
          const options = { materialsManager, algorithmSuite, encryptionContext: context }
          const { ciphertext, header } = await encrypt('text', options)
          const stored = readFrom(readMessageHeader(), ciphertext).value.encryptionContext
          assert.deepEqual({ ...stored }, { ...header.encryptionContext })
          assert.deepEqual(
            Object.keys(stored).filter((name) => !name.startsWith('aws-crypto-')),
            ['purpose'],
          )
          for (const reproduced of [required, context]) {
            const opened = await decrypt(ciphertext, { materialsManager, encryptionContext: reproduced })
            assert.equal(opened.plaintext.toString(), 'text')
            const byDefault = await decrypt(ciphertext, { keyring, encryptionContext: reproduced })
            assert.equal(byDefault.plaintext.toString(), 'text')
          }
          // A raw AES keyring binds the pairs itself; of a raw RSA keyring only the header's tag does.
          const wrong =
            kind === 'raw AES' ? { code: 'ERR_ESDK_UNWRAP' } : { code: 'ERR_ESDK_AUTHENTICATION', part: 'header' }
          const others = [
            {},
            { tenant: '17' },
            { ...required, tenant: '18' },
            { ...required, tenant: '' },
            { ...required, other: '' },
          ]
          for (const encryptionContext of others) {
            await assert.rejects(decrypt(ciphertext, { keyring, encryptionContext }), wrong)
          }
          await assert.rejects(decrypt(ciphertext, { materialsManager }), PolicyError)
        })
      }
    }

    it('stores no context at all where all pairs are required and the suite does not sign', async () => {
      const materialsManager = manager(aesKeyring())
      const options = { materialsManager, algorithmSuite: 0x0478, encryptionContext: required }
      const { ciphertext } = await encrypt('text', options)
      assert.equal(ciphertext.readUInt16BE(35), 0)
      const { plaintext } = await decrypt(ciphertext, { materialsManager, encryptionContext: required })
      assert.equal(plaintext.toString(), 'text')
    })

    it('refuses an encryption without a required pair, and requires names of the call on top', async () => {
      const materialsManager = manager(aesKeyring())
      await assert.rejects(encrypt('text', { materialsManager, encryptionContext: { tenant: '17' } }), PolicyError)
      const { header } = await encrypt('text', {
        materialsManager,
        encryptionContext: context,
        requiredEncryptionContextKeys: ['purpose'],
        algorithmSuite: 0x0478,
      })
      assert.deepEqual(Object.keys(header.encryptionContext), [])
    })
  })
})
