/** Wrapping data keys under a branch key: framework/aws-kms/aws-kms-hierarchical-keyring.md "Ciphertext", "Branch Key Wrapping". */
import { type KeyObject, randomBytes } from 'node:crypto'
import { openAead, sealAead } from '../../../crypto/aead.ts'
import { kdfCounterMode } from '../../../crypto/kdf-counter-mode.ts'
import { secretKey } from '../../../crypto/message-keys.ts'
import { IV_BYTES, TAG_BYTES } from '../../../format/header-authentication.ts'
import type { BranchKeyMaterials } from '../../../materials/cryptographic-materials-cache.ts'
import { uuidBytes, uuidText } from './branch-key-entry-id.ts'

/** The provider id of data keys wrapped under branch keys. */
export const HIERARCHY_PROVIDER_ID = 'aws-kms-hierarchy'

const LABEL = Buffer.from(HIERARCHY_PROVIDER_ID)
const SALT_BYTES = 16
const VERSION_BYTES = 16
const DERIVED_BYTES = 32
const VERSION_OFFSET = SALT_BYTES + IV_BYTES
const KEY_OFFSET = VERSION_OFFSET + VERSION_BYTES

/** So many bytes longer is a wrapped data key than the data key. */
export const WRAPPING_BYTES: number = KEY_OFFSET + TAG_BYTES

/** `salt || IV || version || encrypted data key || tag`, sealed under a key that salt and branch key give. */
export function wrapUnderBranchKey(branchKey: BranchKeyMaterials, context: Buffer, dataKey: Buffer): Buffer {
  const salt = randomBytes(SALT_BYTES)
  const iv = randomBytes(IV_BYTES)
  const { ciphertext, tag } = sealAead(wrappingKeyOf(branchKey, salt), iv, aadOf(branchKey, context), dataKey)
  return Buffer.concat([salt, iv, uuidBytes(branchKey.branchKeyVersion), ciphertext, tag])
}

/** The version of the branch key that a data key was wrapped under. */
export function versionOfWrapped(ciphertext: Buffer): string {
  return uuidText(ciphertext.subarray(VERSION_OFFSET, KEY_OFFSET))
}

/** The data key; `undefined` where it is not authentic. */
export function unwrapUnderBranchKey(
  branchKey: BranchKeyMaterials,
  context: Buffer,
  ciphertext: Buffer,
): Buffer | undefined {
  const wrappingKey = wrappingKeyOf(branchKey, ciphertext.subarray(0, SALT_BYTES))
  return openAead(wrappingKey, ciphertext.subarray(SALT_BYTES, VERSION_OFFSET), aadOf(branchKey, context), {
    ciphertext: ciphertext.subarray(KEY_OFFSET, -TAG_BYTES),
    tag: ciphertext.subarray(-TAG_BYTES),
  })
}

/** The key that one data key is sealed with. */
export function wrappingKeyOf({ branchKey: key }: BranchKeyMaterials, salt: Buffer): KeyObject {
  return secretKey(kdfCounterMode({ hash: 'sha256', key, label: LABEL, context: salt, bytes: DERIVED_BYTES }))
}

function aadOf({ branchKeyId, branchKeyVersion }: BranchKeyMaterials, context: Buffer): Buffer {
  return Buffer.concat([LABEL, Buffer.from(branchKeyId, 'utf8'), uuidBytes(branchKeyVersion), context])
}
