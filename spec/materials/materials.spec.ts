import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import {
  type DecryptionMaterials,
  type EncryptionMaterials,
  MalformedMessageError,
  UnwrapError,
  WrapError,
} from 'esdk-streams'
import { algorithmSuite } from 'esdk-streams/format'
import {
  checkDecryptionMaterials,
  checkDecryptionStep,
  checkEncryptionMaterials,
  checkEncryptionStep,
  checkPublicKeyPair,
} from '#lib/materials/materials'
import { craftingSigningKey, publicKeyText } from '../message-recipe.ts'
import { SIGNED, decryptionMaterials, encryptionMaterials, foreignKey, secret } from './sample.ts'

const context = { 'aws-crypto-public-key': publicKeyText(SIGNED.signature!), a: '1' }
const signingKey = craftingSigningKey(SIGNED.signature!)
const verificationKey = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey

const empty = encryptionMaterials({ suite: SIGNED, encryptionContext: context, signingKey })
const full = { ...empty, dataKey: secret(), encryptedDataKeys: [foreignKey('one')] }
const closed = decryptionMaterials({
  suite: SIGNED,
  encryptionContext: context,
  requiredEncryptionContextKeys: ['a'],
  verificationKey,
})

function without<T extends object>(value: T, name: keyof T): T {
  const copy = { ...value }
  Reflect.deleteProperty(copy, name)
  return copy
}

/** Whatever a user's own keyring may put where a data key belongs. */
function asDataKey(value: unknown): ReturnType<typeof secret> {
  return value as ReturnType<typeof secret> // that it is none is what the check has to find
}

