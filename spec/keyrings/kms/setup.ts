/** Keys of AWS KMS on an emulator behind a proxy, for all specs of this folder. */
import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms'
import type { KmsClientProvider } from 'esdk-streams/kms'
import { type Emulator, startMoto } from '../../emulators/moto.ts'
import { FaultProxy } from '../../emulators/fault-proxy.ts'
import { preparedOrPending } from '../../interop/pending.ts'

/** The account that moto has. */
export const ACCOUNT = '123456789012'

/** Regions with a key each, under one alias. */
export const REGIONS = ['us-east-1', 'us-west-1', 'us-west-2'] as const

const ALIAS = 'alias/exampleKey'

/** An emulator, and a key in each region. */
export interface KmsServer {
  readonly proxy: FaultProxy
  readonly endpoint: string
  /** Clients of the proxy, one a region. */
  readonly clientProvider: KmsClientProvider
  /** The ARNs of the keys, in the order of REGIONS. */
  readonly keys: readonly string[]
  /** The ARNs of their aliases. */
  readonly aliases: readonly string[]
}

/** Starts one server for the specs of the suite that calls this, and stops it after them. */
export function useKmsServer(): { readonly server: KmsServer } {
  let emulator: Emulator | undefined
  let proxy: FaultProxy | undefined
  const clients = new Map<string | undefined, KMSClient>()
  const shared: { server?: KmsServer } = {}

  before(async function () {
    this.timeout(300_000)
    emulator = await preparedOrPending(this, startMoto)
    proxy = new FaultProxy(emulator.endpoint)
    const endpoint = await proxy.start()
    const clientFor = (region = 'us-east-1'): KMSClient => {
      const credentials = { accessKeyId: 'spec', secretAccessKey: 'spec' }
      const client = clients.get(region) ?? new KMSClient({ region, endpoint, credentials, maxAttempts: 2 })
      clients.set(region, client)
      return client
    }
    const keys: string[] = []
    for (const region of REGIONS) {
      const { KeyMetadata } = await clientFor(region).send(new CreateKeyCommand({}))
      keys.push(KeyMetadata!.Arn!)
      await clientFor(region).send(new CreateAliasCommand({ AliasName: ALIAS, TargetKeyId: KeyMetadata!.KeyId }))
    }
    const aliases = REGIONS.map((region) => `arn:aws:kms:${region}:${ACCOUNT}:${ALIAS}`)
    shared.server = { proxy, endpoint, clientProvider: clientFor, keys, aliases }
  })

  beforeEach(() => proxy?.faults())

  after(async () => {
    for (const client of clients.values()) client.destroy()
    await proxy?.stop()
    await emulator?.stop()
  })

  return {
    get server() {
      return shared.server!
    },
  }
}
