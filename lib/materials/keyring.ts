/** The keyring interface: framework/keyring-interface.md. */
import { UnwrapError, WrapError, isEncryptionSdkError, messageOf } from '../errors.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import {
  type DecryptionMaterials,
  type EncryptionMaterials,
  checkDecryptionStep,
  checkEncryptionStep,
} from './materials.ts'

/** Handed to every call that may wait; `signal` is aborted when the stream is destroyed or the caller's signal is. */
export interface CallOptions {
  readonly signal?: AbortSignal
}

/**
 * Who generates, wraps and unwraps data keys. Any object with these two methods is a keyring.
 *
 * @example
 * const keyring: Keyring = {
 *   async onEncrypt(materials) { … return { ...materials, dataKey, encryptedDataKeys: [...materials.encryptedDataKeys, key] } },
 *   async onDecrypt(materials, encryptedDataKeys) { … return { ...materials, dataKey } },
 * }
 */
export interface Keyring {
  /** Generates a data key where the materials hold none, and adds it wrapped; returns new materials. */
  onEncrypt(materials: EncryptionMaterials, options: CallOptions): Promise<EncryptionMaterials>
  /** Unwraps one of the encrypted data keys, in their order; returns new materials with it. Obtaining none is a failure. */
  onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions,
  ): Promise<DecryptionMaterials>
}

/** Calls `onEncrypt` and holds it to its contract. Foreign failures become the cause of a {@link WrapError}. */
export async function wrapWith(
  keyring: Keyring,
  materials: EncryptionMaterials,
  options: CallOptions,
): Promise<EncryptionMaterials> {
  const result = await coded(
    () => keyring.onEncrypt(materials, options),
    (text, cause) => new WrapError(text, { cause }),
    options,
  )
  if (!isMaterials(result) || !Array.isArray(result.encryptedDataKeys)) throw new WrapError(NO_MATERIALS)
  checkEncryptionStep(materials, result)
  const done = result.dataKey !== undefined && result.encryptedDataKeys.length > materials.encryptedDataKeys.length
  if (!done) throw new WrapError('the keyring neither generated nor wrapped a data key')
  return result
}

/** Calls `onDecrypt` and holds it to its contract. Foreign failures become the cause of an {@link UnwrapError}. */
export async function unwrapWith(
  keyring: Keyring,
  materials: DecryptionMaterials,
  encryptedDataKeys: readonly EncryptedDataKey[],
  options: CallOptions,
): Promise<DecryptionMaterials> {
  if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
  const result = await coded(
    () => keyring.onDecrypt(materials, encryptedDataKeys, options),
    (reason, cause) => new UnwrapError([{ reason, cause }], { cause }),
    options,
  )
  if (!isMaterials(result)) throw new UnwrapError([{ reason: NO_MATERIALS }])
  checkDecryptionStep(materials, result)
  if (result.dataKey === undefined) throw new UnwrapError([{ reason: 'the keyring unwrapped no data key' }])
  return result
}

const NO_MATERIALS = 'the keyring returned no materials'

/** Whether a keyring of a user's own gave back materials at all; what they hold is checked elsewhere. */
function isMaterials(value: unknown): boolean {
  const materials = value as Partial<DecryptionMaterials> | null | undefined // every part is checked here
  return (
    typeof materials?.suite === 'object' &&
    typeof materials.encryptionContext === 'object' &&
    (materials.encryptionContext as unknown) !== null &&
    Array.isArray(materials.requiredEncryptionContextKeys)
  )
}

async function coded<T>(
  work: () => Promise<T>,
  wrap: (text: string, cause: unknown) => Error,
  { signal }: CallOptions,
): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    signal?.throwIfAborted()
    if (isEncryptionSdkError(cause)) throw cause
    throw wrap(`the keyring failed: ${messageOf(cause)}`, cause)
  }
}
