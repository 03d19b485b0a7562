/** Key files: a JWK, PEM, or the bytes of an AES key. */
import {
  type JsonWebKey,
  type KeyObject,
  createHash,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
} from 'node:crypto'
import { RawAesKeyring } from '../keyrings/raw-aes-keyring.ts'
import { RawRsaKeyring, type RsaPadding } from '../keyrings/raw-rsa-keyring.ts'
import type { Keyring } from '../materials/keyring.ts'
import { UsageError } from './failure.ts'

/** The namespace of a JWK that names none; `esdk keygen` writes it too. */
export const DEFAULT_KEY_NAMESPACE = 'esdk'

/** What the command line says about keys that do not say it themselves. */
export interface KeyNaming {
  readonly keyNamespace?: string
  readonly keyName?: string
  readonly rsaPadding?: RsaPadding
}

const DEFAULT_PADDING: RsaPadding = 'oaep-sha256'
const AES_KEY_BYTES: readonly number[] = [16, 24, 32]
const EXPECTED = 'expected a JWK, PEM, or the 16, 24 or 32 bytes of an AES key'

/** Members `alg` of RSA keys: the names of RFC 7518 (and Web Cryptography), and this package's own. */
const PADDINGS: Readonly<Record<string, RsaPadding>> = {
  RSA1_5: 'pkcs1',
  'RSA-OAEP': 'oaep-sha1',
  'RSA-OAEP-256': 'oaep-sha256',
  'RSA-OAEP-384': 'oaep-sha384',
  'RSA-OAEP-512': 'oaep-sha512',
  pkcs1: 'pkcs1',
  'oaep-sha1': 'oaep-sha1',
  'oaep-sha256': 'oaep-sha256',
  'oaep-sha384': 'oaep-sha384',
  'oaep-sha512': 'oaep-sha512',
}

/**
 * The keyring of a key file's bytes.
 *
 * @throws UsageError when they are no key, or a key without a name.
 */
export function keyringOfFile(bytes: Buffer, naming: KeyNaming): Keyring {
  const text = bytes.toString('utf8')
  const jwk = parseObject(text)
  if (jwk !== undefined) return keyringOfJwk(jwk, naming)
  if (text.includes('-----BEGIN ')) return keyringOfPem(text, naming)
  if (!AES_KEY_BYTES.includes(bytes.length)) throw new UsageError(`${EXPECTED}${hintFor(text, bytes)}`)
  const { keyNamespace, keyName } = naming
  if (keyNamespace === undefined || keyName === undefined) {
    throw new UsageError('raw key bytes have no name: give --key-namespace and --key-name')
  }
  return new RawAesKeyring({ keyNamespace, keyName, wrappingKey: createSecretKey(bytes) })
}

function hintFor(text: string, bytes: Buffer): string {
  const trimmed = text.trim()
  const encoding = /^(?:[0-9a-f]{2})+$/i.test(trimmed) ? 'hex' : 'base64'
  const decoded = Buffer.from(trimmed, encoding)
  if (AES_KEY_BYTES.includes(decoded.length) && /^[\w+/=-]+$/.test(trimmed)) {
    return `: this looks like a key in ${encoding}; decode it to bytes first`
  }
  if (AES_KEY_BYTES.includes(bytes.length - 1) && text.endsWith('\n')) return ': cut off the line break at its end'
  return `, got ${bytes.length} bytes of something else`
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.trimStart().startsWith('{')) return undefined
  try {
    return JSON.parse(text) as Record<string, unknown> // it starts with a brace; members are checked one by one
  } catch {
    return undefined
  }
}

function keyringOfJwk(jwk: Readonly<Record<string, unknown>>, naming: KeyNaming): Keyring {
  const keyNamespace = textMember(jwk, 'namespace') ?? naming.keyNamespace ?? DEFAULT_KEY_NAMESPACE
  const keyName = textMember(jwk, 'kid') ?? naming.keyName
  if (jwk['kty'] === 'oct') {
    if (keyName === undefined) throw new UsageError('the JWK has no "kid": add one, or give --key-name')
    return new RawAesKeyring({ keyNamespace, keyName, wrappingKey: secretMember(jwk) })
  }
  if (jwk['kty'] === 'RSA') {
    const padding = paddingOf(textMember(jwk, 'alg'), naming)
    return keyringOfRsa(rsaKeysOf(jwk), { keyNamespace, keyName, padding })
  }
  const set = Array.isArray(jwk['keys']) ? ': this is a set; take one key out of it' : ''
  throw new UsageError(`a JWK expected "kty" "oct" or "RSA"${set}`)
}

