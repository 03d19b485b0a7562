/** The three calls of AWS KMS that wrap data keys with a symmetric key, and the checks of what they return. */
import { DecryptCommand, EncryptCommand, GenerateDataKeyCommand } from '@aws-sdk/client-kms'
import type { KeyObject } from 'node:crypto'
import { secretKey } from '../../crypto/message-keys.ts'
import { withKeyBytesAsync } from '../../crypto/key-bytes.ts'
import { type Attempt, UnwrapError, WrapError, isError } from '../../errors.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import type { EncryptionContext } from '../../format/encryption-context.ts'
import type { CallOptions } from '../../materials/keyring.ts'
import { type KmsClient, type KmsClientProvider, isArray } from './kms-client.ts'
import { type KmsArn, parseKmsKeyArn } from './kms-key-arn.ts'
import { callKms, withoutResponse } from './kms-request.ts'

/** The provider id of data keys wrapped by AWS KMS. */
export const KMS_PROVIDER_ID = 'aws-kms'

/** What every call is made with. */
export interface KmsCall extends CallOptions {
  readonly client: KmsClient
  readonly keyId: string
  readonly encryptionContext: EncryptionContext
  readonly grantTokens: readonly string[]
}

/** What all requests under one key have in common. */
export function requestOf({ keyId, encryptionContext, grantTokens }: KmsCall): {
  KeyId: string
  EncryptionContext: Record<string, string>
  GrantTokens?: string[]
} {
  return { KeyId: keyId, EncryptionContext: { ...encryptionContext }, ...grantTokensOf(grantTokens) }
}

/** The member of a request; absent where there are none. */
export function grantTokensOf(tokens: readonly string[]): { GrantTokens?: string[] } {
  return tokens.length === 0 ? {} : { GrantTokens: [...tokens] }
}

/** Generates a data key of so many bytes under the key. */
export async function generateDataKey(
  call: KmsCall,
  bytes: number,
): Promise<{ dataKey: KeyObject; encryptedDataKey: EncryptedDataKey }> {
  const command = new GenerateDataKeyCommand({ ...requestOf(call), NumberOfBytes: bytes })
  const { Plaintext, CiphertextBlob, KeyId } = await callKms('GenerateDataKey', call, (options) =>
    call.client.send(command, options),
  )
  const dataKey = dataKeyOf(Plaintext, bytes)
  if (dataKey === undefined) throw new WrapError(`AWS KMS gave a data key of other than ${bytes} bytes`)
  return { dataKey, encryptedDataKey: encryptedDataKeyOf(KeyId, CiphertextBlob) }
}

/** Wraps a data key under the key. */
export async function encryptDataKey(call: KmsCall, dataKey: KeyObject): Promise<EncryptedDataKey> {
  return withKeyBytesAsync(dataKey, async (raw) => {
    const command = new EncryptCommand({ ...requestOf(call), Plaintext: raw })
    const { CiphertextBlob, KeyId } = await callKms('Encrypt', call, (options) => call.client.send(command, options))
    return encryptedDataKeyOf(KeyId, CiphertextBlob)
  })
}

/** Unwraps a data key under the key; the reason where what came back is not to be trusted. */
export async function decryptDataKey(
  call: KmsCall,
  ciphertext: Uint8Array,
  bytes: number,
): Promise<KeyObject | string> {
  const command = new DecryptCommand({ ...requestOf(call), CiphertextBlob: ciphertext })
  const { Plaintext, KeyId } = await callKms('Decrypt', call, (options) => call.client.send(command, options))
  const dataKey = dataKeyOf(Plaintext, bytes)
  if (KeyId !== call.keyId) return anotherKey(KeyId)
  return dataKey ?? `AWS KMS gave a data key of other than ${bytes} bytes`
}

/** The reason where a response is of another key than the one that was asked for. */
export function anotherKey(keyId: string | undefined): string {
  return `AWS KMS answered for another key, ${JSON.stringify(keyId ?? null)}`
}

