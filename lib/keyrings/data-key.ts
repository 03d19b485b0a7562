/** Generating, and briefly unpacking, data keys. */
import { type KeyObject, randomBytes } from 'node:crypto'
import { secretKey } from '../crypto/message-keys.ts'
import type { EncryptedDataKey } from '../format/encrypted-data-key.ts'
import type { EncryptionMaterials } from '../materials/materials.ts'

/** Generates a data key where the materials hold none, wraps it with `wrap`, and adds what comes of it. */
export function addEncryptedDataKey(
  materials: EncryptionMaterials,
  wrap: (dataKey: Buffer) => EncryptedDataKey,
): EncryptionMaterials {
  const dataKey: KeyObject = materials.dataKey ?? secretKey(randomBytes(materials.suite.keyBytes))
  const raw = dataKey.export()
  try {
    return { ...materials, dataKey, encryptedDataKeys: [...materials.encryptedDataKeys, wrap(raw)] }
  } finally {
    raw.fill(0)
  }
}
