/** Key provider info of data keys wrapped by key agreement: framework/raw-ecdh-keyring.md, "Key Provider Information". */
import { type EcdhCurve, ecdhCurveOfPoint } from './ecdh-key.ts'

/** The two public keys, as compressed points. */
export interface EcdhParties {
  readonly sender: Buffer
  readonly recipient: Buffer
}

/** The version of everything in `keyrings/ecdh`: it is in the info and in the derivation. */
export const ECDH_VERSION = 1

const LENGTH_BYTES = 4

/** `01 || u32(length) || recipient || u32(length) || sender`. */
export function encodeEcdhInfo({ sender, recipient }: EcdhParties): Buffer {
  const parts = [recipient, sender].flatMap((point) => {
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUInt32BE(point.length)
    return [length, point]
  })
  return Buffer.concat([Buffer.from([ECDH_VERSION]), ...parts])
}

/** The parties that the info names, points of that length but not yet known to lie on the curve; or why there are none. */
export function readEcdhInfo({ compressedPointBytes }: EcdhCurve, info: Buffer): EcdhParties | string {
  const fieldBytes = LENGTH_BYTES + compressedPointBytes
  // A version and two fields of one length: an odd number of bytes, and not none.
  if (info.length % 2 === 0) return 'malformed key provider info'
  if (info[0] !== ECDH_VERSION) return `a version of other than ${ECDH_VERSION}`
  if (info.length !== 1 + 2 * fieldBytes) {
    const other = ecdhCurveOfPoint((info.length - 1) / 2 - LENGTH_BYTES)
    return other === undefined ? 'malformed key provider info' : 'another curve'
  }
  const fields = [info.subarray(1, 1 + fieldBytes), info.subarray(1 + fieldBytes)] as const
  if (fields.some((field) => field.readUInt32BE(0) !== compressedPointBytes)) return 'malformed key provider info'
  const [recipient, sender] = fields
  return { recipient: recipient.subarray(LENGTH_BYTES), sender: sender.subarray(LENGTH_BYTES) }
}
