/**
 * A key for each tenant, wrapped by one AWS KMS key and kept in one Amazon DynamoDB table: a hundred messages, and AWS is
 * asked once a tenant. Whoever lacks a tenant's branch key reads none of its messages.
 *
 * Needs a table of the name below, or the permission to make it, and AWS credentials as the AWS SDK finds them.
 * Run: `AWS_KMS_KEY_ARN=arn:aws:kms:… node --import tsx examples/hierarchical.ts`
 */
import assert from 'node:assert/strict'
import { decrypt, encrypt } from 'esdk-streams'
import { BranchKeyStore, KmsHierarchicalKeyring } from 'esdk-streams/kms'

const kmsKeyArn =
  process.env['AWS_KMS_KEY_ARN'] ?? 'arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'

const keyStore = new BranchKeyStore({
  tableName: 'example-branch-keys',
  logicalKeyStoreName: 'example-branch-keys', // stays the same when the table is restored under another name
  kmsConfiguration: { kmsKeyArn },
})
await keyStore.createKeyStore()

// Done once, by an administrator: a branch key for each tenant.
const branchKeys = new Map<string, string>()
for (const tenant of ['red', 'blue'])
  branchKeys.set(tenant, await keyStore.createKey({ encryptionContext: { tenant } }))

// Whoever encrypts and decrypts finds the tenant in the encryption context.
const keyring = new KmsHierarchicalKeyring({
  keyStore,
  branchKeyIdSupplier: {
    getBranchKeyId: ({ tenant = '' }) => {
      const branchKeyId = branchKeys.get(tenant)
      if (branchKeyId === undefined) throw new Error(`there is no tenant ${JSON.stringify(tenant)}`)
      return branchKeyId
    },
  },
  ttlMs: 600_000, // for so long AWS is not asked again
})

const messages: Buffer[] = []
for (let n = 0; n < 100; n++) {
  const tenant = n % 2 === 0 ? 'red' : 'blue'
  messages.push((await encrypt(`message ${n}`, { keyring, encryptionContext: { tenant } })).ciphertext)
}

// A new version now and then: it is used for new messages, and the old one for old ones.
await keyStore.versionKey(branchKeys.get('red')!)

const reader = new KmsHierarchicalKeyring({ keyStore, branchKeyId: branchKeys.get('red')!, ttlMs: 600_000 })
const read: string[] = []
for (const message of messages) {
  try {
    read.push((await decrypt(message, { keyring: reader })).plaintext.toString())
  } catch (error) {
    assert.match(String(error), /wrapped under another branch key/)
  }
}
assert.equal(read.length, 50)
console.log(`decrypted ${read.length} of ${messages.length} messages with the branch key of one tenant`)
