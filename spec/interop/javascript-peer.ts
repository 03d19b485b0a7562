/** The AWS Encryption SDK for JavaScript (Node.js). */
import { constants, generateKeyPairSync, privateDecrypt, publicEncrypt } from 'node:crypto'
import {
  buildClient,
  CommitmentPolicy,
  MultiKeyringNode,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  RawRsaKeyringNode,
  type KeyringNode,
} from '@aws-crypto/client-node'
import {
  isCommitting,
  type Peer,
  type PeerDecrypted,
  type PeerKey,
  type PeerMessage,
  type PeerPlaintext,
} from './peer.ts'

const WRAPPING_SUITES = {
  'aes-128': RawAesWrappingSuiteIdentifier.AES128_GCM_IV12_TAG16_NO_PADDING,
  'aes-192': RawAesWrappingSuiteIdentifier.AES192_GCM_IV12_TAG16_NO_PADDING,
  'aes-256': RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING,
} as const

const { RSA_PKCS1_PADDING, RSA_PKCS1_OAEP_PADDING } = constants
const PADDINGS = {
  'rsa-pkcs1': { padding: RSA_PKCS1_PADDING },
  'rsa-oaep-sha1': { padding: RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
  'rsa-oaep-sha256': { padding: RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
  'rsa-oaep-sha384': { padding: RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha384' },
  'rsa-oaep-sha512': { padding: RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha512' },
} as const

const clients = {
  committing: buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT),
  other: buildClient(CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT),
}

/** It writes framed messages only. */
export class JavaScriptPeer implements Peer {
  readonly name = 'JavaScript'

  async encrypt({ suite, keys, data, frameLength, encryptionContext }: PeerPlaintext): Promise<Buffer> {
    if (frameLength === 0) throw new RangeError('the JavaScript peer does not write non-framed messages')
    const options = { suiteId: suite, frameLength, encryptionContext: { ...encryptionContext } }
    return (await client(suite).encrypt(keyring(keys), data, options)).result
  }

  async decrypt({ suite, keys, data }: PeerMessage): Promise<PeerDecrypted> {
    const { plaintext, messageHeader } = await client(suite).decrypt(keyring(keys), data)
    return { plaintext, encryptionContext: messageHeader.encryptionContext }
  }

  async close(): Promise<void> {
    // nothing to end
  }
}

/** Whether this Node unwraps PKCS#1 v1.5 with `privateDecrypt`, which the peer uses; Node 20 refuses to. */
export function unwrapsPkcs1(): boolean {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
  const wrapped = publicEncrypt({ key: publicKey, padding: RSA_PKCS1_PADDING }, Buffer.from('data key'))
  try {
    return privateDecrypt({ key: privateKey, padding: RSA_PKCS1_PADDING }, wrapped).toString() === 'data key'
  } catch {
    return false
  }
}

function client(suite: number): ReturnType<typeof buildClient> {
  return isCommitting(suite) ? clients.committing : clients.other
}

function keyring(keys: readonly PeerKey[]): KeyringNode | MultiKeyringNode {
  const [generator, ...children] = keys.map(rawJavaScriptKeyring)
  if (generator === undefined) throw new RangeError('no key')
  return children.length === 0 ? generator : new MultiKeyringNode({ generator, children })
}

/** The raw keyring of a key. */
export function rawJavaScriptKeyring(key: PeerKey): KeyringNode {
  const { keyNamespace, keyName } = key
  if ('wrappingKey' in key) {
    return new RawAesKeyringNode({
      keyNamespace,
      keyName,
      unencryptedMasterKey: isolated(key.wrappingKey),
      wrappingSuite: WRAPPING_SUITES[key.algorithm],
      utf8Sorting: true,
    })
  }
  const { publicKey, privateKey } = key
  return new RawRsaKeyringNode({ keyNamespace, keyName, rsaKey: { publicKey, privateKey }, ...PADDINGS[key.algorithm] })
}

/** The peer refuses a key whose bytes lie inside a larger buffer. */
function isolated(bytes: Buffer): Uint8Array {
  return Uint8Array.from(bytes)
}
