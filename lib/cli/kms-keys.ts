/** The keys of a command line that AWS KMS has. Loaded only where one is named: it loads the AWS SDK. */
import {
  type KmsDiscoveryFilter,
  KmsDiscoveryKeyring,
  KmsMrkDiscoveryKeyring,
} from '../keyrings/kms/kms-discovery-keyring.ts'
import { type KmsClientProvider, kmsClientProvider } from '../keyrings/kms/kms-client.ts'
import { KmsKeyring, KmsMrkKeyring } from '../keyrings/kms/kms-keyring.ts'
import { KmsMasterKeyProvider } from '../keyrings/kms/kms-master-key-provider.ts'
import { MultiKeyring } from '../keyrings/multi-keyring.ts'
import type { Keyring } from '../materials/keyring.ts'
import { telling } from './aws-calls.ts'

/** What the options of AWS KMS give. */
export interface KmsFlags {
  readonly kms?: readonly string[]
  readonly mrk?: boolean
  readonly discovery?: boolean
  readonly discoveryAccount?: readonly string[]
  readonly discoveryPartition?: string
  readonly discoveryRegion?: readonly string[]
}

const DEFAULT_PARTITION = 'aws'

/**
 * The keyring of the keys of `--kms`. As a generator, the first of them generates.
 *
 * @throws TypeError when one is no key of AWS KMS.
 */
export function keyringOfKmsKeys({ kms: keyIds = [], mrk }: KmsFlags, generates: boolean): Keyring {
  const [first, ...others] = keyIds
  const keys = generates && first !== undefined ? { generatorKeyId: first, keyIds: others } : { keyIds }
  const options = { ...keys, clientProvider: clients() }
  return mrk === true ? new KmsMrkKeyring(options) : new KmsKeyring(options)
}

/** The keyring of `--discovery`: under whatever key, within the accounts and regions that are named. */
export function discoveryKeyring(flags: KmsFlags): Keyring {
  const { discoveryRegion: regions, mrk } = flags
  const filter = discoveryFilterOf(flags)
  const options = { clientProvider: clients(), ...(filter !== undefined && { discoveryFilter: filter }) }
  if (mrk !== true) return new KmsDiscoveryKeyring({ ...options, ...(regions !== undefined && { regions }) })
  if (regions === undefined) return KmsMasterKeyProvider.discovery(options)
  return new MultiKeyring({ children: regions.map((region) => new KmsMrkDiscoveryKeyring({ ...options, region })) })
}

/** Clients of their own for each keyring, which may have to say what they ask. */
function clients(): KmsClientProvider {
  const provider = kmsClientProvider()
  const told = new WeakSet()
  return (region) => {
    const client = provider(region)
    if (client === false || client === undefined || told.has(client)) return client
    told.add(client)
    return telling(client)
  }
}

function discoveryFilterOf({
  discoveryAccount: accounts,
  discoveryPartition: partition = DEFAULT_PARTITION,
}: KmsFlags): KmsDiscoveryFilter | undefined {
  return accounts === undefined ? undefined : { partition, accounts }
}
