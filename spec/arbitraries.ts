/** What the properties of all specs draw from, and the few helpers that they share. */
import { generateKeyPairSync } from 'node:crypto'
import { type Duplex, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import {
  type CommitmentPolicy,
  type DecryptOptions,
  type EncryptOptions,
  type Keyring,
  MultiKeyring,
  RawAesKeyring,
  RawRsaKeyring,
  encrypt,
} from 'esdk-streams'
import { ALGORITHM_SUITES, type AlgorithmSuite } from 'esdk-streams/format'

/** `count` bytes that rise from `first`. */
export function sequence(first: number, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, index) => first + index))
}

/** Up to `maxLength` bytes. */
export function bytes(maxLength: number, minLength = 0): fc.Arbitrary<Buffer> {
  return fc.uint8Array({ minLength, maxLength }).map((array) => Buffer.from(array))
}

/** Cuts bytes into chunks; some may be empty. */
export type Cut = (bytes: Buffer) => Buffer[]

/** Cuttings: whole, into single bytes, or into chunks of a few sizes (0 and 1 among them) over and over. */
export const cuts: fc.Arbitrary<Cut> = fc
  .oneof(
    fc.constant([Number.MAX_SAFE_INTEGER]),
    fc.constant([1]),
    fc.array(fc.oneof(fc.constantFrom(0, 1), fc.nat(20), fc.nat(5000)), { minLength: 1, maxLength: 12 }),
  )
  .map((sizes) => cutInto(sizes.some((size) => size > 0) ? sizes : [...sizes, 1]))

/** A cutting into chunks of these sizes over and over; one of them must not be 0. */
export function cutInto(sizes: readonly number[]): Cut {
  const cut: Cut = (whole) => {
    const chunks: Buffer[] = []
    for (let start = 0, turn = 0; start < whole.length; turn++) {
      const end = Math.min(whole.length, start + sizes[turn % sizes.length]!)
      chunks.push(whole.subarray(start, end))
      start = end
    }
    return chunks
  }
  return Object.assign(cut, { [fc.toStringMethod]: () => `cut into ${sizes.join(', ')}` })
}

/** Names and values that trip up careless code: of prototypes, empty, long, in UTF-8 of every length, with a BOM. */
const ODD_TEXTS = [
  ...['', ' ', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'a', 'B', 'Zebra', 'apple', 'éclair'],
  ...['\uff5e', '\u{1f600}', '\ufeffbom', '\ufeff', '\ufffd', '\u0000\u0001', 'x'.repeat(300), 'aws-cryptic'],
] as const

/** Well-formed text, odd more often than not. */
export const texts: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...ODD_TEXTS),
  fc.string({ unit: 'binary', maxLength: 12 }).filter((text) => !text.startsWith('aws-crypto-')),
)

/** Encryption contexts as a caller gives them. */
export const encryptionContexts: fc.Arbitrary<Record<string, string>> = fc
  .uniqueArray(fc.tuple(texts, texts), { selector: ([name]) => name, maxLength: 8 })
  .map((pairs) => Object.fromEntries(pairs))

/** All eleven suites. */
export const suites: fc.Arbitrary<AlgorithmSuite> = fc.constantFrom(...ALGORITHM_SUITES)

/** The strictest policy under which a suite both encrypts and decrypts. */
export function policyOf(suite: AlgorithmSuite): CommitmentPolicy {
  return suite.committing ? 'require-encrypt-require-decrypt' : 'forbid-encrypt-allow-decrypt'
}

/** A raw AES keyring of a key that is always the same. */
export function aesKeyring(keyName = 'key', keyBytes: 16 | 24 | 32 = 32): RawAesKeyring {
  return new RawAesKeyring({ keyNamespace: 'spec', keyName, wrappingKey: sequence(1, keyBytes) })
}

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })

/** A raw RSA keyring of one key pair a process. */
export function rsaKeyring(padding: ConstructorParameters<typeof RawRsaKeyring>[0]['padding']): RawRsaKeyring {
  return new RawRsaKeyring({ keyNamespace: 'spec', keyName: `rsa-${padding}`, padding, ...rsa })
}

const KEYRINGS: Readonly<Record<string, Keyring>> = {
  'AES 128': aesKeyring('aes-128', 16),
  'AES 192': aesKeyring('aes-192', 24),
  'AES 256': aesKeyring('aes-256', 32),
  'RSA OAEP': rsaKeyring('oaep-sha256'),
  'RSA PKCS #1': rsaKeyring('pkcs1'),
  several: new MultiKeyring({ generator: aesKeyring('first'), children: [rsaKeyring('pkcs1'), aesKeyring('second')] }),
}

/** Keyrings that encrypt and decrypt. */
export const keyrings: fc.Arbitrary<Keyring> = fc.constantFrom(...Object.values(KEYRINGS))

/** What a message is made of, and the options of both directions for it. */
export interface MessageCase {
  readonly plaintext: Buffer
  readonly suite: AlgorithmSuite
  readonly encryptOptions: EncryptOptions
  readonly decryptOptions: DecryptOptions
}

/** Small messages of every suite, keyring and context, around the boundaries of their frames. */
export const messageCases: fc.Arbitrary<MessageCase> = fc
  .record({
    suite: suites,
    keyring: keyrings,
    encryptionContext: encryptionContexts,
    frameLength: fc.integer({ min: 1, max: 100 }),
    frames: fc.nat(5),
    offset: fc.integer({ min: -1, max: 1 }),
    fill: fc.nat(255),
  })
  .map(({ suite, keyring, encryptionContext, frameLength, frames, offset, fill }) => {
    const shared = { keyring, commitmentPolicy: policyOf(suite) }
    return {
      plaintext: Buffer.alloc(Math.max(0, frames * frameLength + offset), Buffer.from([fill, 1, 2, 3])),
      suite,
      encryptOptions: { ...shared, algorithmSuite: suite.id, encryptionContext, frameLength },
      decryptOptions: shared,
    }
  })

/** The message of a case. */
export async function messageOf({ plaintext, encryptOptions }: MessageCase): Promise<Buffer> {
  return (await encrypt(plaintext, encryptOptions)).ciphertext
}

/**
 * Everything that comes out of a stream fed with these chunks; rejects with its error.
 *
 * @param released gets every chunk as it comes, so that it holds what left the stream before an error
 */
export async function through(chunks: Iterable<Uint8Array>, stream: Duplex, released: Buffer[] = []): Promise<Buffer> {
  await pipeline(Readable.from(chunks), stream, async (output: AsyncIterable<Buffer>) => {
    for await (const chunk of output) released.push(chunk)
  })
  return Buffer.concat(released)
}
