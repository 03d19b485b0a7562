import assert from 'node:assert/strict'
import { Pkcs11Keyring, type Pkcs11KeyringOptions } from 'esdk-streams/pkcs11'

const good = {
  library: '/nowhere.so',
  tokenLabel: 'token',
  pin: '1234',
  keyLabel: 'key',
  keyNamespace: 'namespace',
  keyName: 'key1',
  wrappingAlgorithm: 'aes-gcm',
}
const module = { C_OpenSession() {}, C_FindObjects() {}, C_EncryptAsync() {}, C_DecryptAsync() {} }

function make(changes: Readonly<Record<string, unknown>>): Pkcs11Keyring {
  return new Pkcs11Keyring({ ...good, ...changes } as unknown as Pkcs11KeyringOptions) // what is wrong is for it to find
}

describe('keyrings/pkcs11/pkcs11-keyring, its options', () => {
  const WRONG: [changes: Readonly<Record<string, unknown>>, message: RegExp][] = [
    [{ library: undefined }, /exactly one of "library" and "module"/],
    [{ module }, /exactly one of "library" and "module"/],
    [{ library: '' }, /"library" expected the path/],
    [{ library: 5 }, /"library" expected the path/],
    [{ library: undefined, module: {} }, /"module" expected an instance of the class PKCS11/],
    [{ library: undefined, module: null }, /"module" expected an instance of the class PKCS11/],
    [{ library: undefined, module: { ...module, C_EncryptAsync: undefined } }, /"module" expected an instance/],
    [{ tokenLabel: undefined }, /exactly one of "slot" and "tokenLabel"/],
    [{ slot: 0 }, /exactly one of "slot" and "tokenLabel"/],
    [{ tokenLabel: '' }, /"tokenLabel" expected a non-empty string/],
    [{ tokenLabel: 7 }, /"tokenLabel" expected a non-empty string/],
    [{ pin: 1234 }, /"pin" expected a string or a function/],
    [{ pin: null }, /"pin" expected a string or a function/],
    [{ keyLabel: undefined }, /expected a "keyLabel" or a "keyId"/],
    [{ keyLabel: '' }, /"keyLabel" expected a non-empty string/],
    [{ keyLabel: Buffer.from('key') }, /"keyLabel" expected a non-empty string/],
    [{ keyId: '01' }, /"keyId" expected bytes/],
    [{ keyId: Buffer.alloc(0) }, /"keyId" expected bytes/],
    [{ keyNamespace: 'aws-kms' }, /"keyNamespace" may not begin with "aws-kms"/],
    [{ keyNamespace: undefined }, /"keyNamespace" expected/],
    [{ keyName: '' }, /"keyName" expected/],
    [
      { wrappingAlgorithm: undefined },
      /"wrappingAlgorithm" expected one of aes-gcm, pkcs1, oaep-sha1, .*oaep-sha512, got/,
    ],
    [{ wrappingAlgorithm: 'aes-cbc' }, /"wrappingAlgorithm" expected one of/],
    [{ wrappingAlgorithm: 'toString' }, /"wrappingAlgorithm" expected one of/],
    [{ tokenGeneratesIv: 'yes' }, /"tokenGeneratesIv" expected a boolean/],
    [{ tokenGeneratesIv: true, wrappingAlgorithm: 'pkcs1' }, /"tokenGeneratesIv" goes with the wrapping algorithm/],
  ]

  for (const [changes, message] of WRONG) {
    it(`are refused at once: ${message.source}`, () => {
      assert.throws(() => make(changes), { name: 'TypeError', message })
    })
  }

  it('are refused at once: a slot that is no number of one', () => {
    for (const slot of [-1, 0.5, NaN, 2 ** 53, '0']) {
      const message = `"slot" expected the number of a slot, got ${slot}`
      assert.throws(() => make({ tokenLabel: undefined, slot }), { name: 'RangeError', message })
    }
  })

  it('hold no PIN in what they are refused with', () => {
    assert.throws(
      () => make({ wrappingAlgorithm: 'none' }),
      (error) =>
        error instanceof TypeError && !error.message.includes('1234') && !(error.stack ?? '').includes("'1234'"),
    )
  })

  it('may be many', () => {
    make({})
    make({ library: undefined, module, tokenLabel: undefined, slot: 0, pin: undefined })
    make({ keyLabel: undefined, keyId: new Uint8Array([1]), keyName: Buffer.from([0xff]), pin: () => '1234' })
    make({ tokenGeneratesIv: true })
    for (const wrappingAlgorithm of ['pkcs1', 'oaep-sha1', 'oaep-sha256', 'oaep-sha384', 'oaep-sha512']) {
      make({ wrappingAlgorithm, tokenGeneratesIv: false })
    }
  })
})
