/** From a data key to the key of a message: framework/algorithm-suites.md, key derivation and commitment. */
import { type KeyObject, createSecretKey, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { AlgorithmSuite } from '../format/algorithm-suite.ts'

/** The key that seals header and frames and, of a committing suite, the commitment to the data key. */
export interface MessageKeys {
  readonly messageKey: KeyObject
  readonly commitment?: Buffer
}

const COMMITMENT_BYTES = 32
const NO_SALT = Buffer.alloc(0)

/**
 * Derives the keys of a message.
 *
 * @param bindMessageId false only for messages of version 4.0.0 of the SDK for .NET, which left the id out.
 */
export function deriveMessageKeys(
  suite: AlgorithmSuite,
  dataKey: KeyObject,
  messageId: Buffer,
  bindMessageId = true,
): MessageKeys {
  if (suite.kdf === 'identity' || suite.kdfHash === undefined) return { messageKey: dataKey }
  const id = Buffer.alloc(2)
  id.writeUInt16BE(suite.id)
  if (!suite.committing) {
    const info = bindMessageId ? Buffer.concat([id, messageId]) : id
    return { messageKey: secretKey(hkdfSync(suite.kdfHash, dataKey, NO_SALT, info, suite.keyBytes)) }
  }
  const derive = (info: Buffer, bytes: number): ArrayBuffer => hkdfSync('sha512', dataKey, messageId, info, bytes)
  const messageKey = secretKey(derive(Buffer.concat([id, Buffer.from('DERIVEKEY')]), suite.keyBytes))
  return { messageKey, commitment: Buffer.from(derive(Buffer.from('COMMITKEY'), COMMITMENT_BYTES)) }
}

/** A `KeyObject` of bytes that are cleared here. */
export function secretKey(bytes: ArrayBuffer | Buffer): KeyObject {
  const view = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes)
  try {
    return createSecretKey(view)
  } finally {
    view.fill(0)
  }
}

/** Whether two commitments are equal, in constant time. */
export function sameCommitment(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}
