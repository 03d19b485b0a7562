// Stated doubles, each over the real token: OAEP with the hashes that SoftHSM 2.6.1 lacks (node:crypto unwraps what the
// mechanism's parameters say), and a token that makes the IV itself, as AWS CloudHSM does (SoftHSM seals under the IV that
// the double makes, and the double writes it where it found zeros).
import assert from 'node:assert/strict'
import { constants, privateDecrypt, randomBytes } from 'node:crypto'
import { RawAesKeyring, RawRsaKeyring, decrypt, encrypt } from 'esdk-streams'
import { Pkcs11Keyring, type Pkcs11KeyringOptions, type Pkcs11Module } from 'esdk-streams/pkcs11'
import { decryptionMaterials, encryptionMaterials, secret } from '../../materials/sample.ts'
import {
  AES_KEYS,
  answer,
  assertUnwraps,
  attemptsOf,
  names,
  overridden,
  pair,
  reasonsOf,
  useToken,
  without,
  wrapErrorOf,
  wrapped,
} from './setup.ts'

const HASHES = {
  'oaep-sha1': 'sha1',
  'oaep-sha256': 'sha256',
  'oaep-sha384': 'sha384',
  'oaep-sha512': 'sha512',
} as const

describe('keyrings/pkcs11/token-key', () => {
  const token = useToken()
  const opened: Pkcs11Keyring[] = []

  before(() => {
    token.hsm.initialize()
  })

  afterEach(() => Promise.all(opened.splice(0).map((keyring) => keyring.close())))

  function over(module: Pkcs11Module, changes: Partial<Pkcs11KeyringOptions> = {}): Pkcs11Keyring {
    const rest = without(token.options, 'library')
    const own = { ...rest, module, ...names, keyLabel: 'aes', wrappingAlgorithm: 'aes-gcm', ...changes } as const
    const keyring = new Pkcs11Keyring(own)
    opened.push(keyring)
    return keyring
  }

  /** Unwraps with OAEP in node:crypto, by what the parameters say of the hash, and nothing else. */
  function oaepDouble(): { module: Pkcs11Module; parameters: unknown[] } {
    const js = token.hsm.pkcs11js
    const parameters: unknown[] = []
    let oaepHash: string | undefined
    const module = overridden(token.hsm.admin, (name, args, call) => {
      if (name === 'C_DecryptInit') {
        const { mechanism, parameter } = args[1] as { mechanism: number; parameter: Record<string, number> } // as we made it
        assert.equal(mechanism, js['CKM_RSA_PKCS_OAEP'])
        parameters.push(parameter)
        const hash = (['SHA_1', 'SHA256', 'SHA384', 'SHA512'] as const).find(
          (known) => js[`CKM_${known}`] === parameter['hashAlg'],
        )!
        assert.equal(parameter['mgf'], js[`CKG_MGF1_${hash.replace('_', '')}`])
        oaepHash = hash.replace('_', '').toLowerCase()
        return undefined
      }
      if (name !== 'C_DecryptAsync') return call()
      const [, input, output] = args as [Buffer, Buffer, Buffer] // as we call it
      return new Promise((resolve) => {
        const key = { key: pair.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: oaepHash! }
        const plaintext = privateDecrypt(key, input)
        plaintext.copy(output)
        resolve(output.subarray(0, plaintext.length))
      }).catch(() => Promise.reject(answer('CKR_ENCRYPTED_DATA_INVALID', 64)))
    })
    return { module, parameters }
  }

  for (const [wrappingAlgorithm, hash] of Object.entries(HASHES) as [keyof typeof HASHES, string][]) {
    it(`has ${wrappingAlgorithm} unwrapped with ${hash}, for label and MGF1 too`, async () => {
      const { module, parameters } = oaepDouble()
      const keyring = over(module, { wrappingAlgorithm, keyLabel: 'rsa' })
      const raw = new RawRsaKeyring({ ...names, ...pair, padding: wrappingAlgorithm })
      await assertUnwraps(keyring, await wrapped(keyring))
      await assertUnwraps(keyring, await wrapped(raw))
      const { ciphertext } = await encrypt('text', { keyring: raw, encryptionContext: { a: '1' } })
      assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), 'text')
      const js = token.hsm.pkcs11js
      const mgf = js[`CKG_MGF1_${hash.toUpperCase()}`]
      const hashAlg = js[hash === 'sha1' ? 'CKM_SHA_1' : `CKM_${hash.toUpperCase()}`]
      assert.deepEqual(parameters[0], { type: js['CK_PARAMS_RSA_OAEP'], hashAlg, mgf, source: 1 })
      const others = Object.keys(HASHES).filter((other) => other !== wrappingAlgorithm)
      for (const other of others as (keyof typeof HASHES)[]) {
        const key = await wrapped(new RawRsaKeyring({ ...names, ...pair, padding: other }))
        assert.deepEqual(await attemptsOf(keyring, [key]), [{ key, reason: 'not unwrapped by this private key' }])
      }
    })
  }

  /** Makes IVs itself, and refuses to be given one. */
  function ivDouble(write: (iv: Buffer, own: Buffer) => void): Pkcs11Module {
    let pending: { iv: Buffer; own: Buffer } | undefined
    return overridden(token.hsm.admin, (name, args, call) => {
      if (name === 'C_EncryptInit') {
        const [session, { mechanism, parameter }, key] = args as [
          Buffer,
          { mechanism: number; parameter: { type: number; iv: Buffer } },
          Buffer,
        ] // as we call it
        if (!parameter.iv.equals(Buffer.alloc(12))) throw answer('CKR_MECHANISM_PARAM_INVALID', 113)
        pending = { iv: parameter.iv, own: randomBytes(12) }
        const changed = { ...parameter, iv: pending.own }
        token.hsm.admin.C_EncryptInit(session, { mechanism, parameter: changed }, key)
        return undefined
      }
      if (name !== 'C_EncryptAsync') return call()
      const { iv, own } = pending!
      return (call() as Promise<Buffer>).finally(() => {
        write(iv, own)
      })
    })
  }

  describe('where the token makes the IV', () => {
    it('writes that, and a RawAesKeyring with the same key reads it', async () => {
      const keyring = over(
        ivDouble((iv, own) => own.copy(iv)),
        { tokenGeneratesIv: true },
      )
      const raw = new RawAesKeyring({ ...names, wrappingKey: AES_KEYS.aes })
      const seen = new Set<string>()
      for (let index = 0; index < 10; index++) {
        const key = await wrapped(keyring, { a: '1' })
        await assertUnwraps(raw, key, { a: '1' })
        await assertUnwraps(keyring, key, { a: '1' })
        seen.add(key.keyProviderInfo.toString('hex'))
      }
      assert.equal(seen.size, 10)
      await assertUnwraps(keyring, await wrapped(raw))
    })

    it('wraps nothing under an IV of zeros, which the token did not make', async () => {
      const double = over(
        ivDouble(() => undefined),
        { tokenGeneratesIv: true },
      )
      for (const keyring of [double, over(token.hsm.admin, { tokenGeneratesIv: true })]) {
        assert.match((await wrapErrorOf(keyring)).message, /the token generated no IV$/)
      }
    })

    it('says why where it was not told so', async () => {
      const keyring = over(ivDouble((iv, own) => own.copy(iv)))
      assert.match(
        (await wrapErrorOf(keyring)).message,
        /does not take these parameters .*CKR_MECHANISM_PARAM_INVALID\)$/,
      )
    })
  })

  it('clears the bytes of data keys, wrapped or unwrapped, whatever becomes of them', async () => {
    const seen: Buffer[] = []
    let spoil = false
    const module = overridden(token.hsm.admin, (name, args, call) => {
      if (name === 'C_EncryptAsync') seen.push(args[1] as Buffer) // the data key
      if (name !== 'C_DecryptAsync') return call()
      seen.push(args[2] as Buffer) // room for it
      return (call() as Promise<Buffer>).then((dataKey) => {
        if (!spoil) return dataKey
        throw answer('CKR_FUNCTION_FAILED', 6)
      })
    })
    for (const changes of [
      { keyLabel: 'aes', wrappingAlgorithm: 'aes-gcm' },
      { keyLabel: 'rsa', wrappingAlgorithm: 'pkcs1' },
      { keyLabel: 'rsa', wrappingAlgorithm: 'oaep-sha1' },
    ] as const) {
      spoil = false
      const keyring = over(module, changes)
      const key = await wrapped(keyring)
      await assertUnwraps(keyring, key)
      const shorter = {
        ...(await keyring.onEncrypt(encryptionMaterials({ dataKey: secret(16) }))).encryptedDataKeys[0]!,
      }
      await attemptsOf(keyring, [shorter])
      spoil = true
      await attemptsOf(keyring, [key])
    }
    assert.equal(seen.length >= 10, true)
    for (const bytes of seen) assert.equal(bytes.equals(Buffer.alloc(bytes.length)), true)
  })

  it('takes no ciphertext and no data key of another length from a token', async () => {
    const cut = (method: string, by: number): Pkcs11Module =>
      overridden(token.hsm.admin, (name, _args, call) =>
        name === method ? (call() as Promise<Buffer>).then((bytes) => bytes.subarray(0, bytes.length - by)) : call(),
      )
    const sealing = over(cut('C_EncryptAsync', 1))
    assert.match((await wrapErrorOf(sealing)).message, /the token gave 47 bytes of ciphertext, and not 48$/)
    const key = await wrapped(over(token.hsm.admin))
    const reason = 'not authentic under this key and encryption context'
    assert.deepEqual(await reasonsOf(over(cut('C_DecryptAsync', 1)), key), [reason])
    const rsa = { keyLabel: 'rsa', wrappingAlgorithm: 'oaep-sha1' } as const
    const rsaKey = await wrapped(over(token.hsm.admin, rsa))
    const cutting = over(cut('C_DecryptAsync', 1), rsa)
    assert.deepEqual(await reasonsOf(cutting, rsaKey), ['not unwrapped by this private key'])
  })

  it('says what the token answered where that is not about the data', async () => {
    const module = overridden(token.hsm.admin, (name, _args, call) =>
      name === 'C_DecryptAsync' ? Promise.reject(answer('CKR_VENDOR_DEFINED', 0x80000001)) : call(),
    )
    const key = await wrapped(over(module))
    const [attempt] = await attemptsOf(over(module), [key])
    assert.equal(attempt?.reason, 'the token answered CKR_VENDOR_DEFINED 2147483649')
    assert.equal(attempt.cause instanceof Error, true)
  })

  it('wraps under no public key that the token does not show', async () => {
    const { CKA_MODULUS } = token.hsm.pkcs11js
    const module = overridden(token.hsm.admin, (name, args, call) => {
      const result = call()
      const [, , template] = args as [Buffer, Buffer, { type: number }[]] // as we call it
      const reads = name === 'C_GetAttributeValue' && template.length > 1
      return reads
        ? template.map(({ type }) => ({ type, value: type === CKA_MODULUS ? undefined : Buffer.from([1]) }))
        : result
    })
    const keyring = over(module, { keyLabel: 'rsa', wrappingAlgorithm: 'oaep-sha1' })
    assert.match((await wrapErrorOf(keyring)).message, /the public RSA key can't be read$/)
  })

  it('reports a failure once for each data key, and keeps none for the next', async () => {
    const keyring = over(token.hsm.admin, { keyLabel: 'nope' })
    const key = await wrapped(over(token.hsm.admin))
    const reason = 'there is no AES key labelled "nope" on the token'
    assert.deepEqual(await reasonsOf(keyring, key, key), [reason, reason])
    await assert.rejects(keyring.onDecrypt(decryptionMaterials(), []), { code: 'ERR_ESDK_UNWRAP' })
  })
})
