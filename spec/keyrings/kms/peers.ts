/** Other implementations with keys of AWS KMS, one way to talk to them all. */
import {
  AwsKmsMrkAwareSymmetricDiscoveryKeyringNode,
  AwsKmsMrkAwareSymmetricKeyringNode,
  CommitmentPolicy,
  KmsKeyringNode,
  type KeyringNode,
  MultiKeyringNode,
  buildClient,
} from '@aws-crypto/client-node'
import { KMS } from '@aws-sdk/client-kms'
import { type JavaMasterKeys, type JavaPeer, jceMasterKeys, startJavaPeer } from '../../interop/java-peer.ts'
import { rawJavaScriptKeyring } from '../../interop/javascript-peer.ts'
import { type MplKeyring, rawMplKeyring, startMplPeer } from '../../interop/mpl-peer.ts'
import { type PeerDecrypted, type RsaPeerKey, isCommitting } from '../../interop/peer.ts'
import { startPythonPeer } from '../../interop/python-peer.ts'

/** A message to read. */
export interface KmsMessage {
  readonly suite: number
  readonly data: Buffer
}

/** A message to write. */
export interface KmsPlaintext extends KmsMessage {
  readonly frameLength: number
  readonly encryptionContext: Readonly<Record<string, string>>
}

/** Another implementation's keyring or provider. */
export interface TheirKeys {
  encrypt(plaintext: KmsPlaintext): Promise<Buffer>
  decrypt(message: KmsMessage): Promise<PeerDecrypted>
}

/** One under way. */
export interface KmsPeer {
  /** Wraps under all of these keys, of which the first generates; unwraps under just these. */
  strict(keyIds: readonly string[]): TheirKeys
  /** Unwraps under any key of these accounts of the partition `aws`; under any key of the regions, unless they are said. */
  discovery(regions: readonly string[], accounts?: readonly string[]): TheirKeys
  /** A multi-Region key. */
  mrk(keyId: string): TheirKeys
  /** Unwraps in this region what any replica of a multi-Region key wrapped. */
  mrkDiscovery(region: string): TheirKeys
  /** A key of AWS KMS that generates, and one of one's own; or the latter alone. */
  escrow(keyId: string | undefined, key: RsaPeerKey): TheirKeys
  close(): Promise<void>
}

/** Where it finds AWS KMS. */
export interface KmsPeerSettings {
  readonly endpoint: string
}

function environmentOf({ endpoint }: KmsPeerSettings): Record<string, string> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_ACCESS_KEY_ID: 'spec',
    AWS_SECRET_ACCESS_KEY: 'spec',
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_MAX_ATTEMPTS: '1',
  }
}

function filterOf(accounts: readonly string[] | undefined): { partition?: string; accounts?: readonly string[] } {
  return accounts === undefined ? {} : { partition: 'aws', accounts }
}

async function startPython(settings: KmsPeerSettings): Promise<KmsPeer> {
  const peer = await startPythonPeer(environmentOf(settings))
  type Keys = Parameters<typeof peer.decrypt>[0]['keys']
  const of = (...keys: Keys): TheirKeys => ({
    encrypt: (plaintext) => peer.encrypt({ ...plaintext, keys }),
    decrypt: (message) => peer.decrypt({ ...message, keys }),
  })
  return {
    strict: (keyIds) => of({ type: 'kms', keyIds }),
    // It asks in the region of each data key.
    discovery: (_regions, accounts) => of({ type: 'kms-discovery', ...filterOf(accounts) }),
    mrk: (keyId) => of({ type: 'kms-mrk', keyIds: [keyId] }),
    mrkDiscovery: (region) => of({ type: 'kms-mrk-discovery', region }),
    escrow: (keyId, key) => (keyId === undefined ? of(key) : of({ type: 'kms', keyIds: [keyId] }, key)),
    close: () => peer.close(),
  }
}

type OfMpl = (keyring: MplKeyring) => TheirKeys

/** The keyrings of the library are the same in Python and in Java. */
function mplKeyrings(of: OfMpl): Omit<KmsPeer, 'close'> {
  return {
    strict: ([generator, ...keyIds]) => of({ type: 'kms-multi', generator: generator!, keyIds }),
    discovery([region, ...others], accounts) {
      const filter = filterOf(accounts)
      if (others.length === 0) return of({ type: 'kms-discovery', region: region!, ...filter })
      return of({ type: 'kms-discovery-multi', regions: [region!, ...others], ...filter })
    },
    mrk: (keyId) => of({ type: 'kms-mrk-multi', keyIds: [], generator: keyId }),
    mrkDiscovery: (region) => of({ type: 'kms-mrk-discovery-multi', regions: [region] }),
    escrow(keyId, key) {
      const raw = rawMplKeyring(key)
      if (keyId === undefined) return of(raw)
      const generator = { type: 'kms', keyId, region: keyId.split(':')[3]! } as const
      return of({ type: 'multi', generator, children: [raw] })
    },
  }
}

