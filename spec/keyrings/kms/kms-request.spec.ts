import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { inspect } from 'node:util'
import { type KmsTrace, decrypt, encrypt } from 'esdk-streams'
import { KmsDiscoveryKeyring, KmsKeyring, KmsMasterKeyProvider } from 'esdk-streams/kms'
import { heard, linesOf } from '../../materials/listening.ts'
import { useKmsServer } from './setup.ts'

const lib = resolve(import.meta.dirname, '../../../lib')

describe('keyrings/kms/kms-request', () => {
  const kms = useKmsServer()

  it('tells of each call of every keyring and of the master keys: key, region, request, attempts', async () => {
    const { keys, clientProvider } = kms.server
    const provider = new KmsMasterKeyProvider({ clientProvider })
    for (const key of keys.slice(0, 2)) provider.addMasterKey(key)
    const { events } = await heard<KmsTrace>(['kms'], async () => {
      const keyring = new KmsKeyring({ generatorKeyId: keys[0]!, keyIds: [keys[1]!], clientProvider })
      const { ciphertext } = await encrypt('text', { keyring })
      await decrypt(ciphertext, { keyring: new KmsDiscoveryKeyring({ clientProvider }) })
      await encrypt('text', { keyProvider: provider })
    })
    const ends = events.filter(({ event }) => event === 'asyncEnd').map(({ context }) => context)
    assert.deepEqual(
      ends.map(({ operation, keyId, region }) => [operation, keyId, region]),
      [
        ['GenerateDataKey', keys[0], 'us-east-1'],
        ['Encrypt', keys[1], 'us-west-1'],
        ['Decrypt', keys[0], 'us-east-1'],
        ['GenerateDataKey', keys[0], 'us-east-1'],
        ['Encrypt', keys[1], 'us-west-1'],
      ],
    )
    for (const context of ends) assert.deepEqual([context.attempts, context.httpStatusCode], [1, 200])
    assert.deepEqual(
      linesOf(events).slice(0, 4),
      ['start', 'end', 'asyncStart', 'asyncEnd'].map((event) => `GenerateDataKey:${event}`),
    )
    assert.doesNotMatch(inspect(events, { depth: Infinity }), /Plaintext|Blob|Buffer|Uint8Array/)
  })

  it('tells why a call failed, and the region of a client where the key does not name one', async () => {
    const { clientProvider } = kms.server
    const { events, failure } = await heard<KmsTrace>(['kms'], () =>
      encrypt('text', { keyring: new KmsKeyring({ generatorKeyId: 'alias/nothing', clientProvider }) }),
    )
    assert.equal((failure as { code?: string }).code, 'ERR_ESDK_WRAP')
    assert.deepEqual(
      events.map(({ event }) => event),
      ['start', 'end', 'error', 'asyncStart', 'asyncEnd'],
    )
    const { context } = events.at(-1)!
    assert.deepEqual([context.keyId, context.region], ['alias/nothing', 'us-east-1'])
    assert.equal((context.error as Error).name, 'NotFoundException')
    assert.equal(context.httpStatusCode, 400)
  })

  it('shows of an answer that cannot be read only that, since a data key may be in it', async () => {
    const secret = 'c2VjcmV0LWRhdGEta2V5'
    const unreadable = Object.assign(new SyntaxError(`Unexpected end: {"Plaintext":"${secret}`), {
      $response: { body: secret },
    })
    const client = {
      send: () => Promise.reject(unreadable),
      config: { region: () => Promise.reject(new Error('none is set')) },
      middlewareStack: { add: () => undefined },
    } as unknown as ReturnType<typeof kms.server.clientProvider>
    const keyring = new KmsKeyring({ generatorKeyId: 'alias/any', clientProvider: () => client })
    const { events } = await heard<KmsTrace>(['kms'], () => encrypt('text', { keyring }))
    assert.equal(events.at(-1)!.context.region, undefined)
    const shown = inspect(events, { depth: Infinity, showHidden: true })
    assert.match(shown, /can't be read \(SyntaxError\)/)
    assert.ok(!shown.includes(secret))
  })

  it('is where every call of AWS KMS and every request to Amazon S3 goes through', () => {
    for (const [folder, through, others] of [
      ['keyrings/kms', 'callKms(', ['branch-key-table.ts']],
      ['adapters/s3', 'callS3(', []],
    ] as const) {
      const files = readdirSync(resolve(lib, folder), { recursive: true, encoding: 'utf8' })
      let sends = 0
      for (const file of files.filter(
        (name) => name.endsWith('.ts') && !others.some((other) => name.endsWith(other)),
      )) {
        const code = readFileSync(resolve(lib, folder, file), 'utf8')
        const [sent, told] = [/\bclient\.send\(/g, new RegExp(`\\b${through.replace('(', '\\(')}`, 'g')].map(
          (pattern) => code.match(pattern)?.length ?? 0,
        )
        assert.equal(told, sent, file)
        sends += sent!
      }
      assert.ok(sends > 5, folder)
    }
  })
})
