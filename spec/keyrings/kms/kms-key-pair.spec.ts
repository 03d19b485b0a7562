// Everything that can go wrong with the calls of key agreement, by a proxy in front of LocalStack.
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { RawEcdhKeyring, WrapError } from 'esdk-streams'
import type { EncryptedDataKey } from 'esdk-streams/format'
import { KmsEcdhKeyring } from 'esdk-streams/kms'
import type { Asked, Fault } from '../../emulators/fault-proxy.ts'
import { decryptionMaterials, encryptionMaterials, secret } from '../../materials/sample.ts'
import { assertLeaksNothing } from '../leaks.ts'
import { attemptsOf, clientAt, createKey, inEnvironment, publicKeyOf, unwrapErrorOf, useLocalStack } from './setup.ts'

const FAULTS: readonly [what: string, fault: Fault, reason: RegExp][] = [
  ['the key is disabled', { error: 'DisabledException', status: 400 }, /DisabledException: /],
  ['access is denied', { error: 'AccessDeniedException', status: 400 }, /AccessDeniedException: /],
  ['it fails inside', { error: 'KMSInternalException', status: 500 }, /KMSInternalException: /],
  ['the connection is reset', 'reset', /./],
  ['the answer is no JSON', { text: '<html></html>' }, /the response of AWS KMS can't be read/],
  ['the answer is empty', { text: '{}' }, /AWS KMS (answered for another key, null|gave no shared secret)/],
]

const CALLS = ['GetPublicKey', 'DeriveSharedSecret'] as const
const PAIR = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'KEY_AGREEMENT' } as const
/** SubjectPublicKeyInfo of the point at infinity of P-256, which crashes older versions of Node where it is exported. */
const POINT_AT_INFINITY = Buffer.from('3019301306072a8648ce3d020106082a8648ce3d03010703020000', 'hex')

