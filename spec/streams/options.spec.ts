import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { DecryptStream, EncryptStream, RawAesKeyring, decrypt, encrypt, readHeader } from 'esdk-streams'
import { decryptSettings, encryptSettings } from '#lib/streams/options'

const keyring = new RawAesKeyring({ keyNamespace: 'spec', keyName: 'key', wrappingKey: randomBytes(32) })

// What a compiler would refuse, as plain JavaScript can give it.
const BOTH: readonly [options: object, error: RegExp][] = [
  [{}, /exactly one of "keyring", "keyProvider" and "materialsManager"/],
  [{ keyring, materialsManager: {} }, /exactly one of/],
  [{ keyring, keyProvider: keyring }, /exactly one of/],
  [{ keyProvider: {} }, /"keyProvider" expected a master key provider/],
  [{ keyring: {} }, /"keyring" expected a keyring: an object with onEncrypt and onDecrypt/],
  [{ keyring: { onEncrypt() {}, onDecrypt: 1 } }, /"keyring" expected/],
  [{ materialsManager: { decryptMaterials() {} } }, /"materialsManager" expected/],
  [{ keyring, commitmentPolicy: 'forbid' }, /"commitmentPolicy" expected one of/],
  [{ keyring, commitmentPolicy: 'toString' }, /"commitmentPolicy" expected one of/],
  [{ keyring, encryptionContext: null }, /"encryptionContext" expected/],
  [{ keyring, encryptionContext: { a: 1 } }, /expected strings, got number for "a"/],
  [{ keyring, encryptionContext: { a: '\ud800' } }, /half of a surrogate pair/],
  [{ keyring, encryptionContext: { '\udc00': '' } }, /half of a surrogate pair/],
  [{ keyring, requiredEncryptionContextKeys: 'a' }, /"requiredEncryptionContextKeys" expected an array/],
  [{ keyring, requiredEncryptionContextKeys: [1] }, /"requiredEncryptionContextKeys" expected an array/],
  ...[0, -1, 1.5, NaN, Infinity, '3', null].map(
    (value) =>
      [{ keyring, maxEncryptedDataKeys: value }, /"maxEncryptedDataKeys" expected integer in 1\.\./] as [
        object,
        RegExp,
      ],
  ),
  [{ keyring, maxHeaderBytes: 0 }, /"maxHeaderBytes" expected integer/],
  [{ keyring, maxFrameBytes: 0 }, /"maxFrameBytes" expected integer in 1\.\.1073741824, got 0/],
  [{ keyring, maxFrameBytes: 2 ** 30 + 1 }, /"maxFrameBytes" expected integer in 1\.\.1073741824, got 1073741825/],
]

const ENCRYPT: readonly [options: object, error: RegExp][] = [
  ...BOTH,
  ...[0, -1, 1.5, 2 ** 32, NaN, '4096'].map(
    (value) =>
      [{ keyring, frameLength: value }, /"frameLength" expected integer in 1\.\.67108864, got /] as [object, RegExp],
  ),
  [{ keyring, frameLength: 4096, maxFrameBytes: 4095 }, /"frameLength" expected integer in 1\.\.4095, got 4096/],
  [{ keyring, plaintextLength: -1 }, /"plaintextLength" expected integer/],
  [{ keyring, plaintextLength: 2 ** 53 }, /"plaintextLength" expected integer/],
  [{ keyring, plaintextLength: 2 ** 32, frameLength: 1 }, /takes more than 4294967295 frames of 1 bytes/],
  [{ keyring, plaintextLengthBound: 0.5 }, /"plaintextLengthBound" expected integer/],
  [{ keyring, algorithmSuite: 0x0070 }, /"algorithmSuite" expected one of 0x0014, .*, got 0x0070/],
  [{ keyring, algorithmSuite: 'AES' }, /"algorithmSuite" expected one of .*, got "AES"/],
  [{ keyring, randomAccess: 1 }, /"randomAccess" expected true or false/],
  [
    { keyring, randomAccess: true, algorithmSuite: 0x0578 },
    /"randomAccess" goes with unsigned suites only; 0x0578 signs/,
  ],
  [{ keyring, encryptionContext: { 'aws-crypto-foo': '' } }, /names that begin with "aws-crypto-" are reserved/],
  [{ keyring, encryptionContext: { 'aws-crypto-public-key': '' } }, /reserved/],
  [{ keyring, requiredEncryptionContextKeys: ['a'] }, /names "a", which "encryptionContext" does not hold/],
]