describe('materials/materials', () => {
  describe('a step of encryption', () => {
    const LEGAL: Readonly<Record<string, [EncryptionMaterials, EncryptionMaterials]>> = {
      nothing: [empty, empty],
      'a generated and wrapped data key': [empty, full],
      'one more encrypted data key': [
        full,
        { ...full, encryptedDataKeys: [...full.encryptedDataKeys, foreignKey('two')] },
      ],
      'an equal copy of the encryption context': [empty, { ...full, encryptionContext: { ...context } }],
    }
    for (const [what, [before, after]] of Object.entries(LEGAL)) {
      it(`may add ${what}`, () => {
        checkEncryptionStep(before, after)
      })
    }

    const ILLEGAL: Readonly<Record<string, [EncryptionMaterials, EncryptionMaterials, RegExp]>> = {
      'the suite': [empty, { ...full, suite: algorithmSuite(0x0378) }, /changed the algorithm suite/],
      'a value of the encryption context': [
        empty,
        { ...full, encryptionContext: { ...context, a: '2' } },
        /changed the encryption context/,
      ],
      'the encryption context by a pair more': [
        empty,
        { ...full, encryptionContext: { ...context, b: '' } },
        /changed the encryption context/,
      ],
      'the encryption context by a pair less': [
        empty,
        { ...full, encryptionContext: { a: '1' } },
        /changed the encryption context/,
      ],
      'a name of the encryption context': [
        empty,
        { ...full, encryptionContext: { ...without(context, 'a'), A: '1' } },
        /changed the encryption context/,
      ],
      'the required names by one more': [
        empty,
        { ...full, requiredEncryptionContextKeys: ['a'] },
        /changed the required/,
      ],
      'the required names by one less': [
        { ...empty, requiredEncryptionContextKeys: ['a'] },
        full,
        /changed the required/,
      ],
      'the required names': [
        { ...empty, requiredEncryptionContextKeys: ['a'] },
        { ...full, requiredEncryptionContextKeys: ['aws-crypto-public-key'] },
        /changed the required/,
      ],
      'the signing key': [
        empty,
        { ...full, signingKey: craftingSigningKey(SIGNED.signature!, 2) },
        /changed the signing key/,
      ],
      'the signing key to none': [empty, without(full, 'signingKey'), /changed the signing key/],
      'a data key': [full, { ...full, dataKey: secret(32, 2) }, /replaced the data key/],
      'a data key for an equal one': [full, { ...full, dataKey: secret() }, /replaced the data key/],
      'a data key to none': [full, without(full, 'dataKey'), /replaced the data key/],
      'the list of encrypted data keys to none': [full, { ...full, encryptedDataKeys: [] }, /removed or changed/],
      'an encrypted data key': [full, { ...full, encryptedDataKeys: [foreignKey('one')] }, /removed or changed/],
      'the order of encrypted data keys': [
        full,
        { ...full, encryptedDataKeys: [foreignKey('two'), ...full.encryptedDataKeys] },
        /removed or changed/,
      ],
      'no data key to one that is not wrapped': [empty, { ...full, encryptedDataKeys: [] }, /without wrapping it/],
      'the encrypted data keys of no data key': [empty, { ...empty, encryptedDataKeys: [foreignKey()] }, /do not hold/],
      'no data key to a short one': [
        empty,
        { ...full, dataKey: secret(16) },
        /a data key of 16 bytes; 0x0578 takes 32/,
      ],
      'no data key to a long one': [empty, { ...full, dataKey: secret(33) }, /a data key of 33 bytes/],
      'no data key to a public one': [empty, { ...full, dataKey: verificationKey }, /must be a secret KeyObject/],
      'no data key to bytes': [empty, { ...full, dataKey: asDataKey(Buffer.alloc(32)) }, /must be a secret KeyObject/],
      'no data key to null': [empty, { ...full, dataKey: asDataKey(null) }, /must be a secret KeyObject/],
      'no data key to what looks like one': [
        empty,
        { ...full, dataKey: asDataKey({ type: 'secret', symmetricKeySize: 32 }) },
        /must be a secret KeyObject/,
      ],
    }
    for (const [what, [before, after, text]] of Object.entries(ILLEGAL)) {
      it(`may not change ${what}`, () => {
        assert.throws(
          () => {
            checkEncryptionStep(before, after)
          },
          (error) => {
            assert.ok(error instanceof WrapError)
            assert.match(error.message, text)
            return true
          },
        )
      })
    }
  })

  describe('a step of decryption', () => {
    const opened = { ...closed, dataKey: secret() }

    it('may set the data key, or nothing', () => {
      checkDecryptionStep(closed, opened)
      checkDecryptionStep(closed, closed)
      checkDecryptionStep(closed, { ...opened, encryptionContext: { ...context } })
    })

    const ILLEGAL: Readonly<Record<string, [DecryptionMaterials, RegExp]>> = {
      'the suite': [{ ...opened, suite: algorithmSuite(0x0378) }, /changed the algorithm suite/],
      'the encryption context': [
        { ...opened, encryptionContext: { ...context, a: '2' } },
        /changed the encryption context/,
      ],
      'the required names': [{ ...opened, requiredEncryptionContextKeys: [] }, /changed the required/],
      'the verification key': [
        { ...opened, verificationKey: generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey },
        /changed the verification key/,
      ],
      'the verification key to none': [without(opened, 'verificationKey'), /changed the verification key/],
      'no data key to a short one': [{ ...opened, dataKey: secret(16) }, /a data key of 16 bytes/],
      'no data key to bytes': [{ ...opened, dataKey: asDataKey(Buffer.alloc(32)) }, /must be a secret KeyObject/],
    }
    for (const [what, [after, text]] of Object.entries(ILLEGAL)) {
      it(`may not change ${what}`, () => {
        assert.throws(
          () => {
            checkDecryptionStep(closed, after)
          },
          (error) => {
            assert.ok(error instanceof UnwrapError)
            assert.match(error.attempts[0]!.reason, text)
            return true
          },
        )
      })
    }
  })

  describe('encryption materials', () => {
    const unsigned = encryptionMaterials({ dataKey: secret(), encryptedDataKeys: [foreignKey()] })

    it('are complete with data key, encrypted data key and, where the suite signs, signing key', () => {
      assert.equal(checkEncryptionMaterials(full).dataKey, full.dataKey)
      assert.equal(checkEncryptionMaterials(unsigned).dataKey, unsigned.dataKey)
    })

    const INCOMPLETE: Readonly<Record<string, [EncryptionMaterials, RegExp]>> = {
      'no data key': [without(full, 'dataKey'), /no keyring generated/],
      'no encrypted data key': [{ ...full, encryptedDataKeys: [] }, /no keyring wrapped/],
      'a data key of another length': [{ ...full, dataKey: secret(24) }, /24 bytes/],
      'no signing key': [without(full, 'signingKey'), /signing key exactly when/],
      'a signing key that is not needed': [{ ...unsigned, signingKey }, /signing key exactly when/],
      'no public key': [{ ...full, encryptionContext: { a: '1' } }, /signs, but there is no public key/],
      'a public key that is not needed': [
        { ...unsigned, encryptionContext: context },
        /does not sign, but there is a public key/,
      ],
      'a required name without pair': [
        { ...full, requiredEncryptionContextKeys: ['b'] },
        /"b" is not in the encryption context/,
      ],
      'a required name of a prototype': [
        { ...full, requiredEncryptionContextKeys: ['toString'] },
        /"toString" is not in/,
      ],
    }
    for (const [what, [materials, text]] of Object.entries(INCOMPLETE)) {
      it(`are refused with ${what}`, () => {
        assert.throws(() => checkEncryptionMaterials(materials), { code: 'ERR_ESDK_WRAP', message: text })
      })
    }
  })

  describe('decryption materials', () => {
    const opened = { ...closed, dataKey: secret() }
    const unsigned = decryptionMaterials({ dataKey: secret() })

    it('are complete with data key and, where the suite signs, verification key', () => {
      assert.equal(checkDecryptionMaterials(opened).dataKey, opened.dataKey)
      assert.equal(checkDecryptionMaterials(unsigned).dataKey, unsigned.dataKey)
    })

    const INCOMPLETE: Readonly<Record<string, [DecryptionMaterials, string, RegExp]>> = {
      'no data key': [closed, 'ERR_ESDK_UNWRAP', /no keyring unwrapped/],
      'a data key of another length': [{ ...opened, dataKey: secret(16) }, 'ERR_ESDK_UNWRAP', /16 bytes/],
      'no verification key': [without(opened, 'verificationKey'), 'ERR_ESDK_UNWRAP', /verification key exactly when/],
      'a verification key that is not needed': [{ ...unsigned, verificationKey }, 'ERR_ESDK_UNWRAP', /exactly when/],
      'no public key': [{ ...opened, encryptionContext: { a: '1' } }, 'ERR_ESDK_MALFORMED', /no public key/],
      'a public key that is not needed': [
        { ...unsigned, encryptionContext: context },
        'ERR_ESDK_MALFORMED',
        /does not sign/,
      ],
      'a required name without pair': [
        { ...opened, requiredEncryptionContextKeys: ['b'] },
        'ERR_ESDK_UNWRAP',
        /"b" is not in/,
      ],
    }
    for (const [what, [materials, code, text]] of Object.entries(INCOMPLETE)) {
      it(`are refused with ${what}`, () => {
        assert.throws(() => checkDecryptionMaterials(materials), { code, message: text })
      })
    }
  })

  it('have a public key in their context exactly when the suite signs', () => {
    const fault = (text: string): Error => new MalformedMessageError(text)
    checkPublicKeyPair({ suite: SIGNED, encryptionContext: context }, fault)
    checkPublicKeyPair({ suite: algorithmSuite(0x0478), encryptionContext: {} }, fault)
    assert.throws(() => {
      checkPublicKeyPair({ suite: SIGNED, encryptionContext: {} }, fault)
    }, /0x0578 signs/)
    assert.throws(() => {
      checkPublicKeyPair({ suite: algorithmSuite(0x0478), encryptionContext: context }, fault)
    }, /0x0478 does not sign/)
  })
})
