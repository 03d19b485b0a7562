/** A key pair of AWS KMS that agrees on secrets: framework/aws-kms/aws-kms-ecdh-keyring.md. */
import { DeriveSharedSecretCommand, GetPublicKeyCommand } from '@aws-sdk/client-kms'
import type { KeyObject } from 'node:crypto'
import type { CallOptions } from '../../materials/keyring.ts'
import { SharedRequest } from '../../materials/shared-request.ts'
import { type EcdhCurve, type EcdhKey, ecdhPublicKey } from '../ecdh/ecdh-key.ts'
import { anotherKey, clientFor, grantTokensOf } from './kms-calls.ts'
import type { KmsClient, KmsClientProvider } from './kms-client.ts'
import { callKms } from './kms-request.ts'

/** What a key pair is, and how it is reached. */
export interface KmsKeyPairOptions {
  /** The ARN of the key. */
  readonly keyId: string
  readonly region: string
  readonly curve: EcdhCurve
  /** Its public half, where it is known; else AWS KMS is asked for it, once. */
  readonly publicKey: EcdhKey | undefined
  readonly clientProvider: KmsClientProvider
  readonly grantTokens: readonly string[]
}

const ALGORITHM = 'ECDH'

/** Gives its public key, and agrees with others. Its private key never leaves AWS KMS. */
export class KmsKeyPair {
  readonly #options: KmsKeyPairOptions
  #publicKey: EcdhKey | undefined
  #request: SharedRequest<EcdhKey> | undefined

  constructor(options: KmsKeyPairOptions) {
    this.#options = options
    this.#publicKey = options.publicKey
  }

  /** The compressed point of its public key. A key pair of AWS KMS never changes, so one answer holds. */
  async point({ signal }: CallOptions): Promise<Buffer> {
    signal?.throwIfAborted()
    this.#publicKey ??= await this.#asked(signal)
    return this.#publicKey.point
  }

  /** The secret that it shares with the holder of another key. Whoever is given it clears it. */
  async agree(other: KeyObject, options: CallOptions): Promise<Buffer> {
    const { keyId, grantTokens } = this.#options
    const command = new DeriveSharedSecretCommand({
      KeyId: keyId,
      KeyAgreementAlgorithm: ALGORITHM,
      PublicKey: other.export({ format: 'der', type: 'spki' }),
      ...grantTokensOf(grantTokens),
    })
    const client = this.#client()
    const { KeyId, KeyAgreementAlgorithm, SharedSecret } = await callKms(
      'DeriveSharedSecret',
      { ...options, client, keyId },
      (sending) => client.send(command, sending),
    )
    if (SharedSecret === undefined) throw new Error('AWS KMS gave no shared secret')
    const secret = Buffer.from(SharedSecret.buffer, SharedSecret.byteOffset, SharedSecret.byteLength)
    if (KeyId === keyId && KeyAgreementAlgorithm === ALGORITHM) return secret
    secret.fill(0)
    throw new Error(
      KeyId === keyId ? `AWS KMS agreed by ${JSON.stringify(KeyAgreementAlgorithm ?? null)}` : anotherKey(KeyId),
    )
  }

  /** Those who ask while the answer is under way wait for the same one. */
  #asked(signal: AbortSignal | undefined): Promise<EcdhKey> {
    if (this.#request !== undefined) return this.#request.wait(signal)
    const forget = (): void => {
      if (this.#request === request) this.#request = undefined
    }
    const request = new SharedRequest((ours) => this.#ask({ signal: ours }).finally(forget), forget)
    this.#request = request
    return request.wait(signal)
  }

  async #ask(options: CallOptions): Promise<EcdhKey> {
    const { keyId, curve, grantTokens } = this.#options
    const command = new GetPublicKeyCommand({ KeyId: keyId, ...grantTokensOf(grantTokens) })
    const client = this.#client()
    const { KeyId, KeyUsage, KeySpec, PublicKey } = await callKms(
      'GetPublicKey',
      { ...options, client, keyId },
      (sending) => client.send(command, sending),
    )
    if (KeyId !== keyId) throw new Error(anotherKey(KeyId))
    if (KeyUsage !== 'KEY_AGREEMENT')
      throw new Error(`${keyId} is a key for ${KeyUsage ?? 'nothing'}, not KEY_AGREEMENT`)
    if (KeySpec !== `ECC_NIST_${curve.curve.replace('-', '')}`) {
      throw new Error(`${keyId} is a key of ${KeySpec ?? 'no kind'}, not on ${curve.curve}`)
    }
    if (PublicKey === undefined) throw new Error('AWS KMS gave no public key')
    return ecdhPublicKey('PublicKey', curve, PublicKey)
  }

  #client(): KmsClient {
    return clientFor(this.#options.clientProvider, this.#options.region)
  }
}
