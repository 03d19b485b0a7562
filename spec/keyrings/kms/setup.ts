/** Keys of AWS KMS on an emulator behind a proxy, for all specs of this folder. */
import assert from 'node:assert/strict'
import {
  CreateAliasCommand,
  CreateKeyCommand,
  type CreateKeyCommandInput,
  GetPublicKeyCommand,
  KMSClient,
  ReplicateKeyCommand,
} from '@aws-sdk/client-kms'
import { type KeyObject, createPublicKey } from 'node:crypto'
import { UnwrapError } from 'esdk-streams'
import type { KmsClientProvider } from 'esdk-streams/kms'
import { FaultProxy } from '../../emulators/fault-proxy.ts'
import { sharedLocalStack } from '../../emulators/localstack.ts'
import { PREPARE_TIMEOUT_MS } from '../../emulators/emulator.ts'
import { sharedMoto } from '../../emulators/moto.ts'
import { preparedOrPending } from '../../interop/pending.ts'

/** The account that moto has. */
export const ACCOUNT = '123456789012'

/** Regions with a key each, under one alias. */
export const REGIONS = ['us-east-1', 'us-west-1', 'us-west-2'] as const

const ALIAS = 'exampleKey'

/** An emulator behind a proxy. */
export interface KmsProxy {
  readonly proxy: FaultProxy
  readonly endpoint: string
  /** The emulator itself, past the proxy. */
  readonly behind: string
  /** Clients of the proxy, one a region. */
  readonly clientProvider: KmsClientProvider
}

/** moto, and a key in each region. */
export interface KmsServer extends KmsProxy {
  /** The ARNs of the keys, in the order of REGIONS. */
  readonly keys: readonly string[]
  /** The ARNs of their aliases. */
  readonly aliases: readonly string[]
}

/** The AWS SDK's own client, as a user makes it for an emulator. */
export function clientAt(endpoint: string, region: string): KMSClient {
  const credentials = { accessKeyId: 'spec', secretAccessKey: 'spec' }
  return new KMSClient({ region, endpoint, credentials, maxAttempts: 2 })
}

/** One such client a region. */
export function clientsAt(endpointOf: string | ((region: string) => string)): KmsClientProvider {
  const clients = new Map<string, KMSClient>()
  return (region = 'us-east-1') => {
    const endpoint = typeof endpointOf === 'string' ? endpointOf : endpointOf(region)
    const client = clients.get(region) ?? clientAt(endpoint, region)
    clients.set(region, client)
    return client
  }
}

/** Makes a key and gives its ARN. */
export async function createKey(endpoint: string, region: string, input: CreateKeyCommandInput = {}): Promise<string> {
  const { KeyMetadata } = await clientAt(endpoint, region).send(new CreateKeyCommand(input))
  return KeyMetadata!.Arn!
}

/** Makes a replica of a multi-Region key and gives its ARN. */
export async function replicate(endpoint: string, keyArn: string, region: string): Promise<string> {
  const command = new ReplicateKeyCommand({ KeyId: keyArn, ReplicaRegion: region })
  const { ReplicaKeyMetadata } = await clientAt(endpoint, regionOf(keyArn)).send(command)
  return ReplicaKeyMetadata!.Arn!
}

/** The public half of a key. */
export async function publicKeyOf(endpoint: string, keyArn: string): Promise<KeyObject> {
  const { PublicKey } = await clientAt(endpoint, regionOf(keyArn)).send(new GetPublicKeyCommand({ KeyId: keyArn }))
  return createPublicKey({ key: Buffer.from(PublicKey!), format: 'der', type: 'spki' })
}

function regionOf(keyArn: string): string {
  return keyArn.split(':')[3]!
}

/** Makes an alias of a key and gives the alias's ARN. */
export async function createAlias(endpoint: string, keyArn: string, name: string): Promise<string> {
  const region = regionOf(keyArn)
  const command = new CreateAliasCommand({ AliasName: `alias/${name}`, TargetKeyId: keyArn.split('/')[1]! })
  await clientAt(endpoint, region).send(command)
  return `arn:aws:kms:${region}:${ACCOUNT}:alias/${name}`
}

interface Made {
  readonly behind: string
  readonly keys: readonly string[]
  readonly aliases: readonly string[]
}

let made: Promise<Made> | undefined

/** The one emulator of this process, and its keys. */
async function make(): Promise<Made> {
  const { endpoint: behind } = await sharedMoto()
  const keys = await Promise.all(REGIONS.map((region) => createKey(behind, region)))
  return { behind, keys, aliases: await Promise.all(keys.map((key) => createAlias(behind, key, ALIAS))) }
}

/** A proxy before moto for the specs of the suite that calls this. Each spec begins without faults. */
export function useKmsServer(): { readonly server: KmsServer } {
  return useProxy(() => (made ??= make()))
}

/** The same before LocalStack, for keys that moto can't use; it has none yet. */
export function useLocalStack(): { readonly server: KmsProxy } {
  return useProxy(async () => ({ behind: (await sharedLocalStack()).endpoint }))
}

function useProxy<T extends { readonly behind: string }>(start: () => Promise<T>): { readonly server: KmsProxy & T } {
  let proxy: FaultProxy | undefined
  const shared: { server?: KmsProxy & T } = {}

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    const started = await preparedOrPending(this, start)
    proxy = new FaultProxy(started.behind)
    const endpoint = await proxy.start()
    shared.server = { ...started, proxy, endpoint, clientProvider: clientsAt(endpoint) }
  })

  beforeEach(() => proxy?.faults())

  after(() => proxy?.stop())

  return {
    get server() {
      return shared.server!
    },
  }
}

/** What must fail to unwrap, fails with. */
export async function unwrapErrorOf(work: Promise<unknown>): Promise<UnwrapError> {
  const error = await work.then(
    () => assert.fail('a data key was unwrapped'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof UnwrapError)) throw error
  return error
}

/** The attempts of what must fail to unwrap. */
export async function attemptsOf(work: Promise<unknown>): Promise<UnwrapError['attempts']> {
  return (await unwrapErrorOf(work)).attempts
}

/** Does the work as a process would that has only these settings of AWS in its environment. */
export async function inEnvironment<T>(settings: Readonly<Record<string, string>>, work: () => Promise<T>): Promise<T> {
  const before = { ...process.env }
  const all = { AWS_ACCESS_KEY_ID: 'spec', AWS_SECRET_ACCESS_KEY: 'spec', ...settings }
  for (const name of Object.keys(before)) if (name.startsWith('AWS_')) Reflect.deleteProperty(process.env, name)
  Object.assign(process.env, all)
  try {
    return await work()
  } finally {
    for (const name of Object.keys(all)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, before)
  }
}