async function startMplInPython(settings: KmsPeerSettings): Promise<KmsPeer> {
  const peer = await startMplPeer(environmentOf(settings))
  const of: OfMpl = (keyring) => ({
    encrypt: (plaintext) => peer.encrypt({ ...plaintext, keyring }),
    decrypt: (message) => peer.decrypt({ ...message, keyring }),
  })
  return { ...mplKeyrings(of), close: () => peer.close() }
}

async function startJavaKeyrings(settings: KmsPeerSettings): Promise<KmsPeer> {
  const peer = await startJavaPeer(environmentOf(settings))
  return { ...mplKeyrings((keys) => ofJava(peer, keys)), close: () => peer.close() }
}

async function startJavaProviders(settings: KmsPeerSettings): Promise<KmsPeer> {
  const peer = await startJavaPeer(environmentOf(settings))
  const of = (keys: JavaMasterKeys): TheirKeys => ofJava(peer, keys)
  return {
    strict: (keyIds) => of({ type: 'kms-provider', keyIds }),
    // It asks in the region of each data key.
    discovery: (_regions, accounts) => of({ type: 'kms-provider', ...filterOf(accounts) }),
    mrk: (keyId) => of({ type: 'kms-mrk-provider', keyIds: [keyId] }),
    mrkDiscovery: (region) => of({ type: 'kms-mrk-provider', region }),
    escrow(keyId, key) {
      const raw = jceMasterKeys([key])
      if (keyId === undefined) return of(raw)
      return of({ type: 'providers', providers: [{ type: 'kms-provider', keyIds: [keyId] }, raw] })
    },
    close: () => peer.close(),
  }
}

function ofJava(peer: JavaPeer, keys: JavaMasterKeys | MplKeyring): TheirKeys {
  return {
    encrypt: (plaintext) => peer.encrypt({ ...plaintext, keys }),
    decrypt: (message) => peer.decrypt({ ...message, keys }),
  }
}

function startJavaScript({ endpoint }: KmsPeerSettings): Promise<KmsPeer> {
  const credentials = { accessKeyId: 'spec', secretAccessKey: 'spec' }
  // It has its own copy of the client's types.
  const clientProvider = (region: string): never => new KMS({ endpoint, region, credentials }) as never
  const committing = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
  const other = buildClient(CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
  const clientOf = (suite: number): typeof committing => (isCommitting(suite) ? committing : other)
  const of = (keyring: KeyringNode | MultiKeyringNode): TheirKeys => ({
    async encrypt({ suite: suiteId, data, frameLength, encryptionContext }) {
      const options = { suiteId, frameLength, encryptionContext: { ...encryptionContext } }
      return (await clientOf(suiteId).encrypt(keyring, data, options)).result
    },
    async decrypt({ suite, data }) {
      const { plaintext, messageHeader } = await clientOf(suite).decrypt(keyring, data)
      return { plaintext, encryptionContext: messageHeader.encryptionContext }
    },
  })
  /* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- its classes are not what their types say */
  return Promise.resolve({
    strict: ([generatorKeyId, ...keyIds]) =>
      of(new KmsKeyringNode({ generatorKeyId: generatorKeyId!, keyIds, clientProvider })),
    discovery: (_regions, accounts) =>
      of(
        new KmsKeyringNode({
          discovery: true,
          ...(accounts !== undefined && { discoveryFilter: { partition: 'aws', accountIDs: [...accounts] } }),
          clientProvider,
        }),
      ),
    mrk: (keyId) => of(new AwsKmsMrkAwareSymmetricKeyringNode({ client: clientProvider(keyId.split(':')[3]!), keyId })),
    mrkDiscovery: (region) => of(new AwsKmsMrkAwareSymmetricDiscoveryKeyringNode({ client: clientProvider(region) })),
    escrow(keyId, key) {
      const raw = rawJavaScriptKeyring(key)
      if (keyId === undefined) return of(raw)
      const generator = new KmsKeyringNode({ generatorKeyId: keyId, clientProvider })
      return of(new MultiKeyringNode({ generator, children: [raw] }))
    },
    close: () => Promise.resolve(),
  })
  /* eslint-enable @typescript-eslint/no-unsafe-class-instance-assignment */
}

/** All of them, by what they are called in titles. */
export const KMS_PEERS: Readonly<Record<string, (settings: KmsPeerSettings) => Promise<KmsPeer>>> = {
  'master keys of the AWS Encryption SDK for Python': startPython,
  'master keys of the AWS Encryption SDK for Java': startJavaProviders,
  'keyrings of the AWS Encryption SDK for JavaScript': startJavaScript,
  'keyrings of the Material Providers Library, in Python': startMplInPython,
  'keyrings of the Material Providers Library, in Java': startJavaKeyrings,
}
