/** The raw ECDH keyring: framework/raw-ecdh-keyring.md. */
import { diffieHellman, generateKeyPairSync } from 'node:crypto'
import { compressPoint } from '../crypto/ec-point.ts'
import { WrapError } from '../errors.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import type { CallOptions, Keyring } from '../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../materials/materials.ts'
import {
  type EcdhCurve,
  type EcdhCurveName,
  type EcdhKey,
  type EcdhKeyInput,
  ecdhCurve,
  ecdhPrivateKey,
  ecdhPublicKey,
} from './ecdh/ecdh-key.ts'
import type { EcdhParties } from './ecdh/ecdh-provider-info.ts'
import { type EcdhSchemas, checkSchemaKeys, otherParty } from './ecdh/ecdh-schema.ts'
import { type EcdhChoice, addEcdhDataKey, unwrapEcdhDataKey } from './ecdh/ecdh-wrapping.ts'

/** To anyone's public key, from a key pair that is made for the message and forgotten: it only encrypts. */
export interface RawEcdhEphemeralOptions {
  readonly schema: 'ephemeral'
  readonly curve: EcdhCurveName
  readonly recipientPublicKey: EcdhKeyInput
}

/** With the private key of the recipient, whoever the sender is: it only decrypts. */
export interface RawEcdhDiscoveryOptions {
  readonly schema: 'discovery'
  readonly curve: EcdhCurveName
  readonly recipientPrivateKey: EcdhKeyInput
}

/** Between two parties who know each other's public key: it encrypts, and decrypts what either sent to the other. */
export interface RawEcdhStaticOptions {
  readonly schema: 'static'
  readonly curve: EcdhCurveName
  readonly senderPrivateKey: EcdhKeyInput
  readonly recipientPublicKey: EcdhKeyInput
}

/**
 * Which keys agree on the wrapping key, by the specification's key agreement schemas: `EphemeralPrivateKeyToStaticPublicKey`,
 * `PublicKeyDiscovery` and `RawPrivateKeyToStaticPublicKey`. Keys are PEM, DER (SPKI, PKCS#8, SEC 1) or a `KeyObject`.
 */
export type RawEcdhKeyringOptions = RawEcdhEphemeralOptions | RawEcdhDiscoveryOptions | RawEcdhStaticOptions

const SCHEMAS: Readonly<Record<RawEcdhKeyringOptions['schema'], EcdhSchemas[string]>> = {
  ephemeral: { needed: ['recipientPublicKey'] },
  discovery: { needed: ['recipientPrivateKey'] },
  static: { needed: ['senderPrivateKey', 'recipientPublicKey'] },
}

/**
 * Wraps data keys under a key that two key pairs on an elliptic curve agree on. The encryption context is authenticated
 * with each data key.
 *
 * @example
 * new RawEcdhKeyring({ curve: 'P-256', schema: 'static', senderPrivateKey, recipientPublicKey })
 * new RawEcdhKeyring({ curve: 'P-256', schema: 'ephemeral', recipientPublicKey }) // encrypts, and can't decrypt
 * new RawEcdhKeyring({ curve: 'P-256', schema: 'discovery', recipientPrivateKey }) // decrypts, and can't encrypt
 * @throws TypeError when curve or schema is unknown, or a key is missing, too many, or no valid key of that curve.
 */
export class RawEcdhKeyring implements Keyring {
  readonly #curve: EcdhCurve
  /** The private key of this side; an ephemeral one is made anew for each data key. */
  readonly #own: EcdhKey | undefined
  /** The public key of the other side; discovery takes it from the message. */
  readonly #other: EcdhKey | undefined

  constructor(options: RawEcdhKeyringOptions) {
    checkSchemaKeys(SCHEMAS, options)
    const curve = ecdhCurve(options.curve)
    this.#curve = curve
    if (options.schema === 'static') this.#own = ecdhPrivateKey('senderPrivateKey', curve, options.senderPrivateKey)
    if (options.schema === 'discovery') {
      this.#own = ecdhPrivateKey('recipientPrivateKey', curve, options.recipientPrivateKey)
    } else {
      this.#other = ecdhPublicKey('recipientPublicKey', curve, options.recipientPublicKey)
    }
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- async, so that failures reject
  async onEncrypt(materials: EncryptionMaterials): Promise<EncryptionMaterials> {
    const recipient = this.#other
    if (recipient === undefined) throw new WrapError('a raw ECDH keyring of the schema "discovery" only decrypts')
    const sender = this.#own ?? this.#ephemeral()
    return addEcdhDataKey(materials, {
      curve: this.#curve,
      keyProviderId: 'raw-ecdh',
      parties: { sender: sender.point, recipient: recipient.point },
      sharedSecret: diffieHellman({ privateKey: sender.key, publicKey: recipient.key }),
    })
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    return await unwrapEcdhDataKey(materials, encryptedDataKeys, options, {
      curve: this.#curve,
      choose: (parties) => this.#choose(parties),
      agree: (other) => diffieHellman({ privateKey: this.#own!.key, publicKey: other }),
    })
  }

  #choose(parties: EcdhParties): EcdhChoice {
    if (this.#own === undefined) return { skipped: 'a keyring of the schema "ephemeral" only encrypts' }
    return otherParty(parties, this.#own.point, this.#other)
  }

  #ephemeral(): EcdhKey {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: this.#curve.curve })
    return { key: privateKey, point: compressPoint(publicKey) }
  }
}
