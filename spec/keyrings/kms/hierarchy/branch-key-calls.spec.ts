// Everything that can go wrong with a call of a branch key store, by a proxy in front of the emulator.
import assert from 'node:assert/strict'
import { WrapError } from 'esdk-streams'
import type { BranchKeyStore, KmsClient } from 'esdk-streams/kms'
import { type Fault, FaultProxy } from '../../../emulators/fault-proxy.ts'
import { assertLeaksNothing } from '../../leaks.ts'
import { clientAt, clientsAt, inEnvironment, unwrapErrorOf } from '../setup.ts'
import { dynamoDbAt, operations, useTable } from './setup.ts'

const READING = ['GetItem', 'Decrypt']
const CREATING = ['GenerateDataKeyWithoutPlaintext', 'ReEncrypt', 'TransactWriteItems']
const VERSIONING = ['GetItem', 'ReEncrypt', 'GenerateDataKeyWithoutPlaintext', 'TransactWriteItems']

const FAULTS: readonly [what: string, fault: Fault, reason: RegExp, requests: number][] = [
  ['access is denied', { error: 'AccessDeniedException', status: 400 }, /: AccessDeniedException: /, 1],
  ['it is not there', { error: 'ResourceNotFoundException', status: 400 }, /: ResourceNotFoundException: /, 1],
  ['it is throttled', { error: 'ThrottlingException', status: 400 }, /: ThrottlingException: /, 2],
  ['it fails inside', { error: 'InternalServerError', status: 500 }, /: InternalServerError: /, 2],
  ['the connection is reset', 'reset', /./, 2],
  ['the answer is no JSON', { text: '<html></html>' }, /the response of (AWS KMS|Amazon DynamoDB) can't be read/, 1],
  ['the answer is empty', { text: '{}' }, /has no item|another key, null|be written/, 1],
]

describe('keyrings/kms/hierarchy/branch-key-calls', () => {
  const shared = useTable()
  let store: BranchKeyStore
  let branchKeyId: string

  before(async () => {
    store = shared.table.store()
    branchKeyId = await store.createKey()
  })

  /** The n-th time (the first is 0) that an operation is asked, it has the fault, and ever after. */
  function failAt(operation: string, fault: Fault, n = 0): void {
    let count = 0
    shared.server.proxy.faults((asked) => (asked.operation === operation && count++ >= n ? fault : undefined))
  }

  for (const [what, fault, reason, requests] of FAULTS) {
    it(`fails with a coded error, having written nothing, where ${what}`, async () => {
      const before = await shared.table.items(branchKeyId)
      for (const operation of READING) {
        failAt(operation, fault)
        const { message } = await unwrapErrorOf(store.getActiveBranchKey(branchKeyId))
        assert.match(message, reason)
        const service = operation === 'Decrypt' ? 'AWS KMS' : 'Amazon DynamoDB'
        if (message.includes("can't be read")) assert.ok(message.includes(service), message)
        assert.equal(operations(shared.server).filter((asked) => asked === operation).length, requests)
        await unwrapErrorOf(store.getBeaconKey(branchKeyId))
      }
      if (reason.source.includes('another key')) return // an empty answer to a write is none of DynamoDB's
      // The pause before every retry of a throttled call is long.
      const few = what === 'it is throttled'
      for (const operation of few ? CREATING.slice(-1) : CREATING) {
        failAt(operation, fault)
        const created = { branchKeyId: `never ${operation}`, encryptionContext: { a: 'b' } }
        await assert.rejects(store.createKey(created), { code: 'ERR_ESDK_WRAP', message: reason })
        assert.deepEqual(await shared.table.items(created.branchKeyId), [])
      }
      for (const operation of few ? VERSIONING.slice(1, 2) : VERSIONING) {
        failAt(operation, fault)
        await assert.rejects(store.versionKey(branchKeyId), { code: 'ERR_ESDK_WRAP', message: reason })
      }
      assert.deepEqual(await shared.table.items(branchKeyId), before)
    })
  }

  it('writes nothing where the second copy or the beacon key fails', async () => {
    const fault: Fault = { error: 'DisabledException', status: 400 }
    const key = { branchKeyId: 'half', encryptionContext: { a: 'b' } }
    failAt('GenerateDataKeyWithoutPlaintext', fault, 1)
    await assert.rejects(store.createKey(key), { code: 'ERR_ESDK_WRAP', message: /DisabledException/ })
    assert.deepEqual(await shared.table.items('half'), [])
    failAt('ReEncrypt', fault, 1)
    const before = await shared.table.items(branchKeyId)
    await assert.rejects(store.versionKey(branchKeyId), { code: 'ERR_ESDK_WRAP', message: /DisabledException/ })
    assert.deepEqual(await shared.table.items(branchKeyId), before)
  })

  it('refuses an answer for another key, of another length, or without ciphertext', async () => {
    const [, other] = shared.server.keys
    const wrong: [operation: string, fault: Fault, reason: RegExp][] = [
      ['Decrypt', (answer) => ({ ...answer, KeyId: other }), /answered for another key/],
      ['Decrypt', (answer) => ({ ...answer, KeyId: undefined }), /answered for another key, null/],
      ['Decrypt', (answer) => ({ ...answer, Plaintext: 'AAAA' }), /other than 32 bytes/],
      ['Decrypt', (answer) => ({ ...answer, Plaintext: Buffer.alloc(33).toString('base64') }), /other than 32 bytes/],
      ['Decrypt', (answer) => ({ ...answer, Plaintext: undefined }), /other than 32 bytes/],
    ]
    for (const [operation, fault, reason] of wrong) {
      failAt(operation, fault)
      assert.match((await unwrapErrorOf(store.getActiveBranchKey(branchKeyId))).message, reason)
      assert.match((await unwrapErrorOf(store.getBeaconKey(branchKeyId))).message, reason)
    }
    const written: [operation: string, n: number, fault: Fault, reason: RegExp][] = [
      ['GenerateDataKeyWithoutPlaintext', 0, (answer) => ({ ...answer, KeyId: other }), /for another key/],
      ['GenerateDataKeyWithoutPlaintext', 0, (answer) => ({ ...answer, CiphertextBlob: '' }), /gave no ciphertext/],
      ['ReEncrypt', 0, (answer) => ({ ...answer, KeyId: other }), /for another key/],
      ['ReEncrypt', 0, (answer) => ({ ...answer, SourceKeyId: other }), /for another key/],
      ['ReEncrypt', 0, (answer) => ({ ...answer, CiphertextBlob: undefined }), /gave no ciphertext/],
    ]
    for (const [operation, n, fault, message] of written) {
      failAt(operation, fault, n)
      await assert.rejects(store.createKey(), { code: 'ERR_ESDK_WRAP', message })
      assert.ok(!operations(shared.server).includes('TransactWriteItems'))
    }
  })

  it('retries what can be retried, without writing twice', async () => {
    let failures = 1
    shared.server.proxy.faults(({ operation }) =>
      operation === 'TransactWriteItems' && failures-- > 0 ? { error: 'InternalServerError', status: 500 } : undefined,
    )
    const created = await store.createKey()
    const tokens = shared.server.proxy.asked
      .filter(({ operation }) => operation === 'TransactWriteItems')
      .map(({ body }) => body['ClientRequestToken'])
    assert.equal(tokens.length, 2)
    assert.equal(tokens[0], tokens[1]) // by which DynamoDB knows that it is the same
    assert.equal((await shared.table.items(created)).length, 3)
  })

  it('passes on a transaction that was cancelled for another reason than its conditions', async () => {
    const error = 'TransactionCanceledException'
    shared.server.proxy.faults(({ operation }) =>
      operation === 'TransactWriteItems' ? { error, status: 400 } : undefined,
    )
    await assert.rejects(store.createKey(), { code: 'ERR_ESDK_WRAP', message: /TransactionCanceledException/ })
    await assert.rejects(store.versionKey(branchKeyId), {
      code: 'ERR_ESDK_WRAP',
      message: /TransactionCanceledException/,
    })
  })

  it('fails where connections are refused', async () => {
    const gone = new FaultProxy('')
    const refusing = await gone.start()
    await gone.stop()
    for (const refused of [{ dynamoDbClient: dynamoDbAt(refusing) }, { clientProvider: clientsAt(refusing) }]) {
      const lost = shared.table.store(refused)
      assert.match((await unwrapErrorOf(lost.getActiveBranchKey(branchKeyId))).message, /ECONNREFUSED/)
      await assert.rejects(lost.createKey(), { code: 'ERR_ESDK_WRAP', message: /ECONNREFUSED/ })
    }
  })

  it('gives up an attempt that is not answered, by its own clients', async () => {
    const { endpoint, proxy } = shared.server
    await inEnvironment({ AWS_ENDPOINT_URL: endpoint, AWS_MAX_ATTEMPTS: '1' }, async () => {
      for (const stalling of READING) {
        proxy.faults(({ operation }) => (operation === stalling ? 'stall' : undefined))
        const own = shared.table.ownStore({ attemptTimeoutMs: 200 })
        const start = performance.now()
        await unwrapErrorOf(own.getActiveBranchKey(branchKeyId))
        assert.ok(performance.now() - start < 3000)
      }
    })
  })

  it('ends when it is aborted, with no further call: in flight, half way through an answer, and before', async () => {
    const { proxy } = shared.server
    const reason = new Error('enough')
    const works: [operations: string[], work: (signal: AbortSignal) => Promise<unknown>][] = [
      [READING, (signal) => store.getActiveBranchKey(branchKeyId, { signal })],
      [READING, (signal) => store.getBranchKeyVersion(branchKeyId, 'any', { signal })],
      [READING, (signal) => store.getBeaconKey(branchKeyId, { signal })],
      [CREATING, (signal) => store.createKey({}, { signal })],
      [VERSIONING, (signal) => store.versionKey(branchKeyId, { signal })],
      [['DescribeTable'], (signal) => store.createKeyStore({ signal })],
    ]
    const before = await shared.table.items(branchKeyId)
    for (const [names, work] of works) {
      for (const stalling of work === works[1]![1] ? ['GetItem'] : names) {
        for (const fault of ['stall', { text: '{"KeyId":', stalls: true }] as const) {
          const controller = new AbortController()
          proxy.faults(({ operation }) => {
            if (operation !== stalling) return undefined
            setTimeout(() => {
              controller.abort(reason)
            }, 20)
            return fault
          })
          await assert.rejects(work(controller.signal), reason)
          assert.equal(operations(shared.server).at(-1), stalling)
        }
      }
      proxy.faults()
      await assert.rejects(work(AbortSignal.abort(reason)), reason)
      assert.equal(proxy.asked.length, 0)
    }
    assert.deepEqual(await shared.table.items(branchKeyId), before)
  })

  it('shows no byte of a branch key in its failures', async () => {
    const { proxy } = shared.server
    const { branchKey } = await store.getActiveBranchKey(branchKeyId)
    const secret = branchKey.export()
    const quoted = secret.toString('base64')
    const faults: Fault[] = [
      (answer) => ({ ...answer, KeyId: 'other' }),
      (answer) => ({ ...answer, Plaintext: Buffer.concat([secret, secret]).toString('base64') }),
      { text: `{"Plaintext":${quoted}}` }, // V8 quotes the text around what it can't read
      { text: `{"Plaintext":"${quoted}" x` },
      { text: `{"Plaintext":"${quoted}` },
    ]
    for (const fault of faults) {
      proxy.faults(({ operation }) => (operation === 'Decrypt' ? fault : undefined))
      const failure = await unwrapErrorOf(store.getActiveBranchKey(branchKeyId))
      assertLeaksNothing(failure, secret)
      assert.ok(!String(failure).includes(quoted.slice(0, 6)), String(failure))
    }
  })

  it('clears the bytes that AWS KMS gave, whatever becomes of them', async () => {
    const real = clientAt(shared.server.endpoint, 'us-east-1')
    const given: Uint8Array[] = []
    const watched: KmsClient = Object.create(real, {
      send: {
        value: async (...call: [never]) => {
          const answer: object = await real.send(...call)
          if ('Plaintext' in answer && answer.Plaintext instanceof Uint8Array) given.push(answer.Plaintext)
          return answer
        },
      },
    }) as KmsClient // the real one but for that
    const watching = shared.table.store({ clientProvider: () => watched })
    const { branchKey } = await watching.getActiveBranchKey(branchKeyId)
    assert.notEqual(branchKey.export().toString('hex'), '00'.repeat(32))
    await watching.getBeaconKey(branchKeyId)
    const wrong: Fault[] = [
      (answer) => ({ ...answer, KeyId: 'other' }),
      (answer) => ({ ...answer, Plaintext: Buffer.alloc(33, 1).toString('base64') }),
    ]
    for (const fault of wrong) {
      failAt('Decrypt', fault)
      await unwrapErrorOf(watching.getActiveBranchKey(branchKeyId))
    }
    assert.equal(given.length, 4)
    for (const bytes of given) assert.ok(bytes.every((byte) => byte === 0))
  })

  it('is a caller’s mistake, and no failure of a key, where what is given is unfit', async () => {
    await assert.rejects(store.getActiveBranchKey(''), TypeError)
    await assert.rejects(store.createKey({ branchKeyId: 'a' }), (error) => !(error instanceof WrapError))
  })
})
