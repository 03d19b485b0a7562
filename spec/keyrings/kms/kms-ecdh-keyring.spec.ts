import assert from 'node:assert/strict'
import { type KeyObject, generateKeyPairSync } from 'node:crypto'
import { inspect } from 'node:util'
import { type Keyring, MultiKeyring, RawEcdhKeyring, UnwrapError, WrapError, decrypt, encrypt } from 'esdk-streams'
import { ALGORITHM_SUITES, type EncryptedDataKey } from 'esdk-streams/format'
import { KmsEcdhKeyring } from 'esdk-streams/kms'
import { policyOf, sequence } from '../../arbitraries.ts'
import { decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../../materials/sample.ts'
import { CURVE_NAMES, type CurveName, KNOWN_ANSWER, type Party, agreed, crafted, party } from '../ecdh/keys.ts'
import { attemptsOf, createKey, publicKeyOf, replicate, useLocalStack } from './setup.ts'

const REGION = 'us-west-2'
const encryptionContext = { department: 'admin', é: 'ü' }
const materials = decryptionMaterials({ encryptionContext })

/** A party whose key AWS KMS holds; the specs know it too. */
interface KmsParty extends Party {
  readonly keyId: string
}

/** Alice and Bob keep their keys in AWS KMS, Carol has her own. */
interface Parties {
  readonly alice: KmsParty
  readonly bob: KmsParty
  readonly carol: Party
}

describe('keyrings/kms/kms-ecdh-keyring', () => {
  const kms = useLocalStack()
  const parties = {} as Record<CurveName, Parties> // made before any spec

  before(async () => {
    for (const curve of CURVE_NAMES) {
      const [alice, bob] = [await kept(curve, 0x01), await kept(curve, 0x21)]
      parties[curve] = { alice, bob, carol: party(curve, 0x61) }
    }
  })

  async function kept(curve: CurveName, first: number): Promise<KmsParty> {
    const known = party(curve, first)
    const keyId = await createPair(curve, known.privateKey)
    return { ...known, keyId }
  }

  /** A key pair of AWS KMS with just this private key. */
  function createPair(curve: CurveName, privateKey: KeyObject, settings: object = {}): Promise<string> {
    const material = privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64')
    return createKey(kms.server.behind, REGION, {
      KeySpec: `ECC_NIST_${curve.replace('-', '') as 'P256'}`, // as the three curves are called there
      KeyUsage: 'KEY_AGREEMENT',
      Tags: [{ TagKey: '_custom_key_material_', TagValue: material }],
      ...settings,
    })
  }

  function fixed(curve: CurveName, own: KmsParty, other: Party, changes: object = {}): KmsEcdhKeyring {
    const { clientProvider } = kms.server
    const options = { curve, schema: 'static', senderKeyId: own.keyId, recipientPublicKey: other.publicKey } as const
    return new KmsEcdhKeyring({ ...options, clientProvider, ...changes })
  }

  function discovery(curve: CurveName, { keyId }: KmsParty, changes: object = {}): KmsEcdhKeyring {
    const { clientProvider } = kms.server
    return new KmsEcdhKeyring({ curve, schema: 'discovery', recipientKeyId: keyId, clientProvider, ...changes })
  }

  function raw(curve: CurveName, own: Party, other: Party): RawEcdhKeyring {
    const keys = { senderPrivateKey: own.privateKey, recipientPublicKey: other.publicKey }
    return new RawEcdhKeyring({ curve, schema: 'static', ...keys })
  }

  async function wrapped(by: Keyring): Promise<EncryptedDataKey> {
    const full = encryptionMaterials({ encryptionContext, dataKey: secret() })
    const { encryptedDataKeys } = await by.onEncrypt(full, {})
    kms.server.proxy.asked.length = 0
    return encryptedDataKeys[0]!
  }

  async function assertUnwrapped(key: EncryptedDataKey, by: Keyring): Promise<void> {
    const { dataKey } = await by.onDecrypt(materials, [key], {})
    assert.equal(dataKey?.equals(secret()), true)
  }

  /** What was asked since the last time. */
  function asked(): readonly string[] {
    return kms.server.proxy.asked
      .splice(0)
      .map(({ region, operation, body }) => `${operation} ${region} ${keyIdOf(body)}`)
  }

  it('opens the known answer, with either party’s key in AWS KMS and by discovery', async () => {
    const { alice, bob } = parties['P-256']
    const known = { ...KNOWN_ANSWER, keyProviderId: 'aws-kms-ecdh' }
    const given = decryptionMaterials({ encryptionContext: { department: 'admin' } })
    for (const by of [fixed('P-256', alice, bob), fixed('P-256', bob, alice), discovery('P-256', bob)]) {
      for (const keyProviderId of ['aws-kms-ecdh', 'raw-ecdh']) {
        const { dataKey } = await by.onDecrypt(given, [{ ...known, keyProviderId }])
        assert.equal(dataKey!.export().toString('hex'), sequence(0x40, 32).toString('hex'))
      }
      const other = decryptionMaterials({ encryptionContext: { department: 'Admin' } })
      const [attempt] = await attemptsOf(by.onDecrypt(other, [known]))
      assert.equal(attempt!.reason, 'not authentic under this shared secret and encryption context')
    }
  })

  for (const curve of CURVE_NAMES) {
    describe(`on ${curve}`, () => {
      it('writes, byte for byte, what the specification says', async () => {
        const { alice, carol } = parties[curve]
        const key = await wrapped(fixed(curve, alice, carol))
        const expected = crafted({
          ...{ curve, encryptionContext, senderPoint: alice.point, recipientPoint: carol.point },
          ...{ sharedSecret: agreed(carol, alice), salt: key.ciphertext.subarray(0, 32), dataKey: secret().export() },
          keyProviderId: 'aws-kms-ecdh',
        })
        assert.deepEqual(key, expected)
      })

      it('unwraps for the recipient, for the sender, and for nobody else', async () => {
        const { alice, bob, carol } = parties[curve]
        const key = await wrapped(fixed(curve, alice, bob))
        for (const by of [fixed(curve, bob, alice), fixed(curve, alice, bob), discovery(curve, bob)]) {
          await assertUnwrapped(key, by)
        }
        for (const [by, reason] of [
          [discovery(curve, alice), 'another recipient'],
          [fixed(curve, bob, carol), 'another sender or recipient'],
          [fixed(curve, alice, carol), 'another sender or recipient'],
        ] as const) {
          kms.server.proxy.asked.length = 0
          assert.deepEqual(await attemptsOf(by.onDecrypt(materials, [key])), [{ key, reason }])
          assert.deepEqual(
            asked().map((call) => call.split(' ')[0]),
            ['GetPublicKey'],
          )
        }
      })

      it('reads what the raw keyring writes, and the raw keyring what it writes', async () => {
        const { alice, carol } = parties[curve]
        const kmsSide = fixed(curve, alice, carol)
        const rawSide = raw(curve, carol, alice)
        const recipientPrivateKey = carol.privateKey
        const rawDiscovery = new RawEcdhKeyring({ curve, schema: 'discovery', recipientPrivateKey })
        for (const by of [rawSide, rawDiscovery]) await assertUnwrapped(await wrapped(kmsSide), by)
        const ephemeral = new RawEcdhKeyring({ curve, schema: 'ephemeral', recipientPublicKey: alice.publicKey })
        for (const from of [rawSide, ephemeral]) await assertUnwrapped(await wrapped(from), discovery(curve, alice))
        await assertUnwrapped(await wrapped(rawSide), kmsSide)
      })

      it('carries whole messages of every suite', async () => {
        const { alice, bob } = parties[curve]
        for (const suite of ALGORITHM_SUITES) {
          const shared = { encryptionContext, commitmentPolicy: policyOf(suite) }
          const options = { ...shared, keyring: fixed(curve, alice, bob), algorithmSuite: suite.id }
          const { ciphertext } = await encrypt('text', options)
          const { plaintext } = await decrypt(ciphertext, { ...shared, keyring: discovery(curve, bob) })
          assert.equal(plaintext.toString(), 'text')
        }
      })
    })
  }

  it('generates a data key of the length of the suite', async () => {
    const { alice, bob } = parties['P-256']
    for (const suite of ALGORITHM_SUITES) {
      const full = await fixed('P-256', alice, bob).onEncrypt(encryptionMaterials({ suite, encryptionContext }))
      const given = decryptionMaterials({ suite, encryptionContext })
      const { dataKey } = await discovery('P-256', bob).onDecrypt(given, full.encryptedDataKeys)
      assert.equal(dataKey!.symmetricKeySize, suite.keyBytes)
      assert.equal(full.dataKey!.equals(dataKey!), true)
    }
  })

  it('works beside other keyrings, any of which decrypts', async () => {
    const { alice, bob, carol } = parties['P-384']
    const keyring = new MultiKeyring({
      generator: fixed('P-384', alice, bob),
      children: [fixed('P-384', alice, carol)],
    })
    const { ciphertext } = await encrypt('text', { keyring, encryptionContext })
    for (const reader of [discovery('P-384', bob), raw('P-384', carol, alice)]) {
      assert.equal((await decrypt(ciphertext, { keyring: reader })).plaintext.toString(), 'text')
    }
  })

  it('reads by a replica of a multi-Region key, in its region', async () => {
    const { carol } = parties['P-256']
    const { behind } = kms.server
    const keyId = await createPair('P-256', generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, {
      MultiRegion: true,
    })
    const publicKey = await publicKeyOf(behind, keyId)
    const own = { ...carol, keyId, publicKey }
    const replica = { ...own, keyId: await replicate(behind, keyId, 'us-east-1') }
    const key = await wrapped(fixed('P-256', own, carol))
    await assertUnwrapped(key, fixed('P-256', replica, carol))
    assert.deepEqual(asked(), [
      `GetPublicKey us-east-1 ${replica.keyId}`,
      `DeriveSharedSecret us-east-1 ${replica.keyId}`,
    ])
  })

  describe('what it asks of AWS KMS', () => {
    it('is the shared secret with the other party, by ECDH, with grant tokens, in the region of the key', async () => {
      const { alice, bob, carol } = parties['P-256']
      const grantTokens = ['token']
      const spki = { format: 'der', type: 'spki' } as const
      const expected = (keyId: string, other: Party): object => ({
        KeyId: keyId,
        KeyAgreementAlgorithm: 'ECDH',
        PublicKey: other.publicKey.export(spki).toString('base64'),
        GrantTokens: grantTokens,
      })
      const { proxy } = kms.server
      const key = await wrapped(fixed('P-256', alice, bob))
      for (const [keyring, keyId, other] of [
        [fixed('P-256', alice, carol, { grantTokens }), alice.keyId, carol],
        [fixed('P-256', alice, bob, { grantTokens }), alice.keyId, bob],
        [fixed('P-256', bob, alice, { grantTokens }), bob.keyId, alice],
        [discovery('P-256', bob, { grantTokens }), bob.keyId, alice],
      ] as const) {
        proxy.asked.length = 0
        if (other === carol) await keyring.onEncrypt(encryptionMaterials())
        else await keyring.onDecrypt(materials, [key])
        assert.deepEqual(
          proxy.asked.map(({ operation, region, body }) => [operation, region, body]),
          [
            ['GetPublicKey', REGION, { KeyId: keyId, GrantTokens: grantTokens }],
            ['DeriveSharedSecret', REGION, expected(keyId, other)],
          ],
        )
        assert.match(proxy.asked[0]!.userAgent, /aws-sdk-js/)
      }
    })

    it('is its public key once, and not at all where it was given', async () => {
      const { alice, bob } = parties['P-521']
      const count = (operation: string): number => asked().filter((call) => call.startsWith(operation)).length
      const sending = fixed('P-521', alice, bob)
      const keys = await Promise.all(Array.from({ length: 5 }, () => sending.onEncrypt(encryptionMaterials())))
      assert.equal(count('GetPublicKey'), 1)
      await sending.onEncrypt(encryptionMaterials())
      assert.equal(count('GetPublicKey'), 0)
      const edks = keys.flatMap(({ encryptedDataKeys }) => encryptedDataKeys)
      const reading = discovery('P-521', bob)
      for (let calls = 0; calls < 2; calls++) {
        await Promise.all(edks.map((key) => reading.onDecrypt(decryptionMaterials(), [key])))
      }
      assert.equal(count('GetPublicKey'), 1)
      const { publicKey } = alice
      const pem = publicKey.export({ format: 'pem', type: 'spki' })
      for (const senderPublicKey of [publicKey, pem, publicKey.export({ format: 'der', type: 'spki' })]) {
        await fixed('P-521', alice, bob, { senderPublicKey }).onEncrypt(encryptionMaterials())
      }
      await discovery('P-521', bob, { recipientPublicKey: bob.publicKey }).onDecrypt(decryptionMaterials(), [edks[0]!])
      assert.deepEqual(
        asked().map((call) => call.split(' ')[0]),
        Array(4).fill('DeriveSharedSecret'),
      )
    })

    it('is nothing where a data key can’t be for it', async () => {
      const { alice, bob } = parties['P-256']
      const key = await wrapped(fixed('P-256', alice, bob))
      const others = [
        foreignKey('aws-kms'),
        { ...key, keyProviderInfo: key.keyProviderInfo.subarray(1) },
        await wrapped(fixed('P-384', parties['P-384'].alice, parties['P-384'].bob)),
      ]
      const attempts = await attemptsOf(discovery('P-256', bob).onDecrypt(materials, others))
      assert.deepEqual(
        attempts.map(({ reason }) => reason),
        ['not wrapped by key agreement', 'malformed key provider info', 'another curve'],
      )
      assert.deepEqual(asked(), [])
      const notTried = [
        { ...key, ciphertext: key.ciphertext.subarray(1) },
        { ...key, keyProviderInfo: Buffer.concat([key.keyProviderInfo.subarray(0, 42), Buffer.alloc(33, 5)]) },
      ]
      const more = await attemptsOf(discovery('P-256', bob).onDecrypt(materials, notTried))
      assert.deepEqual(
        more.map(({ reason }) => reason),
        ['not a wrapped data key of 32 bytes', 'a public key that is no point of P-256'],
      )
      assert.deepEqual(asked(), [`GetPublicKey ${REGION} ${bob.keyId}`])
    })
  })

  it('does not encrypt by discovery', async () => {
    const { bob } = parties['P-256']
    await assert.rejects(discovery('P-256', bob).onEncrypt(encryptionMaterials()), WrapError)
    await assert.rejects(encrypt('text', { keyring: discovery('P-256', bob) }), /"discovery" only decrypts/)
    assert.deepEqual(asked(), [])
  })

  it('does not unwrap into materials that hold a data key', async () => {
    const { bob } = parties['P-256']
    const full = decryptionMaterials({ dataKey: secret() })
    await assert.rejects(discovery('P-256', bob).onDecrypt(full, []), /already hold/)
  })

  it('tries data keys in their order until one is unwrapped', async () => {
    const { alice, bob } = parties['P-256']
    const key = await wrapped(fixed('P-256', alice, bob))
    const broken = { ...key, ciphertext: Buffer.from(key.ciphertext) }
    broken.ciphertext[70]! ^= 1
    const { dataKey } = await discovery('P-256', bob).onDecrypt(materials, [foreignKey(), broken, key, key])
    assert.equal(dataKey!.equals(secret()), true)
    assert.equal(asked().length, 3)
    await assert.rejects(discovery('P-256', bob).onDecrypt(materials, []), UnwrapError)
  })

  it('refuses options that are unfit, at once', () => {
    const { alice, bob } = parties['P-256']
    const [recipientPublicKey, clientProvider] = [bob.publicKey, kms.server.clientProvider]
    const sending = { curve: 'P-256', schema: 'static', senderKeyId: alice.keyId, recipientPublicKey, clientProvider }
    const reading = { curve: 'P-256', schema: 'discovery', recipientKeyId: bob.keyId, clientProvider }
    const make = (options: object) => () => new KmsEcdhKeyring(options as never) // as JavaScript may
    assert.doesNotThrow(make(sending))
    assert.doesNotThrow(make(reading))
    const alias = alice.keyId.replace('key/', 'alias/')
    for (const keyId of [alias, 'alias/a', alice.keyId.split('/')[1], '', 5]) {
      assert.throws(make({ ...sending, senderKeyId: keyId }), /"senderKeyId" expected the ARN of an AWS KMS key/)
      assert.throws(make({ ...reading, recipientKeyId: keyId }), /"recipientKeyId" expected the ARN of an AWS KMS key/)
    }
    for (const [options, reason] of [
      [{ ...sending, schema: 'ephemeral' }, /"schema" expected one of discovery, static, got "ephemeral"/],
      [{ ...sending, senderKeyId: undefined }, /needs "senderKeyId"/],
      [{ ...sending, recipientPublicKey: undefined }, /needs "recipientPublicKey"/],
      [{ ...sending, recipientKeyId: bob.keyId }, /"static" takes no "recipientKeyId"/],
      [{ ...reading, recipientKeyId: undefined }, /needs "recipientKeyId"/],
      [{ ...reading, senderKeyId: alice.keyId }, /"discovery" takes no "senderKeyId"/],
      [{ ...reading, senderPublicKey: alice.publicKey }, /"discovery" takes no "senderPublicKey"/],
      [{ ...sending, curve: 'SM2' }, /"curve" expected one of P-256, P-384, P-521, got "SM2"/],
      [{ ...sending, grantTokens: [''] }, /"grantTokens"/],
    ] as const) {
      assert.throws(make(options), (error) => error instanceof TypeError && reason.test(error.message))
    }
    assert.throws(make({ ...sending, clientProvider: undefined, attemptTimeoutMs: 0 }), RangeError)
    for (const unfit of [parties['P-384'].bob.publicKey, alice.privateKey, Buffer.alloc(91), 'garbage', 5]) {
      assert.throws(
        make({ ...sending, recipientPublicKey: unfit }),
        /"recipientPublicKey" expected a public key on P-256/,
      )
      assert.throws(make({ ...sending, senderPublicKey: unfit }), /"senderPublicKey" expected a public key on P-256/)
      assert.throws(
        make({ ...reading, recipientPublicKey: unfit }),
        /"recipientPublicKey" expected a public key on P-256/,
      )
    }
  })

  it('shows nothing of itself when it is printed', () => {
    const { alice, bob } = parties['P-256']
    const keyring = fixed('P-256', alice, bob, { grantTokens: ['secret-token'] })
    assert.doesNotMatch(inspect(keyring, { depth: 10, showHidden: true }), /secret-token/)
    assert.equal(JSON.stringify(keyring), '{}')
  })
})

function keyIdOf(body: Readonly<Record<string, unknown>>): string {
  return String(body['KeyId'])
}
