/** The keyring of key agreement with a key pair in AWS KMS: framework/aws-kms/aws-kms-ecdh-keyring.md. */
import { WrapError, isEncryptionSdkError } from '../../errors.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import type { CallOptions, Keyring } from '../../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import {
  type EcdhCurve,
  type EcdhCurveName,
  type EcdhKey,
  type EcdhKeyInput,
  ecdhCurve,
  ecdhPublicKey,
} from '../ecdh/ecdh-key.ts'
import { type EcdhSchemas, checkSchemaKeys, otherParty } from '../ecdh/ecdh-schema.ts'
import { addEcdhDataKey, unwrapEcdhDataKey } from '../ecdh/ecdh-wrapping.ts'
import { checkedGrantTokens, kmsReason } from './kms-calls.ts'
import { withoutResponse } from './kms-request.ts'
import { type KmsClientProvider, kmsClientProvider } from './kms-client.ts'
import { parseKmsKeyArn } from './kms-key-arn.ts'
import { KmsKeyPair } from './kms-key-pair.ts'

/** What both schemas take. */
export interface KmsEcdhOptions {
  readonly curve: EcdhCurveName
  /** Gives the client of the key's region; one of our own unless said. */
  readonly clientProvider?: KmsClientProvider
  readonly grantTokens?: readonly string[]
  /** Milliseconds that our own client gives each attempt; 5,000 unless said. */
  readonly attemptTimeoutMs?: number
}

/** With the recipient's key in AWS KMS, whoever the sender is: it only decrypts. */
export interface KmsEcdhDiscoveryOptions extends KmsEcdhOptions {
  readonly schema: 'discovery'
  /** The ARN of the recipient's key. */
  readonly recipientKeyId: string
  /** The public half of that key; AWS KMS is asked for it unless said. */
  readonly recipientPublicKey?: EcdhKeyInput
}

/** From a key in AWS KMS to someone whose public key is known: it encrypts, and decrypts what either sent to the other. */
export interface KmsEcdhStaticOptions extends KmsEcdhOptions {
  readonly schema: 'static'
  /** The ARN of the sender's key. */
  readonly senderKeyId: string
  /** The public half of that key, and of no other, or the recipient can't read it; AWS KMS is asked for it unless said. */
  readonly senderPublicKey?: EcdhKeyInput
  readonly recipientPublicKey: EcdhKeyInput
}

/**
 * Which keys agree on the wrapping key, by the specification's key agreement schemas `KmsPublicKeyDiscovery` and
 * `KmsPrivateKeyToStaticPublicKey`. Public keys are PEM, DER (as `GetPublicKey` gives) or a `KeyObject`.
 */
export type KmsEcdhKeyringOptions = KmsEcdhDiscoveryOptions | KmsEcdhStaticOptions

const SCHEMAS: Readonly<Record<KmsEcdhKeyringOptions['schema'], EcdhSchemas[string]>> = {
  discovery: { needed: ['recipientKeyId'], optional: ['recipientPublicKey'] },
  static: { needed: ['senderKeyId', 'recipientPublicKey'], optional: ['senderPublicKey'] },
}

/**
 * Wraps data keys under a key that a key pair in AWS KMS (of the usage `KEY_AGREEMENT`) and another one agree on: the private
 * key never leaves AWS KMS, and AWS KMS is asked for the shared secret of each data key. The other side may be a key of AWS
 * KMS too, or one in a `RawEcdhKeyring`. The encryption context is authenticated with each data key.
 *
 * The curves are P-256, P-384 and P-521; SM2, which the specification lists beside them, is not supported.
 *
 * @example
 * new KmsEcdhKeyring({ curve: 'P-256', schema: 'static', senderKeyId: arn, recipientPublicKey })
 * new KmsEcdhKeyring({ curve: 'P-256', schema: 'discovery', recipientKeyId: arn }) // decrypts, and can't encrypt
 * @throws TypeError | RangeError when an option is unfit.
 */
export class KmsEcdhKeyring implements Keyring {
  readonly #curve: EcdhCurve
  readonly #keyId: string
  readonly #own: KmsKeyPair
  /** The public key of the other side; discovery takes it from the message. */
  readonly #other: EcdhKey | undefined

  constructor(options: KmsEcdhKeyringOptions) {
    checkSchemaKeys(SCHEMAS, options)
    const { clientProvider, grantTokens, attemptTimeoutMs } = options
    const curve = ecdhCurve(options.curve)
    const publicKey = (option: string, key: EcdhKeyInput | undefined): EcdhKey | undefined =>
      key === undefined ? undefined : ecdhPublicKey(option, curve, key)
    const own =
      options.schema === 'static'
        ? {
            ...keyOf('senderKeyId', options.senderKeyId),
            publicKey: publicKey('senderPublicKey', options.senderPublicKey),
          }
        : {
            ...keyOf('recipientKeyId', options.recipientKeyId),
            publicKey: publicKey('recipientPublicKey', options.recipientPublicKey),
          }
    this.#curve = curve
    this.#keyId = own.keyId
    if (options.schema === 'static') this.#other = publicKey('recipientPublicKey', options.recipientPublicKey)
    this.#own = new KmsKeyPair({
      ...own,
      curve,
      clientProvider: clientProvider ?? kmsClientProvider({ attemptTimeoutMs }),
      grantTokens: checkedGrantTokens(grantTokens),
    })
  }

  async onEncrypt(materials: EncryptionMaterials, options: CallOptions = {}): Promise<EncryptionMaterials> {
    const other = this.#other
    if (other === undefined) throw new WrapError('an AWS KMS ECDH keyring of the schema "discovery" only decrypts')
    try {
      return addEcdhDataKey(materials, {
        curve: this.#curve,
        keyProviderId: 'aws-kms-ecdh',
        parties: { sender: await this.#own.point(options), recipient: other.point },
        sharedSecret: await this.#own.agree(other.key, options),
      })
    } catch (error) {
      options.signal?.throwIfAborted()
      if (isEncryptionSdkError(error)) throw error
      const cause = withoutResponse(error)
      throw new WrapError(`AWS KMS key ${this.#keyId} could not wrap the data key: ${kmsReason(cause)}`, { cause })
    }
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    let point: Promise<Buffer> | undefined // where it fails, it is not asked for again with each data key
    return await unwrapEcdhDataKey(materials, encryptedDataKeys, options, {
      curve: this.#curve,
      choose: async (parties) => otherParty(parties, await (point ??= told(this.#own.point(options))), this.#other),
      agree: (other) => told(this.#own.agree(other, options)),
      reasonOf: kmsReason,
    })
  }
}

/** A failure of AWS KMS as it may be shown. */
async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw withoutResponse(error)
  }
}

function keyOf(option: string, keyId: unknown): { readonly keyId: string; readonly region: string } {
  const arn = typeof keyId === 'string' ? parseKmsKeyArn(keyId) : undefined
  if (typeof keyId !== 'string' || arn === undefined) {
    throw new TypeError(`"${option}" expected the ARN of an AWS KMS key, and of no alias`)
  }
  return { keyId, region: arn.region }
}
