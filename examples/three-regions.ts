/**
 * One message under AWS KMS keys in three regions: any one of them is enough to read it. The first example of the
 * announcement of the AWS Encryption SDK for Python, here.
 *
 * Needs keys with the alias `exampleKey` in the three regions, and AWS credentials and a region as the AWS SDK finds them.
 * Run: `AWS_ACCOUNT_ID=111122223333 node --import tsx examples/three-regions.ts`
 */
import { decrypt, encrypt } from 'esdk-streams'
import { KmsMasterKeyProvider } from 'esdk-streams/kms'

const account = process.env['AWS_ACCOUNT_ID'] ?? '111122223333'

const provider = new KmsMasterKeyProvider()
for (const region of ['us-east-1', 'us-west-1', 'us-west-2']) {
  provider.addMasterKey(`arn:aws:kms:${region}:${account}:alias/exampleKey`)
}

const { ciphertext, header } = await encrypt('readable in any of three regions', { keyProvider: provider })
console.log(header.encryptedDataKeys.map((key) => key.keyProviderInfo.toString()).join('\n'))

// Whoever decrypts need not know the keys: the message names them, and the local region's is used.
const { plaintext } = await decrypt(ciphertext, { keyProvider: KmsMasterKeyProvider.discovery() })
console.log(`decrypted: ${plaintext.toString()}`)
