import assert from 'node:assert/strict'
import { isLost, isNotAuthentic, isRefusedPin, reasonOf, returnValueOf } from '#lib/keyrings/pkcs11/token-failure'
import { answer } from './setup.ts'

/** As pkcs11js throws most of its errors: the name alone is the message. */
function parsed(name: string, code: number): Error {
  return Object.assign(new Error(name), { code })
}

describe('keyrings/pkcs11/token-failure', () => {
  it('reads return values in both of their shapes', () => {
    assert.equal(returnValueOf(answer('CKR_PIN_INCORRECT', 160)), 'CKR_PIN_INCORRECT')
    assert.equal(
      returnValueOf(new Error('CKR_DEVICE_ERROR:48\n    at PKCS11.C_Encrypt (x.js:1:2)')),
      'CKR_DEVICE_ERROR',
    )
    assert.equal(returnValueOf(parsed('CKR_PIN_INCORRECT', 160)), 'CKR_PIN_INCORRECT')
    assert.equal(returnValueOf(answer('CKR_VENDOR_DEFINED', 0x80000001)), 'CKR_VENDOR_DEFINED 2147483649')
    assert.equal(returnValueOf(parsed('CKR_VENDOR_DEFINED', 0x80000001)), 'CKR_VENDOR_DEFINED 2147483649')
    assert.equal(returnValueOf(parsed('CKR_VENDOR_DEFINED', 0x42)), 'CKR_AEAD_DECRYPT_FAILED')
    for (const other of [new Error('no'), new TypeError('see CKR_OK'), 'CKR_OK', undefined]) {
      assert.equal(returnValueOf(other), undefined)
    }
  })

  it('sorts them, and keeps them apart', () => {
    const cases: [name: string, lost: boolean, notAuthentic: boolean, refusedPin: boolean][] = [
      ['CKR_SESSION_HANDLE_INVALID', true, false, false],
      ['CKR_DEVICE_REMOVED', true, false, false],
      ['CKR_KEY_HANDLE_INVALID', true, false, false],
      ['CKR_ENCRYPTED_DATA_INVALID', false, true, false],
      ['CKR_PIN_LOCKED', false, false, true],
      ['CKR_MECHANISM_INVALID', false, false, false],
    ]
    for (const [name, ...expected] of cases) {
      const error = answer(name)
      assert.deepEqual([isLost(error), isNotAuthentic(error), isRefusedPin(error)], expected, name)
    }
    for (const other of [new Error('no'), undefined]) {
      assert.deepEqual([isLost(other), isNotAuthentic(other), isRefusedPin(other)], [false, false, false])
    }
  })

  it('says what they mean, where that is not plain', () => {
    assert.equal(reasonOf(answer('CKR_PIN_LOCKED', 164)), 'the PIN is locked (CKR_PIN_LOCKED)')
    assert.equal(reasonOf(answer('CKR_HOST_MEMORY', 2)), 'the token answered CKR_HOST_MEMORY')
    assert.equal(reasonOf(new Error('as it is')), 'as it is')
    assert.equal(reasonOf('as it is'), 'as it is')
  })
})
