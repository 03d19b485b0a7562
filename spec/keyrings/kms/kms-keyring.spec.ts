import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { type Keyring, type UnwrapError, decrypt, encrypt } from 'esdk-streams'
import {
  KmsDiscoveryKeyring,
  KmsKeyring,
  KmsMasterKeyProvider,
  KmsMrkDiscoveryKeyring,
  KmsMrkKeyring,
  excludeRegions,
  kmsClientProvider,
  limitRegions,
} from 'esdk-streams/kms'
import type { Asked, Fault } from '../../emulators/fault-proxy.ts'
import { craft } from '../../message-recipe.ts'
import { algorithmSuite } from 'esdk-streams/format'
import { ACCOUNT, REGIONS, createKey, replicate, useKmsServer, useLocalStack } from './setup.ts'

const CONTEXT = { purpose: 'spec', __proto__x: 'é' }

describe('keyrings/kms', () => {
  const kms = useKmsServer()

  function strict(...keyIds: string[]): KmsKeyring {
    const [generatorKeyId, ...others] = keyIds
    return new KmsKeyring({
      generatorKeyId: generatorKeyId!,
      keyIds: others,
      clientProvider: kms.server.clientProvider,
    })
  }

  /** Only these regions answer. */
  function only(...regions: string[]): (asked: Asked) => Fault | undefined {
    return ({ region }) => (regions.includes(region) ? undefined : 'reset')
  }

  async function opens(ciphertext: Buffer, keyring: Keyring, encryptionContext = CONTEXT): Promise<void> {
    assert.equal((await decrypt(ciphertext, { keyring, encryptionContext })).plaintext.toString(), 'text')
  }

  describe('KmsKeyring', () => {
    it('generates under the first key and encrypts under the others, each in its region', async () => {
      const { keys, proxy } = kms.server
      const { ciphertext, header } = await encrypt('text', { keyring: strict(...keys), encryptionContext: CONTEXT })
      assert.deepEqual(
        proxy.asked.map(({ region, operation, body }) => [region, operation, body['KeyId']]),
        [
          ['us-east-1', 'GenerateDataKey', keys[0]],
          ['us-west-1', 'Encrypt', keys[1]],
          ['us-west-2', 'Encrypt', keys[2]],
        ],
      )
      assert.equal(proxy.asked[0]!.body['NumberOfBytes'], 32)
      for (const { body } of proxy.asked) assert.deepEqual(body['EncryptionContext'], { ...header.encryptionContext })
      assert.deepEqual(
        header.encryptedDataKeys.map((key) => [key.keyProviderId, String(key.keyProviderInfo)]),
        keys.map((key) => ['aws-kms', key]),
      )
      for (const key of keys) await opens(ciphertext, strict(key))
    })

    it('takes an alias to encrypt; decrypts under the key that it stood for', async () => {
      const { keys, aliases } = kms.server
      const { ciphertext, header } = await encrypt('text', { keyring: strict(aliases[0]!), encryptionContext: CONTEXT })
      assert.equal(String(header.encryptedDataKeys[0]!.keyProviderInfo), keys[0])
      await opens(ciphertext, strict(keys[0]!))
      await assert.rejects(decrypt(ciphertext, { keyring: strict(aliases[0]!) }), { code: 'ERR_ESDK_UNWRAP' })
    })

    it('asks only for data keys of its own keys, and says under which it asks', async () => {
      const { keys, proxy } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(...keys) })
      proxy.faults()
      await decrypt(ciphertext, { keyring: strict(keys[2]!) })
      assert.deepEqual(
        proxy.asked.map(({ region, operation, body }) => [region, operation, body['KeyId']]),
        [['us-west-2', 'Decrypt', keys[2]]],
      )
      proxy.faults()
      const other = keys[0]!.replace(/key\/.*/, 'key/00000000-0000-0000-0000-000000000000')
      await assert.rejects(decrypt(ciphertext, { keyring: strict(other) }), { code: 'ERR_ESDK_UNWRAP' })
      assert.equal(proxy.asked.length, 0)
    })

    it('decrypts with any one region of three, the other two gone', async () => {
      const { keys, proxy } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(...keys), encryptionContext: CONTEXT })
      for (const region of REGIONS) {
        proxy.faults(only(region))
        await opens(ciphertext, strict(...keys))
      }
      proxy.faults(only())
      await assert.rejects(decrypt(ciphertext, { keyring: strict(...keys) }), (error: UnwrapError) => {
        assert.equal(error.code, 'ERR_ESDK_UNWRAP')
        assert.equal(error.attempts.filter(({ cause }) => cause !== undefined).length, 3)
        return true
      })
    })

    it('fails to encrypt where one of its keys fails, whatever the reason', async () => {
      const { keys, proxy } = kms.server
      const faults: Fault[] = [
        'reset',
        { error: 'AccessDeniedException', status: 400 },
        { error: 'DisabledException', status: 400 },
        { error: 'KMSInternalException', status: 500 },
        { error: 'ThrottlingException', status: 400 },
      ]
      for (const fault of faults) {
        proxy.faults(({ region }) => (region === 'us-west-1' ? fault : undefined))
        const expected = {
          code: 'ERR_ESDK_WRAP',
          message: typeof fault === 'object' && 'error' in fault ? new RegExp(fault.error) : /us-west-1/,
        }
        await assert.rejects(encrypt('text', { keyring: strict(...keys) }), expected)
      }
    })

    it('retries what can be retried, as the AWS SDK does', async () => {
      const { keys, proxy } = kms.server
      let failures = 1
      proxy.faults(() => (failures-- > 0 ? { error: 'ThrottlingException', status: 400 } : undefined))
      await encrypt('text', { keyring: strict(keys[0]!) })
      assert.equal(proxy.asked.length, 2)
    })

    it('passes over an answer for another key or of another length, and uses the next data key', async () => {
      const { keys, proxy } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(...keys), encryptionContext: CONTEXT })
      const wrong: Fault[] = [
        (answer) => ({ ...answer, KeyId: keys[1] }),
        (answer) => ({ ...answer, Plaintext: 'AAAA' }),
        (answer) => ({ ...answer, KeyId: undefined }),
      ]
      for (const fault of wrong) {
        proxy.faults(({ region }) => (region === 'us-east-1' ? fault : undefined))
        await opens(ciphertext, strict(...keys))
        await assert.rejects(decrypt(ciphertext, { keyring: strict(keys[0]!) }), {
          code: 'ERR_ESDK_UNWRAP',
          message: /AWS KMS (answered|gave)/,
        })
      }
    })

    it('refuses what AWS KMS gives on encryption for no key, of another length, or without ciphertext', async () => {
      const { keys, proxy, aliases } = kms.server
      const wrong: Fault[] = [
        (answer) => ({ ...answer, KeyId: aliases[0] }),
        (answer) => ({ ...answer, Plaintext: 'AAAA' }),
        (answer) => ({ ...answer, CiphertextBlob: '' }),
      ]
      for (const fault of wrong) {
        proxy.faults(() => fault)
        await assert.rejects(encrypt('text', { keyring: strict(keys[0]!) }), { code: 'ERR_ESDK_WRAP' })
      }
    })

    it('fails a message with an aws-kms data key that names no key, as the specification has it', async () => {
      const { keys, proxy } = kms.server
      for (const info of ['alias/a', 'garbage', kms.server.aliases[0]!]) {
        const key = { keyProviderId: 'aws-kms', keyProviderInfo: Buffer.from(info), ciphertext: Buffer.alloc(9) }
        const { message } = craft({ suite: algorithmSuite(0x0478), keys: [key] })
        await assert.rejects(decrypt(message, { keyring: strict(keys[0]!) }), {
          code: 'ERR_ESDK_UNWRAP',
          message: /not the ARN of a key/,
        })
      }
      assert.equal(proxy.asked.length, 0)
    })

    it('sends grant tokens with every call, and its name', async () => {
      const { keys, proxy, clientProvider } = kms.server
      const keyring = new KmsKeyring({
        generatorKeyId: keys[0]!,
        keyIds: [keys[1]!],
        clientProvider,
        grantTokens: ['t1', 't2'],
      })
      const { ciphertext } = await encrypt('text', { keyring })
      await decrypt(ciphertext, { keyring })
      assert.deepEqual(
        proxy.asked.map(({ operation, body }) => [operation, body['GrantTokens']]),
        ['GenerateDataKey', 'Encrypt', 'Decrypt'].map((operation) => [operation, ['t1', 't2']]),
      )
    })

    it('does not decrypt under another encryption context', async () => {
      const { keys } = kms.server
      const { ciphertext } = await encrypt('text', {
        keyring: strict(keys[0]!),
        encryptionContext: { tenant: '17' },
        requiredEncryptionContextKeys: ['tenant'],
      })
      const keyring = strict(keys[0]!)
      await decrypt(ciphertext, { keyring, encryptionContext: { tenant: '17' } })
      await assert.rejects(decrypt(ciphertext, { keyring, encryptionContext: { tenant: '18' } }), {
        code: 'ERR_ESDK_UNWRAP',
      })
    })

    it('stops a call in flight when it is aborted', async () => {
      const { keys, proxy } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(keys[0]!) })
      proxy.faults(() => 'stall')
      const start = performance.now()
      await assert.rejects(decrypt(ciphertext, { keyring: strict(...keys), signal: AbortSignal.timeout(100) }), {
        name: 'AbortError',
        code: 'ABORT_ERR',
      })
      await assert.rejects(encrypt('text', { keyring: strict(...keys), signal: AbortSignal.timeout(100) }), {
        name: 'AbortError',
      })
      assert.ok(performance.now() - start < 3000)
    })

    it('shows no byte of a data key in its failures', async () => {
      const { keys, proxy } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(...keys) })
      const seen: string[] = []
      proxy.faults(() => (answer) => {
        seen.push(String(answer['Plaintext']))
        return { ...answer, KeyId: 'other' }
      })
      await assert.rejects(decrypt(ciphertext, { keyring: strict(...keys) }), (error: Error) => {
        const text = inspect(error, { depth: 12, showHidden: true })
        assert.equal(seen.length, 3)
        return seen.every(
          (plaintext) => !text.includes(plaintext) && !text.includes(Buffer.from(plaintext, 'base64').toString('hex')),
        )
      })
    })

    it('refuses unfit options', () => {
      const { keys, clientProvider } = kms.server
      const generatorKeyId = keys[0]!
      const wrong = [
        {},
        { keyIds: [] },
        { generatorKeyId: 'arn:aws:kms' },
        { keyIds: [5] },
        { keyIds: 'x' },
        { generatorKeyId, grantTokens: [''] },
        { generatorKeyId, grantTokens: Array(11).fill('t') },
        { generatorKeyId, grantTokens: 't' },
      ]
      for (const options of wrong)
        assert.throws(() => new KmsKeyring({ clientProvider, ...(options as object) }), TypeError)
      for (const attemptTimeoutMs of [0, -1, 1.5])
        assert.throws(() => kmsClientProvider({ attemptTimeoutMs }), RangeError)
    })
  })

  describe('clients of our own', () => {
    it('give up an attempt that is not answered, and the next region is asked; they say who they are', async function () {
      this.timeout(30_000)
      const { keys, proxy, endpoint } = kms.server
      const before = { ...process.env }
      Object.assign(process.env, {
        AWS_ENDPOINT_URL: endpoint,
        AWS_ACCESS_KEY_ID: 'spec',
        AWS_SECRET_ACCESS_KEY: 'spec',
        AWS_MAX_ATTEMPTS: '2',
        AWS_REGION: 'us-east-1',
      })
      try {
        const clientProvider = kmsClientProvider({ attemptTimeoutMs: 300 })
        const [generatorKeyId, ...keyIds] = keys
        const keyring = new KmsKeyring({ generatorKeyId: generatorKeyId!, keyIds, clientProvider })
        const { ciphertext } = await encrypt('text', { keyring, encryptionContext: CONTEXT })
        assert.match(proxy.asked[0]!.userAgent, /esdk-streams/)
        proxy.faults(({ region }) => (region === 'us-east-1' ? 'stall' : undefined))
        await opens(ciphertext, keyring)
        assert.equal(clientProvider('us-west-2'), clientProvider('us-west-2'))
        const provider = new KmsMasterKeyProvider()
        provider.addMasterKeys(kms.server.aliases)
        proxy.faults()
        const three = await encrypt('text', { keyProvider: provider })
        proxy.faults(only('us-east-1'))
        assert.equal(
          (await decrypt(three.ciphertext, { keyProvider: KmsMasterKeyProvider.discovery() })).plaintext.toString(),
          'text',
        )
      } finally {
        for (const name of Object.keys(process.env)) if (!(name in before)) Reflect.deleteProperty(process.env, name)
        Object.assign(process.env, before)
      }
    })

    it('can be limited to regions, and regions excluded', async () => {
      const { keys, clientProvider } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(...keys), encryptionContext: CONTEXT })
      const west = new KmsKeyring({ keyIds: keys, clientProvider: limitRegions(['us-west-2'], clientProvider) })
      await opens(ciphertext, west)
      const discovery = new KmsDiscoveryKeyring({
        clientProvider: excludeRegions(['us-east-1', 'us-west-1'], clientProvider),
      })
      await opens(ciphertext, discovery)
      const none = new KmsKeyring({
        generatorKeyId: keys[0]!,
        clientProvider: excludeRegions(['us-east-1'], clientProvider),
      })
      await assert.rejects(encrypt('text', { keyring: none }), {
        code: 'ERR_ESDK_WRAP',
        message: /no client for the region/,
      })
      assert.throws(() => limitRegions([], clientProvider), TypeError)
      assert.throws(() => excludeRegions([''], clientProvider), TypeError)
    })
  })

  describe('KmsDiscoveryKeyring', () => {
    it('decrypts under any key, in that key’s region, and never encrypts', async () => {
      const { keys, proxy, clientProvider } = kms.server
      const keyring = new KmsDiscoveryKeyring({ clientProvider })
      const { ciphertext } = await encrypt('text', { keyring: strict(keys[1]!, keys[2]!), encryptionContext: CONTEXT })
      proxy.faults(only('us-west-2'))
      await opens(ciphertext, keyring)
      assert.deepEqual(proxy.asked.at(-1)!.body['KeyId'], keys[2])
      await assert.rejects(encrypt('text', { keyring }), { code: 'ERR_ESDK_WRAP', message: /only decrypt/ })
    })

    it('keeps to the accounts and the partition of its filter, and to its regions', async () => {
      const { keys, proxy, clientProvider } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(keys[0]!), encryptionContext: CONTEXT })
      await opens(
        ciphertext,
        new KmsDiscoveryKeyring({
          clientProvider,
          discoveryFilter: { partition: 'aws', accounts: ['1', ACCOUNT] },
          regions: ['us-east-1'],
        }),
      )
      proxy.faults()
      const others = [
        { discoveryFilter: { partition: 'aws-cn', accounts: [ACCOUNT] } },
        { discoveryFilter: { partition: 'aws', accounts: ['1'] } },
        { regions: ['us-west-1'] },
      ]
      for (const options of others) {
        await assert.rejects(
          decrypt(ciphertext, { keyring: new KmsDiscoveryKeyring({ clientProvider, ...options }) }),
          { code: 'ERR_ESDK_UNWRAP' },
        )
      }
      assert.equal(proxy.asked.length, 0)
      for (const discoveryFilter of [
        { partition: '', accounts: ['1'] },
        { partition: 'aws', accounts: [] },
        { partition: 'aws', accounts: [''] },
      ]) {
        assert.throws(() => new KmsDiscoveryKeyring({ discoveryFilter }), TypeError)
      }
      assert.throws(() => new KmsDiscoveryKeyring({ regions: [] }), TypeError)
    })
  })

  describe('multi-Region keys', () => {
    const localStack = useLocalStack()
    let east: string
    let west: string

    before(async () => {
      const { behind } = localStack.server
      east = await createKey(behind, 'us-east-1', { MultiRegion: true })
      west = await replicate(behind, east, 'us-west-2')
    })

    async function wrappedInEast(): Promise<Buffer> {
      const { proxy, clientProvider } = localStack.server
      const keyring = new KmsMrkKeyring({ generatorKeyId: east, clientProvider })
      const { ciphertext } = await encrypt('text', { keyring, encryptionContext: CONTEXT })
      proxy.faults()
      return ciphertext
    }

    async function opensInWest(ciphertext: Buffer, keyring: Keyring): Promise<void> {
      await opens(ciphertext, keyring)
      assert.deepEqual(
        localStack.server.proxy.asked.map(({ region, body }) => [region, body['KeyId']]),
        [['us-west-2', west]],
      )
    }

    it('unwrap in their own region what a replica wrapped; other keyrings do not', async () => {
      const { clientProvider, proxy } = localStack.server
      const ciphertext = await wrappedInEast()
      await opensInWest(ciphertext, new KmsMrkKeyring({ generatorKeyId: west, clientProvider }))
      proxy.faults()
      const strictly = new KmsKeyring({ keyIds: [west], clientProvider })
      await assert.rejects(decrypt(ciphertext, { keyring: strictly }), { code: 'ERR_ESDK_UNWRAP' })
      assert.equal(proxy.asked.length, 0)
      assert.throws(() => new KmsMrkKeyring({ generatorKeyId: west, keyIds: [east] }), /multi-Region/)
    })

    it('are discovered in one region, under its own replica; single-Region keys of other regions are not asked for', async () => {
      const { clientProvider } = localStack.server
      const keyring = new KmsMrkDiscoveryKeyring({ region: 'us-west-2', clientProvider })
      await opensInWest(await wrappedInEast(), keyring)
      const { proxy, keys } = kms.server
      const single = await encrypt('text', { keyring: strict(keys[0]!), encryptionContext: CONTEXT })
      proxy.faults()
      const own = kms.server.clientProvider
      const elsewhere = new KmsMrkDiscoveryKeyring({ region: 'us-west-2', clientProvider: own })
      await assert.rejects(decrypt(single.ciphertext, { keyring: elsewhere }), {
        code: 'ERR_ESDK_UNWRAP',
        message: /is not in us-west-2/,
      })
      assert.equal(proxy.asked.length, 0)
      await opens(single.ciphertext, new KmsMrkDiscoveryKeyring({ region: 'us-east-1', clientProvider: own }))
      assert.throws(() => new KmsMrkDiscoveryKeyring({ region: '' }), TypeError)
    })
  })

  describe('KmsMasterKeyProvider', () => {
    it('wraps under a key in each of three regions; any one decrypts by discovery', async () => {
      const { aliases, proxy, clientProvider, keys } = kms.server
      const provider = new KmsMasterKeyProvider({ clientProvider })
      for (const alias of aliases) provider.addMasterKey(alias)
      const { ciphertext, header } = await encrypt('text', { keyProvider: provider, encryptionContext: CONTEXT })
      assert.deepEqual(
        header.encryptedDataKeys.map((key) => String(key.keyProviderInfo)),
        keys,
      )
      for (const region of REGIONS) {
        proxy.faults(only(region))
        await opens(ciphertext, KmsMasterKeyProvider.discovery({ region, clientProvider }))
      }
    })

    it('decrypts under its own keys alone, and never discovers', async () => {
      const { keys, clientProvider } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(keys[0]!), encryptionContext: CONTEXT })
      const own = new KmsMasterKeyProvider({ clientProvider })
      own.addMasterKey(keys[0]!)
      await opens(ciphertext, own)
      const other = new KmsMasterKeyProvider({ clientProvider })
      other.addMasterKey(keys[1]!)
      await assert.rejects(decrypt(ciphertext, { keyProvider: other }), { code: 'ERR_ESDK_UNWRAP' })
      const none = new KmsMasterKeyProvider({ clientProvider })
      await assert.rejects(decrypt(ciphertext, { keyProvider: none }), {
        code: 'ERR_ESDK_UNWRAP',
        message: /\.discovery\(\)/,
      })
      await assert.rejects(encrypt('text', { keyProvider: none }), {
        code: 'ERR_ESDK_WRAP',
        message: /\.discovery\(\)/,
      })
      const discovery = KmsMasterKeyProvider.discovery({
        clientProvider,
        region: 'us-east-1',
        discoveryFilter: { partition: 'aws', accounts: ['1'] },
      })
      await assert.rejects(decrypt(ciphertext, { keyProvider: discovery }), { code: 'ERR_ESDK_UNWRAP' })
      await assert.rejects(encrypt('text', { keyProvider: discovery }), { code: 'ERR_ESDK_WRAP' })
      assert.throws(() => {
        discovery.addMasterKey(keys[0]!)
      }, TypeError)
      assert.throws(() => {
        none.addMasterKey('arn:aws:kms')
      }, TypeError)
    })
  })
})
