import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { decrypt, encrypt, isEncryptionSdkError } from 'esdk-streams'
import { UsageError } from '#lib/cli/failure'
import { type KeyNaming, keyringOfFile } from '#lib/cli/key-file'
import { AES_JWK, AES_KEY } from './command.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const PRIVATE_PEM = rsa.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
const PUBLIC_PEM = rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString()
const PRIVATE_JWK = rsa.privateKey.export({ format: 'jwk' })
const PUBLIC_JWK = rsa.publicKey.export({ format: 'jwk' })
const NAMED = { keyNamespace: 'esdk', keyName: 'k' } as const

function keyFile(content: string | Buffer | object): Buffer {
  return Buffer.from(typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content))
}

/** Encrypts under one key file and decrypts under another; returns provider id and info of the encrypted data key. */
async function exchange(
  from: string | Buffer | object,
  to: string | Buffer | object,
  naming: { from?: KeyNaming; to?: KeyNaming } = {},
): Promise<[id: string, info: string]> {
  const { ciphertext, header } = await encrypt('secret', { keyring: keyringOfFile(keyFile(from), naming.from ?? {}) })
  const { plaintext } = await decrypt(ciphertext, { keyring: keyringOfFile(keyFile(to), naming.to ?? {}) })
  assert.equal(plaintext.toString(), 'secret')
  const [key] = header.encryptedDataKeys
  return [key!.keyProviderId, key!.keyProviderInfo.toString('latin1')]
}

function refused(content: string | Buffer | object, message: RegExp, naming: KeyNaming = {}): void {
  assert.throws(
    () => keyringOfFile(keyFile(content), naming),
    (error: unknown) => {
      assert.ok(error instanceof UsageError || error instanceof TypeError)
      assert.match(error.message, message)
      return true
    },
  )
}