/** The data key of a response, whose bytes are cleared. */
function dataKeyOf(plaintext: Uint8Array | undefined, bytes: number): KeyObject | undefined {
  if (plaintext === undefined) return undefined
  const view = Buffer.from(plaintext.buffer, plaintext.byteOffset, plaintext.byteLength)
  if (view.length === bytes) return secretKey(view)
  view.fill(0)
  return undefined
}

function encryptedDataKeyOf(keyId: string | undefined, ciphertext: Uint8Array | undefined): EncryptedDataKey {
  if (keyId === undefined || parseKmsKeyArn(keyId) === undefined) {
    throw new WrapError(`AWS KMS answered for ${JSON.stringify(keyId ?? null)}, which is not the ARN of a key`)
  }
  if (ciphertext === undefined || ciphertext.length === 0) throw new WrapError('AWS KMS gave no ciphertext')
  return { keyProviderId: KMS_PROVIDER_ID, keyProviderInfo: Buffer.from(keyId), ciphertext: Buffer.from(ciphertext) }
}

/** An encrypted data key and the ARN of the key that wrapped it; a reason where another provider did. */
export interface WrappedBy {
  readonly key: EncryptedDataKey
  readonly arn: (KmsArn & { readonly text: string }) | undefined
}

/**
 * Reads who wrapped each data key.
 *
 * @throws UnwrapError where one of this provider id does not name a key by its ARN: no keyring of AWS KMS wrote it, and
 * the specification lets it fail the whole call.
 */
export function wrappedByEach(keys: readonly EncryptedDataKey[], providerId: string): readonly WrappedBy[] {
  return keys.map((key) => {
    if (key.keyProviderId !== providerId) return { key, arn: undefined }
    const text = key.keyProviderInfo.toString('utf8')
    const arn = parseKmsKeyArn(text)
    if (arn === undefined) {
      throw new UnwrapError([{ key, reason: `wrapped by ${JSON.stringify(text)}, which is not the ARN of a key` }])
    }
    return { key, arn: { ...arn, text } }
  })
}

/** The client for a region. @throws Error where the provider gives none. */
export function clientFor(provider: KmsClientProvider, region: string | undefined): KmsClient {
  const client = provider(region)
  if (client !== undefined && client !== false) return client
  throw new Error(`there is no client for the region ${region ?? 'that the AWS SDK is set to'}`)
}

/** Tries to unwrap one data key. A failure is an attempt, unless the caller aborted. */
export async function attempt(
  key: EncryptedDataKey,
  { signal }: CallOptions,
  unwrap: () => Promise<KeyObject | string>,
): Promise<{ readonly dataKey: KeyObject } | Attempt> {
  signal?.throwIfAborted()
  try {
    const result = await unwrap()
    return typeof result === 'string' ? { key, reason: result } : { dataKey: result }
  } catch (error) {
    signal?.throwIfAborted()
    const cause = withoutResponse(error)
    return { key, reason: kmsReason(cause), cause }
  }
}

/** What a failure of AWS KMS is told as. */
export function kmsReason(error: unknown): string {
  if (!isError(error)) return String(error)
  return error.name === 'Error' ? error.message : `${error.name}: ${error.message}`
}

const MAX_GRANT_TOKENS = 10
const MAX_GRANT_TOKEN_CHARACTERS = 8192

/** A copy. @throws TypeError unless they are grant tokens as AWS KMS takes them. */
export function checkedGrantTokens(tokens: readonly string[] = []): readonly string[] {
  const fits = (token: unknown): boolean =>
    typeof token === 'string' && token !== '' && token.length <= MAX_GRANT_TOKEN_CHARACTERS
  if (!isArray(tokens) || tokens.length > MAX_GRANT_TOKENS || !tokens.every(fits)) {
    throw new TypeError(`"grantTokens" expected at most ${MAX_GRANT_TOKENS} non-empty strings`)
  }
  return [...tokens]
}
