/** The default cryptographic materials manager: framework/default-cmm.md. */
import { MalformedMessageError, PolicyError } from '../errors.ts'
import { PUBLIC_KEY_NAME, encryptionContextOf } from '../format/encryption-context.ts'
import { generateSigningKey, verificationKeyOf } from '../crypto/signature.ts'
import { checkPolicyOnDecrypt, checkPolicyOnEncrypt, suiteOfPolicy } from './commitment-policy.ts'
import {
  type CryptographicMaterialsManager,
  type DecryptionMaterialsRequest,
  type EncryptionMaterialsRequest,
  joinReproduced,
} from './cryptographic-materials-manager.ts'
import { type CallOptions, type Keyring, unwrapWith, wrapWith } from './keyring.ts'
import {
  type DecryptionMaterials,
  type EncryptionMaterials,
  checkDecryptionMaterials,
  checkEncryptionMaterials,
  checkPublicKeyPair,
} from './materials.ts'

/**
 * Materials from one keyring: chooses the suite by policy, makes the signing key of a signed message and stores its
 * public key in the encryption context, and joins reproduced pairs on decryption.
 *
 * @example new DefaultCryptographicMaterialsManager(keyring)
 */
export class DefaultCryptographicMaterialsManager implements CryptographicMaterialsManager {
  readonly #keyring: Keyring

  constructor(keyring: Keyring) {
    this.#keyring = keyring
  }

  async getEncryptionMaterials(
    request: EncryptionMaterialsRequest,
    options: CallOptions = {},
  ): Promise<EncryptionMaterials> {
    const { commitmentPolicy, requiredEncryptionContextKeys } = request
    if (Object.hasOwn(request.encryptionContext, PUBLIC_KEY_NAME)) {
      throw new PolicyError(`${JSON.stringify(PUBLIC_KEY_NAME)} in an encryption context is for the library to set`)
    }
    const suite = request.algorithmSuite ?? suiteOfPolicy(commitmentPolicy)
    checkPolicyOnEncrypt(commitmentPolicy, suite)
    const signing = suite.signature === undefined ? undefined : generateSigningKey(suite.signature)
    const pairs = Object.entries(request.encryptionContext)
    if (signing !== undefined) pairs.push([PUBLIC_KEY_NAME, signing.publicKey])
    const materials: EncryptionMaterials = {
      suite,
      encryptionContext: encryptionContextOf(pairs),
      requiredEncryptionContextKeys,
      encryptedDataKeys: [],
      ...(signing !== undefined && { signingKey: signing.signingKey }),
    }
    return checkEncryptionMaterials(await wrapWith(this.#keyring, materials, options))
  }

  async decryptMaterials(request: DecryptionMaterialsRequest, options: CallOptions = {}): Promise<DecryptionMaterials> {
    const { algorithmSuite: suite, disproved } = request
    checkPolicyOnDecrypt(request.commitmentPolicy, suite)
    const joined = joinReproduced(request.encryptionContext, request.reproducedEncryptionContext)
    checkPublicKeyPair({ suite, ...joined }, (text) => new MalformedMessageError(text))
    const publicKey = joined.encryptionContext[PUBLIC_KEY_NAME]
    const materials: DecryptionMaterials = { suite, ...joined, disproved }
    if (suite.signature === undefined || publicKey === undefined) return this.#unwrap(materials, request, options)
    const verificationKey = verificationKeyOf(suite.signature, publicKey)
    if (verificationKey === undefined) {
      throw new MalformedMessageError(
        `the public key in the encryption context is not a compressed ${suite.signature.curve} point`,
      )
    }
    return this.#unwrap({ ...materials, verificationKey }, request, options)
  }

  async #unwrap(
    materials: DecryptionMaterials,
    { encryptedDataKeys }: DecryptionMaterialsRequest,
    options: CallOptions,
  ): Promise<DecryptionMaterials> {
    return checkDecryptionMaterials(await unwrapWith(this.#keyring, materials, encryptedDataKeys, options))
  }
}
