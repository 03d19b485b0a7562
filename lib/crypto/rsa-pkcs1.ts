/**
 * Unwrapping with RSA and PKCS #1 v1.5 on every Node. Where `privateDecrypt` refuses that padding (Node 20), the block
 * is decrypted without padding and unpadded here, with the implicit rejection of OpenSSL 3.2: bad padding gives a
 * message that depends only on key and ciphertext, so that no caller can be an oracle for it.
 */
import { isError } from '../errors.ts'
import { type KeyObject, constants, createHash, createHmac, privateDecrypt } from 'node:crypto'

const HMAC_BYTES = 32
const LENGTH_CANDIDATES = 128
const MIN_PADDING_END = 10

let refusesPadding = false

/** `privateDecrypt` of PKCS #1 v1.5, or its like. Bad padding gives pseudo-random bytes, no error. */
export function decryptPkcs1(privateKey: KeyObject, ciphertext: Buffer): Buffer {
  if (!refusesPadding) {
    try {
      return privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, ciphertext)
    } catch (error) {
      // The refusal is of the argument, before the ciphertext is looked at; everything else is a failure to decrypt.
      if (!(isError(error) && 'code' in error && error.code === 'ERR_INVALID_ARG_VALUE')) throw error
      refusesPadding = true
    }
  }
  return decryptPkcs1Unpadded(privateKey, ciphertext)
}

/** What `decryptPkcs1` does where Node itself refuses; apart, so that a spec can compare the two. */
export function decryptPkcs1Unpadded(privateKey: KeyObject, ciphertext: Buffer): Buffer {
  if (ciphertext.length === 0) throw new RangeError('there is no ciphertext') // OpenSSL 3.0 would take it for the number 0
  const block = privateDecrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, ciphertext)
  try {
    return unpad(block, implicitRejectionKey(privateKey, ciphertext))
  } finally {
    block.fill(0)
  }
}

/** HMAC-SHA-256 of the ciphertext under the hash of the private exponent, both padded to the size of the modulus. */
function implicitRejectionKey(privateKey: KeyObject, ciphertext: Buffer): Buffer {
  const { d, n } = privateKey.export({ format: 'jwk' })
  if (d === undefined || n === undefined) throw new TypeError('expected a private RSA key')
  const exponent = Buffer.from(d, 'base64url')
  const size = Buffer.byteLength(n, 'base64url')
  const padded = Buffer.alloc(size)
  exponent.copy(padded, size - exponent.length)
  try {
    return createHmac('sha256', createHash('sha256').update(padded).digest())
      .update(Buffer.alloc(Math.max(0, size - ciphertext.length)))
      .update(ciphertext)
      .digest()
  } finally {
    exponent.fill(0)
    padded.fill(0)
  }
}

function pseudoRandom(key: Buffer, label: string, bytes: number): Buffer {
  const bits = uint16(bytes * 8)
  const parts: Buffer[] = []
  for (let index = 0; index * HMAC_BYTES < bytes; index++) {
    parts.push(createHmac('sha256', key).update(uint16(index)).update(label).update(bits).digest())
  }
  return Buffer.concat(parts, bytes)
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff])
}

/** The message of a block, or the synthetic one; chosen by masks, without a branch on secret bytes. */
function unpad(block: Buffer, rejectionKey: Buffer): Buffer {
  const size = block.length
  const synthetic = pseudoRandom(rejectionKey, 'message', size)
  const syntheticStart = size - syntheticLength(pseudoRandom(rejectionKey, 'length', LENGTH_CANDIDATES * 2), size)
  let found = 0
  let separator = 0
  for (let index = 2; index < size; index++) {
    const zero = isZero(block[index]!)
    separator = select(zero & ~found, index, separator)
    found |= zero
  }
  const good = isZero(block[0]!) & isZero(block[1]! ^ 2) & found & ~isLess(separator, MIN_PADDING_END)
  const start = select(good, separator + 1, syntheticStart)
  const message = Buffer.alloc(size)
  for (let index = 0; index < size; index++) message[index] = select(good, block[index]!, synthetic[index]!)
  return message.subarray(start)
}

/** The last of the candidates that is a possible message length. */
function syntheticLength(candidates: Buffer, size: number): number {
  const longest = size - MIN_PADDING_END
  let mask = longest
  for (const shift of [1, 2, 4, 8]) mask |= mask >> shift
  let length = 0
  for (let index = 0; index < LENGTH_CANDIDATES; index++) {
    const candidate = candidates.readUInt16BE(index * 2) & mask
    length = select(isLess(candidate, longest), candidate, length)
  }
  return length
}

/** All ones where the condition on small non-negative integers holds, else zero. */
function isZero(value: number): number {
  return ~((value | -value) >> 31)
}

function isLess(a: number, b: number): number {
  return (a - b) >> 31
}

function select(mask: number, a: number, b: number): number {
  return (mask & a) | (~mask & b)
}
