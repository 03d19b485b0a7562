/** Objects of Amazon S3. Loaded only where one is named: it loads the AWS SDK. */
import { S3Client } from '@aws-sdk/client-s3'
import { telling } from './aws-calls.ts'

export { listObjects } from '../adapters/s3/list-objects.ts'
export { objectExists, openObjectSource } from '../adapters/s3/object-source.ts'
export { ObjectTarget } from '../adapters/s3/object-target.ts'
export { reencryptObject } from '../adapters/s3/reencrypt-object.ts'

/** Each object that is worked on holds one connection for reading, and some for writing. */
const MAX_SOCKETS = 512

let client: Promise<S3Client> | undefined

/** The one client of this process, by the AWS SDK's own settings. */
export function s3Client(): Promise<S3Client> {
  return (client ??= makeClient())
}

async function makeClient(): Promise<S3Client> {
  const agent = { maxSockets: MAX_SOCKETS }
  const made = new S3Client({ followRegionRedirects: true, requestHandler: { httpAgent: agent, httpsAgent: agent } })
  // The endpoint of the environment or the profile; the SDK has it, though not among its types.
  const config = made.config as typeof made.config & { serviceConfiguredEndpoint?: () => Promise<string | undefined> }
  // Who serves S3 elsewhere has a name for itself, and seldom one for each bucket.
  if ((await config.serviceConfiguredEndpoint?.()) !== undefined) config.forcePathStyle = true
  return telling(made)
}
