/** Known answers of RSA decryption with PKCS #1 v1.5, from an OpenSSL with implicit rejection. */
import { type KeyObject, constants, generateKeyPairSync, privateDecrypt, publicEncrypt, randomBytes } from 'node:crypto'

interface Answer {
  readonly what: string
  readonly ciphertext: string
  /** What decryption gives; null where it fails. */
  readonly plaintext: string | null
}

interface Answers {
  readonly made: string
  readonly keys: readonly {
    readonly modulusBits: number
    readonly privateKey: string
    readonly answers: readonly Answer[]
  }[]
}

/** Fresh keys and what this Node's OpenSSL makes of ciphertexts under them; undefined where it has no implicit rejection. */
export function pkcs1Answers(): Answers | undefined {
  if (!hasImplicitRejection()) return undefined
  return {
    made: `privateDecrypt with RSA_PKCS1_PADDING, Node ${process.versions.node}, OpenSSL ${process.versions.openssl}`,
    keys: [1024, 2048, 2056, 3072].map((modulusBits) => {
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: modulusBits })
      return {
        modulusBits,
        privateKey: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
        answers: ciphertexts(publicKey, modulusBits / 8).map(([what, ciphertext]) => ({
          what,
          ciphertext: ciphertext.toString('hex'),
          plaintext: decrypted(privateKey, ciphertext)?.toString('hex') ?? null,
        })),
      }
    }),
  }
}

function hasImplicitRejection(): boolean {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  return decrypted(privateKey, Buffer.alloc(128, 1)) !== undefined
}

function decrypted(key: KeyObject, ciphertext: Buffer): Buffer | undefined {
  try {
    return privateDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, ciphertext)
  } catch {
    return undefined
  }
}

/** Blocks with every fault that a padding can have, the right ones beside them. */
export function ciphertexts(key: KeyObject, size: number): [what: string, ciphertext: Buffer][] {
  const encrypt = (block: Buffer): Buffer => publicEncrypt({ key, padding: constants.RSA_NO_PADDING }, block)
  const block = (start: number[], separatorAt: number): Buffer => {
    const bytes = Buffer.alloc(size, 0x5a)
    Buffer.from(start).copy(bytes)
    if (separatorAt >= 0) bytes[separatorAt] = 0
    return bytes
  }
  const random = randomBytes(size)
  random[0] = 1
  return [
    ['a data key of 32 bytes', publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, randomBytes(32))],
    ['no bytes at all', publicEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, Buffer.alloc(0))],
    ['as many bytes as fit', encrypt(block([0, 2], 10))],
    ['eight bytes of padding', encrypt(block([0, 2], 10))],
    ['seven bytes of padding', encrypt(block([0, 2], 9))],
    ['no padding', encrypt(block([0, 2], 2))],
    ['a separator at the very end', encrypt(block([0, 2], size - 1))],
    ['no separator', encrypt(block([0, 2], -1))],
    ['block type 1', encrypt(block([0, 1], 20))],
    ['block type 0', encrypt(block([0, 0], 20))],
    ['a first byte of 1', encrypt(block([1, 2], 20))],
    ['random bytes', encrypt(random)],
    ['random ciphertext', Buffer.concat([Buffer.alloc(1), randomBytes(size - 1)])],
    ['a ciphertext of zeros', Buffer.alloc(size)],
    ['a ciphertext above the modulus', Buffer.alloc(size, 0xff)],
    ['a ciphertext a byte too long', Buffer.alloc(size + 1, 1)],
    ['a ciphertext a byte too short', randomBytes(size - 1)],
    ['a ciphertext of one byte', Buffer.from([7])],
    ['a ciphertext of no bytes', Buffer.alloc(0)],
  ]
}