describe('key files', () => {
  it('are JWKs of AES keys, named by kid and namespace', async () => {
    const jwk = { kty: 'oct', kid: 'mine', namespace: 'ours', k: AES_KEY.toString('base64url') }
    const [id, info] = await exchange(jwk, jwk)
    assert.equal(id, 'ours')
    assert.ok(info.startsWith('mine\0'))
  })

  it('are JWKs of AES keys of every length, in either alphabet of base64', async () => {
    for (const length of [16, 24, 32]) {
      const bytes = Buffer.alloc(length, 0xfb)
      await exchange(
        { kty: 'oct', kid: 'k', k: bytes.toString('base64url') },
        { kty: 'oct', kid: 'k', k: bytes.toString('base64') },
      )
    }
  })

  it('are the raw bytes of an AES key, named by the command line', async () => {
    await exchange(AES_KEY, AES_JWK, { from: NAMED })
    const brace = Buffer.concat([Buffer.from('{'), AES_KEY.subarray(1)])
    await exchange(brace, brace, { from: NAMED, to: NAMED })
  })

  it('take the names of the command line only where they have none', async () => {
    const [id] = await exchange(AES_JWK, AES_JWK, {
      from: { keyNamespace: 'x', keyName: 'y' },
      to: { keyNamespace: 'x' },
    })
    assert.equal(id, 'x')
  })

  for (const [alg, padding] of [
    [undefined, 'oaep-sha256'],
    ['RSA1_5', 'pkcs1'],
    ['RSA-OAEP', 'oaep-sha1'],
    ['RSA-OAEP-256', 'oaep-sha256'],
    ['RSA-OAEP-384', 'oaep-sha384'],
    ['RSA-OAEP-512', 'oaep-sha512'],
    ['oaep-sha512', 'oaep-sha512'],
  ] as const) {
    it(`are JWKs of RSA keys: alg ${alg ?? 'absent'} is padding ${padding}`, async () => {
      const [id, info] = await exchange({ ...PUBLIC_JWK, kid: 'k', alg }, { ...PRIVATE_JWK, kid: 'k', alg: padding })
      assert.deepEqual([id, info], ['esdk', 'k'])
    })
  }

  it('are PEM, whose halves find each other by the thumbprint of RFC 7638', async () => {
    const certificateLike = { from: {}, to: {} }
    const [, info] = await exchange(PUBLIC_PEM, PRIVATE_PEM, certificateLike)
    assert.match(info, /^[\w-]{43}$/)
    const [, fromPrivate] = await exchange(PRIVATE_PEM, PRIVATE_JWK)
    assert.equal(fromPrivate, info)
    const pkcs1 = rsa.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
    await exchange(PUBLIC_PEM, pkcs1, { from: { rsaPadding: 'pkcs1' }, to: { rsaPadding: 'pkcs1' } })
    const [id, name] = await exchange(PUBLIC_PEM, PRIVATE_PEM, { from: NAMED, to: NAMED })
    assert.deepEqual([id, name], ['esdk', 'k'])
  })

  it('with a public key alone decrypt nothing', async () => {
    await assert.rejects(
      exchange(PUBLIC_PEM, PUBLIC_PEM),
      (error: unknown) => isEncryptionSdkError(error) && error.code === 'ERR_ESDK_UNWRAP',
    )
  })

  it('of the wrong length or kind are refused, with what to do', () => {
    refused(AES_KEY, /--key-namespace and --key-name/)
    refused(AES_KEY, /--key-namespace and --key-name/, { keyName: 'k' })
    refused(AES_KEY.subarray(1), /expected a JWK, PEM, or the 16, 24 or 32 bytes.*got 31 bytes/, NAMED)
    refused(Buffer.alloc(0), /got 0 bytes/, NAMED)
    refused(Buffer.concat([AES_KEY, Buffer.from('\n')]), /cut off the line break/, NAMED)
    refused(`${AES_KEY.toString('hex')}\n`, /looks like a key in hex/, NAMED)
    refused(AES_KEY.toString('base64'), /looks like a key in base64/, NAMED)
    refused('hello, world', /got 12 bytes of something else/, NAMED)
    refused('{"kty":', /got 7 bytes of something else/, NAMED)
    refused({ hello: 'world' }, /"kty" "oct" or "RSA"/)
    refused({ keys: [JSON.parse(AES_JWK)] }, /this is a set/)
    refused({ kty: 'EC' }, /"kty" "oct" or "RSA"/)
    refused({ kty: 'oct', k: AES_KEY.toString('base64url') }, /no "kid"/)
    refused({ kty: 'oct', kid: 17, k: AES_KEY.toString('base64url') }, /"kid" of the JWK expected text/)
    for (const k of [
      undefined,
      '',
      '!!!',
      AES_KEY.toString('base64url').slice(4),
      `${AES_KEY.toString('base64url')}*`,
    ]) {
      refused({ kty: 'oct', kid: 'k', k }, /"k" of the JWK expected/)
    }
    refused({ ...PUBLIC_JWK, alg: 'RS256' }, /"alg" of the JWK expected one of .*got "RS256"/)
    refused({ ...PUBLIC_JWK, alg: '__proto__' }, /"alg" of the JWK expected/)
    refused({ kty: 'RSA', n: 'x' }, /no RSA key that can be read/)
    refused({ kty: 'RSA' }, /no RSA key that can be read/)
    refused({ ...PRIVATE_JWK, d: 'x', p: undefined }, /no RSA key that can be read/)
    refused(
      { kty: 'oct', kid: 'k', namespace: 'aws-kms', k: AES_KEY.toString('base64url') },
      /may not begin with "aws-kms"/,
    )
  })

  it('of PEM that is no RSA key, or that is encrypted, are refused', () => {
    const elliptic = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    refused(elliptic.publicKey.export({ type: 'spki', format: 'pem' }), /expected an RSA key, got ec/)
    refused('-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n', /no key that can be read/)
    const encrypted = { format: 'pem', cipher: 'aes-128-cbc', passphrase: 'x' } as const
    refused(rsa.privateKey.export({ type: 'pkcs8', ...encrypted }), /is encrypted/)
    refused(rsa.privateKey.export({ type: 'pkcs1', ...encrypted }), /is encrypted/)
  })

  it('say nothing of the key itself in their errors', () => {
    const secret = AES_KEY.toString('base64url')
    for (const content of [
      AES_KEY.toString('hex'),
      { kty: 'oct', kid: 'k', k: `${secret}AA` },
      { kty: 'EC', d: secret },
    ]) {
      assert.throws(
        () => keyringOfFile(keyFile(content), NAMED),
        ({ message }: Error) =>
          !message.includes(secret.slice(0, 8)) && !message.includes(AES_KEY.toString('hex', 0, 4)),
      )
    }
  })
})
