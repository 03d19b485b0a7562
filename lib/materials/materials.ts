/** Encryption and decryption materials: framework/structures.md. Plain frozen values; a step makes new ones. */
import type { KeyObject } from 'node:crypto'
import { types } from 'node:util'
import { type Attempt, MalformedMessageError, UnwrapError, WrapError } from '../errors.ts'
import { type AlgorithmSuite, suiteHex } from '../format/algorithm-suite.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import { type EncryptionContext, PUBLIC_KEY_NAME } from '../format/encryption-context.ts'

interface Materials {
  readonly suite: AlgorithmSuite
  /** All authenticated pairs, those that the message does not store included. */
  readonly encryptionContext: EncryptionContext
  /** Names of pairs that are authenticated and not stored in the message. */
  readonly requiredEncryptionContextKeys: readonly string[]
  /** A secret `KeyObject` as long as the suite says. */
  readonly dataKey?: KeyObject
}

/** What a message is encrypted with. */
export interface EncryptionMaterials extends Materials {
  /** The data key, wrapped once for every wrapping key. */
  readonly encryptedDataKeys: readonly EncryptedDataKey[]
  /** Private key; present exactly when the suite signs. */
  readonly signingKey?: KeyObject
}

/** What a message is decrypted with. */
export interface DecryptionMaterials extends Materials {
  /** Public key; present exactly when the suite signs. */
  readonly verificationKey?: KeyObject
  /** Set by a keyring whose unwrapping can't tell a wrong key from a right one (RSA with PKCS #1 v1.5). */
  readonly unconfirmed?: UnconfirmedUnwrap
  /** Unwrappings that gave a data key which the header then disproved. The keyrings that made them pass over them. */
  readonly disproved: readonly UnconfirmedUnwrap[]
}

/** A data key that only the header can prove right, and who unwrapped it. */
export interface UnconfirmedUnwrap {
  readonly unwrappedBy: object
  readonly attempt: Attempt & { readonly key: EncryptedDataKey }
}

/** @throws WrapError unless a keyring changed only what it may: it sets a data key once and adds encrypted data keys. */
export function checkEncryptionStep(before: EncryptionMaterials, after: EncryptionMaterials): void {
  const added = after.encryptedDataKeys.slice(before.encryptedDataKeys.length)
  const fault =
    sharedFault(before, after) ??
    (before.dataKey !== undefined && after.dataKey !== before.dataKey ? 'replaced the data key' : undefined) ??
    (after.signingKey !== before.signingKey ? 'changed the signing key' : undefined) ??
    (before.encryptedDataKeys.some((key, index) => after.encryptedDataKeys[index] !== key)
      ? 'removed or changed an encrypted data key'
      : undefined) ??
    (before.dataKey === undefined && after.dataKey !== undefined && added.length === 0
      ? 'generated a data key without wrapping it'
      : undefined) ??
    (after.dataKey === undefined && added.length > 0 ? 'wrapped a data key that the materials do not hold' : undefined)
  if (fault !== undefined) throw new WrapError(`the keyring ${fault}`)
  checkDataKey(after, (text) => new WrapError(text))
}

/** @throws UnwrapError unless a keyring changed only what it may: it sets the data key. */
export function checkDecryptionStep(before: DecryptionMaterials, after: DecryptionMaterials): void {
  const fault =
    sharedFault(before, after) ??
    (after.verificationKey !== before.verificationKey ? 'changed the verification key' : undefined)
  if (fault !== undefined) throw unwrapFault(`the keyring ${fault}`)
  checkDataKey(after, unwrapFault)
}

function sharedFault(before: Materials, after: Materials): string | undefined {
  if (after.suite.id !== before.suite.id) return 'changed the algorithm suite'
  if (!sameContext(after.encryptionContext, before.encryptionContext)) return 'changed the encryption context'
  const names = after.requiredEncryptionContextKeys
  const same =
    names.length === before.requiredEncryptionContextKeys.length &&
    names.every((name, index) => name === before.requiredEncryptionContextKeys[index])
  return same ? undefined : 'changed the required encryption context keys'
}

function sameContext(a: EncryptionContext, b: EncryptionContext): boolean {
  if (a === b) return true
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && a[name] === b[name])
}

function checkDataKey({ dataKey, suite }: Materials, fault: (text: string) => Error): void {
  if (dataKey === undefined) return
  if (!types.isKeyObject(dataKey) || dataKey.type !== 'secret') throw fault('a data key must be a secret KeyObject')
  if (dataKey.symmetricKeySize !== suite.keyBytes) {
    throw fault(`a data key of ${dataKey.symmetricKeySize ?? 0} bytes; ${suiteHex(suite.id)} takes ${suite.keyBytes}`)
  }
}

function unwrapFault(text: string): UnwrapError {
  return new UnwrapError([{ reason: text }])
}

/** Materials that a message can be encrypted with: complete, and consistent. @throws WrapError otherwise. */
export function checkEncryptionMaterials(
  materials: EncryptionMaterials,
): EncryptionMaterials & { readonly dataKey: KeyObject } {
  const { dataKey, encryptedDataKeys, suite, signingKey } = materials
  if (dataKey === undefined) throw new WrapError('no keyring generated a data key')
  checkDataKey(materials, (text) => new WrapError(text))
  if (encryptedDataKeys.length === 0) throw new WrapError('no keyring wrapped the data key')
  if ((suite.signature !== undefined) !== (signingKey !== undefined)) {
    throw new WrapError('encryption materials have a signing key exactly when their algorithm suite signs')
  }
  checkPublicKeyPair(materials, (text) => new WrapError(text))
  checkRequiredNames(materials, (text) => new WrapError(text))
  return { ...materials, dataKey }
}

/** Materials that a message can be decrypted with. @throws UnwrapError otherwise. */
export function checkDecryptionMaterials(
  materials: DecryptionMaterials,
): DecryptionMaterials & { readonly dataKey: KeyObject } {
  const { dataKey, suite, verificationKey } = materials
  if (dataKey === undefined) throw unwrapFault('no keyring unwrapped a data key')
  checkDataKey(materials, unwrapFault)
  if ((suite.signature !== undefined) !== (verificationKey !== undefined)) {
    throw unwrapFault('decryption materials have a verification key exactly when their algorithm suite signs')
  }
  checkPublicKeyPair(materials, (text) => new MalformedMessageError(text))
  checkRequiredNames(materials, unwrapFault)
  return { ...materials, dataKey }
}

/** The encryption context holds a public key exactly when the suite signs. */
export function checkPublicKeyPair(
  { suite, encryptionContext }: Pick<Materials, 'suite' | 'encryptionContext'>,
  fault: (text: string) => Error,
): void {
  const stored = Object.hasOwn(encryptionContext, PUBLIC_KEY_NAME)
  if (stored !== (suite.signature !== undefined)) {
    const hex = suiteHex(suite.id)
    throw fault(
      stored
        ? `${hex} does not sign, but there is a public key in the encryption context`
        : `${hex} signs, but there is no public key in the encryption context`,
    )
  }
}

function checkRequiredNames(
  { requiredEncryptionContextKeys, encryptionContext }: Materials,
  fault: (text: string) => Error,
): void {
  const missing = requiredEncryptionContextKeys.find((name) => !Object.hasOwn(encryptionContext, name))
  if (missing !== undefined) {
    throw fault(`the required encryption context key ${JSON.stringify(missing)} is not in the encryption context`)
  }
}