function textMember(jwk: Readonly<Record<string, unknown>>, name: string): string | undefined {
  const value = jwk[name]
  if (value === undefined) return undefined
  if (typeof value !== 'string' || value === '') throw new UsageError(`member "${name}" of the JWK expected text`)
  return value
}

function secretMember(jwk: Readonly<Record<string, unknown>>): KeyObject {
  const encoded = textMember(jwk, 'k') ?? ''
  const bytes = Buffer.from(encoded, 'base64url')
  const whole = bytes.toString('base64url') === encoded.replace(/=+$/, '').replaceAll('+', '-').replaceAll('/', '_')
  if (!whole || !AES_KEY_BYTES.includes(bytes.length)) {
    throw new UsageError('member "k" of the JWK expected 16, 24 or 32 bytes in base64url')
  }
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}

function paddingOf(alg: string | undefined, { rsaPadding = DEFAULT_PADDING }: KeyNaming): RsaPadding {
  if (alg === undefined) return rsaPadding
  const padding = Object.hasOwn(PADDINGS, alg) ? PADDINGS[alg] : undefined
  if (padding === undefined) {
    throw new UsageError(
      `member "alg" of the JWK expected one of ${Object.keys(PADDINGS).join(', ')}, got ${JSON.stringify(alg)}`,
    )
  }
  return padding
}

interface RsaKeys {
  readonly publicKey: KeyObject
  readonly privateKey?: KeyObject
}

function rsaKeysOf(jwk: Readonly<Record<string, unknown>>): RsaKeys {
  try {
    const { kty, n, e } = jwk
    // What OpenSSL makes of the members decides whether they are a key.
    const publicKey = createPublicKey({ key: { kty, n, e } as JsonWebKey, format: 'jwk' })
    if (jwk['d'] === undefined) return { publicKey }
    return { publicKey, privateKey: createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' }) }
  } catch {
    throw new UsageError('the JWK holds no RSA key that can be read')
  }
}

function keyringOfPem(pem: string, naming: KeyNaming): Keyring {
  const { keyNamespace = DEFAULT_KEY_NAMESPACE, keyName, rsaPadding = DEFAULT_PADDING } = naming
  return keyringOfRsa(rsaKeysOfPem(pem), { keyNamespace, keyName, padding: rsaPadding })
}

function rsaKeysOfPem(pem: string): RsaKeys {
  if (/-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(pem)) {
    throw new UsageError('the PEM key is encrypted: take its passphrase off first (openssl pkey)')
  }
  let keys: RsaKeys
  try {
    if (pem.includes('PRIVATE KEY-----')) {
      const privateKey = createPrivateKey(pem)
      keys = { publicKey: createPublicKey(privateKey), privateKey }
    } else {
      keys = { publicKey: createPublicKey(pem) }
    }
  } catch {
    throw new UsageError('the PEM holds no key that can be read')
  }
  const type = keys.publicKey.asymmetricKeyType
  if (type !== 'rsa') throw new UsageError(`a PEM expected an RSA key, got ${type ?? 'another kind'}`)
  return keys
}

function keyringOfRsa(
  keys: RsaKeys,
  { keyNamespace, keyName, padding }: { keyNamespace: string; keyName: string | undefined; padding: RsaPadding },
): Keyring {
  return new RawRsaKeyring({ ...keys, keyNamespace, keyName: keyName ?? thumbprint(keys.publicKey), padding })
}

/** RFC 7638: the same for both halves of a key pair, so that a key without a name of its own has one. */
function thumbprint(publicKey: KeyObject): string {
  const { e, n } = publicKey.export({ format: 'jwk' })
  return createHash('sha256')
    .update(JSON.stringify({ e, kty: 'RSA', n }))
    .digest('base64url')
}
