/**
 * A backup in Amazon S3: streamed into an object, read back as a whole and in part, and put under a new key.
 *
 * Needs a bucket, and AWS credentials and a region as the AWS SDK finds them.
 * Run: `S3_BUCKET=my-backups node --import tsx examples/s3.ts`
 */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { S3Client } from '@aws-sdk/client-s3'
import { RawAesKeyring } from 'esdk-streams'
import { getObject, openObject, putObject, reencryptObject } from 'esdk-streams/s3'

const client = new S3Client({ forcePathStyle: process.env['AWS_ENDPOINT_URL_S3'] !== undefined })
const params = { Bucket: process.env['S3_BUCKET'] ?? 'my-backups', Key: 'backups/lines.txt' }
const old = new RawAesKeyring({ keyNamespace: 'example', keyName: '2026', wrappingKey: randomBytes(32) })
const current = new RawAesKeyring({ keyNamespace: 'example', keyName: '2027', wrappingKey: randomBytes(32) })

function* lines(): Generator<Buffer> {
  for (let number = 0; number < 100_000; number++) yield Buffer.from(`line ${String(number).padStart(6, '0')}\n`)
}

// An upload of any length in constant memory. "randomAccess" makes ranges of it readable on their own.
const { stats } = await putObject({
  client,
  params: { ...params, ContentType: 'text/plain' },
  body: Readable.from(lines()),
  keyring: old,
  encryptionContext: { purpose: 'backup' },
  randomAccess: true,
})
console.log(`${stats.bytesIn} bytes became an object of ${stats.bytesOut}, in parts: ${stats.parts}`)

// Just a few lines out of the middle: three small requests.
const message = await openObject({ client, params, keyring: old, encryptionContext: { purpose: 'backup' } })
console.log((await message.read(50_000 * 12, 24)).toString().trim())
await message.close()

// A new key, in place: the old object is replaced only by a whole one, and only if it is still the one that was read.
await reencryptObject({ client, params, from: { keyring: old }, to: { keyring: current } })

const object = await getObject({ client, params, keyring: current })
const back = await text(object)
console.log(`decrypted ${back.split('\n').length - 1} lines of ${object.object.ContentType ?? ''}`)
