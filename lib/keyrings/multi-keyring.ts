/** The multi-keyring: framework/multi-keyring.md. */
import { type Attempt, UnwrapError, WrapError, isEncryptionSdkError, messageOf } from '../errors.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import { type CallOptions, type Keyring, unwrapWith, wrapWith } from '../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../materials/materials.ts'

/** At least one keyring in all; without a generator it can only add to a data key that another keyring made. */
export interface MultiKeyringOptions {
  /** Generates the data key (and wraps it). */
  readonly generator?: Keyring
  /** Each wraps the same data key. */
  readonly children?: readonly Keyring[]
}

/**
 * Several keyrings as one: on encryption every one of them wraps the data key, on decryption any one suffices. A weak
 * child weakens all.
 *
 * @example new MultiKeyring({ generator: kmsKeyring, children: [escrowKeyring] })
 * @throws TypeError without any keyring.
 */
export class MultiKeyring implements Keyring {
  readonly #generator: Keyring | undefined
  readonly #children: readonly Keyring[]

  constructor({ generator, children = [] }: MultiKeyringOptions) {
    if (generator === undefined && children.length === 0) {
      throw new TypeError('a multi-keyring needs a generator or at least one child')
    }
    const keyrings: readonly unknown[] = generator === undefined ? children : [generator, ...children]
    if (!keyrings.every(isKeyring)) {
      throw new TypeError('"generator" and "children" expected keyrings: objects with onEncrypt and onDecrypt')
    }
    this.#generator = generator
    this.#children = [...children]
  }

  async onEncrypt(materials: EncryptionMaterials, options: CallOptions = {}): Promise<EncryptionMaterials> {
    let current = materials
    if (this.#generator !== undefined) {
      if (materials.dataKey !== undefined)
        throw new WrapError('a generator was given materials that hold a data key already')
      current = await wrapWith(this.#generator, current, options)
    } else if (materials.dataKey === undefined) {
      throw new WrapError('a multi-keyring without a generator was given materials that hold no data key')
    }
    for (const child of this.#children) current = await wrapWith(child, current, options)
    return current
  }

  async onDecrypt(
    materials: DecryptionMaterials,
    encryptedDataKeys: readonly EncryptedDataKey[],
    options: CallOptions = {},
  ): Promise<DecryptionMaterials> {
    if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
    const attempts: Attempt[] = []
    const failures: unknown[] = []
    const keyrings = this.#generator === undefined ? this.#children : [this.#generator, ...this.#children]
    for (const keyring of keyrings) {
      try {
        return await unwrapWith(keyring, materials, encryptedDataKeys, options)
      } catch (failure) {
        options.signal?.throwIfAborted()
        failures.push(failure)
        if (isUnwrapError(failure)) attempts.push(...failure.attempts)
        else attempts.push({ reason: messageOf(failure), cause: failure })
      }
    }
    throw new UnwrapError(attempts, { cause: new AggregateError(failures, 'every keyring failed') })
  }
}

/** Also of another copy of this package, from which a child may come. */
function isUnwrapError(error: unknown): error is UnwrapError {
  return isEncryptionSdkError(error) && error.code === 'ERR_ESDK_UNWRAP'
}

/** Whether a value has a keyring's two methods; by shape, so that copies of this package and users' own both pass. */
export function isKeyring(value: unknown): value is Keyring {
  return (
    typeof value === 'object' &&
    value !== null &&
    'onEncrypt' in value &&
    typeof value.onEncrypt === 'function' &&
    'onDecrypt' in value &&
    typeof value.onDecrypt === 'function'
  )
}
