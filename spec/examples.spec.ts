/** Every example runs as its reader would run it. What is in the documentation is run by docs/. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { esdk, temporaryFolder } from './cli/command.ts'
import { startEc2Metadata } from './emulators/ec2-metadata.ts'
import { type Emulator, PREPARE_TIMEOUT_MS } from './emulators/emulator.ts'
import { useS3Server } from './emulators/s3-setup.ts'
import { preparedOrPending } from './interop/pending.ts'
import { ACCOUNT, useKmsServer } from './keyrings/kms/setup.ts'
import { PIN, TOKEN, useToken } from './keyrings/pkcs11/setup.ts'

const root = resolve(import.meta.dirname, '..')
const run = promisify(execFile)

/** Examples that need more than AWS KMS have a spec of their own. */
const WITH_SERVERS: readonly string[] = ['ec2-user-data.ts', 'pkcs11.ts', 's3.ts', 'video-server.ts']

describe('examples', () => {
  const kms = useKmsServer()

  const env = (): NodeJS.ProcessEnv => ({
    ...process.env,
    AWS_ACCOUNT_ID: ACCOUNT,
    AWS_KMS_KEY_ARN: kms.server.keys[0]!,
    AWS_ENDPOINT_URL: kms.server.endpoint,
    AWS_REGION: 'us-west-2',
    AWS_ACCESS_KEY_ID: 'spec',
    AWS_SECRET_ACCESS_KEY: 'spec',
  })

  async function example(name: string, more: NodeJS.ProcessEnv = {}): Promise<string> {
    const program = ['--import', 'tsx', join('examples', name)]
    return (await run(process.execPath, program, { cwd: root, env: { ...env(), ...more } })).stdout
  }

  it('run and print what they decrypted', async function () {
    this.timeout(120_000)
    const files = (await readdir(join(root, 'examples'))).filter((name) => name.endsWith('.ts'))
    const names = files.filter((name) => !WITH_SERVERS.includes(name))
    assert.ok(names.length > 0)
    for (const name of names) assert.match(await example(name), /decrypted/, name)
  })

  it('make a tree of spans of what they did', async () => {
    const tree = (await example('opentelemetry.ts')).trim().split('\n').slice(1)
    assert.deepEqual(
      tree.map((line) => line.split(' {')[0]),
      [
        'a request',
        '  esdk-streams:encrypt encrypt',
        '    esdk-streams:kms GenerateDataKey',
        '  esdk-streams:decrypt decrypt',
        '    esdk-streams:kms Decrypt',
      ],
    )
    assert.match(tree[2]!, new RegExp(`"keyId":"${kms.server.keys[0]!}","region":"us-east-1","attempts":1`))
  })

  describe('of Amazon EC2 user data', () => {
    const secrets = 'DATABASE_PASSWORD=correct horse\nAPI_TOKEN=battery staple\n'
    const folder = temporaryFolder()
    let metadata: Emulator | undefined

    it('is decrypted on the instance, as the command encrypted it before the launch', async function () {
      this.timeout(PREPARE_TIMEOUT_MS)
      await writeFile(folder.of('secrets.env'), secrets)
      const key = kms.server.aliases[2]!
      const args = ['encrypt', 'secrets.env', '-o', 'user-data', '--kms', key, '-c', 'purpose=user-data']
      const { code, stderr } = await esdk(folder.path, args, { env: env() as Record<string, string> }) // no holes in it
      assert.deepEqual([code, stderr], [0, ''])
      const userData = await readFile(folder.of('user-data'))
      assert.ok(userData.length < 16 * 1024)
      metadata = await preparedOrPending(this, () => startEc2Metadata(userData))
      const output = await example('ec2-user-data.ts', { AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.endpoint })
      assert.equal(output, 'decrypted 2 settings: DATABASE_PASSWORD, API_TOKEN\n')
    })

    after(() => metadata?.stop())
  })

  describe('of Amazon S3', () => {
    const s3 = useS3Server('versitygw')

    it('puts, reads in part, re-encrypts and gets an object', async () => {
      const output = await example('s3.ts', { ...s3.server.environment, S3_BUCKET: s3.server.bucket })
      const [sizes, read, decrypted] = output.trim().split(/\n(?=line 050000|decrypted)/)
      assert.match(sizes!, /^1200000 bytes became an object of 12\d{5}, in parts: 1$/)
      assert.equal(read, 'line 050000\nline 050001')
      assert.equal(decrypted, 'decrypted 100000 lines of text/plain')
    })
  })
})

describe('examples, on a token', () => {
  const token = useToken()

  it('run and print what they decrypted', async () => {
    const env = { ...process.env, PKCS11_LIBRARY: token.hsm.library, PKCS11_TOKEN: TOKEN, PKCS11_PIN: PIN }
    const options = { cwd: root, env: { ...env, PKCS11_KEY: 'aes' } }
    const { stdout } = await run(process.execPath, ['--import', 'tsx', join('examples', 'pkcs11.ts')], options)
    assert.match(stdout, /decrypted/)
  })
})

describe('README', () => {
  it('maps the tree as it is', async () => {
    const text = await readFile(join(root, 'README.md'), 'utf8')
    const map = /^```text\nlib\/\n([\s\S]*?)^```$/m.exec(text)?.[1]
    assert.ok(map !== undefined, 'the README has a map of the code')
    const listed = [...map.matchAll(/[\w-]+(?:\/[\w-]+)*\.ts\b/g)].map(([name]) => name.split('/').at(-1)!)
    const files = (await readdir(join(root, 'lib'), { recursive: true })).filter((name) => name.endsWith('.ts'))
    const names = files.map((name) => name.split(/[/\\]/).at(-1)!)
    const missing = names.filter((name) => !listed.includes(name))
    assert.deepEqual(missing, [])
    assert.deepEqual(
      listed.filter((name) => !names.includes(name)),
      [],
      'the map lists what is not there',
    )
  })
})
