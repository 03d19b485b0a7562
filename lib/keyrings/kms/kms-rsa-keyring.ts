/** The keyring of an RSA key in AWS KMS: framework/aws-kms/aws-kms-rsa-keyring.md. */
import { DecryptCommand } from '@aws-sdk/client-kms'
import { type KeyObject, constants, createHash, createPublicKey, publicEncrypt, timingSafeEqual } from 'node:crypto'
import { types } from 'node:util'
import { secretKey } from '../../crypto/message-keys.ts'
import { type Attempt, UnwrapError, WrapError } from '../../errors.ts'
import { type AlgorithmSuite, suiteHex } from '../../format/algorithm-suite.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import { type EncryptionContext, encodeEncryptionContext } from '../../format/encryption-context.ts'
import type { CallOptions, Keyring } from '../../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import { addEncryptedDataKey } from '../data-key.ts'
import { anotherKey, attempt, checkedGrantTokens, clientFor, grantTokensOf, wrappedByEach } from './kms-calls.ts'
import { callKms } from './kms-request.ts'
import { type KmsClientProvider, kmsClientProvider } from './kms-client.ts'
import { matchesForDecrypt, parseKmsKeyArn } from './kms-key-arn.ts'

/** How data keys are padded, by the names that AWS KMS has for it. */
export type KmsRsaEncryptionAlgorithm = 'RSAES_OAEP_SHA_1' | 'RSAES_OAEP_SHA_256'

/** An RSA key in AWS KMS, and its public half for encryption. */
export interface KmsRsaKeyringOptions {
  /** The ARN of the key. It stands in the messages, and no other identifier is known again on decryption. */
  readonly keyId: string
  readonly encryptionAlgorithm: KmsRsaEncryptionAlgorithm
  /** Needed to encrypt: PEM, the DER bytes that `GetPublicKey` gives, or a `KeyObject`; at least 2,048 bits. */
  readonly publicKey?: string | Uint8Array | KeyObject
  /** Gives the client of the key's region for decryption; one of our own unless said. */
  readonly clientProvider?: KmsClientProvider
  readonly grantTokens?: readonly string[]
  /** Milliseconds that our own client gives each attempt; 5,000 unless said. */
  readonly attemptTimeoutMs?: number
}

const PROVIDER_ID = 'aws-kms-rsa'
const OAEP_HASHES: Readonly<Record<KmsRsaEncryptionAlgorithm, string>> = {
  RSAES_OAEP_SHA_1: 'sha1',
  RSAES_OAEP_SHA_256: 'sha256',
}
const MIN_MODULUS_BITS = 2048
const DIGEST_BYTES = 48
const DER_SEQUENCE = 0x30

/**
 * Wraps data keys offline, under the public half of an RSA key whose private half never leaves AWS KMS; unwraps by asking
 * it. The hash of the encryption context is wrapped beside the data key. Whoever has the public key can wrap, so it takes
 * no signed algorithm suite: pass an `algorithmSuite` such as `0x0478`.
 *
 * @example
 * const keyring = new KmsRsaKeyring({ keyId: arn, encryptionAlgorithm: 'RSAES_OAEP_SHA_256', publicKey: pem })
 * await encrypt(data, { keyring, algorithmSuite: 0x0478 })
 * @throws TypeError | RangeError when an option is unfit.
 */
export class KmsRsaKeyring implements Keyring {
  readonly #keyId: string
  readonly #region: string
  readonly #encryptionAlgorithm: KmsRsaEncryptionAlgorithm
  readonly #publicKey: KeyObject | undefined
  readonly #clientProvider: KmsClientProvider
  readonly #grantTokens: readonly string[]

  constructor(options: KmsRsaKeyringOptions) {
    const { keyId, encryptionAlgorithm, publicKey, clientProvider, grantTokens, attemptTimeoutMs } = options
    const arn = typeof keyId === 'string' ? parseKmsKeyArn(keyId) : undefined
    if (arn === undefined) throw new TypeError('"keyId" expected the ARN of an AWS KMS key, and of no alias')
    if (!Object.hasOwn(OAEP_HASHES, encryptionAlgorithm)) {
      throw new TypeError(`"encryptionAlgorithm" expected one of ${Object.keys(OAEP_HASHES).join(', ')}`)
    }
    this.#keyId = keyId
    this.#region = arn.region
    this.#encryptionAlgorithm = encryptionAlgorithm
    this.#publicKey = publicKey === undefined ? undefined : rsaPublicKey(publicKey)
    this.#clientProvider = clientProvider ?? kmsClientProvider({ attemptTimeoutMs })
    this.#grantTokens = checkedGrantTokens(grantTokens)
  }

