/** The two libraries that run in this process, under the same key. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  CommitmentPolicy,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  buildClient,
} from '@aws-crypto/client-node'
import { DecryptStream, EncryptStream, RawAesKeyring, decrypt, encrypt } from 'esdk-streams'
import { chunksOf } from './memory-streams.mjs'

export const SUITES = { unsigned: 0x0478, signed: 0x0578, 'without commitment': 0x0178 } as const

export type SuiteName = keyof typeof SUITES

/** `unsigned 0x0478` and the like. */
export function suiteLabel(name: SuiteName): string {
  return `${name} 0x${SUITES[name].toString(16).padStart(4, '0')}`
}

export interface Message {
  readonly suite: number
  readonly frameLength: number
}

/** Makes streams and whole messages. */
export interface Library {
  encryptor(message: Message): Duplex
  decryptor(message: Message): Duplex
  encrypt(plaintext: Buffer, message: Message): Promise<Buffer>
  decrypt(ciphertext: Buffer, message: Message): Promise<Buffer>
}

export type Direction = 'encrypt' | 'decrypt'
export const DIRECTIONS: readonly Direction[] = ['encrypt', 'decrypt']

const wrappingKey = randomBytes(32)
const names = { keyNamespace: 'bench', keyName: 'key' }

export function ours(): Library {
  const keyring = new RawAesKeyring({ ...names, wrappingKey })
  const policyOf = ({ suite }: Message): 'require-encrypt-require-decrypt' | 'forbid-encrypt-allow-decrypt' =>
    isCommitting(suite) ? 'require-encrypt-require-decrypt' : 'forbid-encrypt-allow-decrypt'
  const options = (message: Message): ConstructorParameters<typeof EncryptStream>[0] => ({
    keyring,
    algorithmSuite: message.suite,
    frameLength: message.frameLength,
    commitmentPolicy: policyOf(message),
  })
  return {
    encryptor: (message) => new EncryptStream(options(message)),
    decryptor: (message) => new DecryptStream({ keyring, commitmentPolicy: policyOf(message) }),
    encrypt: async (plaintext, message) => (await encrypt(plaintext, options(message))).ciphertext,
    decrypt: async (bytes, message) =>
      (await decrypt(bytes, { keyring, commitmentPolicy: policyOf(message) })).plaintext,
  }
}

export function clientNode(): Library {
  const keyring = new RawAesKeyringNode({
    ...names,
    unencryptedMasterKey: new Uint8Array(wrappingKey), // it wants memory that is no slice of a pool
    wrappingSuite: RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
  })
  const committing = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
  const other = buildClient(CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
  const client = ({ suite }: Message): typeof committing => (isCommitting(suite) ? committing : other)
  const options = ({ suite, frameLength }: Message): { suiteId: number; frameLength: number } => ({
    suiteId: suite, // the identifiers are the numbers
    frameLength,
  })
  return {
    encryptor: (message) => client(message).encryptStream(keyring, options(message)),
    decryptor: (message) => client(message).decryptStream(keyring),
    encrypt: async (plaintext, message) => (await client(message).encrypt(keyring, plaintext, options(message))).result,
    decrypt: async (bytes, message) => (await client(message).decrypt(keyring, bytes)).plaintext,
  }
}

function isCommitting(suite: number): boolean {
  return suite >= 0x0400
}

/** All that comes out of a stream. */
export async function through(bytes: Buffer, stream: Duplex): Promise<Buffer> {
  const parts: Buffer[] = []
  await pipeline(chunksOf(bytes), stream, async (output: AsyncIterable<Buffer>) => {
    for await (const chunk of output) parts.push(chunk)
  })
  return Buffer.concat(parts)
}

/** Each reads what the other wrote. @returns our message */
export async function verified(plaintext: Buffer, message: Message, us: Library, peer: Library): Promise<Buffer> {
  const [own, theirs] = [
    await through(plaintext, us.encryptor(message)),
    await through(plaintext, peer.encryptor(message)),
  ]
  assert.ok((await through(own, peer.decryptor(message))).equals(plaintext), 'the peer reads our message')
  assert.ok((await through(theirs, us.decryptor(message))).equals(plaintext), 'we read the peer’s message')
  return own
}
