/** The bytes of a secret key, for as long as something works with them. */
import type { KeyObject } from 'node:crypto'

/** What `work` makes of the key's bytes, which are cleared after it. */
export function withKeyBytes<T>(key: KeyObject, work: (bytes: Buffer) => T): T {
  const bytes = key.export()
  try {
    return work(bytes)
  } finally {
    bytes.fill(0)
  }
}

/** The same where it takes a while: the bytes are `work`'s until its promise is settled. */
export async function withKeyBytesAsync<T>(key: KeyObject, work: (bytes: Buffer) => Promise<T>): Promise<T> {
  const bytes = key.export()
  try {
    return await work(bytes)
  } finally {
    bytes.fill(0)
  }
}
