/** The AWS Cryptographic Material Providers Library, in a process of its own that answers JSON lines. See mpl-peer.py. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { BranchKeyStoreOptions } from 'esdk-streams/kms'
import { JsonLinesChild } from './json-lines-child.ts'
import type { DiscoveryFilter, PeerDecrypted, PeerKey, RsaPeerKey } from './peer.ts'
import { pythonEnvironment } from './python-environment.ts'

/** A keyring of the library, as mpl-peer.py makes it. PEM is text, DER and keys are base64. */
export type MplKeyring =
  | { readonly type: 'raw-aes'; readonly keyNamespace: string; readonly keyName: string; readonly wrappingKey: string }
  | (Pick<RsaPeerKey, 'keyNamespace' | 'keyName' | 'publicKey' | 'privateKey'> & {
      readonly type: 'raw-rsa'
      readonly paddingScheme: string
    })
  | MplKmsAsymmetricKeyring
  | ({ readonly type: 'raw-ecdh'; readonly curveSpec: string } & (
      | { readonly schema: 'ephemeral'; readonly recipientPublicKey: string }
      | { readonly schema: 'discovery'; readonly recipientPrivateKey: string }
      | { readonly schema: 'static'; readonly senderPrivateKey: string; readonly recipientPublicKey: string }
    ))
  | MplKmsKeyring
  | { readonly type: 'multi'; readonly generator?: MplKeyring; readonly children: readonly MplKeyring[] }
  | { readonly type: 'hierarchical'; readonly keyStore: MplKeyStore; readonly branchKeyId: string }

/** A key store of the library. */
export type MplKeyStore = Pick<BranchKeyStoreOptions, 'tableName' | 'logicalKeyStoreName' | 'kmsConfiguration'>

/** What an operation of a key store takes beside the store. */
export interface MplBranchKeyRequest {
  readonly branchKeyId?: string
  readonly branchKeyVersion?: string
  readonly encryptionContext?: Readonly<Record<string, string>>
}

/** A branch key or a beacon key, which has no version; of operations that give no key, what there is. */
export interface MplBranchKey {
  readonly branchKeyId: string
  readonly branchKeyVersion: string
  readonly key: Buffer
  readonly encryptionContext: Readonly<Record<string, string>>
}

/** A keyring of AWS KMS, as kms_keyrings.py makes it. */
export type MplKmsKeyring =
  | { readonly type: 'kms'; readonly keyId: string; readonly region: string }
  | {
      readonly type: 'kms-multi' | 'kms-mrk-multi'
      readonly generator?: string
      readonly keyIds: readonly string[]
    }
  | ({ readonly type: 'kms-discovery'; readonly region: string } & DiscoveryFilter)
  | ({
      readonly type: 'kms-discovery-multi' | 'kms-mrk-discovery-multi'
      readonly regions: readonly string[]
    } & DiscoveryFilter)

/** A keyring of an asymmetric key of AWS KMS, as kms_asymmetric_keyrings.py makes it. */
export type MplKmsAsymmetricKeyring = { readonly keyId: string } & (
  | { readonly type: 'kms-rsa'; readonly encryptionAlgorithm: string; readonly publicKey: string }
  | ({ readonly type: 'kms-ecdh'; readonly curveSpec: string } & (
      | { readonly schema: 'discovery' }
      | { readonly schema: 'static'; readonly senderPublicKey?: string; readonly recipientPublicKey: string }
    ))
)

const PADDING_SCHEMES = {
  'rsa-pkcs1': 'PKCS1',
  'rsa-oaep-sha1': 'OAEP_SHA1_MGF1',
  'rsa-oaep-sha256': 'OAEP_SHA256_MGF1',
  'rsa-oaep-sha384': 'OAEP_SHA384_MGF1',
  'rsa-oaep-sha512': 'OAEP_SHA512_MGF1',
} as const

/** The raw keyring of a key. */
export function rawMplKeyring(key: PeerKey): MplKeyring {
  const { keyNamespace, keyName } = key
  const name = { keyNamespace, keyName }
  if ('wrappingKey' in key) return { type: 'raw-aes', ...name, wrappingKey: key.wrappingKey.toString('base64') }
  const { publicKey, privateKey } = key
  return { type: 'raw-rsa', ...name, publicKey, privateKey, paddingScheme: PADDING_SCHEMES[key.algorithm] }
}

/** A message to read. The pairs are what the reader reproduces. */
export interface MplMessage {
  readonly suite: number
  readonly keyring: MplKeyring
  readonly data: Buffer
  readonly encryptionContext?: Readonly<Record<string, string>>
  readonly requiredEncryptionContextKeys?: readonly string[]
}

/** A message to write. */
export interface MplPlaintext extends MplMessage {
  readonly frameLength: number
}

/**
 * Starts the peer; the first time, installs it into `.cache/mpl` of the checkout.
 *
 * @param environment added to this process's own, such as `AWS_ENDPOINT_URL` and credentials for it
 * @throws UnavailableError where there is no Python ≥ 3.11 or the packages can't be installed.
 */
export async function startMplPeer(environment: Readonly<Record<string, string>> = {}): Promise<MplPeer> {
  const python = await pythonEnvironment({
    what: 'the MPL peer',
    folder: 'mpl',
    requirements: new URL('mpl-requirements.txt', import.meta.url),
    minimumMinor: 11,
  })
  const script = fileURLToPath(new URL('mpl-peer.py', import.meta.url))
  const env = { ...process.env, ...environment }
  return new MplPeer(new JsonLinesChild('the MPL peer', spawn(python, ['-B', '-u', script], { stdio: 'pipe', env })))
}

export class MplPeer {
  readonly #child: JsonLinesChild

  constructor(child: JsonLinesChild) {
    this.#child = child
  }

  /** The message. */
  async encrypt(plaintext: MplPlaintext): Promise<Buffer> {
    return (await this.#message('encrypt', plaintext)).plaintext
  }

  async decrypt(message: MplMessage): Promise<PeerDecrypted> {
    return await this.#message('decrypt', message)
  }

  /** An operation of a key store: `createKeyStore`, `createKey`, `versionKey`, `getActiveBranchKey`, … */
  async keyStore(operation: string, keyStore: MplKeyStore, request: MplBranchKeyRequest = {}): Promise<MplBranchKey> {
    const answer = await this.#child.ask(operation, { keyStore, ...request })
    return {
      branchKeyId: answer.branchKeyId ?? '',
      branchKeyVersion: answer.branchKeyVersion ?? '',
      key: Buffer.from(answer.data ?? '', 'base64'),
      encryptionContext: answer.encryptionContext ?? {},
    }
  }

  async #message(operation: string, message: MplMessage): Promise<PeerDecrypted> {
    const answer = await this.#child.ask(operation, {
      encryptionContext: {},
      requiredEncryptionContextKeys: [],
      ...message,
      data: message.data.toString('base64'),
    })
    return { plaintext: Buffer.from(answer.data ?? '', 'base64'), encryptionContext: answer.encryptionContext ?? {} }
  }

  async close(): Promise<void> {
    await this.#child.close()
  }
}