const DECRYPT: readonly [options: object, error: RegExp][] = [
  ...BOTH,
  [{ keyring, unsignedOnly: 'yes' }, /"unsignedOnly" expected true or false/],
  [{ keyring, verifyFirst: 0 }, /"verifyFirst" expected true or false/],
  [{ keyring, allowNet400Messages: null }, /"allowNet400Messages" expected true or false/],
]

describe('options', () => {
  for (const [options, message] of ENCRYPT) {
    it(`of encryption are refused at once: ${message.source}`, async () => {
      const refused = (error: unknown): boolean =>
        (error instanceof TypeError || error instanceof RangeError) && message.test(error.message)
      assert.throws(() => new EncryptStream(options), refused)
      await assert.rejects(encrypt('', options), refused)
    })
  }

  for (const [options, message] of DECRYPT) {
    it(`of decryption are refused at once: ${message.source}`, async () => {
      const refused = (error: unknown): boolean =>
        (error instanceof TypeError || error instanceof RangeError) && message.test(error.message)
      assert.throws(() => new DecryptStream(options), refused)
      await assert.rejects(decrypt(Buffer.alloc(0), options), refused)
    })
  }

  it('must be an object', () => {
    assert.throws(() => encryptSettings(null as never), /expected an object of options/)
    assert.throws(() => decryptSettings(undefined as never), /expected an object of options/)
  })

  it('have the documented defaults', () => {
    const encryption = encryptSettings({ keyring })
    assert.equal(encryption.frameLength, 4096)
    assert.equal(encryption.commitmentPolicy, 'require-encrypt-require-decrypt')
    assert.equal(encryption.algorithmSuite, undefined)
    assert.deepEqual(encryption.limits, {
      maxEncryptedDataKeys: 65535,
      maxHeaderBytes: 2 ** 20,
      maxFrameBytes: 2 ** 26,
    })
    const decryption = decryptSettings({ keyring })
    assert.equal(decryption.unsignedOnly, false)
    assert.equal(decryption.verifyFirst, false)
    assert.equal(decryption.allowNet400Messages, false)
  })

  it('take 0 for a value, not for nothing', () => {
    assert.equal(encryptSettings({ keyring, plaintextLength: 0 }).plaintextLength, 0)
    assert.equal(encryptSettings({ keyring, plaintextLengthBound: 0 }).plaintextLengthBound, 0)
  })

  it('accept the extremes', () => {
    for (const frameLength of [1, 15, 2 ** 26])
      assert.equal(encryptSettings({ keyring, frameLength }).frameLength, frameLength)
    assert.equal(encryptSettings({ keyring, frameLength: 2 ** 30, maxFrameBytes: 2 ** 30 }).frameLength, 2 ** 30)
  })

  it('accept an algorithm suite by its full name and without ALG_', () => {
    for (const algorithmSuite of [
      0x0478,
      'ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY',
      'AES_256_GCM_HKDF_SHA512_COMMIT_KEY',
    ]) {
      assert.equal(encryptSettings({ keyring, algorithmSuite }).algorithmSuite?.id, 0x0478)
    }
  })

  it('choose an unsigned suite of the policy for random access', () => {
    assert.equal(encryptSettings({ keyring, randomAccess: true }).algorithmSuite?.id, 0x0478)
    const commitmentPolicy = 'forbid-encrypt-allow-decrypt'
    assert.equal(encryptSettings({ keyring, randomAccess: true, commitmentPolicy }).algorithmSuite?.id, 0x0178)
    assert.equal(encryptSettings({ keyring, randomAccess: true, algorithmSuite: 0x0014 }).algorithmSuite?.id, 0x0014)
  })

  it('are copied: a later change of the encryption context does not matter', async () => {
    const encryptionContext: Record<string, string> = { a: '1' }
    const promise = encrypt('text', { keyring, encryptionContext, algorithmSuite: 0x0478 })
    encryptionContext['a'] = '2'
    encryptionContext['b'] = '3'
    const { header } = await readHeader((await promise).ciphertext)
    assert.deepEqual({ ...header.encryptionContext }, { a: '1' })
  })
})