  // eslint-disable-next-line @typescript-eslint/require-await -- async, so that failures reject
  async onEncrypt(materials: EncryptionMaterials): Promise<EncryptionMaterials> {
    const refusal = refusalOf(materials.suite)
    if (refusal !== undefined) throw new WrapError(refusal)
    const key = this.#publicKey
    if (key === undefined) throw new WrapError('an AWS KMS RSA keyring without a "publicKey" cannot encrypt')
    const digest = digestOf(materials.encryptionContext)
    const oaepHash = OAEP_HASHES[this.#encryptionAlgorithm]
    return addEncryptedDataKey(materials, (dataKey) => {
      const secret = Buffer.concat([digest, dataKey])
      try {
        const ciphertext = publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, secret)
        return { keyProviderId: PROVIDER_ID, keyProviderInfo: Buffer.from(this.#keyId), ciphertext }
      } finally {
        secret.fill(0)
      }
    })
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
    const refusal = refusalOf(materials.suite)
    if (refusal !== undefined) throw new UnwrapError([{ reason: refusal }])
    const attempts: Attempt[] = []
    for (const { key, arn } of wrappedByEach(encryptedDataKeys, PROVIDER_ID)) {
      if (arn === undefined || !matchesForDecrypt(arn.text, this.#keyId)) {
        const reason =
          arn === undefined ? 'not wrapped by an AWS KMS RSA key' : `wrapped by ${arn.text}, not by ${this.#keyId}`
        attempts.push({ key, reason })
        continue
      }
      const result = await attempt(key, options, () => this.#unwrap(key.ciphertext, materials, options))
      if ('dataKey' in result) return { ...materials, dataKey: result.dataKey }
      attempts.push(result)
    }
    throw new UnwrapError(attempts)
  }

  async #unwrap(
    ciphertext: Buffer,
    { suite, encryptionContext }: DecryptionMaterials,
    options: CallOptions,
  ): Promise<KeyObject | string> {
    // AWS KMS takes no encryption context for an RSA key.
    const command = new DecryptCommand({
      KeyId: this.#keyId,
      CiphertextBlob: ciphertext,
      EncryptionAlgorithm: this.#encryptionAlgorithm,
      ...grantTokensOf(this.#grantTokens),
    })
    const client = clientFor(this.#clientProvider, this.#region)
    const call = { ...options, client, keyId: this.#keyId }
    const { Plaintext = new Uint8Array(), KeyId } = await callKms('Decrypt', call, (sending) =>
      client.send(command, sending),
    )
    try {
      if (KeyId !== this.#keyId) return anotherKey(KeyId)
      if (Plaintext.length !== DIGEST_BYTES + suite.keyBytes) {
        return `AWS KMS gave a data key of other than ${suite.keyBytes} bytes`
      }
      if (!timingSafeEqual(Plaintext.subarray(0, DIGEST_BYTES), digestOf(encryptionContext))) {
        return 'wrapped with another encryption context'
      }
      return secretKey(Buffer.from(Plaintext.subarray(DIGEST_BYTES)))
    } finally {
      Plaintext.fill(0)
    }
  }
}

function refusalOf(suite: AlgorithmSuite): string | undefined {
  if (suite.signature === undefined) return undefined
  return `an AWS KMS RSA keyring takes no signed algorithm suite such as ${suiteHex(suite.id)}, only ones such as 0x0478`
}

function digestOf(encryptionContext: EncryptionContext): Buffer {
  return createHash('sha384').update(encodeEncryptionContext(encryptionContext)).digest()
}

function rsaPublicKey(key: string | Uint8Array | KeyObject): KeyObject {
  const expected = `"publicKey" expected a public RSA key of at least ${MIN_MODULUS_BITS} bits`
  const known = publicKeyOf(key, `${expected}, as PEM, DER or KeyObject`)
  if (known.type !== 'public' || known.asymmetricKeyType !== 'rsa') throw new TypeError(expected)
  if ((known.asymmetricKeyDetails?.modulusLength ?? 0) < MIN_MODULUS_BITS) throw new TypeError(expected)
  return known
}

function publicKeyOf(key: string | Uint8Array | KeyObject, expected: string): KeyObject {
  if (types.isKeyObject(key)) return key
  if (typeof key !== 'string' && !types.isUint8Array(key)) throw new TypeError(expected)
  const bytes = Buffer.from(key as Uint8Array) // or a string, which it takes as well
  // Node would derive the public key of a private one; who passes that has passed the wrong file.
  if (bytes.includes('PRIVATE KEY')) throw new TypeError(expected)
  try {
    if (bytes[0] === DER_SEQUENCE) return createPublicKey({ key: bytes, format: 'der', type: 'spki' })
    return createPublicKey(bytes)
  } catch (cause) {
    throw new TypeError(expected, { cause })
  }
}
