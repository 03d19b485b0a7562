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
import type { Asked, Fault } from '../../emulators/fault-proxy.ts'
import { decryptionMaterials, encryptionMaterials, foreignKey, secret } from '../../materials/sample.ts'
import { ACCOUNT, attemptsOf, clientAt, useKmsServer } from './setup.ts'

const encryptionContext = { purpose: 'spec' }

describe('keyrings/kms/kms-discovery-keyring', () => {
  const kms = useKmsServer()

  async function wrapped(keyring?: Keyring): Promise<readonly EncryptedDataKey[]> {
    const { keys, clientProvider, proxy } = kms.server
    const strict = new KmsKeyring({ generatorKeyId: keys[0]!, keyIds: keys.slice(1), clientProvider })
    const { encryptedDataKeys } = await (keyring ?? strict).onEncrypt(encryptionMaterials({ encryptionContext }), {})
    proxy.asked.length = 0
    return encryptedDataKeys
  }

  async function asked(keyring: Keyring, keys: readonly EncryptedDataKey[]): Promise<[string, unknown][]> {
    await keyring.onDecrypt(decryptionMaterials({ encryptionContext }), keys, {})
    return kms.server.proxy.asked.map(({ region, body }) => [region, body['KeyId']])
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

  // moto's ciphertexts hold 36 characters of a key's id, so that it can't decrypt under a multi-Region one. Here the proxy
  // makes multi-Region keys out of a single-Region one: it turns mrk-ID of any region into ID of us-east-1 on the way to moto,
  // and back. All cryptography is moto's.
  describe('multi-Region keys', () => {
    const idOf = (): string => kms.server.keys[0]!.split('/')[1]!
    const replica = (region: string): string => `arn:aws:kms:${region}:${ACCOUNT}:key/mrk-${idOf()}`

    function replicate(): void {
      kms.server.proxy.faults(({ body }: Asked): Fault | undefined => {
        const keyId = String(body['KeyId'])
        if (!keyId.endsWith(`key/mrk-${idOf()}`)) return undefined
        return {
          region: 'us-east-1',
          ask: (sent) => ({ ...sent, KeyId: kms.server.keys[0]! }),
          answer: (given) => ({ ...given, KeyId: keyId }),
        }
      })
    }

    async function wrappedInEast(): Promise<readonly EncryptedDataKey[]> {
      replicate()
      const { clientProvider } = kms.server
      return wrapped(new KmsMrkKeyring({ generatorKeyId: replica('us-east-1'), clientProvider }))
    }

    it('wrapped by one replica, a data key is unwrapped by the one that is configured, in its region', async () => {
      const edks = await wrappedInEast()
      assert.equal(String(edks[0]!.keyProviderInfo), replica('us-east-1'))
      const { clientProvider } = kms.server
      const keyring = new KmsMrkKeyring({ generatorKeyId: replica('eu-west-1'), clientProvider })
      assert.deepEqual(await asked(keyring, edks), [['eu-west-1', replica('eu-west-1')]])
    })

    it('a whole message goes from one region to another', async () => {
      replicate()
      const { clientProvider } = kms.server
      const east = new KmsMrkKeyring({ generatorKeyId: replica('us-east-1'), clientProvider })
      const { ciphertext } = await encrypt('text', { keyring: east, encryptionContext })
      for (const keyring of [
        new KmsMrkKeyring({ keyIds: [replica('ap-south-1')], clientProvider }),
        new KmsMrkDiscoveryKeyring({ region: 'ap-south-1', clientProvider }),
      ]) {
        assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), 'text')
      }
    })

    it('without the MRK-aware keyring, a replica is another key', async () => {
      const edks = await wrappedInEast()
      const { clientProvider, proxy } = kms.server
      await attemptsOf(
        new KmsKeyring({ keyIds: [replica('eu-west-1')], clientProvider }).onDecrypt(decryptionMaterials(), edks),
      )
      assert.equal(proxy.asked.length, 0)
      assert.deepEqual(await asked(new KmsDiscoveryKeyring({ clientProvider }), edks), [
        ['us-east-1', replica('us-east-1')],
      ])
    })

    it('discovered, it is asked for in the configured region, under the ARN that it has there', async () => {
      const edks = await wrappedInEast()
      const keyring = new KmsMrkDiscoveryKeyring({ region: 'eu-west-1', clientProvider: kms.server.clientProvider })
      assert.deepEqual(await asked(keyring, edks), [['eu-west-1', replica('eu-west-1')]])
    })

    it('the answer must be for the replica that was asked', async () => {
      const edks = await wrappedInEast()
      const { clientProvider, proxy } = kms.server
      proxy.faults(({ region }) => ({
        region: 'us-east-1',
        ask: (sent) => ({ ...sent, KeyId: kms.server.keys[0]! }),
        answer: (given) => ({ ...given, KeyId: replica(region === 'eu-west-1' ? 'us-east-1' : 'eu-west-1') }),
      }))
      for (const keyring of [
        new KmsMrkKeyring({ keyIds: [replica('eu-west-1')], clientProvider }),
        new KmsMrkDiscoveryKeyring({ region: 'eu-west-1', clientProvider }),
      ]) {
        const [attempt] = await attemptsOf(keyring.onDecrypt(decryptionMaterials({ encryptionContext }), edks))
        assert.match(attempt!.reason, /answered for another key/)
      }
    })

    it('discovery asks for no single-Region key of another region, and for one of its own', async () => {
      const edks = await wrapped()
      const { clientProvider, keys } = kms.server
      const keyring = new KmsMrkDiscoveryKeyring({ region: 'us-west-1', clientProvider })
      assert.deepEqual(await asked(keyring, edks), [['us-west-1', keys[1]]])
      const elsewhere = new KmsMrkDiscoveryKeyring({ region: 'eu-west-1', clientProvider })
      kms.server.proxy.asked.length = 0
      const attempts = await attemptsOf(elsewhere.onDecrypt(decryptionMaterials({ encryptionContext }), edks))
      assert.deepEqual(
        attempts.map(({ reason }) => reason),
        keys.map((key) => `${key} is not in eu-west-1`),
      )
      const nearly = { ...edks[0]!, keyProviderInfo: Buffer.from(`arn:aws:kms:us-east-1:${ACCOUNT}:key/mrkfoo`) }
      await attemptsOf(elsewhere.onDecrypt(decryptionMaterials(), [nearly]))
      assert.equal(kms.server.proxy.asked.length, 0)
    })

    it('replicas of one key are not configured side by side, the generator among them', () => {
      const { clientProvider } = kms.server
      const [east, west] = ['us-east-1', 'us-west-1'].map(replica)
      for (const options of [{ generatorKeyId: east!, keyIds: [west!] }, { keyIds: [east!, west!] }]) {
        assert.throws(() => new KmsMrkKeyring({ ...options, clientProvider }), TypeError)
        new KmsKeyring({ ...options, clientProvider })
      }
    })
  })
})
