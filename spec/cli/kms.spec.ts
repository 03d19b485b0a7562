/** The keys of a command line that AWS KMS has, against an emulator. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { CreateKeyCommand } from '@aws-sdk/client-kms'
import type { FileRecord } from '#lib/cli/record'
import { ACCOUNT, clientAt, createKey, replicate, useKmsServer, useLocalStack } from '../keyrings/kms/setup.ts'
import { AES_JWK, type CommandOptions, commandsIn, esdk, outcome, start, temporaryFolder } from './command.ts'

const PLAINTEXT = Buffer.alloc(10_000, 'plaintext')
const CLEAN = [0, '']

describe('esdk with keys of AWS KMS', () => {
  const folder = temporaryFolder()
  const kms = useKmsServer()

  beforeEach(async () => {
    await writeFile(folder.of('in'), PLAINTEXT)
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('target'), 'old')
  })

  const options = (): CommandOptions => ({
    env: {
      AWS_ACCESS_KEY_ID: 'spec',
      AWS_SECRET_ACCESS_KEY: 'spec',
      AWS_REGION: 'us-west-1',
      AWS_ENDPOINT_URL: kms.server.endpoint,
      AWS_MAX_ATTEMPTS: '1',
    },
  })
  const { run, done } = commandsIn(() => folder.path, options)
  const operations = (): string[] => kms.server.proxy.asked.map(({ operation, region }) => `${operation} ${region}`)
  const underAll = (): string[] => kms.server.keys.flatMap((key) => ['--kms', key])

  async function opens(...keys: string[]): Promise<void> {
    assert.deepEqual(await done('decrypt', 'in.encrypted', '-o', '-', ...keys), PLAINTEXT)
  }

  async function refuses(text: RegExp, ...keys: string[]): Promise<void> {
    const { code, stderr } = await run('decrypt', 'in.encrypted', '-o', 'target', ...keys)
    assert.match(stderr, /^esdk: in\.encrypted: [^\n]+ERR_ESDK_UNWRAP[^\n]+\n$/)
    assert.match(stderr, text)
    assert.equal(code, 4)
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
  }

  it('encrypts under each, the first generates, and any one decrypts', async () => {
    const { keys, proxy } = kms.server
    const record = JSON.parse((await done('encrypt', 'in', '--json', ...underAll())).toString()) as FileRecord
    assert.deepEqual(
      record.header.encryptedDataKeys.map(({ keyProviderId, keyName }) => [keyProviderId, keyName]),
      keys.map((key) => ['aws-kms', key]),
    )
    assert.deepEqual(operations(), ['GenerateDataKey us-east-1', 'Encrypt us-west-1', 'Encrypt us-west-2'])
    assert.match(proxy.asked[0]!.userAgent, /esdk-streams/)
    for (const key of keys) await opens('--kms', key)
    await refuses(/in\.encrypted/, '--kms', `arn:aws:kms:us-east-1:${ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab`)
  })

  it('encrypts under an alias, or a key id in the region of the settings', async () => {
    const { aliases, keys } = kms.server
    await done('encrypt', 'in', '--kms', aliases[2]!, '--kms', keys[1]!.split('/')[1]!)
    assert.deepEqual(operations(), ['GenerateDataKey us-west-2', 'Encrypt us-west-1'])
    await opens('--kms', keys[2]!)
    await opens('--kms', keys[1]!)
  })

  it('mixes them with key files: the first of all generates, and any one decrypts', async () => {
    const [key] = kms.server.keys
    for (const [keys, asked] of [
      [['--kms', key!, '--key', 'key.jwk'], 'GenerateDataKey us-east-1'],
      [['--key', 'key.jwk', '--kms', key!], 'Encrypt us-east-1'],
    ] as const) {
      kms.server.proxy.faults()
      await done('encrypt', 'in', ...keys)
      assert.deepEqual(operations(), [asked])
      await opens('--kms', key!)
      kms.server.proxy.faults()
      await opens('--key', 'key.jwk')
      assert.deepEqual(operations(), [])
    }
  })

  it('decrypts with --discovery, in any region or those named, of any account or those named', async () => {
    await done('encrypt', 'in', '--kms', kms.server.keys[2]!)
    kms.server.proxy.faults()
    await opens('--discovery')
    await opens('--discovery', '--discovery-account', '111122223333', '--discovery-account', ACCOUNT)
    await opens('--discovery', '--discovery-region', 'us-east-1', '--discovery-region', 'us-west-2')
    await opens('--discovery', '--key', 'key.jwk')
    assert.deepEqual(new Set(operations()), new Set(['Decrypt us-west-2']))
    kms.server.proxy.faults()
    await refuses(/unwrap/, '--discovery', '--discovery-account', '111122223333')
    await refuses(/unwrap/, '--discovery', '--discovery-account', ACCOUNT, '--discovery-partition', 'aws-cn')
    await refuses(/unwrap/, '--discovery', '--discovery-region', 'us-east-1')
    assert.deepEqual(operations(), [])
  })

  it('asks, with --mrk, for the replica in the region that is named, or that of the settings', async () => {
    const east = clientAt(kms.server.behind, 'us-east-1')
    const { KeyMetadata } = await east.send(new CreateKeyCommand({ MultiRegion: true }))
    const primary = KeyMetadata!.Arn!
    await done('encrypt', 'in', '--mrk', '--kms', primary)
    const replica = (region: string): string => primary.replace('us-east-1', region)
    // The emulator has no replicas: what it is asked is what counts here.
    for (const [keys, regions] of [
      [['--kms', replica('eu-west-1')], ['eu-west-1']],
      [['--discovery'], ['us-west-1']],
      [
        ['--discovery', '--discovery-region', 'us-west-2', '--discovery-region', 'eu-west-1'],
        ['us-west-2', 'eu-west-1'],
      ],
    ] as const) {
      kms.server.proxy.faults(() => ({ error: 'NotFoundException', status: 400 }))
      await refuses(/unwrap/, '--mrk', ...keys)
      assert.deepEqual(
        kms.server.proxy.asked.map(({ region, body }) => [region, body['KeyId']]),
        regions.map((region) => [region, replica(region)]),
      )
    }
    kms.server.proxy.faults()
    await refuses(/unwrap/, '--kms', replica('eu-west-1'))
    assert.deepEqual(operations(), [], 'without --mrk, a replica is another key')
    await assert.rejects(
      async () => done('encrypt', 'in', '--mrk', '--kms', primary, '--kms', replica('eu-west-1')),
      /replica|multi-Region/,
    )
  })

  describe('that are multi-Region', () => {
    const localStack = useLocalStack()

    it('are replaced by their replicas with --mrk, in the region of these', async () => {
      const { behind, endpoint } = localStack.server
      const primary = await createKey(behind, 'us-east-1', { MultiRegion: true })
      const replica = await replicate(behind, primary, 'us-west-2')
      const env = { ...options().env, AWS_ENDPOINT_URL: endpoint }
      const atLocalStack = async (...args: string[]): Promise<Buffer> => {
        const { code, stderr, stdout } = await esdk(folder.path, args, { env })
        assert.deepEqual([code, stderr], CLEAN)
        return stdout
      }
      await atLocalStack('encrypt', 'in', '--mrk', '--kms', primary)
      for (const keys of [
        ['--kms', replica],
        ['--discovery', '--discovery-region', 'us-west-2'],
      ]) {
        localStack.server.proxy.faults()
        assert.deepEqual(await atLocalStack('decrypt', 'in.encrypted', '-o', '-', '--mrk', ...keys), PLAINTEXT)
        assert.deepEqual(
          localStack.server.proxy.asked.map(({ region }) => region),
          ['us-west-2'],
        )
      }
    })
  })

  it('ends with 4 where a key cannot be used, in one line, and leaves the target as it was', async () => {
    kms.server.proxy.faults(({ region }) =>
      region === 'us-west-1' ? { error: 'AccessDeniedException', status: 400 } : undefined,
    )
    const { code, stderr } = await run('encrypt', 'in', '-o', 'target', ...underAll())
    assert.match(stderr, /^esdk: in: AWS KMS key arn:aws:kms:us-west-1:[^\n]+AccessDenied[^\n]+AWS_PROFILE[^\n]*\n$/)
    assert.equal(code, 4)
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
    kms.server.proxy.faults()
    await done('encrypt', 'in', ...underAll())
    kms.server.proxy.faults(({ region }) => (region === 'us-west-2' ? undefined : 'reset'))
    await opens(...underAll())
    await refuses(/unwrap/, '--kms', kms.server.keys[0]!)
  })

  it('stops at once when it is interrupted while AWS KMS does not answer', async () => {
    kms.server.proxy.faults(() => 'stall')
    const names = await folder.names()
    const child = start(folder.path, ['encrypt', 'in', '-o', 'target', ...underAll()], options())
    const ended = outcome(child)
    while (kms.server.proxy.asked.length === 0) await setTimeout(5)
    const killed = performance.now()
    child.kill('SIGINT')
    const { code, stderr } = await ended
    assert.deepEqual([code, stderr], [130, ''])
    assert.ok(performance.now() - killed < 2000)
    assert.deepEqual(await folder.names(), names)
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
  })

  it('caches data keys, within the limits that are given', async () => {
    const [key] = kms.server.keys
    const limits = 'max_age=60,capacity=10,max_messages_encrypted=5'
    await done('encrypt', 'in', '--kms', key!, '--caching', limits, '--caching', 'max_bytes_encrypted=20000')
    await opens('--kms', key!, '--caching', 'max_age=0.5')
    // Only the caching manager warns of this.
    const piped = await esdk(folder.path, ['encrypt', '-', '--kms', key!, '--caching', limits], {
      ...options(),
      input: PLAINTEXT,
    })
    assert.match(piped.stderr, /ESDK_CACHE_BYPASSED/)
    assert.equal(piped.code, 0)
  })

  it('refuses what makes no sense, as usage', async () => {
    const [key] = kms.server.keys
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['encrypt', 'in', '--discovery'], /--discovery only decrypts/],
      [['encrypt', 'in', '--key', 'key.jwk', '--discovery'], /--discovery only decrypts/],
      [['encrypt', 'in'], /no key: give --key KEYFILE .*, --kms KEY_ARN, or --profile/],
      [['encrypt', 'in', '--kms', ''], /expected .*key/],
      [['encrypt', 'in', '--kms', `arn:aws:s3:us-east-1:${ACCOUNT}:key/x`], /key/],
      [['encrypt', 'in', '--mrk', '--key', 'key.jwk'], /--mrk goes with/],
      [['decrypt', 'in', '--kms', key!, '--discovery-account', ACCOUNT], /--discovery-account goes with --discovery/],
      [['decrypt', 'in', '--kms', key!, '--discovery-region', 'eu-west-1'], /--discovery-region goes with/],
      [['decrypt', 'in', '--kms', key!, '--discovery-partition', 'aws'], /--discovery-partition goes with --discovery/],
      [['decrypt', 'in', '--discovery', '--discovery-partition', 'aws'], /goes with --discovery-account/],
      [['decrypt', 'in', '--discovery', '--discovery-region', ''], /"regions?" expected/],
      [['decrypt', 'in', '--discovery', '--mrk', '--discovery-region', ''], /"regions?" expected/],
      [['encrypt', 'in', '--kms', key!, '--caching', 'capacity=1'], /--caching expected a max_age/],
      [['encrypt', 'in', '--kms', key!, '--caching', 'max_age=0'], /max_age expected a number above 0, got "0"/],
      [['encrypt', 'in', '--kms', key!, '--caching', 'max_age=1,capacity=1.5'], /capacity expected a number/],
      [['encrypt', 'in', '--kms', key!, '--caching', 'max_age=1,max_messages_encrypted=4294967297'], /"maxMessages"/],
      [['encrypt', 'in', '--kms', key!, '--caching', '__proto__=1'], /expected one of max_age, capacity/],
    ]
    for (let index = 0; index < cases.length; index += 4) {
      await Promise.all(
        cases.slice(index, index + 4).map(async ([args, text]) => {
          const { code, stderr } = await run(...args, '-o', 'target')
          assert.match(stderr, text)
          assert.match(stderr, /^esdk: [^\n]+\n$/)
          assert.equal(code, 2, stderr)
        }),
      )
    }
    assert.equal(await readFile(folder.of('target'), 'utf8'), 'old')
    assert.deepEqual(operations(), [])
  })
})
