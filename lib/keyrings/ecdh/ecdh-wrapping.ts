/**
 * Wrapping by key agreement, whoever computes the shared secret: framework/raw-ecdh-keyring.md,
 * framework/aws-kms/aws-kms-ecdh-keyring.md, framework/key-agreement-schemas.md.
 */
import { type KeyObject, createSecretKey, randomBytes } from 'node:crypto'
import { openAead, sealAead } from '../../crypto/aead.ts'
import { decompressPoint } from '../../crypto/ec-point.ts'
import { kdfCounterMode } from '../../crypto/kdf-counter-mode.ts'
import { sameCommitment, secretKey } from '../../crypto/message-keys.ts'
import { type Attempt, UnwrapError, WrapError, messageOf } from '../../errors.ts'
import type { EncryptedDataKey } from '../../format/encrypted-data-key.ts'
import { encodeEncryptionContext } from '../../format/encryption-context.ts'
import { IV_BYTES, TAG_BYTES } from '../../format/header-authentication.ts'
import type { CallOptions } from '../../materials/keyring.ts'
import type { DecryptionMaterials, EncryptionMaterials } from '../../materials/materials.ts'
import { addEncryptedDataKey } from '../data-key.ts'
import type { EcdhCurve } from './ecdh-key.ts'
import { ECDH_VERSION, type EcdhParties, encodeEcdhInfo, readEcdhInfo } from './ecdh-provider-info.ts'

/** Who writes the data keys. Keyrings of either kind read both. */
export type EcdhProviderId = 'raw-ecdh' | 'aws-kms-ecdh'

const PROVIDER_IDS: ReadonlySet<string> = new Set<EcdhProviderId>(['raw-ecdh', 'aws-kms-ecdh'])
const SALT_BYTES = 32
const COMMITMENT_BYTES = 32
const DERIVED_BYTES = 64
const KEY_OFFSET = SALT_BYTES + COMMITMENT_BYTES
/** Every salt makes another wrapping key, which seals once. */
const IV = Buffer.alloc(IV_BYTES)
const DELIMITER = Buffer.from([0])

/** What one wrapping takes. */
export interface EcdhAgreement {
  readonly curve: EcdhCurve
  readonly keyProviderId: EcdhProviderId
  readonly parties: EcdhParties
  /** Cleared by the one who is given it. */
  readonly sharedSecret: Buffer
}

/** Wraps the data key (generated where the materials hold none) and adds it. Clears the shared secret. */
export function addEcdhDataKey(
  materials: EncryptionMaterials,
  { curve, keyProviderId, parties, sharedSecret }: EcdhAgreement,
): EncryptionMaterials {
  try {
    if (sharedSecret.length !== curve.sharedSecretBytes) throw new WrapError(wrongSecret(curve, sharedSecret))
    const fixedInfo = fixedInfoOf(curve, parties, encodeEncryptionContext(materials.encryptionContext))
    return addEncryptedDataKey(materials, (dataKey) => {
      const salt = randomBytes(SALT_BYTES)
      const { commitment, wrappingKey } = derive(sharedSecret, fixedInfo, salt)
      const { ciphertext, tag } = sealAead(wrappingKey, IV, fixedInfo, dataKey)
      return {
        keyProviderId,
        keyProviderInfo: encodeEcdhInfo(parties),
        ciphertext: Buffer.concat([salt, commitment, ciphertext, tag]),
      }
    })
  } finally {
    sharedSecret.fill(0)
  }
}

/** Whose public key a keyring agrees with, or why it does not try a data key. */
export type EcdhChoice =
  | { readonly skipped: string }
  /** A key that the keyring knows to be valid; or a point of the data key, which is checked before it is used. */
  | { readonly other: KeyObject | Buffer }

/** How a keyring takes part in the unwrapping of data keys. */
export interface EcdhUnwrapping {
  readonly curve: EcdhCurve
  choose(parties: EcdhParties): EcdhChoice | Promise<EcdhChoice>
  /** The shared secret of the keyring's private key and a valid public key; cleared here. */
  agree(other: KeyObject): Buffer | Promise<Buffer>
  /** How that which the two above throw is told of the data key; by its message unless said. */
  reasonOf?(failure: unknown): string
}

