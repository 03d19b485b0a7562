/** Generating, and briefly unpacking, data keys. */
import type { KeyObject } from 'node:crypto'
import { withKeyBytes, withKeyBytesAsync } from '../crypto/key-bytes.ts'
import { secretKey } from '../crypto/message-keys.ts'
import { fewRandomBytes } from '../crypto/random.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import type { EncryptionMaterials } from '../materials/materials.ts'

/** Generates a data key where the materials hold none, wraps it with `wrap`, and adds what comes of it. */
export function addEncryptedDataKey(
  materials: EncryptionMaterials,
  wrap: (dataKey: Buffer) => EncryptedDataKey,
): EncryptionMaterials {
  const dataKey = dataKeyOf(materials)
  return withDataKey(materials, dataKey, withKeyBytes(dataKey, wrap))
}

/** The same where wrapping takes a while. The bytes are `wrap`'s until its promise is settled. */
export async function addEncryptedDataKeyAsync(
  materials: EncryptionMaterials,
  wrap: (dataKey: Buffer) => Promise<EncryptedDataKey>,
): Promise<EncryptionMaterials> {
  const dataKey = dataKeyOf(materials)
  return withDataKey(materials, dataKey, await withKeyBytesAsync(dataKey, wrap))
}

function dataKeyOf({ dataKey, suite }: EncryptionMaterials): KeyObject {
  return dataKey ?? secretKey(fewRandomBytes(suite.keyBytes))
}

function withDataKey(materials: EncryptionMaterials, dataKey: KeyObject, added: EncryptedDataKey): EncryptionMaterials {
  return { ...materials, dataKey, encryptedDataKeys: [...materials.encryptedDataKeys, added] }
}
