// Branch keys and messages of the AWS Encryption SDK for JavaScript in the same table, both ways.
import assert from 'node:assert/strict'
import { BranchKeyStoreNode, CommitmentPolicy, KmsHierarchicalKeyRingNode, buildClient } from '@aws-crypto/client-node'
import { decrypt, encrypt } from 'esdk-streams'
import { type BranchKeyStore, KmsHierarchicalKeyring } from 'esdk-streams/kms'
import { clientAt } from '../setup.ts'
import { LOGICAL_NAME, dynamoDbAt, useTable } from './setup.ts'

const peer = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
const encryptionContext = { Zone: 'b', apple: 'é', '\u{1f600}': '1', '\uff5e': '2' }
const custom = { department: 'admin' }

describe('keyrings/kms/hierarchy, with the AWS Encryption SDK for JavaScript', () => {
  const shared = useTable()

  function theirStore(): BranchKeyStoreNode {
    const { behind, keys } = shared.server
    return new BranchKeyStoreNode({
      logicalKeyStoreName: LOGICAL_NAME,
      storage: { ddbTableName: shared.table.name, ddbClient: dynamoDbAt(behind) },
      keyManagement: { kmsClient: clientAt(behind, 'us-east-1') },
      kmsConfiguration: { identifier: keys[0]! },
    })
  }

  async function seeTheSame(ours: BranchKeyStore, theirs: BranchKeyStoreNode, branchKeyId: string): Promise<void> {
    const active = await ours.getActiveBranchKey(branchKeyId)
    const version = active.branchKeyVersion
    for (const [key, seen] of [
      [active, await theirs.getActiveBranchKey(branchKeyId)],
      [await ours.getBranchKeyVersion(branchKeyId, version), await theirs.getBranchKeyVersion(branchKeyId, version)],
    ] as const) {
      assert.equal(key.branchKey.export().toString('hex'), Buffer.from(seen.branchKey()).toString('hex'))
      assert.equal(key.branchKeyVersion, seen.branchKeyVersion.toString())
      assert.deepEqual({ ...key.encryptionContext }, { ...seen.encryptionContext })
    }
  }

  it('reads what it made and versioned, and it what is made and versioned here', async () => {
    const [ours, theirs] = [shared.table.store(), theirStore()]
    const made = await theirs.createKey({ branchKeyIdentifier: 'made there', encryptionContext: custom })
    for (const branchKeyId of [
      made.branchKeyIdentifier,
      await ours.createKey({ branchKeyId: 'made here', encryptionContext: custom }),
    ]) {
      const messages: Buffer[] = []
      for (const version of [
        () => undefined,
        () => theirs.versionKey({ branchKeyIdentifier: branchKeyId }),
        () => ours.versionKey(branchKeyId),
      ]) {
        await version()
        await seeTheSame(ours, theirs, branchKeyId)
        const options = { keyStore: theirs, branchKeyId, cacheLimitTtl: 600, utf8Sorting: true }
        const keyring = new KmsHierarchicalKeyring({ keyStore: ours, branchKeyId, ttlMs: 600_000 })
        const { result } = await peer.encrypt(new KmsHierarchicalKeyRingNode(options), 'text', { encryptionContext })
        const { ciphertext } = await encrypt('text', { keyring, encryptionContext })
        messages.push(result, ciphertext)
        for (const message of messages) {
          assert.equal((await decrypt(message, { keyring, encryptionContext })).plaintext.toString(), 'text')
          const opened = await peer.decrypt(new KmsHierarchicalKeyRingNode(options), message)
          assert.equal(opened.plaintext.toString(), 'text')
        }
      }
      assert.equal((await shared.table.items(branchKeyId)).length, 5)
      assert.ok(await ours.getBeaconKey(branchKeyId))
    }
  })
})
