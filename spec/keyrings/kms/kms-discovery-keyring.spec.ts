import assert from 'node:assert/strict'
import { type Keyring, WrapError, decrypt, encrypt } from 'esdk-streams'
import type { EncryptedDataKey } from 'esdk-streams/format'
import {
  type KmsDiscoveryFilter,
  KmsDiscoveryKeyring,
  KmsKeyring,
  KmsMrkDiscoveryKeyring,
  KmsMrkKeyring,
} from 'esdk-streams/kms'
import type { FaultProxy } from '../../emulators/fault-proxy.ts'
import { decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../../materials/sample.ts'
import {
  ACCOUNT,
  type KmsProxy,
  attemptsOf,
  clientAt,
  createKey,
  replicate,
  useKmsServer,
  useLocalStack,
} from './setup.ts'

const encryptionContext = { purpose: 'spec' }

describe('keyrings/kms/kms-discovery-keyring', () => {
  const kms = useKmsServer()

  async function wrapped(): Promise<readonly EncryptedDataKey[]> {
    const { keys, clientProvider, proxy } = kms.server
    const strict = new KmsKeyring({ generatorKeyId: keys[0]!, keyIds: keys.slice(1), clientProvider })
    return await wrappedBy(strict, proxy)
  }

  async function wrappedBy(keyring: Keyring, proxy: FaultProxy): Promise<readonly EncryptedDataKey[]> {
    const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials({ encryptionContext }), {})
    proxy.asked.length = 0
    return encryptedDataKeys
  }

  async function asked(
    keyring: Keyring,
    keys: readonly EncryptedDataKey[],
    { proxy }: KmsProxy = kms.server,
  ): Promise<[string, unknown][]> {
    await keyring.onDecrypt(decryptionMaterials({ encryptionContext }), keys, {})
    return proxy.asked.map(({ region, body }) => [region, body['KeyId']])
  }

  describe('KmsDiscoveryKeyring', () => {
    it('asks for the data keys in their order, each in its region under its own key, until one is unwrapped', async () => {
      const { keys, clientProvider, proxy } = kms.server
      const keyring = new KmsDiscoveryKeyring({ clientProvider })
      const edks = await wrapped()
      assert.deepEqual(await asked(keyring, edks), [['us-east-1', keys[0]]])
      proxy.faults(({ region }) =>
        region === 'us-west-2' ? undefined : { error: 'AccessDeniedException', status: 400 },
      )
      assert.deepEqual(await asked(keyring, edks), [
        ['us-east-1', keys[0]],
        ['us-west-1', keys[1]],
        ['us-west-2', keys[2]],
      ])
    })

    it('sends grant tokens and the encryption context', async () => {
      const { clientProvider, proxy } = kms.server
      await asked(new KmsDiscoveryKeyring({ clientProvider, grantTokens: ['token'] }), await wrapped())
      assert.deepEqual(proxy.asked[0]!.body['GrantTokens'], ['token'])
      assert.deepEqual(proxy.asked[0]!.body['EncryptionContext'], encryptionContext)
    })

    it('asks in regions by their order in its list, and in no other', async () => {
      const { keys, clientProvider, proxy } = kms.server
      const edks = await wrapped()
      const keyring = new KmsDiscoveryKeyring({ clientProvider, regions: ['us-west-2', 'us-east-1'] })
      assert.deepEqual(await asked(keyring, edks), [['us-west-2', keys[2]]])
      proxy.faults(({ region }) => (region === 'us-west-2' ? 'reset' : undefined))
      assert.deepEqual(
        new Set((await asked(keyring, edks)).map(([region]) => region)),
        new Set(['us-west-2', 'us-east-1']),
      )
      proxy.faults(() => 'reset')
      const attempts = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), [foreignKey(), ...edks]))
      assert.deepEqual(attempts.map(({ reason }) => reason).slice(0, 2), [
        'not wrapped by AWS KMS',
        `${keys[1]!} is in none of the regions`,
      ])
      assert.ok(proxy.asked.every(({ region }) => region !== 'us-west-1'))
    })

    it('keeps to the partition and the accounts of its filter', async () => {
      const { clientProvider, proxy, keys } = kms.server
      const edks = (await wrapped()).slice(0, 1)
      const filters: [KmsDiscoveryFilter, string?][] = [
        [{ partition: 'aws', accounts: ['111122223333', ACCOUNT] }],
        [{ partition: 'aws-cn', accounts: [ACCOUNT] }, `${keys[0]!} is not of the partition aws-cn`],
        [{ partition: 'aws', accounts: ['111122223333'] }, `${keys[0]!} is not of an account of the filter`],
        [{ partition: 'aws', accounts: [ACCOUNT.slice(1)] }, `${keys[0]!} is not of an account of the filter`],
      ]
      for (const [discoveryFilter, expected] of filters) {
        for (const keyring of [
          new KmsDiscoveryKeyring({ clientProvider, discoveryFilter }),
          new KmsMrkDiscoveryKeyring({ clientProvider, discoveryFilter, region: 'us-east-1' }),
        ]) {
          proxy.asked.length = 0
          if (expected === undefined) {
            assert.equal((await asked(keyring, edks)).length, 1)
            continue
          }
          const [attempt] = await attemptsOf(keyring.onDecrypt(decryptionMaterials({ encryptionContext }), edks))
          assert.equal(attempt!.reason, expected)
          assert.equal(proxy.asked.length, 0)
        }
      }
    })

    it('is not changed by changes of its options', async () => {
      const { clientProvider } = kms.server
      const edks = (await wrapped()).slice(0, 1)
      const accounts = ['111122223333']
      const regions = ['us-east-1']
      const discoveryFilter = { partition: 'aws', accounts }
      const keyring = new KmsDiscoveryKeyring({ clientProvider, regions, discoveryFilter })
      accounts.push(ACCOUNT)
      regions.pop()
      const [attempt] = await attemptsOf(keyring.onDecrypt(decryptionMaterials({ encryptionContext }), edks))
      assert.match(attempt!.reason, /not of an account of the filter/)
    })

    it('passes over answers for another key, and of another length', async () => {
      const { keys, clientProvider, proxy } = kms.server
      const edks = await wrapped()
      const wrong: Record<string, (answer: object) => Record<string, unknown>> = {
        'us-east-1': (answer) => ({ ...answer, KeyId: keys[1] }),
        'us-west-1': (answer) => ({ ...answer, Plaintext: 'AAAA' }),
      }
      proxy.faults(({ region }) => wrong[region])
      const keyring = new KmsDiscoveryKeyring({ clientProvider })
      assert.equal((await asked(keyring, edks)).length, 3)
      const materials = decryptionMaterials({ encryptionContext })
      const attempts = await attemptsOf(keyring.onDecrypt(materials, edks.slice(0, 2)))
      assert.match(attempts[0]!.reason, /answered for another key/)
      assert.match(attempts[1]!.reason, /other than 32 bytes/)
    })

    it('fails the whole call where a data key of AWS KMS names no key by its ARN', async () => {
      const { clientProvider, proxy } = kms.server
      const edks = await wrapped()
      for (const info of [`arn:aws:kms:us-east-1:${ACCOUNT}:alias/name`, 'garbage']) {
        const malformed = { ...foreignKey('aws-kms'), keyProviderInfo: Buffer.from(info) }
        for (const keyring of [
          new KmsDiscoveryKeyring({ clientProvider }),
          new KmsDiscoveryKeyring({ clientProvider, regions: ['us-east-1'] }),
          new KmsMrkDiscoveryKeyring({ clientProvider, region: 'us-east-1' }),
        ]) {
          const attempts = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), [...edks, malformed]))
          assert.match(attempts[0]!.reason, /which is not the ARN of a key$/)
        }
      }
      assert.equal(proxy.asked.length, 0)
    })

    it('encrypts nothing, and unwraps nothing into materials that hold a data key', async () => {
      const { clientProvider } = kms.server
      for (const keyring of [
        new KmsDiscoveryKeyring({ clientProvider }),
        new KmsMrkDiscoveryKeyring({ clientProvider, region: 'us-east-1' }),
      ]) {
        await assert.rejects(keyring.onEncrypt(), WrapError)
        await assert.rejects(keyring.onDecrypt(decryptionMaterials({ dataKey: secret() }), []), /already hold/)
      }
    })

    it('uses no client of another region than the key is in', async () => {
      const { endpoint, proxy } = kms.server
      const west = clientAt(endpoint, 'us-west-1')
      const edks = (await wrapped()).slice(0, 1)
      for (const keyring of [
        new KmsDiscoveryKeyring({ clientProvider: () => west }),
        new KmsMrkDiscoveryKeyring({ clientProvider: () => west, region: 'us-east-1' }),
      ]) {
        const [attempt] = await attemptsOf(keyring.onDecrypt(decryptionMaterials({ encryptionContext }), edks))
        assert.equal(attempt!.reason, 'the client for the region us-east-1 is one of us-west-1')
      }
      assert.equal(proxy.asked.length, 0)
    })

    it('refuses options that are unfit, at once', () => {
      const unfit = [
        { regions: [] },
        { regions: [''] },
        { regions: 'us-east-1' },
        { discoveryFilter: { partition: '', accounts: [ACCOUNT] } },
        { discoveryFilter: { accounts: [ACCOUNT] } },
        { discoveryFilter: { partition: 'aws', accounts: [] } },
        { discoveryFilter: { partition: 'aws', accounts: [''] } },
        { discoveryFilter: { partition: 'aws', accounts: ACCOUNT } },
        { discoveryFilter: { partition: 'aws' } },
        { grantTokens: [''] },
      ]
      for (const options of unfit) assert.throws(() => new KmsDiscoveryKeyring(options as never), TypeError) // as JavaScript may
      for (const region of ['', undefined, 5]) {
        assert.throws(() => new KmsMrkDiscoveryKeyring({ region: region as never }), TypeError) // as JavaScript may
      }
    })
  })

  describe('multi-Region keys', () => {
    const localStack = useLocalStack()
    let east: string
    let west: string
    let single: string

    before(async () => {
      const { behind } = localStack.server
      east = await createKey(behind, 'us-east-1', { MultiRegion: true })
      west = await replicate(behind, east, 'us-west-2')
      single = await createKey(behind, 'us-west-2')
    })

    async function wrappedInEast(): Promise<readonly EncryptedDataKey[]> {
      const { clientProvider, proxy } = localStack.server
      return await wrappedBy(new KmsMrkKeyring({ generatorKeyId: east, clientProvider }), proxy)
    }

    it('wrapped by one replica, a data key is unwrapped by the one that is configured, in its region', async () => {
      const edks = await wrappedInEast()
      assert.equal(String(edks[0]!.keyProviderInfo), east)
      const { clientProvider } = localStack.server
      const keyring = new KmsMrkKeyring({ generatorKeyId: west, clientProvider })
      assert.deepEqual(await asked(keyring, edks, localStack.server), [['us-west-2', west]])
    })

    it('a whole message goes from one region to another, either way', async () => {
      const { clientProvider } = localStack.server
      for (const [from, to, region] of [
        [east, west, 'us-west-2'],
        [west, east, 'us-east-1'],
      ] as const) {
        const keyring = new KmsMrkKeyring({ generatorKeyId: from, clientProvider })
        const { ciphertext } = await encrypt('text', { keyring, encryptionContext })
        for (const reader of [
          new KmsMrkKeyring({ keyIds: [to], clientProvider }),
          new KmsMrkDiscoveryKeyring({ region, clientProvider }),
          new KmsMrkDiscoveryKeyring({ region: 'us-east-1', clientProvider }),
        ]) {
          assert.equal((await decrypt(ciphertext, { keyring: reader })).plaintext.toString(), 'text')
        }
      }
    })

    it('the key is only where it was replicated to', async () => {
      const edks = await wrappedInEast()
      const { clientProvider } = localStack.server
      const keyId = east.replace('us-east-1', 'eu-west-1')
      for (const keyring of [
        new KmsMrkKeyring({ keyIds: [keyId], clientProvider }),
        new KmsMrkDiscoveryKeyring({ region: 'eu-west-1', clientProvider }),
      ]) {
        const [attempt] = await attemptsOf(keyring.onDecrypt(decryptionMaterials({ encryptionContext }), edks))
        assert.match(attempt!.reason, /^NotFoundException: /)
      }
    })

    it('without the MRK-aware keyring, a replica is another key', async () => {
      const edks = await wrappedInEast()
      const { clientProvider, proxy } = localStack.server
      const materials = decryptionMaterials({ encryptionContext })
      await attemptsOf(new KmsKeyring({ keyIds: [west], clientProvider }).onDecrypt(materials, edks))
      assert.equal(proxy.asked.length, 0)
      const discovery = new KmsDiscoveryKeyring({ clientProvider })
      assert.deepEqual(await asked(discovery, edks, localStack.server), [['us-east-1', east]])
    })

    it('discovered, it is asked for in the configured region, under the ARN that it has there', async () => {
      const edks = await wrappedInEast()
      const { clientProvider } = localStack.server
      const keyring = new KmsMrkDiscoveryKeyring({ region: 'us-west-2', clientProvider })
      assert.deepEqual(await asked(keyring, edks, localStack.server), [['us-west-2', west]])
    })

    it('the answer must be for the replica that was asked', async () => {
      const edks = await wrappedInEast()
      const { clientProvider, proxy } = localStack.server
      proxy.faults(() => (answer) => ({ ...answer, KeyId: east }))
      for (const keyring of [
        new KmsMrkKeyring({ keyIds: [west], clientProvider }),
        new KmsMrkDiscoveryKeyring({ region: 'us-west-2', clientProvider }),
      ]) {
        const [attempt] = await attemptsOf(keyring.onDecrypt(decryptionMaterials({ encryptionContext }), edks))
        assert.match(attempt!.reason, /answered for another key/)
      }
    })

    it('discovery asks for no single-Region key of another region, and for one of its own', async () => {
      const { clientProvider, proxy } = localStack.server
      const edks = await wrappedBy(new KmsKeyring({ generatorKeyId: single, clientProvider }), proxy)
      const keyring = new KmsMrkDiscoveryKeyring({ region: 'us-west-2', clientProvider })
      assert.deepEqual(await asked(keyring, edks, localStack.server), [['us-west-2', single]])
      const elsewhere = new KmsMrkDiscoveryKeyring({ region: 'us-east-1', clientProvider })
      proxy.asked.length = 0
      const nearly = { ...edks[0]!, keyProviderInfo: Buffer.from(`arn:aws:kms:us-west-2:${ACCOUNT}:key/mrkfoo`) }
      const materials = decryptionMaterials({ encryptionContext })
      const attempts = await attemptsOf(elsewhere.onDecrypt(materials, [...edks, nearly]))
      assert.deepEqual(
        attempts.map(({ reason }) => reason),
        [single, String(nearly.keyProviderInfo)].map((key) => `${key} is not in us-east-1`),
      )
      assert.equal(proxy.asked.length, 0)
    })

    it('replicas of one key are not configured side by side, the generator among them', () => {
      const { clientProvider } = localStack.server
      for (const options of [{ generatorKeyId: east, keyIds: [west] }, { keyIds: [east, west] }]) {
        assert.throws(() => new KmsMrkKeyring({ ...options, clientProvider }), TypeError)
        new KmsKeyring({ ...options, clientProvider })
      }
    })
  })
})
