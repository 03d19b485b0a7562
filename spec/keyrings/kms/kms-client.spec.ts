import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { KMSClient, ListKeysCommand } from '@aws-sdk/client-kms'
import { encrypt } from 'esdk-streams'
import {
  type KmsClientProvider,
  KmsKeyring,
  cacheClients,
  excludeRegions,
  kmsClientProvider,
  limitRegions,
} from 'esdk-streams/kms'
import { clientAt, inEnvironment, useKmsServer } from './setup.ts'

function clientOf(provider: KmsClientProvider, region?: string): KMSClient {
  const client = provider(region)
  assert.ok(client instanceof KMSClient)
  return client
}

/** Counts what a provider makes. */
function counting(make: (region: string | undefined) => KMSClient): { made: string[]; provider: KmsClientProvider } {
  const made: string[] = []
  const provider: KmsClientProvider = (region) => {
    made.push(String(region))
    return make(region)
  }
  return { made, provider }
}

describe('keyrings/kms/kms-client', () => {
  const kms = useKmsServer()

  it('finds endpoint, credentials and region in the environment, and says who asks', async () => {
    const { endpoint, keys, proxy } = kms.server
    await inEnvironment({ AWS_ENDPOINT_URL: endpoint, AWS_REGION: 'us-west-2' }, async () => {
      await encrypt('text', { keyring: new KmsKeyring({ generatorKeyId: keys[1]! }) })
      await encrypt('text', { keyring: new KmsKeyring({ generatorKeyId: 'alias/exampleKey' }) })
    })
    assert.deepEqual(
      proxy.asked.map(({ region, body }) => [region, body['KeyId']]),
      [
        ['us-west-1', keys[1]],
        ['us-west-2', 'alias/exampleKey'],
      ],
    )
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
      version: string
    } // our own file
    for (const { userAgent } of proxy.asked) assert.ok(userAgent.includes(`esdk-streams/${version}`), userAgent)
  })

  it('keeps one client a region, which connects within two seconds and gives an attempt five', async () => {
    const provider = kmsClientProvider()
    const client = clientOf(provider, 'eu-west-1')
    assert.equal(clientOf(provider, 'eu-west-1'), client)
    assert.notEqual(clientOf(provider, 'eu-west-2'), client)
    assert.equal(await client.config.region(), 'eu-west-1')
    assert.deepEqual(await timeoutsOf(client), [2000, 5000, 5000, true])
    const hurried = clientOf(kmsClientProvider({ attemptTimeoutMs: 700 }), 'eu-west-1')
    assert.deepEqual(await timeoutsOf(hurried), [2000, 700, 700, true])
    assert.equal(await client.config.maxAttempts(), await new KMSClient({ region: 'eu-west-1' }).config.maxAttempts())
    for (const attemptTimeoutMs of [0, -1, 1.5, NaN, Infinity]) {
      assert.throws(() => kmsClientProvider({ attemptTimeoutMs }), RangeError)
    }
  })

  it('keeps clients that were answered for good, be it with an error, and few of those that were not', async () => {
    const { endpoint, proxy } = kms.server
    const { made, provider } = counting((region = 'none') => clientAt(endpoint, region))
    const cached = cacheClients(provider)
    await clientOf(cached, 'eu-west-1').send(new ListKeysCommand())
    proxy.faults(({ region }) => (region === 'refused' ? { error: 'AccessDeniedException', status: 400 } : 'reset'))
    await assert.rejects(clientOf(cached, 'refused').send(new ListKeysCommand()), { name: 'AccessDeniedException' })
    await assert.rejects(clientOf(cached, 'lost').send(new ListKeysCommand()))
    for (let n = 0; n < 100; n++) clientOf(cached, `invented-${n}`)
    for (const region of ['eu-west-1', 'refused', 'invented-84', 'invented-99']) clientOf(cached, region)
    assert.equal(made.length, 103)
    clientOf(cached, 'lost')
    clientOf(cached, 'invented-83')
    assert.deepEqual(made.slice(103), ['lost', 'invented-83'])
  })

  it('asks again for a region that it was given no client for', () => {
    let calls = 0
    const cached = cacheClients(() => (calls++ === 0 ? undefined : calls > 2 && clientAt('http://127.0.0.1', 'r')))
    assert.equal(cached('r'), false)
    assert.equal(cached('r'), false)
    assert.equal(cached('r'), cached('r'))
    assert.equal(calls, 3)
  })

  it('limits to regions, and excludes regions', () => {
    const { made, provider } = counting((region = 'none') => clientAt('http://127.0.0.1', region))
    const limited = limitRegions(['a', 'b'], provider)
    for (const region of ['c', '', undefined]) assert.equal(limited(region), false)
    const others = excludeRegions(['a', 'b'], provider)
    for (const region of ['a', 'b']) assert.equal(others(region), false)
    assert.deepEqual(made, [])
    for (const region of ['a', 'b']) clientOf(limited, region)
    for (const region of ['c', undefined]) clientOf(others, region)
    assert.deepEqual(made, ['a', 'b', 'c', 'undefined'])
    for (const regions of [[], [''], 'a', [5]]) {
      assert.throws(() => limitRegions(regions as never, provider), TypeError) // what a JavaScript user may pass
      assert.throws(() => excludeRegions(regions as never, provider), TypeError) // as above
    }
  })
})

/** Connection, request and socket timeouts of a client, and whether the second one ends a request. */
async function timeoutsOf(client: KMSClient): Promise<unknown[]> {
  await client.send(new ListKeysCommand(), { abortSignal: AbortSignal.abort() }).catch(() => undefined)
  const handler = client.config.requestHandler as unknown as { configProvider: Promise<Record<string, unknown>> } // Node's, which keeps it there
  const config = await handler.configProvider
  return ['connectionTimeout', 'requestTimeout', 'socketTimeout', 'throwOnRequestTimeout'].map((name) => config[name])
}
