/**
 * Branch keys and messages exchanged with the AWS Cryptographic Material Providers Library, in both directions, by one
 * table of Amazon DynamoDB and one key of AWS KMS on the emulator.
 */
import assert from 'node:assert/strict'
import { decrypt, encrypt } from 'esdk-streams'
import { type BranchKeyStore, KmsHierarchicalKeyring, type KmsConfiguration } from 'esdk-streams/kms'
import { CONTEXTS, CONTEXT_NAMES } from './interop/cases.ts'
import { type MplKeyStore, type MplPeer, startMplPeer } from './interop/mpl-peer.ts'
import { policyOf } from './interop/ours.ts'
import { preparedOrPending } from './interop/pending.ts'
import { createKey } from './keyrings/kms/setup.ts'
import { LOGICAL_NAME, Table, newTableName, useTable } from './keyrings/kms/hierarchy/setup.ts'

const FRAME_LENGTH = 128
/** Data keys of 32, 16 and 24 bytes, signed and unsigned. */
const SUITES = [0x0478, 0x0578, 0x0114, 0x0346] as const
const encryptionContext = { department: 'admin', ключ: 'значение' }

describe('interop with the AWS Cryptographic Material Providers Library: the hierarchical keyring', () => {
  const shared = useTable()
  let peer: MplPeer

  before(async function () {
    this.timeout(600_000)
    const environment = {
      AWS_ENDPOINT_URL: shared.server.behind,
      AWS_ACCESS_KEY_ID: 'spec',
      AWS_SECRET_ACCESS_KEY: 'spec',
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-1',
    }
    peer = await preparedOrPending(this, () => startMplPeer(environment))
  })
  after(async () => {
    // Undefined where it is not there, and the specs are pending.
    await (peer as MplPeer | undefined)?.close()
  })

  function theirs(table: Table = shared.table, kmsConfiguration?: KmsConfiguration): MplKeyStore {
    return {
      tableName: table.name,
      logicalKeyStoreName: LOGICAL_NAME,
      kmsConfiguration: kmsConfiguration ?? { kmsKeyArn: shared.server.keys[0]! },
    }
  }

  /** Both sides see the same keys: the active one, each of these versions, and the beacon key. */
  async function seeTheSame(
    ours: BranchKeyStore,
    store: MplKeyStore,
    branchKeyId: string,
    context: object,
  ): Promise<string> {
    const active = await ours.getActiveBranchKey(branchKeyId)
    const version = active.branchKeyVersion
    const beacon = await ours.getBeaconKey(branchKeyId)
    for (const [key, operation, branchKeyVersion] of [
      [active.branchKey, 'getActiveBranchKey', version],
      [(await ours.getBranchKeyVersion(branchKeyId, version)).branchKey, 'getBranchKeyVersion', version],
      [beacon.beaconKey, 'getBeaconKey', ''],
    ] as const) {
      const seen = await peer.keyStore(operation, store, { branchKeyId, branchKeyVersion: version })
      assert.equal(seen.branchKeyId, branchKeyId)
      assert.equal(seen.branchKeyVersion, branchKeyVersion)
      assert.equal(key.export().toString('hex'), seen.key.toString('hex'))
      assert.equal(seen.key.length, 32)
      assert.deepEqual(seen.encryptionContext, context)
    }
    assert.deepEqual({ ...active.encryptionContext }, context)
    assert.deepEqual({ ...beacon.encryptionContext }, context)
    return version
  }

  /** Messages go both ways, of all suites and all kinds of encryption contexts. */
  async function exchange(ours: BranchKeyStore, store: MplKeyStore, branchKeyId: string): Promise<Buffer[]> {
    const keyring = new KmsHierarchicalKeyring({ keyStore: ours, branchKeyId, ttlMs: 600_000 })
    const peers = { type: 'hierarchical', keyStore: store, branchKeyId } as const
    const plaintext = Buffer.alloc(FRAME_LENGTH + 1, 'text')
    const written: Buffer[] = []
    for (const suite of SUITES) {
      for (const name of CONTEXT_NAMES) {
        const given = { encryptionContext: CONTEXTS[name], frameLength: FRAME_LENGTH }
        const policy = { commitmentPolicy: policyOf(suite) }
        const { ciphertext } = await encrypt(plaintext, { ...given, keyring, algorithmSuite: suite, ...policy })
        const read = await peer.decrypt({ suite, keyring: peers, data: ciphertext })
        assert.equal(read.plaintext.toString('hex'), plaintext.toString('hex'))
        const message = await peer.encrypt({ ...given, suite, keyring: peers, data: plaintext })
        const back = await decrypt(message, { keyring, ...policy, encryptionContext: CONTEXTS[name] })
        assert.equal(back.plaintext.toString('hex'), plaintext.toString('hex'))
        assert.equal(back.header.encryptedDataKeys[0]!.keyProviderId, 'aws-kms-hierarchy')
        assert.equal(String(back.header.encryptedDataKeys[0]!.keyProviderInfo), branchKeyId)
        if (suite === 0x0478) written.push(ciphertext, message)
      }
    }
    return written
  }

  it('reads a branch key that it made, and a version that it added', async () => {
    const [ours, store] = [shared.table.store(), theirs()]
    const request = { branchKeyId: 'made there', encryptionContext }
    const { branchKeyId } = await peer.keyStore('createKey', store, request)
    const first = await seeTheSame(ours, store, branchKeyId, encryptionContext)
    const messages = await exchange(ours, store, branchKeyId)
    await peer.keyStore('versionKey', store, { branchKeyId })
    assert.notEqual(await seeTheSame(ours, store, branchKeyId, encryptionContext), first)
    messages.push(...(await exchange(ours, store, branchKeyId)))
    const keyring = new KmsHierarchicalKeyring({ keyStore: ours, branchKeyId, ttlMs: 600_000 })
    for (const message of messages) await decrypt(message, { keyring })
  })

  it('makes a branch key that it reads, and adds a version', async () => {
    const [ours, store] = [shared.table.store(), theirs()]
    const branchKeyId = await ours.createKey({ branchKeyId: 'made here', encryptionContext })
    const first = await seeTheSame(ours, store, branchKeyId, encryptionContext)
    const messages = await exchange(ours, store, branchKeyId)
    await ours.versionKey(branchKeyId)
    assert.notEqual(await seeTheSame(ours, store, branchKeyId, encryptionContext), first)
    messages.push(...(await exchange(ours, store, branchKeyId)))
    const reader = { type: 'hierarchical', keyStore: theirs(shared.table, 'discovery'), branchKeyId } as const
    for (const data of messages) await peer.decrypt({ suite: 0x0478, keyring: reader, data })
  })

  it('takes turns with it: versions of keys without an encryption context of their own', async () => {
    const [ours, store] = [shared.table.store(), theirs()]
    for (const branchKeyId of [await ours.createKey(), (await peer.keyStore('createKey', store, {})).branchKeyId]) {
      const versions = [await seeTheSame(ours, store, branchKeyId, {})]
      for (const version of [
        () => ours.versionKey(branchKeyId),
        () => peer.keyStore('versionKey', store, { branchKeyId }),
        () => ours.versionKey(branchKeyId),
      ]) {
        await version()
        versions.push(await seeTheSame(ours, store, branchKeyId, {}))
      }
      assert.equal(new Set(versions).size, 4)
      assert.equal((await shared.table.items(branchKeyId)).length, 6)
    }
  })

  it('finds the table that the other made fit', async () => {
    const [here, there] = [new Table(shared.server, newTableName()), new Table(shared.server, newTableName())]
    await here.store().createKeyStore()
    await peer.keyStore('createKeyStore', theirs(here))
    await peer.keyStore('createKeyStore', theirs(there))
    assert.match(await there.store().createKeyStore(), new RegExp(`:table/${there.name}$`))
    const { branchKeyId } = await peer.keyStore('createKey', theirs(here))
    await seeTheSame(here.store(), theirs(here), branchKeyId, {})
  })

  it('refuses with it: another logical name, another key', async () => {
    const ours = shared.table.store()
    const branchKeyId = await ours.createKey()
    const other = await createKey(shared.server.behind, 'us-east-1')
    for (const changes of [{ logicalKeyStoreName: 'other' }, { kmsConfiguration: { kmsKeyArn: other } }]) {
      await assert.rejects(peer.keyStore('getActiveBranchKey', { ...theirs(), ...changes }, { branchKeyId }))
      await assert.rejects(shared.table.store(changes).getActiveBranchKey(branchKeyId), { code: 'ERR_ESDK_UNWRAP' })
    }
  })
})
