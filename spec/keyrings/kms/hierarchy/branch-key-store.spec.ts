import assert from 'node:assert/strict'
import { CreateTableCommand } from '@aws-sdk/client-dynamodb'
import { EncryptCommand } from '@aws-sdk/client-kms'
import { WrapError } from 'esdk-streams'
import { BranchKeyStore, type BranchKeyStoreOptions, type KmsClient } from 'esdk-streams/kms'
import type { Asked, Fault } from '../../../emulators/fault-proxy.ts'
import { ACCOUNT, clientAt, createKey, inEnvironment } from '../setup.ts'
import { type Item, LOGICAL_NAME, Table, dynamoDbAt, newTableName, operations, useTable } from './setup.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const encryptionContext = { department: 'admin', __proto__x: 'é', ключ: 'значение' }
const CUSTOM = {
  'aws-crypto-ec:department': 'admin',
  'aws-crypto-ec:__proto__x': 'é',
  'aws-crypto-ec:ключ': 'значение',
}

describe('keyrings/kms/hierarchy/branch-key-store', () => {
  const shared = useTable()

  /** What AWS KMS authenticates with an item, by the specification and not by the library. */
  function contextOf(item: Item): Record<string, string> {
    const context: Record<string, string> = { tablename: LOGICAL_NAME }
    for (const [name, { S, N }] of Object.entries(item)) if (name !== 'enc') context[name] = S ?? N!
    return context
  }

  function base64(item: Item): string {
    return Buffer.from(item['enc']!.B!).toString('base64')
  }

  /** The items by what they are: of the beacon key, of the active version, of each version. */
  async function itemsOf(branchKeyId: string): Promise<{ beacon: Item; active: Item; versions: Item[] }> {
    const [beacon, active, ...versions] = await shared.table.items(branchKeyId)
    assert.ok(beacon !== undefined && active !== undefined)
    return { beacon, active, versions }
  }

  describe('createKey', () => {
    it('puts three items, attribute by attribute', async () => {
      const branchKeyId = await shared.table
        .store()
        .createKey({ branchKeyId: 'a tenant', encryptionContext: { ...encryptionContext } })
      assert.equal(branchKeyId, 'a tenant')
      const { beacon, active, versions } = await itemsOf(branchKeyId)
      assert.equal(versions.length, 1)
      const type = versions[0]!['type']!.S!
      assert.match(type, /^branch:version:/)
      assert.match(type.slice('branch:version:'.length), UUID)
      assert.match(active['create-time']!.S!, TIME)
      assert.ok(Math.abs(Date.parse(active['create-time']!.S!) - Date.now()) < 60_000)
      const same = {
        'branch-key-id': { S: 'a tenant' },
        'create-time': active['create-time'],
        'kms-arn': { S: shared.server.keys[0] },
        'hierarchy-version': { N: '1' },
        ...Object.fromEntries(Object.entries(CUSTOM).map(([name, S]) => [name, { S }])),
      }
      for (const item of [beacon, active, versions[0]!]) assert.ok(item['enc']!.B!.length > 32)
      assert.deepEqual(beacon, { ...same, type: { S: 'beacon:ACTIVE' }, enc: beacon['enc'] })
      assert.deepEqual(active, { ...same, type: { S: 'branch:ACTIVE' }, version: { S: type }, enc: active['enc'] })
      assert.deepEqual(versions[0], { ...same, type: { S: type }, enc: versions[0]!['enc'] })
    })

    it('asks AWS KMS for two keys that never leave it, and for a copy of the first', async () => {
      const { proxy, keys } = shared.server
      const store = shared.table.store({ grantTokens: ['t1', 't2'] })
      const { beacon, active, versions } = await itemsOf(await store.createKey({ encryptionContext }))
      const [version] = versions
      const [KeyId, GrantTokens, NumberOfBytes] = [keys[0], ['t1', 't2'], 32]
      const [generated, copied, generatedBeacon, written] = proxy.asked
      assert.equal(proxy.asked.length, 4)
      assert.equal(generated!.operation, 'GenerateDataKeyWithoutPlaintext')
      assert.deepEqual(generated!.body, { KeyId, GrantTokens, NumberOfBytes, EncryptionContext: contextOf(version!) })
      assert.equal(copied!.operation, 'ReEncrypt')
      assert.deepEqual(copied!.body, {
        SourceKeyId: KeyId,
        SourceEncryptionContext: contextOf(version!),
        CiphertextBlob: base64(version!),
        DestinationKeyId: KeyId,
        DestinationEncryptionContext: contextOf(active),
        GrantTokens,
      })
      assert.equal(generatedBeacon!.operation, 'GenerateDataKeyWithoutPlaintext')
      assert.deepEqual(generatedBeacon!.body, {
        ...{ KeyId, GrantTokens, NumberOfBytes },
        EncryptionContext: contextOf(beacon),
      })
      assert.equal(written!.operation, 'TransactWriteItems')
      const { TransactItems } = written!.body as { TransactItems: { Put: Record<string, unknown> }[] } // as was asked
      assert.equal(TransactItems.length, 3)
      for (const { Put } of TransactItems) {
        assert.equal(Put['TableName'], shared.table.name)
        assert.equal(Put['ConditionExpression'], 'attribute_not_exists(#id)')
        assert.deepEqual(Put['ExpressionAttributeNames'], { '#id': 'branch-key-id' })
      }
    })

    it('gives a random UUID for an id where none is given', async () => {
      const store = shared.table.store()
      const ids = [await store.createKey(), await store.createKey({ encryptionContext })]
      for (const id of ids) assert.match(id, UUID)
      assert.notEqual(ids[0], ids[1])
    })

    it('leaves a branch key of the same id alone', async () => {
      const store = shared.table.store()
      const branchKeyId = await store.createKey({ branchKeyId: 'taken', encryptionContext })
      const before = await shared.table.items(branchKeyId)
      await assert.rejects(store.createKey({ branchKeyId, encryptionContext: { other: 'x' } }), {
        code: 'ERR_ESDK_WRAP',
        message: 'branch key "taken" could not be written: the key store has an item of it already',
      })
      assert.deepEqual(await shared.table.items(branchKeyId), before)
      // Nor does it add to what there is in part.
      await shared.table.delete(before[1]!)
      await assert.rejects(store.createKey({ branchKeyId, encryptionContext }), { code: 'ERR_ESDK_WRAP' })
      assert.deepEqual(await shared.table.items(branchKeyId), [before[0], before[2]])
    })

    it('takes an id of one’s own only with an encryption context, and only text', async () => {
      const store = shared.table.store()
      const wrong = [
        { branchKeyId: 'alone' },
        { branchKeyId: 'alone', encryptionContext: {} },
        { branchKeyId: '', encryptionContext },
        { branchKeyId: 'a\0b', encryptionContext },
        { branchKeyId: 'x'.repeat(2049), encryptionContext },
        { branchKeyId: '\ud800', encryptionContext },
        { encryptionContext: { a: 1 } },
        { encryptionContext: { a: '\ud800' } },
        { encryptionContext: 'a' },
        { encryptionContext: null },
      ]
      for (const key of wrong) await assert.rejects(store.createKey(key as object), TypeError) // what types would refuse
      assert.equal(shared.server.proxy.asked.length, 0)
    })
  })

  describe('versionKey', () => {
    it('adds a version and makes it the active one; everything else stays', async () => {
      const { proxy, keys } = shared.server
      const store = shared.table.store({ grantTokens: ['t'] })
      const branchKeyId = await store.createKey({ encryptionContext })
      const old = await itemsOf(branchKeyId)
      const first = await store.getActiveBranchKey(branchKeyId)
      proxy.faults()
      await store.versionKey(branchKeyId)
      const { beacon, active, versions } = await itemsOf(branchKeyId)
      assert.deepEqual(beacon, old.beacon)
      assert.equal(versions.length, 2)
      const added = versions.find((item) => item['type']!.S !== old.versions[0]!['type']!.S)!
      assert.deepEqual(
        versions.filter((item) => item !== added),
        old.versions,
      )
      const type = added['type']!.S!
      assert.match(type.slice('branch:version:'.length), UUID)
      const changed = { enc: active['enc'], 'create-time': active['create-time'] }
      assert.match(active['create-time']!.S!, TIME)
      assert.deepEqual(active, { ...old.active, ...changed, version: { S: type } })
      assert.deepEqual(added, { ...old.versions[0], ...changed, enc: added['enc'], type: { S: type } })

      const [KeyId, GrantTokens] = [keys[0], ['t']]
      const both = { SourceKeyId: KeyId, DestinationKeyId: KeyId, GrantTokens }
      assert.deepEqual(
        proxy.asked.slice(1, 4).map(({ operation, body }) => [operation, body]),
        [
          [
            'ReEncrypt', // authenticates what was read
            {
              ...both,
              SourceEncryptionContext: contextOf(old.active),
              CiphertextBlob: base64(old.active),
              DestinationEncryptionContext: contextOf(old.active),
            },
          ],
          [
            'GenerateDataKeyWithoutPlaintext',
            { KeyId, GrantTokens, NumberOfBytes: 32, EncryptionContext: contextOf(added) },
          ],
          [
            'ReEncrypt',
            {
              ...both,
              SourceEncryptionContext: contextOf(added),
              CiphertextBlob: base64(added),
              DestinationEncryptionContext: contextOf(active),
            },
          ],
        ],
      )
      const { TransactItems } = proxy.asked[4]!.body as { TransactItems: { Put: Record<string, unknown> }[] } // as was asked
      assert.deepEqual(
        TransactItems.map(({ Put }) => Put['ConditionExpression']),
        ['attribute_not_exists(#id)', 'attribute_exists(#id) AND #enc = :encOld'],
      )
      assert.deepEqual(TransactItems[1]!.Put['ExpressionAttributeValues'], { ':encOld': { B: base64(old.active) } })

      const second = await store.getActiveBranchKey(branchKeyId)
      assert.equal(second.branchKeyVersion, type.slice('branch:version:'.length))
      assert.equal(second.branchKey.equals(first.branchKey), false)
      for (const key of [first, second]) {
        const again = await store.getBranchKeyVersion(branchKeyId, key.branchKeyVersion)
        assert.equal(again.branchKey.equals(key.branchKey), true)
      }
    })

    it('makes no version beside one that somebody else makes meanwhile', async () => {
      const other = shared.table.store()
      const branchKeyId = await other.createKey()
      const real = clientAt(shared.server.endpoint, 'us-east-1')
      let raced = 0
      const slow: KmsClient = Object.create(real, {
        send: {
          value: async (...call: [never]) => {
            const { constructor } = call[0] as object
            if (constructor.name === 'GenerateDataKeyWithoutPlaintextCommand' && raced++ === 0) {
              await other.versionKey(branchKeyId)
            }
            return real.send(...call)
          },
        },
      }) as KmsClient // the real one but for that
      const late = shared.table.store({ clientProvider: () => slow })
      await assert.rejects(late.versionKey(branchKeyId), {
        code: 'ERR_ESDK_WRAP',
        message: /it was versioned or changed meanwhile/,
      })
      const { active, versions } = await itemsOf(branchKeyId)
      assert.equal(versions.length, 2)
      assert.ok(versions.some((item) => item['type']!.S === active['version']!.S))
      await late.versionKey(branchKeyId)
      assert.equal((await itemsOf(branchKeyId)).versions.length, 3)
    })

    it('makes no version of what AWS KMS does not authenticate', async () => {
      const store = shared.table.store()
      const branchKeyId = await store.createKey({ encryptionContext })
      const { active } = await itemsOf(branchKeyId)
      const forged = { ...active, 'aws-crypto-ec:department': { S: 'root' } }
      await shared.table.put(forged)
      await assert.rejects(store.versionKey(branchKeyId), { code: 'ERR_ESDK_WRAP' })
      assert.deepEqual((await itemsOf(branchKeyId)).active, forged)
      assert.deepEqual(operations(shared.server).slice(-2), ['GetItem', 'ReEncrypt'])
    })

    it('makes no version of a branch key that there is not', async () => {
      await assert.rejects(shared.table.store().versionKey('nobody'), {
        code: 'ERR_ESDK_WRAP',
        message: 'branch key "nobody" could not be written: the key store has no item "branch:ACTIVE" of it',
      })
    })
  })

  describe('what reads', () => {
    it('gives the active key, each version and the beacon key', async () => {
      const { proxy, keys } = shared.server
      const store = shared.table.store({ grantTokens: ['t'] })
      const branchKeyId = await store.createKey({ encryptionContext })
      const { active, versions, beacon } = await itemsOf(branchKeyId)
      const version = versions[0]!['type']!.S!.slice('branch:version:'.length)
      proxy.faults()
      const materials = await store.getActiveBranchKey(branchKeyId)
      const ofVersion = await store.getBranchKeyVersion(branchKeyId, version)
      const beaconKey = await store.getBeaconKey(branchKeyId)
      assert.deepEqual({ ...materials.encryptionContext }, encryptionContext)
      assert.deepEqual([materials.branchKeyId, materials.branchKeyVersion], [branchKeyId, version])
      assert.equal(materials.branchKey.symmetricKeySize, 32)
      assert.equal(materials.branchKey.equals(ofVersion.branchKey), true)
      assert.deepEqual({ ...ofVersion, branchKey: 0 }, { ...materials, branchKey: 0 })
      assert.equal(beaconKey.beaconKeyId, branchKeyId)
      assert.equal(beaconKey.beaconKey.symmetricKeySize, 32)
      assert.equal(beaconKey.beaconKey.equals(materials.branchKey), false)
      assert.deepEqual({ ...beaconKey.encryptionContext }, encryptionContext)
      assert.deepEqual(
        proxy.asked.map(({ operation, body }) => [operation, body]),
        [active, versions[0]!, beacon].flatMap((item) => [
          [
            'GetItem',
            {
              TableName: shared.table.name,
              Key: { 'branch-key-id': { S: branchKeyId }, type: item['type'] },
              ConsistentRead: true,
            },
          ],
          [
            'Decrypt',
            {
              KeyId: keys[0],
              CiphertextBlob: base64(item),
              EncryptionContext: contextOf(item),
              GrantTokens: ['t'],
            },
          ],
        ]),
      )
    })

    it('says of what there is none', async () => {
      const store = shared.table.store()
      const branchKeyId = await store.createKey()
      const version = '00000000-0000-4000-8000-000000000000'
      await assert.rejects(store.getBranchKeyVersion(branchKeyId, version), {
        code: 'ERR_ESDK_UNWRAP',
        message: `no data key could be unwrapped: branch key "${branchKeyId}": the key store has no item "branch:version:${version}" of it`,
      })
      await assert.rejects(store.getActiveBranchKey('nobody'), { code: 'ERR_ESDK_UNWRAP' })
      await assert.rejects(store.getBeaconKey('nobody'), { code: 'ERR_ESDK_UNWRAP' })
      for (const wrong of ['', 'a\0', 1, undefined]) {
        await assert.rejects(store.getActiveBranchKey(wrong as string), TypeError) // what types would refuse
        await assert.rejects(store.getBranchKeyVersion(branchKeyId, wrong as string), TypeError)
        await assert.rejects(store.getBeaconKey(wrong as string), TypeError)
        await assert.rejects(store.versionKey(wrong as string), TypeError)
      }
    })
  })

  describe('kmsConfiguration', () => {
    const [east, west] = ['us-east-1', 'us-west-2'].map(
      (region) => `arn:aws:kms:${region}:${ACCOUNT}:key/mrk-1234`,
    ) as [string, string] // two

    /** AWS KMS with a multi-Region key: of the proxy's making, since the emulator decrypts under none. */
    function replicate(): void {
      const { proxy, keys } = shared.server
      proxy.faults(({ body }: Asked): Fault | undefined => {
        const names = ['KeyId', 'SourceKeyId', 'DestinationKeyId'].filter((name) => name in body)
        if (!names.some((name) => [east, west].includes(String(body[name])))) return undefined
        return {
          region: 'us-east-1',
          ask: (sent) => ({ ...sent, ...Object.fromEntries(names.map((name) => [name, keys[0]])) }),
          answer: (given) => ({
            ...given,
            KeyId: body['KeyId'] ?? body['DestinationKeyId'],
            ...('SourceKeyId' in body && { SourceKeyId: body['SourceKeyId'] }),
          }),
        }
      })
    }

    /** The keys that AWS KMS was asked for, and where. */
    function askedFor(): unknown[] {
      return shared.server.proxy.asked
        .filter(({ body }) => 'KeyId' in body || 'SourceKeyId' in body)
        .map(({ region, body }) => [region, body['KeyId'] ?? body['SourceKeyId']])
    }

    it('kmsKeyArn: just that key', async () => {
      const { keys, endpoint, proxy } = shared.server
      const branchKeyId = await shared.table.store().createKey()
      const other = await createKey(endpoint, 'us-east-1')
      proxy.faults()
      for (const [store, wrappedBy] of [
        [shared.table.store({ kmsConfiguration: { kmsKeyArn: other } }), other],
        [shared.table.store({ kmsConfiguration: { kmsMRKeyArn: other } }), other],
      ] as const) {
        const reason = new RegExp(`wrapped by ${keys[0]!}, not by ${wrappedBy}$`)
        await assert.rejects(store.getActiveBranchKey(branchKeyId), { code: 'ERR_ESDK_UNWRAP', message: reason })
        await assert.rejects(store.getBeaconKey(branchKeyId), { code: 'ERR_ESDK_UNWRAP', message: reason })
        await assert.rejects(store.versionKey(branchKeyId), { code: 'ERR_ESDK_WRAP', message: reason })
      }
      assert.deepEqual([...new Set(operations(shared.server))], ['GetItem'])
    })

    it('kmsKeyArn of a multi-Region key: not of its replicas', async () => {
      replicate()
      const branchKeyId = await shared.table.store({ kmsConfiguration: { kmsKeyArn: east } }).createKey()
      await shared.table.store({ kmsConfiguration: { kmsKeyArn: east } }).getActiveBranchKey(branchKeyId)
      const replica = shared.table.store({ kmsConfiguration: { kmsKeyArn: west } })
      await assert.rejects(replica.getActiveBranchKey(branchKeyId), { message: /not by/ })
    })

    it('kmsMRKeyArn: that key in its region, whichever replica wrapped; a new version keeps the ARN of the first', async () => {
      replicate()
      const first = shared.table.store({ kmsConfiguration: { kmsMRKeyArn: east } })
      const second = shared.table.store({ kmsConfiguration: { kmsMRKeyArn: west } })
      const branchKeyId = await first.createKey({ encryptionContext })
      replicate()
      await second.versionKey(branchKeyId)
      const { branchKey } = await second.getActiveBranchKey(branchKeyId)
      assert.deepEqual(askedFor(), Array(4).fill(['us-west-2', west]))
      assert.equal((await first.getActiveBranchKey(branchKeyId)).branchKey.equals(branchKey), true)
      assert.deepEqual(askedFor().at(-1), ['us-east-1', east])
      for (const item of await shared.table.items(branchKeyId)) assert.equal(item['kms-arn']!.S, east)
    })

    it('discovery: whatever key the item names, and it writes nothing', async () => {
      const { keys } = shared.server
      const branchKeyId = await shared.table.store().createKey()
      const store = shared.table.store({ kmsConfiguration: 'discovery' })
      shared.server.proxy.faults()
      await store.getActiveBranchKey(branchKeyId)
      assert.deepEqual(askedFor(), [['us-east-1', keys[0]]])
      await refusesToWrite(store, branchKeyId)
    })

    it('mrDiscovery: a multi-Region key in that region, and other keys as they are; it writes nothing', async () => {
      const { keys } = shared.server
      replicate()
      const store = shared.table.store({ kmsConfiguration: { mrDiscovery: { region: 'us-west-2' } } })
      const multi = await shared.table.store({ kmsConfiguration: { kmsMRKeyArn: east } }).createKey()
      const single = await shared.table.store().createKey()
      replicate()
      await store.getActiveBranchKey(multi)
      await assert.rejects(store.getActiveBranchKey(single), { code: 'ERR_ESDK_UNWRAP' }) // it is another region's
      assert.deepEqual(askedFor(), [
        ['us-west-2', west],
        ['us-west-2', keys[0]],
      ])
      await refusesToWrite(store, multi)
    })

    async function refusesToWrite(store: BranchKeyStore, branchKeyId: string): Promise<void> {
      shared.server.proxy.faults()
      const expected = { code: 'ERR_ESDK_WRAP', message: /of discovery only reads/ }
      await assert.rejects(store.createKey(), expected)
      await assert.rejects(store.createKey({ branchKeyId: 'own', encryptionContext }), expected)
      await assert.rejects(store.versionKey(branchKeyId), expected)
      assert.equal(shared.server.proxy.asked.length, 0)
    }
  })

  describe('createKeyStore', () => {
    it('makes the table, with capacity on demand, and finds it fit', async () => {
      const { proxy } = shared.server
      const table = new Table(shared.server, newTableName())
      const arn = await table.store().createKeyStore()
      assert.equal(arn, `arn:aws:dynamodb:us-east-1:${ACCOUNT}:table/${table.name}`)
      assert.deepEqual(operations(shared.server), ['DescribeTable', 'CreateTable', 'DescribeTable'])
      assert.deepEqual(proxy.asked[1]!.body, {
        TableName: table.name,
        KeySchema: [
          { AttributeName: 'branch-key-id', KeyType: 'HASH' },
          { AttributeName: 'type', KeyType: 'RANGE' },
        ],
        AttributeDefinitions: [
          { AttributeName: 'branch-key-id', AttributeType: 'S' },
          { AttributeName: 'type', AttributeType: 'S' },
        ],
        BillingMode: 'PAY_PER_REQUEST',
      })
      proxy.faults()
      assert.equal(await table.store().createKeyStore(), arn)
      assert.deepEqual(operations(shared.server), ['DescribeTable'])
    })

    it('waits until it can be used, and for one that somebody else has just made', async () => {
      const { proxy } = shared.server
      const table = new Table(shared.server, newTableName())
      await table.store().createKeyStore()
      let described = 0
      proxy.faults(({ operation }) => {
        if (operation === 'CreateTable') return { error: 'ResourceInUseException', status: 400 }
        described += 1
        if (described === 1) return { error: 'ResourceNotFoundException', status: 400 }
        if (described > 2) return undefined
        return ({ Table: made, ...answer }) => ({ ...answer, Table: { ...(made as object), TableStatus: 'CREATING' } })
      })
      assert.match(await table.store().createKeyStore(), new RegExp(`table/${table.name}$`))
      assert.deepEqual(operations(shared.server), ['DescribeTable', 'CreateTable', 'DescribeTable', 'DescribeTable'])
    })

    it('refuses a table of other keys', async () => {
      for (const [names, types] of [
        [['branch-key-id'], ['S']],
        [
          ['branch-key-id', 'other'],
          ['S', 'S'],
        ],
        [
          ['type', 'branch-key-id'],
          ['S', 'S'],
        ],
        [
          ['branch-key-id', 'type'],
          ['S', 'N'],
        ],
      ] as const) {
        const table = new Table(shared.server, newTableName())
        await dynamoDbAt(shared.server.behind).send(
          new CreateTableCommand({
            TableName: table.name,
            KeySchema: names.map((AttributeName, n) => ({ AttributeName, KeyType: n === 0 ? 'HASH' : 'RANGE' })),
            AttributeDefinitions: names.map((AttributeName, n) => ({ AttributeName, AttributeType: types[n]! })),
            BillingMode: 'PAY_PER_REQUEST',
          }),
        )
        await assert.rejects(table.store().createKeyStore(), {
          code: 'ERR_ESDK_WRAP',
          message: `the table "${table.name}" could not be written: the table is there, and its keys are not those of a key store`,
        })
      }
    })

    it('fails where it may not, and where it is stopped', async () => {
      const { proxy } = shared.server
      const store = new Table(shared.server, newTableName()).store()
      for (const failing of ['DescribeTable', 'CreateTable']) {
        proxy.faults(({ operation }) =>
          operation === failing ? { error: 'AccessDeniedException', status: 400 } : undefined,
        )
        await assert.rejects(store.createKeyStore(), { code: 'ERR_ESDK_WRAP', message: /AccessDeniedException/ })
      }
      proxy.faults(({ operation }) =>
        operation === 'CreateTable' ? { error: 'ResourceInUseException', status: 400 } : undefined,
      )
      const reason = new Error('enough')
      const controller = new AbortController()
      setTimeout(() => {
        controller.abort(reason)
      }, 100)
      await assert.rejects(store.createKeyStore({ signal: controller.signal }), reason)
    })
  })

  it('tells what it was made with, in vain to change', () => {
    const kmsConfiguration = { kmsKeyArn: shared.server.keys[0]! }
    const grantTokens = ['t']
    const store = shared.table.store({ kmsConfiguration, grantTokens, keyStoreId: 'id' })
    grantTokens.push('u')
    const { name: tableName } = shared.table
    const info = store.getKeyStoreInfo()
    assert.deepEqual(info, {
      ...{ keyStoreId: 'id', tableName, logicalKeyStoreName: LOGICAL_NAME },
      ...{ grantTokens: ['t'], kmsConfiguration },
    })
    for (const value of [info, info.grantTokens, info.kmsConfiguration]) assert.ok(Object.isFrozen(value))
    assert.match(shared.table.store().getKeyStoreInfo().keyStoreId, UUID)
  })

  it('refuses unfit options', () => {
    const fit: BranchKeyStoreOptions = {
      tableName: 'table',
      logicalKeyStoreName: 'logical',
      kmsConfiguration: { kmsKeyArn: shared.server.keys[0]! },
    }
    assert.ok(new BranchKeyStore(fit))
    const wrong: object[] = [
      { tableName: '' },
      { tableName: undefined },
      { logicalKeyStoreName: '' },
      { logicalKeyStoreName: 'a\0b' },
      { logicalKeyStoreName: '\udfff' },
      { keyStoreId: '' },
      { grantTokens: [''] },
      ...[
        undefined,
        null,
        'Discovery',
        {},
        { kmsKeyArn: shared.server.aliases[0] },
        { kmsKeyArn: 'mrk-1234' },
        { kmsKeyArn: 1 },
        { kmsMRKeyArn: shared.server.aliases[0] },
        { kmsMRKeyArn: shared.server.keys[0], kmsKeyArn: shared.server.keys[0] },
        { mrDiscovery: {} },
        { mrDiscovery: null },
        { mrDiscovery: { region: '' } },
        { discovery: {} },
      ].map((kmsConfiguration) => ({ kmsConfiguration })),
    ]
    for (const options of wrong) assert.throws(() => new BranchKeyStore({ ...fit, ...options }), TypeError)
    for (const clientProvider of [{}, { clientProvider: () => false as const }]) {
      assert.throws(() => new BranchKeyStore({ ...fit, ...clientProvider, attemptTimeoutMs: 0 }), RangeError)
    }
  })

  it('finds clients of its own in the region of the key, and says who asks', async () => {
    const { endpoint, keys, proxy } = shared.server
    const fit = { tableName: newTableName(), logicalKeyStoreName: LOGICAL_NAME }
    await inEnvironment({ AWS_ENDPOINT_URL: endpoint, AWS_REGION: 'us-west-1' }, async () => {
      const store = new BranchKeyStore({ ...fit, kmsConfiguration: { kmsKeyArn: keys[2]! } })
      await store.createKeyStore()
      await store.getActiveBranchKey(await store.createKey())
      for (const { operation, region, userAgent } of proxy.asked) {
        assert.equal(region, 'us-west-2', operation)
        assert.match(userAgent, /esdk-streams\//)
        const ofKms = ['GenerateDataKeyWithoutPlaintext', 'ReEncrypt', 'Decrypt'].includes(operation)
        assert.equal(userAgent.includes('aws-kms-hierarchy'), ofKms, operation)
      }
      for (const [kmsConfiguration, region] of [
        ['discovery', 'us-west-1'],
        [{ mrDiscovery: { region: 'us-west-2' } }, 'us-west-2'],
      ] as const) {
        proxy.faults()
        await new BranchKeyStore({ ...fit, kmsConfiguration }).getActiveBranchKey('nobody').catch(() => undefined)
        assert.deepEqual([...new Set(proxy.asked.map((asked) => asked.region))], [region])
      }
    })
  })

  it('fails where there is no client for the region', async () => {
    const store = shared.table.store({ clientProvider: () => false })
    await assert.rejects(store.createKey(), WrapError)
    const branchKeyId = await shared.table.store().createKey()
    await assert.rejects(store.getActiveBranchKey(branchKeyId), {
      code: 'ERR_ESDK_UNWRAP',
      message: /no client for the region us-east-1/,
    })
  })

  it('reads an item that was wrapped by hand, as the specification has it', async () => {
    const { behind, keys } = shared.server
    const version = '83eec007-5659-4554-bf11-699b90f41ac6'
    const item: Item = {
      'branch-key-id': { S: 'by hand' },
      type: { S: `branch:version:${version}` },
      'create-time': { S: '2023-06-03T19:03:29.358000Z' },
      'kms-arn': { S: keys[0]! },
      'hierarchy-version': { N: '1' },
      'aws-crypto-ec:department': { S: 'admin' },
      'something else': { S: 'authenticated too' },
    }
    const Plaintext = Buffer.alloc(32, 7)
    const { CiphertextBlob } = await clientAt(behind, 'us-east-1').send(
      new EncryptCommand({ KeyId: keys[0], Plaintext, EncryptionContext: contextOf(item) }),
    )
    await shared.table.put({ ...item, enc: { B: CiphertextBlob! } })
    const materials = await shared.table.store().getBranchKeyVersion('by hand', version)
    assert.deepEqual({ ...materials.encryptionContext }, { department: 'admin' })
    assert.equal(materials.branchKey.export().toString('hex'), Plaintext.toString('hex'))
  })
})
