/** The keys, tables and buckets that the pages speak of, on emulators: their blocks run as they stand. */
import { CreateAliasCommand, CreateKeyCommand, KMSClient, ReplicateKeyCommand } from '@aws-sdk/client-kms'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { sharedLocalStack } from '../emulators/localstack.ts'
import { sharedMoto } from '../emulators/moto.ts'

/** LocalStack takes the id of an access key for the account, where it looks like one. */
const ACCOUNT = '111122223333'
const SYMMETRIC = '1234abcd-12ab-34cd-56ef-1234567890ab'
const MULTI_REGION = 'mrk-1234abcd12ab34cd56ef1234567890ab'

/** `arn:aws:kms:REGION:111122223333:key/ID` */
const KEYS = [
  { region: 'eu-west-1', id: SYMMETRIC, aliases: ['backups', 'reports'] },
  { region: 'us-east-1', id: '0987dcba-09fe-87dc-65ba-ab0987654321', aliases: [] },
  { region: 'ap-southeast-2', id: '5678efab-56cd-78ef-90ab-5678901234cd', aliases: [] },
  { region: 'eu-west-1', id: MULTI_REGION, multiRegion: true, replicas: ['us-east-1'] },
  { region: 'eu-west-1', id: '2222aaaa-22bb-33cc-44dd-222233334444', spec: 'RSA_4096', usage: 'ENCRYPT_DECRYPT' },
  { region: 'eu-west-1', id: '3333aaaa-22bb-33cc-44dd-222233334444', spec: 'ECC_NIST_P256', usage: 'KEY_AGREEMENT' },
] as const

const BUCKETS = ['backups', 'videos', 'reports'] as const

let shared: Promise<Readonly<Record<string, string>>> | undefined

/**
 * What a program needs in its environment to find them.
 *
 * @throws UnavailableError where the emulators can't be had.
 */
export function awsEnvironment(): Promise<Readonly<Record<string, string>>> {
  shared ??= make()
  return shared
}

async function make(): Promise<Readonly<Record<string, string>>> {
  const [moto, localStack] = await Promise.all([sharedMoto(), sharedLocalStack()])
  const credentials = { accessKeyId: ACCOUNT, secretAccessKey: 'spec' }
  const kms = (region: string): KMSClient => new KMSClient({ region, endpoint: localStack.endpoint, credentials })
  for (const key of KEYS) {
    const { region, id } = key
    await kms(region).send(
      new CreateKeyCommand({
        Tags: [{ TagKey: '_custom_id_', TagValue: id }],
        ...('multiRegion' in key && { MultiRegion: true }),
        ...('spec' in key && { KeySpec: key.spec, KeyUsage: key.usage }),
      }),
    )
    for (const ReplicaRegion of 'replicas' in key ? key.replicas : []) {
      await kms(region).send(new ReplicateKeyCommand({ KeyId: id, ReplicaRegion }))
    }
    for (const alias of 'aliases' in key ? key.aliases : []) {
      await kms(region).send(new CreateAliasCommand({ AliasName: `alias/${alias}`, TargetKeyId: id }))
    }
  }
  const s3 = new S3Client({ region: 'us-east-1', endpoint: moto.endpoint, credentials, forcePathStyle: true })
  for (const Bucket of BUCKETS) await s3.send(new CreateBucketCommand({ Bucket }))
  return {
    AWS_ENDPOINT_URL: moto.endpoint,
    AWS_ENDPOINT_URL_KMS: localStack.endpoint,
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
  }
}
