// Everything that can go wrong with a call, by a proxy in front of the emulator.
import assert from 'node:assert/strict'
import { UnwrapError, WrapError, decrypt, encrypt } from 'esdk-streams'
import { KmsDiscoveryKeyring, KmsKeyring } from 'esdk-streams/kms'
import { type Fault, FaultProxy } from '../../emulators/fault-proxy.ts'
import { decryptionMaterials, encryptionMaterials } from '../../materials/sample.ts'
import { assertLeaksNothing } from '../leaks.ts'
import { attemptsOf, clientAt, clientsAt, inEnvironment, unwrapErrorOf, useKmsServer } from './setup.ts'

const FAULTS: readonly [what: string, fault: Fault, reason: RegExp, requests: number][] = [
  ['the key is disabled', { error: 'DisabledException', status: 400 }, /^DisabledException: /, 1],
  ['access is denied', { error: 'AccessDeniedException', status: 400 }, /^AccessDeniedException: /, 1],
  ['the key is gone', { error: 'NotFoundException', status: 400 }, /^NotFoundException: /, 1],
  ['it is another key’s', { error: 'IncorrectKeyException', status: 400 }, /^IncorrectKeyException: /, 1],
  ['it is throttled', { error: 'ThrottlingException', status: 400 }, /^ThrottlingException: /, 2],
  ['it fails inside', { error: 'KMSInternalException', status: 500 }, /^KMSInternalException: /, 2],
  ['it is down', { error: 'ServiceUnavailable', status: 503 }, /^ServiceUnavailable: /, 2],
  ['the connection is reset', 'reset', /./, 2],
  ['the answer is no JSON', { text: '<html></html>' }, /can't be read/, 1],
  ['the answer is empty', { text: '' }, /answered for another key, null/, 1],
]

describe('keyrings/kms/kms-calls', () => {
  const kms = useKmsServer()

  // It takes three attempts of five seconds, so it is begun before all other specs and looked at after them.
  let patient: Promise<readonly [plaintext: string, ms: number]>
  const silent: { proxy?: FaultProxy } = {}

  before(async () => {
    const { keys, behind } = kms.server
    const proxy = new FaultProxy(behind)
    silent.proxy = proxy
    const endpoint = await proxy.start()
    const keyring = new KmsKeyring({ generatorKeyId: keys[0]!, keyIds: keys.slice(1) })
    // By this its clients have read the environment, too.
    const { ciphertext } = await inEnvironment({ AWS_ENDPOINT_URL: endpoint }, () => encrypt('text', { keyring }))
    proxy.faults(({ region }) => (region === 'us-east-1' ? 'stall' : undefined))
    const start = performance.now()
    patient = decrypt(ciphertext, { keyring }).then(
      ({ plaintext }) => [plaintext.toString(), performance.now() - start] as const,
    )
    patient.catch(() => undefined) // the spec hears of it
  })

  after(() => silent.proxy?.stop())

  function strict(...keys: readonly string[]): KmsKeyring {
    return new KmsKeyring({
      generatorKeyId: keys[0]!,
      keyIds: keys.slice(1),
      clientProvider: kms.server.clientProvider,
    })
  }

  for (const [what, fault, reason, requests] of FAULTS) {
    it(`falls through to the next region on decryption, and fails encryption, where ${what}`, async () => {
      const { keys, proxy, clientProvider } = kms.server
      const { ciphertext } = await encrypt('text', { keyring: strict(...keys) })
      for (const keyring of [strict(...keys), new KmsDiscoveryKeyring({ clientProvider })]) {
        proxy.faults(({ region }) => (region === 'us-east-1' ? fault : undefined))
        assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), 'text')
        const asked = proxy.asked.map(({ region }) => region)
        assert.deepEqual(asked, [...Array<string>(requests).fill('us-east-1'), 'us-west-1'])
      }
      await assert.rejects(encrypt('text', { keyring: strict(keys[1]!, keys[0]!) }), WrapError)
      await assert.rejects(encrypt('text', { keyring: strict(keys[0]!) }), WrapError)
      const [attempt] = await attemptsOf(decrypt(ciphertext, { keyring: strict(keys[0]!) }))
      assert.match(attempt!.reason, reason)
    })
  }

  it('falls through where connections are refused', async () => {
    const { keys, endpoint } = kms.server
    const { ciphertext } = await encrypt('text', { keyring: strict(...keys) })
    const gone = new FaultProxy('')
    const refusing = await gone.start()
    await gone.stop()
    const clientProvider = clientsAt((region) => (region === 'us-west-2' ? endpoint : refusing))
    const keyring = new KmsKeyring({ keyIds: keys, clientProvider })
    assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), 'text')
    const [attempt] = await attemptsOf(
      decrypt(ciphertext, { keyring: new KmsKeyring({ keyIds: [keys[0]!], clientProvider }) }),
    )
    assert.match(attempt!.reason, /ECONNREFUSED/)
  })

  it('retries as the AWS SDK does: three attempts, unless the environment says otherwise', async () => {
    const { keys, proxy, endpoint } = kms.server
    const { encryptedDataKeys } = await strict(keys[0]!).onEncrypt(encryptionMaterials())
    for (const [settings, attempts] of [
      [{}, 3],
      [{ AWS_MAX_ATTEMPTS: '1' }, 1],
    ] as const) {
      proxy.faults(() => ({ error: 'KMSInternalException', status: 500 }))
      await inEnvironment({ AWS_ENDPOINT_URL: endpoint, ...settings }, async () => {
        await unwrapErrorOf(new KmsKeyring({ keyIds: [keys[0]!] }).onDecrypt(decryptionMaterials(), encryptedDataKeys))
      })
      assert.equal(proxy.asked.length, attempts)
    }
  })

  it('gives up an answer that stops half way, and asks the next region', async () => {
    const { keys, proxy, endpoint } = kms.server
    const { ciphertext } = await encrypt('text', { keyring: strict(...keys) })
    proxy.faults(({ region }) => (region === 'us-east-1' ? { text: '{"KeyId":', stalls: true } : undefined))
    const start = performance.now()
    await inEnvironment({ AWS_ENDPOINT_URL: endpoint }, async () => {
      const keyring = new KmsKeyring({ keyIds: keys, attemptTimeoutMs: 300 })
      assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), 'text')
    })
    assert.ok(performance.now() - start < 5000)
  })

  it('ends when it is aborted, with no further call: in flight, half way through an answer, and before', async () => {
    const { keys, proxy } = kms.server
    const { encryptedDataKeys } = await strict(...keys).onEncrypt(encryptionMaterials())
    const reason = new Error('enough')
    for (const fault of ['stall', { text: '{"KeyId":', stalls: true }] as const) {
      for (const keyring of [strict(...keys), new KmsDiscoveryKeyring({ clientProvider: kms.server.clientProvider })]) {
        const controller = new AbortController()
        proxy.faults(() => {
          setTimeout(() => {
            controller.abort(reason)
          }, 50)
          return fault
        })
        const { signal } = controller
        await assert.rejects(keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys, { signal }), reason)
        assert.equal(proxy.asked.length, 1)
      }
      const controller = new AbortController()
      proxy.faults(() => {
        setTimeout(() => {
          controller.abort(reason)
        }, 50)
        return fault
      })
      await assert.rejects(strict(...keys).onEncrypt(encryptionMaterials(), { signal: controller.signal }), reason)
      assert.equal(proxy.asked.length, 1)
    }
    proxy.faults()
    const signal = AbortSignal.abort(reason)
    await assert.rejects(strict(...keys).onDecrypt(decryptionMaterials(), encryptedDataKeys, { signal }), reason)
    await assert.rejects(strict(...keys).onEncrypt(encryptionMaterials(), { signal }), reason)
    let clients = 0
    const late = new KmsDiscoveryKeyring({ clientProvider: () => ++clients < 0 && clientAt('', '') })
    await assert.rejects(late.onDecrypt(decryptionMaterials(), encryptedDataKeys, { signal }), reason)
    assert.equal(clients, 0)
    assert.equal(proxy.asked.length, 0)
  })

  it('shows no byte of a data key of an answer that it can’t read', async () => {
    const { keys, proxy } = kms.server
    const secret = Buffer.from('0123456789abcdef0123456789abcdef')
    const { encryptedDataKeys } = await strict(keys[0]!).onEncrypt(encryptionMaterials())
    const quoted = secret.toString('base64')
    // V8 quotes the text around what it can't read.
    for (const text of [`{"Plaintext":${quoted}}`, `{"Plaintext":"${quoted}" x`, `{"Plaintext":"${quoted}`]) {
      proxy.faults(() => ({ text }))
      const failures: unknown[] = [
        await unwrapErrorOf(strict(keys[0]!).onDecrypt(decryptionMaterials(), encryptedDataKeys)),
        await strict(keys[0]!)
          .onEncrypt(encryptionMaterials())
          .catch((error: unknown) => error),
      ]
      assert.ok(failures[0] instanceof UnwrapError && failures[1] instanceof WrapError)
      for (const failure of failures) {
        assertLeaksNothing(failure, secret)
        assert.ok(!String(failure).includes(quoted.slice(0, 6)), String(failure))
        assert.match(String(failure), /the response of AWS KMS can't be read \(SyntaxError\)/)
      }
    }
  })

  it('counts a provider that throws as a failed attempt, and goes on', async () => {
    const { keys, clientProvider } = kms.server
    const { ciphertext } = await encrypt('text', { keyring: strict(...keys) })
    const keyring = new KmsDiscoveryKeyring({
      clientProvider: (region) => {
        if (region === 'us-east-1') throw new Error('no such region')
        return clientProvider(region)
      },
    })
    assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), 'text')
  })

  it('fails where a client of another region is asked, as AWS KMS does', async () => {
    const { keys, endpoint } = kms.server
    const west = clientAt(endpoint, 'us-west-1')
    const { encryptedDataKeys } = await strict(keys[0]!).onEncrypt(encryptionMaterials())
    const keyring = new KmsKeyring({ keyIds: [keys[0]!], clientProvider: () => west })
    const [attempt] = await attemptsOf(keyring.onDecrypt(decryptionMaterials(), encryptedDataKeys))
    assert.match(attempt!.reason, /^(NotFound|AccessDenied)Exception: /)
  })

  it('falls through within 20 s where a region accepts and never answers, with the timeouts of our own clients', async () => {
    const [plaintext, ms] = await patient
    assert.equal(plaintext, 'text')
    assert.ok(ms > 14_000 && ms < 20_000, `${ms} ms`)
  })
})
