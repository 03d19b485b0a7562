/** This library, as the specs about other implementations' messages use it. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import {
  DecryptStream,
  EncryptStream,
  RawAesKeyring,
  RawRsaKeyring,
  type DecryptOptions,
  type EncryptOptions,
  type Keyring,
} from 'esdk-streams'
import { isCommitting, type PeerKey } from './peer.ts'

const PADDINGS = {
  'rsa-pkcs1': 'pkcs1',
  'rsa-oaep-sha1': 'oaep-sha1',
  'rsa-oaep-sha256': 'oaep-sha256',
  'rsa-oaep-sha384': 'oaep-sha384',
  'rsa-oaep-sha512': 'oaep-sha512',
} as const

export function keyringOf(key: PeerKey): Keyring {
  const { keyNamespace, keyName } = key
  if ('wrappingKey' in key) return new RawAesKeyring({ keyNamespace, keyName, wrappingKey: key.wrappingKey })
  const { publicKey, privateKey } = key
  return new RawRsaKeyring({ keyNamespace, keyName, publicKey, privateKey, padding: PADDINGS[key.algorithm] })
}

/** The strictest policy under which `suite` can be written and read. */
export function policyOf(suite: number): 'require-encrypt-require-decrypt' | 'forbid-encrypt-allow-decrypt' {
  return isCommitting(suite) ? 'require-encrypt-require-decrypt' : 'forbid-encrypt-allow-decrypt'
}

export async function encryptPieces(pieces: readonly Buffer[], options: EncryptOptions): Promise<Buffer> {
  return await through(pieces, new EncryptStream(options))
}

/** What `released` holds when this rejects left the stream before its error. */
export async function decryptPieces(
  pieces: readonly Buffer[],
  options: DecryptOptions,
  released: Buffer[] = [],
): Promise<Buffer> {
  return await through(pieces, new DecryptStream(options), released)
}

async function through(
  pieces: readonly Buffer[],
  stream: EncryptStream | DecryptStream,
  released: Buffer[] = [],
): Promise<Buffer> {
  await pipeline(Readable.from(pieces), stream, async (output: AsyncIterable<Buffer>) => {
    for await (const chunk of output) released.push(chunk)
  })
  return Buffer.concat(released)
}
