/** From a data key to the key of a message: framework/algorithm-suites.md, key derivation and commitment. */
import { type KeyObject, createHmac, createSecretKey, hkdfSync, timingSafeEqual } from 'node:crypto'
import type { AlgorithmSuite } from '../format/algorithm-suite.ts'
import { chosenAddon } from './addon-choice.ts'
import { withKeyBytes } from './key-bytes.ts'
import type { NativeAddon } from './native-addon.ts'

/** The key that seals header and frames and, of a committing suite, the commitment to the data key. */
export interface MessageKeys {
  readonly messageKey: KeyObject
  readonly commitment?: Buffer
}

const COMMITMENT_BYTES = 32
const KEY_LABEL = Buffer.from('DERIVEKEY')
const COMMITMENT_LABEL = Buffer.from('COMMITKEY')
const FIRST_BLOCK = Buffer.from([1])
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
  addon: NativeAddon | undefined = chosenAddon(),
): MessageKeys {
  if (suite.kdf === 'identity' || suite.kdfHash === undefined) return { messageKey: dataKey }
  const id = Buffer.alloc(2)
  id.writeUInt16BE(suite.id)
  if (!suite.committing) {
    const info = bindMessageId ? Buffer.concat([id, messageId]) : id
    return { messageKey: secretKey(hkdfSync(suite.kdfHash, dataKey, NO_SALT, info, suite.keyBytes)) }
  }
  const info = Buffer.concat([id, KEY_LABEL])
  const [key, commitment] =
    addon === undefined ? deriveTwo(dataKey, messageId, info) : deriveTwoNatively(addon, dataKey, messageId, info)
  try {
    return { messageKey: createSecretKey(key.subarray(0, suite.keyBytes)), commitment }
  } finally {
    key.fill(0)
  }
}

/**
 * HKDF with SHA-512 (RFC 5869), once extracted and twice expanded. hkdfSync would extract twice, and takes longer over
 * it than all else that a short message needs. Both results are within one block of the hash.
 */
function deriveTwo(dataKey: KeyObject, salt: Buffer, info: Buffer): readonly [Buffer, Buffer] {
  const extracted = withKeyBytes(dataKey, (raw) =>
    secretKey(createHmac('sha512', createSecretKey(salt)).update(raw).digest()),
  )
  const expand = (label: Buffer): Buffer => createHmac('sha512', extracted).update(label).update(FIRST_BLOCK).digest()
  return [expand(info), expand(COMMITMENT_LABEL).subarray(0, COMMITMENT_BYTES)]
}

function deriveTwoNatively(
  addon: NativeAddon,
  dataKey: KeyObject,
  salt: Buffer,
  info: Buffer,
): readonly [Buffer, Buffer] {
  const derived = Buffer.alloc(2 * COMMITMENT_BYTES)
  withKeyBytes(dataKey, (raw) => {
    addon.deriveTwo(raw, salt, info, COMMITMENT_LABEL, derived)
  })
  return [derived.subarray(0, COMMITMENT_BYTES), derived.subarray(COMMITMENT_BYTES)]
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
