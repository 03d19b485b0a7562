/** Key derivation in counter mode: NIST SP 800-108r1, 4.1, with HMAC and a 32-bit counter before the fixed data. */
import { type KeyObject, createHmac } from 'node:crypto'

/** What keys are derived with: the key-derivation key, and the label and context that tell derived keys apart. */
export interface KdfCounterModeInput {
  readonly hash: 'sha256' | 'sha384'
  /** Bytes stay the caller's to clear. */
  readonly key: KeyObject | Uint8Array
  readonly label: Uint8Array
  readonly context: Uint8Array
  /** Length of the result; it is part of what is derived from. */
  readonly bytes: number
}

const MAX_BYTES = 0xffffffff >>> 3
const SEPARATOR = Buffer.from([0])

/** Derives `bytes` bytes from label, context and length: `label || 00 || context || u32(8 * bytes)`. The caller clears them. */
export function kdfCounterMode({ hash, key, label, context, bytes }: KdfCounterModeInput): Buffer {
  if (!Number.isInteger(bytes) || bytes < 1 || bytes > MAX_BYTES) {
    throw new RangeError(`"bytes" expected integer in 1..${MAX_BYTES}, got ${bytes}`)
  }
  return expand(hash, key, Buffer.concat([label, SEPARATOR, context, uint32(bytes * 8)]), bytes)
}

/** The construction below the layout of its fixed data: `HMAC(key, u32(i) || fixedData)`, i = 1, 2, … */
export function expand(
  hash: 'sha256' | 'sha384',
  key: KeyObject | Uint8Array,
  fixedData: Uint8Array,
  bytes: number,
): Buffer {
  const derived = Buffer.alloc(bytes)
  for (let counter = 1, offset = 0; offset < bytes; counter++) {
    const block = createHmac(hash, key).update(uint32(counter)).update(fixedData).digest()
    offset += block.copy(derived, offset)
    block.fill(0)
  }
  return derived
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
