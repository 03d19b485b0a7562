/**
 * Secrets in the user data of an Amazon EC2 instance: encrypted before the launch, decrypted on the instance under its
 * own role. User data is readable to all who may describe the instance; the message in it only to who may use the key.
 *
 * Before the launch (user data may have 16 KB, of which the message's header takes about 1 KB):
 *
 *     esdk encrypt secrets.env -o user-data --kms arn:aws:kms:us-west-2:111122223333:alias/exampleKey -c purpose=user-data
 *     aws ec2 run-instances --user-data fileb://user-data …
 *
 * On the instance, whose role may call kms:Decrypt for that key:
 *
 *     AWS_ACCOUNT_ID=111122223333 AWS_REGION=us-west-2 node --import tsx examples/ec2-user-data.ts
 */
import { decrypt } from 'esdk-streams'
import { KmsMasterKeyProvider } from 'esdk-streams/kms'

const account = process.env['AWS_ACCOUNT_ID'] ?? '111122223333'
const service = process.env['AWS_EC2_METADATA_SERVICE_ENDPOINT'] ?? 'http://169.254.169.254'

const session = await fetch(`${service}/latest/api/token`, {
  method: 'PUT',
  headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' },
})
if (!session.ok) throw new Error(`no session with the instance metadata service: ${session.status}`)
const userData = await fetch(`${service}/latest/user-data`, {
  headers: { 'x-aws-ec2-metadata-token': await session.text() },
})
if (!userData.ok || userData.body === null) throw new Error(`no user data: ${userData.status}`)

// The body is decrypted as it arrives; nothing of it is given before the signature at its end has verified.
const { plaintext } = await decrypt(userData.body, {
  keyProvider: KmsMasterKeyProvider.discovery({ discoveryFilter: { partition: 'aws', accounts: [account] } }),
  encryptionContext: { purpose: 'user-data' },
})

const names = plaintext
  .toString()
  .split('\n')
  .filter((line) => line.includes('='))
  .map((line) => line.slice(0, line.indexOf('=')))
console.log(`decrypted ${names.length} settings: ${names.join(', ')}`)