/** `onDecrypt` of a keyring of key agreement. @throws UnwrapError with one entry a data key, tried or skipped. */
export async function unwrapEcdhDataKey(
  materials: DecryptionMaterials,
  encryptedDataKeys: readonly EncryptedDataKey[],
  { signal }: CallOptions,
  unwrapping: EcdhUnwrapping,
): Promise<DecryptionMaterials> {
  if (materials.dataKey !== undefined) throw new TypeError('materials already hold a data key')
  const context = encodeEncryptionContext(materials.encryptionContext)
  const attempts: Attempt[] = []
  for (const key of encryptedDataKeys) {
    signal?.throwIfAborted()
    try {
      const chosen = await chosenOf(key, unwrapping, materials.suite.keyBytes)
      if (typeof chosen === 'string') {
        attempts.push({ key, reason: chosen })
        continue
      }
      const dataKey = await unwrap(key, chosen, unwrapping, context)
      if (dataKey !== undefined) return { ...materials, dataKey: secretKey(dataKey) }
      attempts.push({ key, reason: 'not authentic under this shared secret and encryption context' })
    } catch (cause) {
      signal?.throwIfAborted()
      const text = unwrapping.reasonOf?.(cause) ?? messageOf(cause)
      attempts.push({ key, reason: `no shared secret was obtained: ${text}`, cause })
    }
  }
  throw new UnwrapError(attempts)
}

/** What a data key of the keyring is unwrapped with. */
interface Chosen {
  readonly parties: EcdhParties
  readonly other: KeyObject
}

/** What a data key is unwrapped with; or why it is not tried. */
async function chosenOf(
  { keyProviderId, keyProviderInfo, ciphertext }: EncryptedDataKey,
  unwrapping: EcdhUnwrapping,
  keyBytes: number,
): Promise<Chosen | string> {
  const { curve } = unwrapping
  if (!PROVIDER_IDS.has(keyProviderId)) return 'not wrapped by key agreement'
  const parties = readEcdhInfo(curve, keyProviderInfo)
  if (typeof parties === 'string') return parties
  const choice = await unwrapping.choose(parties)
  if ('skipped' in choice) return choice.skipped
  if (ciphertext.length !== KEY_OFFSET + keyBytes + TAG_BYTES) return `not a wrapped data key of ${keyBytes} bytes`
  const other = Buffer.isBuffer(choice.other) ? decompressPoint(curve, choice.other) : choice.other
  return other === undefined ? `a public key that is no point of ${curve.curve}` : { parties, other }
}

async function unwrap(
  { ciphertext }: EncryptedDataKey,
  { parties, other }: Chosen,
  unwrapping: EcdhUnwrapping,
  context: Buffer,
): Promise<Buffer | undefined> {
  const { curve } = unwrapping
  const fixedInfo = fixedInfoOf(curve, parties, context)
  const sharedSecret = await unwrapping.agree(other)
  try {
    if (sharedSecret.length !== curve.sharedSecretBytes) throw new Error(wrongSecret(curve, sharedSecret))
    const { commitment, wrappingKey } = derive(sharedSecret, fixedInfo, ciphertext.subarray(0, SALT_BYTES))
    if (!sameCommitment(commitment, ciphertext.subarray(SALT_BYTES, KEY_OFFSET))) return undefined
    return openAead(wrappingKey, IV, fixedInfo, {
      ciphertext: ciphertext.subarray(KEY_OFFSET, -TAG_BYTES),
      tag: ciphertext.subarray(-TAG_BYTES),
    })
  } finally {
    sharedSecret.fill(0)
  }
}

/** The specification's FixedInfo: the label of the derivation, and what the wrapped data key is authenticated with. */
function fixedInfoOf({ derivationName }: EcdhCurve, { sender, recipient }: EcdhParties, context: Buffer): Buffer {
  return Buffer.concat([
    ...['ecdh-key-derivation', derivationName, 'HMAC_SHA384'].flatMap((name) => [Buffer.from(name), DELIMITER]),
    sender,
    recipient,
    ...[DELIMITER, Buffer.from([ECDH_VERSION]), DELIMITER],
    context,
  ])
}

function derive(sharedSecret: Buffer, label: Buffer, salt: Buffer): { commitment: Buffer; wrappingKey: KeyObject } {
  const derived = kdfCounterMode({ hash: 'sha384', key: sharedSecret, label, context: salt, bytes: DERIVED_BYTES })
  try {
    return {
      commitment: Buffer.from(derived.subarray(0, COMMITMENT_BYTES)),
      wrappingKey: createSecretKey(derived.subarray(COMMITMENT_BYTES)),
    }
  } finally {
    derived.fill(0)
  }
}

function wrongSecret({ curve, sharedSecretBytes }: EcdhCurve, { length }: Buffer): string {
  return `a shared secret of ${curve} has ${sharedSecretBytes} bytes, got ${length}`
}
