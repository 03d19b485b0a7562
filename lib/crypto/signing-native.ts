/** ECDSA over the addon of native/, whose OpenSSL signs a finished digest. */
import type { KeyObject } from 'node:crypto'
import type { SignatureAlgorithm } from '../format/algorithm-suite.ts'
import { ecdsaOfLength } from './ecdsa-length.ts'
import type { NativeAddon } from './native-addon.ts'

/** What the addon writes a signature into. */
const SIGNATURE_ROOM_BYTES = 160

/** A DER signature over a digest, of exactly the algorithm's length. */
export function signDigestNatively(
  addon: NativeAddon,
  algorithm: SignatureAlgorithm,
  signingKey: KeyObject,
  digest: Buffer,
): Buffer {
  const key = signingKey.export({ format: 'der', type: 'pkcs8' })
  const room = Buffer.alloc(SIGNATURE_ROOM_BYTES)
  try {
    for (;;) {
      const signature = room.subarray(0, addon.signDigest(key, digest, room))
      const fitting = ecdsaOfLength(algorithm, signature)
      if (fitting !== undefined) return fitting
    }
  } finally {
    key.fill(0)
  }
}