describe('keyrings/kms/kms-key-pair', () => {
  const kms = useLocalStack()
  const raw = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  let keyId: string
  /** Sent to the key of AWS KMS by the raw one. */
  let key: EncryptedDataKey

  before(async () => {
    keyId = await createKey(kms.server.behind, 'us-east-1', PAIR)
    key = await sentTo(keyId)
  })

  async function sentTo(recipient: string): Promise<EncryptedDataKey> {
    const keyring = new RawEcdhKeyring({
      ...{ curve: 'P-256', schema: 'static', senderPrivateKey: raw.privateKey },
      recipientPublicKey: await publicKeyOf(kms.server.behind, recipient),
    })
    const { encryptedDataKeys } = await keyring.onEncrypt(encryptionMaterials({ dataKey: secret() }))
    return encryptedDataKeys[0]!
  }

  function sending(changes: object = {}): KmsEcdhKeyring {
    const { clientProvider } = kms.server
    const options = { curve: 'P-256', schema: 'static', senderKeyId: keyId, recipientPublicKey: raw.publicKey } as const
    return new KmsEcdhKeyring({ ...options, clientProvider, ...changes })
  }

  function reading(changes: object = {}): KmsEcdhKeyring {
    const { clientProvider } = kms.server
    return new KmsEcdhKeyring({
      curve: 'P-256',
      schema: 'discovery',
      recipientKeyId: keyId,
      clientProvider,
      ...changes,
    })
  }

  function faultOf(operation: string, fault: Fault): void {
    kms.server.proxy.faults((asked) => (asked.operation === operation ? fault : undefined))
  }

  for (const [what, fault, reason] of FAULTS) {
    for (const operation of CALLS) {
      it(`fails to wrap and to unwrap where ${operation} finds that ${what}, and works afterwards`, async () => {
        const keyrings = { sending: sending(), reading: reading() }
        faultOf(operation, fault)
        await assert.rejects(keyrings.sending.onEncrypt(encryptionMaterials()), (error) => {
          assert.ok(error instanceof WrapError)
          assert.ok(error.message.startsWith(`AWS KMS key ${keyId} could not wrap the data key: `))
          assert.match(error.message, reason)
          assert.ok(error.cause instanceof Error)
          return true
        })
        for (const keyring of Object.values(keyrings)) {
          const attempts = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), [key]))
          assert.equal(attempts.length, 1)
          assert.match(attempts[0]!.reason, /^no shared secret was obtained: /)
          assert.match(attempts[0]!.reason, reason)
          assert.ok(attempts[0]!.cause instanceof Error)
        }
        kms.server.proxy.faults()
        for (const keyring of Object.values(keyrings)) {
          assert.equal((await keyring.onDecrypt(decryptionMaterials(), [key])).dataKey!.equals(secret()), true)
        }
      })
    }
  }

  it('goes on to the next data key where a call fails', async () => {
    let calls = 0
    kms.server.proxy.faults(({ operation }) =>
      operation === 'DeriveSharedSecret' && calls++ === 0 ? { error: 'NotFoundException', status: 400 } : undefined,
    )
    const { dataKey } = await reading().onDecrypt(decryptionMaterials(), [key, key])
    assert.equal(dataKey!.equals(secret()), true)
  })

  it('does not ask for its public key again with each data key', async () => {
    const { proxy } = kms.server
    const keyring = reading()
    for (let calls = 0; calls < 2; calls++) {
      faultOf('GetPublicKey', { error: 'AccessDeniedException', status: 400 })
      const attempts = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), [key, key, key]))
      assert.equal(attempts.length, 3)
      for (const { reason } of attempts) assert.match(reason, /AccessDeniedException/)
      assert.equal(proxy.asked.length, 1)
    }
  })

  it('takes no secret of another key, by another algorithm, or of another length', async () => {
    const changes: readonly [(answer: Record<string, unknown>) => Record<string, unknown>, RegExp][] = [
      [(answer) => ({ ...answer, KeyId: `${keyId}0` }), /AWS KMS answered for another key, "arn:aws:kms:/],
      [(answer) => without(answer, 'KeyId'), /AWS KMS answered for another key, null/],
      [(answer) => ({ ...answer, KeyId: keyId.split('/')[1] }), /AWS KMS answered for another key/],
      [(answer) => ({ ...answer, KeyAgreementAlgorithm: 'XDH' }), /AWS KMS agreed by "XDH"/],
      [(answer) => without(answer, 'KeyAgreementAlgorithm'), /AWS KMS agreed by null/],
      [(answer) => without(answer, 'SharedSecret'), /AWS KMS gave no shared secret/],
      [(answer) => ({ ...answer, SharedSecret: '' }), /a shared secret of P-256 has 32 bytes, got 0/],
      [
        (answer) => ({ ...answer, SharedSecret: Buffer.alloc(31, 7).toString('base64') }),
        /a shared secret of P-256 has 32 bytes, got 31/,
      ],
      [
        (answer) => ({ ...answer, SharedSecret: Buffer.alloc(64, 7).toString('base64') }),
        /a shared secret of P-256 has 32 bytes, got 64/,
      ],
    ]
    for (const [change, reason] of changes) {
      faultOf('DeriveSharedSecret', change)
      await assert.rejects(sending().onEncrypt(encryptionMaterials()), (error) => {
        assert.ok(error instanceof WrapError)
        assert.match(error.message, reason)
        return true
      })
      const [attempt] = await attemptsOf(reading().onDecrypt(decryptionMaterials(), [key]))
      assert.match(attempt!.reason, reason)
    }
    faultOf('DeriveSharedSecret', (answer) => ({ ...answer, SharedSecret: Buffer.alloc(32, 7).toString('base64') }))
    const [attempt] = await attemptsOf(reading().onDecrypt(decryptionMaterials(), [key]))
    assert.equal(attempt!.reason, 'not authentic under this shared secret and encryption context')
  })

  it('takes no public key of another key, of another use or on another curve', async () => {
    const { behind } = kms.server
    const other = await publicKeyOf(behind, await createKey(behind, 'us-east-1', { ...PAIR, KeySpec: 'ECC_NIST_P384' }))
    const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
    const changes: readonly [(answer: Record<string, unknown>) => Record<string, unknown>, RegExp][] = [
      [(answer) => ({ ...answer, KeyId: `${keyId}0` }), /AWS KMS answered for another key/],
      [(answer) => ({ ...answer, KeyUsage: 'SIGN_VERIFY' }), /is a key for SIGN_VERIFY, not KEY_AGREEMENT/],
      [(answer) => without(answer, 'KeyUsage'), /is a key for nothing, not KEY_AGREEMENT/],
      [(answer) => ({ ...answer, KeySpec: 'ECC_NIST_P384' }), /is a key of ECC_NIST_P384, not on P-256/],
      [(answer) => without(answer, 'KeySpec'), /is a key of no kind, not on P-256/],
      [(answer) => without(answer, 'PublicKey'), /AWS KMS gave no public key/],
      [
        (answer) => ({ ...answer, PublicKey: base64(other.export({ format: 'der', type: 'spki' })) }),
        /"PublicKey" expected a public key on P-256/,
      ],
      [(answer) => ({ ...answer, PublicKey: 'AAAA' }), /"PublicKey" expected a public key on P-256/],
      [(answer) => ({ ...answer, PublicKey: base64(POINT_AT_INFINITY) }), /"PublicKey" expected a public key on P-256/],
    ]
    for (const [change, reason] of changes) {
      faultOf('GetPublicKey', change)
      await assert.rejects(sending().onEncrypt(encryptionMaterials()), (error) => {
        assert.ok(error instanceof WrapError)
        assert.match(error.message, reason)
        return true
      })
      const [attempt] = await attemptsOf(reading().onDecrypt(decryptionMaterials(), [key]))
      assert.match(attempt!.reason, reason)
      assert.equal(
        kms.server.proxy.asked.every(({ operation }) => operation === 'GetPublicKey'),
        true,
      )
    }
  })

  it('says what is wrong with a key of AWS KMS of another use, on another curve, gone or in another region', async () => {
    const { behind, endpoint } = kms.server
    const west = clientAt(endpoint, 'us-west-1')
    const cases: readonly [object, RegExp][] = [
      [{ senderKeyId: await createKey(behind, 'us-east-1', { ...PAIR, KeyUsage: 'SIGN_VERIFY' }) }, /SIGN_VERIFY/],
      [{ senderKeyId: await createKey(behind, 'us-east-1', { ...PAIR, KeySpec: 'ECC_NIST_P521' }) }, /ECC_NIST_P521/],
      [{ senderKeyId: `${keyId.slice(0, -12)}000000000000` }, /NotFoundException/],
      [{ clientProvider: () => west }, /NotFoundException/],
      [{ clientProvider: () => false }, /there is no client for the region us-east-1/],
    ]
    for (const [changes, reason] of cases) {
      await assert.rejects(sending(changes).onEncrypt(encryptionMaterials()), (error) => {
        assert.ok(error instanceof WrapError)
        assert.match(error.message, reason)
        return true
      })
    }
  })

  it('clears every secret that AWS KMS gave, whatever becomes of it', async () => {
    const seen: Uint8Array[] = []
    const client = clientAt(kms.server.endpoint, 'us-east-1')
    client.middlewareStack.add((next) => async (args) => {
      const result = await next(args)
      if ('SharedSecret' in result.output) seen.push(result.output.SharedSecret as Uint8Array) // as the AWS SDK gives it
      return result
    })
    const clientProvider = (): typeof client => client
    await sending({ clientProvider }).onEncrypt(encryptionMaterials())
    await reading({ clientProvider }).onDecrypt(decryptionMaterials(), [key])
    const elsewhere = decryptionMaterials({ encryptionContext: { a: 'b' } })
    await attemptsOf(reading({ clientProvider }).onDecrypt(elsewhere, [key]))
    for (const change of [{ KeyId: 'another' }, { KeyAgreementAlgorithm: 'XDH' }]) {
      faultOf('DeriveSharedSecret', (answer) => ({ ...answer, ...change }))
      await attemptsOf(reading({ clientProvider }).onDecrypt(decryptionMaterials(), [key]))
    }
    assert.equal(seen.length, 5)
    for (const bytes of seen) assert.equal(Buffer.from(bytes).toString('hex'), '00'.repeat(32))
  })

  it('shows no byte of a secret in its failures', async () => {
    const shared = Buffer.from('0123456789abcdef0123456789abcdef')
    const quoted = shared.toString('base64')
    // V8 quotes the text around what it can't read.
    for (const text of [
      `{"SharedSecret":${quoted}}`,
      `{"SharedSecret":"${quoted}" x`,
      `{"SharedSecret":"${quoted}"}`,
    ]) {
      faultOf('DeriveSharedSecret', { text })
      for (const failure of [
        await unwrapErrorOf(reading().onDecrypt(decryptionMaterials(), [key])),
        await sending()
          .onEncrypt(encryptionMaterials())
          .catch((error: unknown) => error),
      ]) {
        assertLeaksNothing(failure, shared)
        assert.equal(String(failure).includes(quoted.slice(0, 6)), false)
      }
    }
  })

  describe('where it is aborted', () => {
    const reason = new Error('enough')

    function abortSoon(controller: AbortController): void {
      void setTimeout(30).then(() => {
        controller.abort(reason)
      })
    }

    it('ends with no further call: before, in flight, and half way through an answer', async () => {
      const { proxy } = kms.server
      for (const operation of CALLS) {
        for (const fault of ['stall', { text: '{"KeyId":', stalls: true }] as const) {
          for (const run of [
            (signal: AbortSignal) => sending().onEncrypt(encryptionMaterials(), { signal }),
            (signal: AbortSignal) => reading().onDecrypt(decryptionMaterials(), [key, key], { signal }),
          ]) {
            const controller = new AbortController()
            proxy.faults((asked: Asked) => {
              if (asked.operation !== operation) return undefined
              abortSoon(controller)
              return fault
            })
            await assert.rejects(run(controller.signal), reason)
            assert.equal(proxy.asked.length, CALLS.indexOf(operation) + 1)
          }
        }
      }
      proxy.faults()
      const signal = AbortSignal.abort(reason)
      let clients = 0
      const clientProvider = (): false => ++clients < 0 && false
      for (const known of [{}, { senderPublicKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey }]) {
        const keyring = sending({ clientProvider, ...known })
        await assert.rejects(keyring.onEncrypt(encryptionMaterials(), { signal }), reason)
      }
      await assert.rejects(reading({ clientProvider }).onDecrypt(decryptionMaterials(), [key], { signal }), reason)
      assert.equal(clients, 0)
      assert.equal(proxy.asked.length, 0)
    })

    it('gives up the request for its public key, which nobody waits for any more', async () => {
      const { proxy } = kms.server
      const controller = new AbortController()
      proxy.faults(() => {
        controller.abort(reason)
        return { error: 'KMSInternalException', status: 500 } // it would be tried again
      })
      await assert.rejects(sending().onEncrypt(encryptionMaterials(), { signal: controller.signal }), reason)
      await setTimeout(500)
      assert.equal(proxy.asked.length, 1)
    })

    it('does not take the public key from others who wait for it', async () => {
      const { proxy } = kms.server
      const keyring = reading()
      let release: () => void = () => undefined
      const controller = new AbortController()
      proxy.faults(({ operation }) => {
        if (operation === 'GetPublicKey') release()
        return undefined
      })
      const asked = new Promise<void>((resolve) => (release = resolve))
      const { signal } = controller
      const impatient = keyring.onDecrypt(decryptionMaterials(), [key], { signal })
      const patient = keyring.onDecrypt(decryptionMaterials(), [key])
      const rejected = assert.rejects(impatient, reason)
      await asked
      controller.abort(reason)
      await rejected
      assert.equal((await patient).dataKey!.equals(secret()), true)
      assert.equal(proxy.asked.filter(({ operation }) => operation === 'GetPublicKey').length, 1)
    })

    it('asks for the public key anew', async () => {
      const { proxy } = kms.server
      const keyring = sending()
      const controller = new AbortController()
      proxy.faults(() => {
        abortSoon(controller)
        return 'stall'
      })
      await assert.rejects(keyring.onEncrypt(encryptionMaterials(), { signal: controller.signal }), reason)
      proxy.faults()
      await keyring.onEncrypt(encryptionMaterials())
      assert.deepEqual(
        proxy.asked.map(({ operation }) => operation),
        [...CALLS],
      )
    })
  })

  it('makes clients of its own, that give an attempt so much time', async () => {
    const { endpoint, proxy } = kms.server
    await inEnvironment({ AWS_ENDPOINT_URL: endpoint, AWS_MAX_ATTEMPTS: '1' }, async () => {
      const keyring = new KmsEcdhKeyring({
        ...{ curve: 'P-256', schema: 'discovery', recipientKeyId: keyId },
        attemptTimeoutMs: 200,
      })
      faultOf('DeriveSharedSecret', 'stall')
      const [attempt] = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), [key]))
      assert.match(attempt!.reason, /TimeoutError/)
      assert.match(proxy.asked[0]!.userAgent, /esdk-streams/)
    })
  })
})

function without(answer: Readonly<Record<string, unknown>>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(answer).filter(([member]) => member !== name))
}
