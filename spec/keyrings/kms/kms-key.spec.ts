import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { MultiKeyring, RawAesKeyring, UnwrapError, WrapError, decrypt, encrypt } from 'esdk-streams'
import { ALGORITHM_SUITES } from 'esdk-streams/format'
import { KmsKeyring } from 'esdk-streams/kms'
import { KmsKey } from '#lib/keyrings/kms/kms-key'
import { FaultProxy } from '../../emulators/fault-proxy.ts'
import { decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../../materials/sample.ts'
import { ACCOUNT, REGIONS, attemptsOf, clientAt, clientsAt, createAlias, createKey, useKmsServer } from './setup.ts'

const plaintext = Buffer.from('plaintext')
const encryptionContext = { purpose: 'spec', größe: 'grün' }

/** A wall before each region, that can be torn down and put up again. */
async function gatesOf(behind: string): Promise<{ gates: FaultProxy[]; endpoints: string[] }> {
  const gates = REGIONS.map(() => new FaultProxy(behind))
  return { gates, endpoints: await Promise.all(gates.map((gate) => gate.start())) }
}

describe('keyrings/kms/kms-key', () => {
  const kms = useKmsServer()

  it('encrypts and decrypts with one key, in its region', async () => {
    const { keys, clientProvider } = kms.server
    const keyring = new KmsKeyring({ generatorKeyId: keys[1]!, clientProvider })
    const { ciphertext, header } = await encrypt(plaintext, { keyring, encryptionContext })
    const names = header.encryptedDataKeys.map((key) => [key.keyProviderId, key.keyProviderInfo.toString()])
    assert.deepEqual(names, [['aws-kms', keys[1]]])
    assert.deepEqual((await decrypt(ciphertext, { keyring })).plaintext, plaintext)
    assert.deepEqual(
      kms.server.proxy.asked.map(({ operation, region }) => [operation, region]),
      [
        ['GenerateDataKey', 'us-west-1'],
        ['Decrypt', 'us-west-1'],
      ],
    )
  })

  it('asks for a data key of every suite', async () => {
    const { keys, clientProvider } = kms.server
    const keyring = new KmsKeyring({ generatorKeyId: keys[0]!, clientProvider })
    for (const suite of ALGORITHM_SUITES) {
      const wrapped = await keyring.onEncrypt(encryptionMaterials({ suite }))
      const unwrapped = await keyring.onDecrypt(decryptionMaterials({ suite }), wrapped.encryptedDataKeys)
      assert.equal(wrapped.dataKey!.symmetricKeySize, suite.keyBytes)
      assert.equal(unwrapped.dataKey!.equals(wrapped.dataKey!), true)
      assert.equal(kms.server.proxy.asked.at(-2)!.body['NumberOfBytes'], suite.keyBytes)
    }
  })

  it('wraps one data key in three regions, and any one of the three unwraps it when the other two are gone', async () => {
    const { keys } = kms.server
    const { gates, endpoints } = await gatesOf(kms.server.behind)
    const at = clientsAt((region) => endpoints[REGIONS.indexOf(region as never)]!) // one of them
    const options = { generatorKeyId: keys[0]!, keyIds: keys.slice(1), clientProvider: at }
    const { ciphertext, header } = await encrypt(plaintext, { keyring: new KmsKeyring(options), encryptionContext })
    assert.equal(header.encryptedDataKeys.length, 3)
    assert.deepEqual(
      gates.map(({ asked }) => asked.map(({ operation, region }) => [operation, region])),
      [[['GenerateDataKey', 'us-east-1']], [['Encrypt', 'us-west-1']], [['Encrypt', 'us-west-2']]],
    )
    await Promise.all(gates.map((gate) => gate.stop()))
    for (const [alive, key] of keys.entries()) {
      const gate = new FaultProxy(kms.server.behind)
      const endpoint = await gate.start()
      const clients = clientsAt((region) => (region === REGIONS[alive] ? endpoint : endpoints[(alive + 1) % 3]!))
      const all = new KmsKeyring({ ...options, clientProvider: clients })
      assert.deepEqual((await decrypt(ciphertext, { keyring: all })).plaintext, plaintext)
      const one = new KmsKeyring({ keyIds: [key], clientProvider: clients })
      assert.deepEqual((await decrypt(ciphertext, { keyring: one })).plaintext, plaintext)
      await assert.rejects(encrypt(plaintext, { keyring: all }), WrapError)
      await gate.stop()
    }
  })

  it('takes the ARN of an alias for encryption, and says on decryption that another key wrapped', async () => {
    const { keys, clientProvider } = kms.server
    const generatorKeyId = await createAlias(kms.server.behind, keys[2]!, 'keyring-arn')
    const keyring = new KmsKeyring({ generatorKeyId, clientProvider })
    const { ciphertext, header } = await encrypt(plaintext, { keyring })
    assert.equal(kms.server.proxy.asked[0]!.region, 'us-west-2')
    assert.equal(header.encryptedDataKeys[0]!.keyProviderInfo.toString(), keys[2])
    const [attempt] = await attemptsOf(decrypt(ciphertext, { keyring }))
    assert.equal(attempt!.reason, `wrapped by ${keys[2]!}, not by ${generatorKeyId}`)
    const byKey = new KmsKeyring({ generatorKeyId: keys[2]!, clientProvider })
    assert.deepEqual((await decrypt(ciphertext, { keyring: byKey })).plaintext, plaintext)
  })

  it('asks the provider for the client of no region where an identifier has none', async () => {
    const { keys } = kms.server
    await createAlias(kms.server.behind, keys[1]!, 'keyring-name')
    const asked: (string | undefined)[] = []
    const local = clientAt(kms.server.endpoint, 'us-west-1')
    for (const generatorKeyId of ['alias/keyring-name', keys[1]!.split('/')[1]!]) {
      const keyring = new KmsKeyring({
        generatorKeyId,
        clientProvider: (region) => {
          asked.push(region)
          return local
        },
      })
      const { header } = await encrypt(plaintext, { keyring })
      assert.equal(header.encryptedDataKeys[0]!.keyProviderInfo.toString(), keys[1])
    }
    assert.deepEqual(asked, [undefined, undefined])
  })

  it('adds to a data key that another keyring made', async () => {
    const { keys, clientProvider } = kms.server
    const raw = new RawAesKeyring({ keyNamespace: 'escrow', keyName: 'key', wrappingKey: randomBytes(32) })
    const added = new KmsKeyring({ keyIds: [keys[0]!], clientProvider })
    const keyring = new MultiKeyring({ generator: raw, children: [added] })
    const { ciphertext } = await encrypt(plaintext, { keyring, encryptionContext })
    for (const each of [raw, added]) {
      assert.deepEqual((await decrypt(ciphertext, { keyring: each })).plaintext, plaintext)
    }
    await assert.rejects(encrypt(plaintext, { keyring: added }), /hold no data key/)
    const generating = new KmsKeyring({ generatorKeyId: keys[0]!, clientProvider })
    await assert.rejects(generating.onEncrypt(encryptionMaterials({ dataKey: secret() })), WrapError)
  })

  it('sends grant tokens and the whole encryption context with each of the three calls', async () => {
    const { keys, clientProvider } = kms.server
    const grantTokens = ['token-1', 'token-2']
    const keyring = new KmsKeyring({ generatorKeyId: keys[0]!, keyIds: [keys[1]!], grantTokens, clientProvider })
    const { ciphertext, header } = await encrypt(plaintext, { keyring, encryptionContext })
    await decrypt(ciphertext, { keyring })
    assert.deepEqual(
      kms.server.proxy.asked.map(({ operation }) => operation),
      ['GenerateDataKey', 'Encrypt', 'Decrypt'],
    )
    assert.equal(Object.keys(header.encryptionContext).length, 3, 'with the public key')
    for (const { body } of kms.server.proxy.asked) {
      assert.deepEqual(body['GrantTokens'], grantTokens)
      assert.deepEqual(body['EncryptionContext'], { ...header.encryptionContext })
    }
    kms.server.proxy.faults()
    await new KmsKeyring({ generatorKeyId: keys[0]!, clientProvider }).onEncrypt(encryptionMaterials())
    const [{ body } = assert.fail()] = kms.server.proxy.asked
    assert.deepEqual(body['EncryptionContext'], {})
    assert.ok(!('GrantTokens' in body))
  })

  it('binds the encryption context', async () => {
    const { keys, clientProvider } = kms.server
    const keyring = new KmsKeyring({ generatorKeyId: keys[0]!, clientProvider })
    const wrapped = await keyring.onEncrypt(encryptionMaterials({ encryptionContext }))
    const other = decryptionMaterials({ encryptionContext: { ...encryptionContext, purpose: 'other' } })
    const [attempt] = await attemptsOf(keyring.onDecrypt(other, wrapped.encryptedDataKeys))
    assert.match(attempt!.reason, /InvalidCiphertextException/)
  })

  it('tries only data keys of just its keys, and tells of each that it skipped', async () => {
    const { keys, clientProvider } = kms.server
    const [first, other] = [keys[0]!, await createKey(kms.server.behind, 'us-east-1')]
    const [a, b] = [first, other].map((key) => new KmsKeyring({ generatorKeyId: key, clientProvider }))
    const { encryptedDataKeys } = await b!.onEncrypt(encryptionMaterials())
    const id = first.split('/')[1]!
    const spelt = {
      ...encryptedDataKeys[0]!,
      keyProviderInfo: Buffer.from(`arn:aws:kms:us-west-1:${ACCOUNT}:key/${id}`),
    }
    const account = { ...spelt, keyProviderInfo: Buffer.from(`arn:aws:kms:us-east-1:999999999999:key/${id}`) }
    kms.server.proxy.faults()
    const attempts = await attemptsOf(
      a!.onDecrypt(decryptionMaterials(), [foreignKey('aws-kms-rsa'), ...encryptedDataKeys, spelt, account]),
    )
    assert.deepEqual(
      attempts.map(({ reason }) => reason),
      [
        'not wrapped by AWS KMS',
        `wrapped by ${other}, not by ${first}`,
        `wrapped by ${spelt.keyProviderInfo.toString()}, not by ${first}`,
        `wrapped by ${account.keyProviderInfo.toString()}, not by ${first}`,
      ],
    )
    assert.equal(kms.server.proxy.asked.length, 0)
  })

  it('fails the whole call where a data key of AWS KMS names no key by its ARN, wherever it stands', async () => {
    const { keys, clientProvider } = kms.server
    const keyring = new KmsKeyring({ generatorKeyId: keys[0]!, clientProvider })
    const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials())
    const strange = [
      `arn:aws:kms:us-east-1:${ACCOUNT}:alias/name`,
      'garbage',
      '',
      keys[0]!.split('/')[1]!,
      `${keys[0]!}\xff`,
    ]
    kms.server.proxy.faults()
    for (const info of strange) {
      const malformed = { ...foreignKey('aws-kms'), keyProviderInfo: Buffer.from(info, 'latin1') }
      const found = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), [...encryptedDataKeys, malformed]))
      assert.equal(found.length, 1)
      assert.match(found[0]!.reason, /which is not the ARN of a key$/)
    }
    assert.equal(kms.server.proxy.asked.length, 0)
  })

  it('unwraps nothing into materials that hold a data key', async () => {
    const { keys, clientProvider } = kms.server
    const keyring = new KmsKeyring({ generatorKeyId: keys[0]!, clientProvider })
    await assert.rejects(keyring.onDecrypt(decryptionMaterials({ dataKey: secret() }), []), /already hold/)
    await assert.rejects(keyring.onDecrypt(decryptionMaterials(), []), UnwrapError)
  })

  it('says where there is no client for a region', async () => {
    const { keys, clientProvider } = kms.server
    const some = new KmsKeyring({ generatorKeyId: keys[0]!, clientProvider: () => false })
    await assert.rejects(some.onEncrypt(encryptionMaterials()), /there is no client for the region us-east-1/)
    const made = new KmsKeyring({ generatorKeyId: keys[0]!, clientProvider })
    const { encryptedDataKeys } = await made.onEncrypt(encryptionMaterials())
    const [attempt] = await attemptsOf(some.onDecrypt(decryptionMaterials(), encryptedDataKeys))
    assert.equal(attempt!.reason, 'there is no client for the region us-east-1')
  })

  it('clears every byte of a data key that it held', async () => {
    const { keys } = kms.server
    const seen: Uint8Array[] = []
    const client = clientAt(kms.server.endpoint, 'us-east-1')
    client.middlewareStack.add((next) => async (args) => {
      if ('Plaintext' in args.input) seen.push(args.input.Plaintext as Uint8Array) // as our own request has it
      const result = await next(args)
      if ('Plaintext' in result.output) seen.push(result.output.Plaintext as Uint8Array) // as the AWS SDK gives it
      return result
    })
    const another = await createKey(kms.server.behind, 'us-east-1')
    const keyring = new KmsKeyring({ generatorKeyId: keys[0]!, keyIds: [another], clientProvider: () => client })
    const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials())
    await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
    await attemptsOf(keyring.onDecrypt(decryptionMaterials({ suite: ALGORITHM_SUITES[0]! }), encryptedDataKeys))
    assert.equal(ALGORITHM_SUITES[0]!.keyBytes, 16)
    assert.equal(seen.length, 5)
    for (const bytes of seen) assert.deepEqual(Buffer.from(bytes), Buffer.alloc(32))
  })

  it('rejects with the reason of its signal, of itself', async () => {
    const { keys, clientProvider, proxy } = kms.server
    const options = { keyId: keys[0]!, clientProvider, grantTokens: [], matches: () => true }
    const key = new KmsKey(options)
    const { encryptedDataKeys } = await key.onEncrypt(encryptionMaterials())
    proxy.faults(() => 'stall')
    for (const work of [
      (signal: AbortSignal) => key.onEncrypt(encryptionMaterials(), { signal }),
      (signal: AbortSignal) => key.onEncrypt(encryptionMaterials({ dataKey: secret() }), { signal }),
      (signal: AbortSignal) => key.onDecrypt(decryptionMaterials(), encryptedDataKeys, { signal }),
    ]) {
      await assert.rejects(work(AbortSignal.timeout(50)), { name: 'TimeoutError' })
    }
    await assert.rejects(key.onDecrypt(decryptionMaterials({ dataKey: secret() }), []), /already hold/)
  })

  it('refuses options that are unfit, at once', () => {
    const { keys } = kms.server
    const make = (options: unknown) => () => new KmsKeyring(options as never) // what a JavaScript user may pass
    const generatorKeyId = keys[0]!
    assert.throws(make({}), /"generatorKeyId" or at least one of "keyIds"/)
    assert.throws(make({ keyIds: [] }), TypeError)
    assert.throws(make({ keyIds: generatorKeyId }), /"keyIds" expected an array/)
    assert.throws(make({ generatorKeyId: '' }), /"generatorKeyId" expected the ARN, alias or id/)
    assert.throws(make({ generatorKeyId: null }), TypeError)
    assert.throws(make({ generatorKeyId, keyIds: ['key/abc'] }), /"keyIds" expected the ARN, alias or id/)
    assert.throws(make({ generatorKeyId, grantTokens: [''] }), /"grantTokens"/)
    assert.throws(make({ generatorKeyId, grantTokens: 'token' }), /"grantTokens"/)
    assert.throws(make({ generatorKeyId, grantTokens: Array<string>(11).fill('t') }), /"grantTokens"/)
    assert.throws(make({ generatorKeyId, grantTokens: ['t'.repeat(8193)] }), /"grantTokens"/)
    assert.throws(make({ generatorKeyId, attemptTimeoutMs: 0 }), RangeError)
  })
})
