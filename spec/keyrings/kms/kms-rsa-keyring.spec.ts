// LocalStack decrypts under RSA keys by OAEP with SHA-256 alone. A double stands in for RSAES_OAEP_SHA_1: there, the proxy
// answers Decrypt with node:crypto and the private key, which LocalStack was given by the specs.
import assert from 'node:assert/strict'
import { GetPublicKeyCommand } from '@aws-sdk/client-kms'
import { constants, createHash, generateKeyPairSync, privateDecrypt } from 'node:crypto'
import { WrapError, decrypt, encrypt } from 'esdk-streams'
import { type EncryptedDataKey, encodeEncryptionContext } from 'esdk-streams/format'
import { KmsRsaKeyring, type KmsRsaKeyringOptions } from 'esdk-streams/kms'
import type { Asked, Fault } from '../../emulators/fault-proxy.ts'
import { SIGNED, decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../../materials/sample.ts'
import { assertLeaksNothing } from '../leaks.ts'
import { ACCOUNT, attemptsOf, clientAt, createKey, replicate, unwrapErrorOf, useLocalStack } from './setup.ts'

const pair = generateKeyPairSync('rsa', { modulusLength: 2048 })
const encryptionContext = { purpose: 'spec', é: 'ü' }
const { RSA_PKCS1_OAEP_PADDING: padding } = constants
type Answer = Readonly<Record<string, unknown>>

describe('keyrings/kms/kms-rsa-keyring', () => {
  const kms = useLocalStack()
  let keyId: string

  before(async () => {
    keyId = await createRsaKey()
  })

  /** A key of AWS KMS with the private key of the specs. */
  function createRsaKey(settings: { readonly MultiRegion?: boolean } = {}): Promise<string> {
    const material = pair.privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64')
    const Tags = [{ TagKey: '_custom_key_material_', TagValue: material }]
    return createKey(kms.server.behind, 'us-west-1', {
      ...{ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT', Tags },
      ...settings,
    })
  }

  function keyringOf(changes: Partial<KmsRsaKeyringOptions> = {}): KmsRsaKeyring {
    const { clientProvider } = kms.server
    const given = {
      keyId,
      encryptionAlgorithm: 'RSAES_OAEP_SHA_256',
      publicKey: pair.publicKey,
      clientProvider,
    } as const
    return new KmsRsaKeyring({ ...given, ...changes })
  }

  /** The double: AWS KMS with that private key, and SHA-1. */
  function holdKey(): void {
    kms.server.proxy.faults(({ body }: Asked): Fault | undefined => {
      if (body['EncryptionAlgorithm'] !== 'RSAES_OAEP_SHA_1') return undefined
      const ciphertext = Buffer.from(String(body['CiphertextBlob']), 'base64')
      const opened = privateDecrypt({ key: pair.privateKey, padding, oaepHash: 'sha1' }, ciphertext)
      return { text: JSON.stringify({ KeyId: body['KeyId'], Plaintext: opened.toString('base64') }) }
    })
  }

  for (const encryptionAlgorithm of ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'] as const) {
    it(`encrypts offline and decrypts by ${encryptionAlgorithm}`, async () => {
      const keyring = keyringOf({ encryptionAlgorithm, grantTokens: ['token'] })
      holdKey()
      const { ciphertext, header } = await encrypt('text', { keyring, encryptionContext, algorithmSuite: 0x0478 })
      assert.equal(kms.server.proxy.asked.length, 0)
      const [key] = header.encryptedDataKeys
      assert.deepEqual([key!.keyProviderId, String(key!.keyProviderInfo)], ['aws-kms-rsa', keyId])
      const decryptOnly = keyringOf({ encryptionAlgorithm, publicKey: undefined as never, grantTokens: ['token'] }) // as if it were not there
      assert.equal((await decrypt(ciphertext, { keyring: decryptOnly })).plaintext.toString(), 'text')
      const [asked] = kms.server.proxy.asked
      assert.equal(asked!.region, 'us-west-1')
      assert.deepEqual(asked!.body, {
        KeyId: keyId,
        CiphertextBlob: Buffer.from(key!.ciphertext).toString('base64'),
        EncryptionAlgorithm: encryptionAlgorithm,
        GrantTokens: ['token'],
      })
    })
  }

  it('does not unwrap with SHA-256 what was wrapped with SHA-1', async () => {
    const { encryptedDataKeys } = await keyringOf({ encryptionAlgorithm: 'RSAES_OAEP_SHA_1' }).onEncrypt(
      encryptionMaterials(),
    )
    const attempts = await attemptsOf(keyringOf().onDecrypt(decryptionMaterials(), encryptedDataKeys))
    assert.equal(attempts.length, 1)
  })

  it('wraps the SHA-384 hash of the encryption context and the data key, byte for byte', async () => {
    const dataKey = secret()
    const { encryptedDataKeys } = await keyringOf().onEncrypt(encryptionMaterials({ dataKey, encryptionContext }))
    const opened = privateDecrypt(
      { key: pair.privateKey, padding, oaepHash: 'sha256' },
      encryptedDataKeys[0]!.ciphertext,
    )
    const digest = createHash('sha384').update(encodeEncryptionContext(encryptionContext)).digest()
    assert.deepEqual(opened, Buffer.concat([digest, dataKey.export()]))
  })

  it('takes the public key that AWS KMS gives, as PEM, DER and KeyObject', async () => {
    const client = clientAt(kms.server.endpoint, 'us-west-1')
    const { PublicKey } = await client.send(new GetPublicKeyCommand({ KeyId: keyId }))
    const pem = pair.publicKey.export({ format: 'pem', type: 'spki' })
    for (const publicKey of [PublicKey!, pem, Buffer.from(pem), pair.publicKey]) {
      const { encryptedDataKeys, dataKey } = await keyringOf({ publicKey }).onEncrypt(encryptionMaterials())
      const opened = await keyringOf().onDecrypt(decryptionMaterials(), encryptedDataKeys)
      assert.equal(opened.dataKey!.equals(dataKey!), true)
    }
  })

  it('does not unwrap under another encryption context', async () => {
    const { encryptedDataKeys, dataKey } = await keyringOf().onEncrypt(encryptionMaterials({ encryptionContext }))
    const other = decryptionMaterials({ encryptionContext: { ...encryptionContext, purpose: 'other' } })
    const error = await unwrapErrorOf(keyringOf().onDecrypt(other, encryptedDataKeys))
    assert.equal(error.attempts[0]!.reason, 'wrapped with another encryption context')
    assertLeaksNothing(error, dataKey!.export())
    const same = await keyringOf().onDecrypt(decryptionMaterials({ encryptionContext }), encryptedDataKeys)
    assert.equal(same.dataKey!.equals(dataKey!), true)
  })

  it('passes over answers for another key, or of another length, and goes on to the next data key', async () => {
    const keyring = keyringOf()
    const { encryptedDataKeys, dataKey } = await keyring.onEncrypt(encryptionMaterials())
    const [key] = encryptedDataKeys
    let calls = 0
    const cut = ({ Plaintext }: Answer, ...at: [number, number?]): string =>
      Buffer.from(String(Plaintext), 'base64')
        .subarray(...at)
        .toString('base64')
    const changes: readonly ((answer: Answer) => Record<string, unknown>)[] = [
      (answer) => ({ ...answer, KeyId: `${keyId}0` }),
      (answer) => ({ ...answer, Plaintext: cut(answer, 1) }),
      ({ KeyId }) => ({ KeyId }),
      (answer) => ({ ...answer, Plaintext: cut(answer, 0, 48) }),
      (answer) => ({ ...answer }),
    ]
    kms.server.proxy.faults(() => changes[calls++])
    const unwrapped = await keyring.onDecrypt(decryptionMaterials(), [key!, key!, key!, key!, key!])
    assert.equal(unwrapped.dataKey!.equals(dataKey!), true)
    assert.equal(calls, 5)
    calls = 0
    const attempts = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), [key!, key!, key!, key!]))
    assert.match(attempts[0]!.reason, /answered for another key/)
    for (const { reason } of attempts.slice(1)) assert.match(reason, /other than 32 bytes/)
  })

  it('tries only data keys that were wrapped under just this key, or a replica of it', async () => {
    const { encryptedDataKeys } = await keyringOf().onEncrypt(encryptionMaterials())
    const named = (text: string): EncryptedDataKey => ({ ...encryptedDataKeys[0]!, keyProviderInfo: Buffer.from(text) })
    const elsewhere = named(keyId.replace('us-west-1', 'us-west-2'))
    const attempts = await attemptsOf(keyringOf().onDecrypt(decryptionMaterials(), [foreignKey('aws-kms'), elsewhere]))
    assert.equal(kms.server.proxy.asked.length, 0)
    assert.deepEqual(
      attempts.map(({ reason }) => reason),
      ['not wrapped by an AWS KMS RSA key', `wrapped by ${String(elsewhere.keyProviderInfo)}, not by ${keyId}`],
    )
    for (const text of [`arn:aws:kms:us-west-1:${ACCOUNT}:alias/a`, 'garbage']) {
      const [attempt] = await attemptsOf(
        keyringOf().onDecrypt(decryptionMaterials(), [...encryptedDataKeys, named(text)]),
      )
      assert.match(attempt!.reason, /not the ARN of a key/)
    }
    assert.equal(kms.server.proxy.asked.length, 0)
    const primary = await createRsaKey({ MultiRegion: true })
    const replica = await replicate(kms.server.behind, primary, 'us-east-1')
    await keyringOf({ keyId: replica }).onDecrypt(decryptionMaterials(), [named(primary)])
    assert.deepEqual(
      kms.server.proxy.asked.map(({ region, body }) => [region, body['KeyId']]),
      [['us-east-1', replica]],
    )
  })

  it('refuses signed suites, in both directions', async () => {
    await assert.rejects(keyringOf().onEncrypt(encryptionMaterials({ suite: SIGNED })), WrapError)
    await assert.rejects(encrypt('text', { keyring: keyringOf() }), /no signed algorithm suite such as 0x0578/)
    const { encryptedDataKeys } = await keyringOf().onEncrypt(encryptionMaterials())
    const signed = decryptionMaterials({ suite: SIGNED })
    const [attempt] = await attemptsOf(keyringOf().onDecrypt(signed, encryptedDataKeys))
    assert.match(attempt!.reason, /no signed algorithm suite/)
    assert.equal(kms.server.proxy.asked.length, 0)
  })

  it('fails with what AWS KMS says, and ends when it is aborted', async () => {
    const { encryptedDataKeys } = await keyringOf().onEncrypt(encryptionMaterials())
    kms.server.proxy.faults(() => ({ error: 'DisabledException', status: 400 }))
    const [attempt] = await attemptsOf(keyringOf().onDecrypt(decryptionMaterials(), encryptedDataKeys))
    assert.match(attempt!.reason, /DisabledException/)
    kms.server.proxy.faults(() => 'stall')
    const signal = AbortSignal.timeout(100)
    await assert.rejects(keyringOf().onDecrypt(decryptionMaterials(), encryptedDataKeys, { signal }), {
      name: 'TimeoutError',
    })
  })

  it('clears what AWS KMS decrypted', async () => {
    const seen: Uint8Array[] = []
    const client = clientAt(kms.server.endpoint, 'us-west-1')
    client.middlewareStack.add((next) => async (args) => {
      const result = await next(args)
      if ('Plaintext' in result.output) seen.push(result.output.Plaintext as Uint8Array) // as the AWS SDK gives it
      return result
    })
    const keyring = keyringOf({ clientProvider: () => client })
    const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials())
    await keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys)
    await attemptsOf(keyring.onDecrypt(decryptionMaterials({ encryptionContext }), encryptedDataKeys))
    assert.equal(seen.length, 2)
    for (const bytes of seen) assert.deepEqual(Buffer.from(bytes), Buffer.alloc(80))
  })

  it('needs a public key to encrypt', async () => {
    const { clientProvider } = kms.server
    const keyring = new KmsRsaKeyring({ keyId, encryptionAlgorithm: 'RSAES_OAEP_SHA_1', clientProvider })
    await assert.rejects(keyring.onEncrypt(encryptionMaterials()), /without a "publicKey" cannot encrypt/)
    await assert.rejects(keyring.onDecrypt(decryptionMaterials({ dataKey: secret() }), []), /already hold/)
  })

  it('refuses options that are unfit, at once', () => {
    const make = (changes: object) => () => keyringOf(changes)
    for (const unfit of ['alias/a', keyId.replace('key/', 'alias/'), keyId.split('/')[1], '', undefined]) {
      assert.throws(make({ keyId: unfit }), /"keyId" expected the ARN/)
    }
    for (const unfit of ['RSAES_OAEP_SHA_512', 'toString', undefined]) {
      assert.throws(make({ encryptionAlgorithm: unfit }), /"encryptionAlgorithm" expected one of/)
    }
    const short = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey
    const curve = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
    const pem = pair.privateKey.export({ format: 'pem', type: 'pkcs8' })
    for (const publicKey of [short, curve, pair.privateKey, pem, Buffer.from(pem), 'garbage', Buffer.from([0x30]), 5]) {
      assert.throws(make({ publicKey }), /"publicKey" expected a public RSA key of at least 2048 bits/)
    }
    assert.throws(make({ grantTokens: [''] }), /"grantTokens"/)
  })
})
