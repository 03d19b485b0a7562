/** esdk and aws-encryption-cli: each reads what the other wrote, and the guide for who comes from there has all its options. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { program } from '#lib/cli/program'
import { suiteOf } from '#lib/cli/option-values'
import { algorithmSuite } from 'esdk-streams/format'
import { AES_KEY, MAIN, esdk, temporaryFolder } from './cli/command.ts'
import { PREPARE_TIMEOUT_MS } from './emulators/emulator.ts'
import { AwsEncryptionCli, shellFunction } from './interop/aws-encryption-cli.ts'
import { preparedOrPending } from './interop/pending.ts'
import { ACCOUNT, useKmsServer } from './keyrings/kms/setup.ts'

const run = promisify(execFile)
const GUIDE = new URL('../docs/migrating-from-aws-encryption-cli.md', import.meta.url)
const PLAINTEXT = Buffer.from('attack at dawn\n'.repeat(1000))

/** Raw keys as both commands name them. */
const RAW = {
  AES: {
    theirs: ['algorithm=AES_256_GCM_IV12_TAG16_NO_PADDING', 'file=aes'],
    ours: ['--key', 'aes'],
    encrypts: ['--key', 'aes'],
  },
  'RSA, OAEP with SHA-256': {
    theirs: ['algorithm=RSA_OAEP_SHA256_MGF1', 'file=rsa.pem'],
    ours: ['--key', 'rsa.pem'],
    encrypts: ['--key', 'rsa-public.pem'],
  },
  'RSA, PKCS #1': {
    theirs: ['algorithm=RSA_PKCS1', 'file=rsa.pem'],
    ours: ['--key', 'rsa.pem', '--rsa-padding', 'pkcs1'],
    encrypts: ['--key', 'rsa-public.pem', '--rsa-padding', 'pkcs1'],
  },
} as const
const NAMED = ['--key-namespace', 'spec', '--key-name', 'one'] as const
const NAMED_THERE = ['provider=esdk-spec-raw', 'namespace=spec', 'key=one'] as const

describe('aws-encryption-cli', () => {
  const folder = temporaryFolder()
  const kms = useKmsServer()
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  let cli: AwsEncryptionCli
  let help: string

  before(async function () {
    this.timeout(PREPARE_TIMEOUT_MS)
    cli = await preparedOrPending(this, () => AwsEncryptionCli.installed())
    help = (await cli.run('.', ['--help'])).stdout.toString()
  })

  beforeEach(async () => {
    await writeFile(folder.of('in'), PLAINTEXT)
    await writeFile(folder.of('aes'), AES_KEY)
    await writeFile(folder.of('rsa.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    await writeFile(folder.of('rsa-public.pem'), createPublicKey(privateKey).export({ type: 'spki', format: 'pem' }))
  })

  const environment = (): Record<string, string> => ({
    AWS_ACCESS_KEY_ID: 'spec',
    AWS_SECRET_ACCESS_KEY: 'spec',
    AWS_REGION: 'us-east-1',
    AWS_DEFAULT_REGION: 'us-east-1',
    AWS_ENDPOINT_URL: kms.server.endpoint,
  })

  async function ours(...args: string[]): Promise<Buffer> {
    const { code, stderr, stdout } = await esdk(folder.path, args, { env: environment() })
    assert.deepEqual([stderr, code], ['', 0])
    return stdout
  }

  async function theirs(...args: string[]): Promise<Buffer> {
    const { code, stderr, stdout } = await cli.run(folder.path, args, environment())
    assert.equal(code, 0, stderr)
    return stdout
  }

  for (const [name, keys] of Object.entries(RAW)) {
    it(`reads what esdk wrote, and the other way, under a raw key: ${name}`, async () => {
      const wrapping = ['--wrapping-keys', ...NAMED_THERE, ...keys.theirs]
      await ours('encrypt', 'in', '-o', 'ours', ...keys.encrypts, ...NAMED, '-c', 'a=1', '-c', 'b=2')
      const context = ['--encryption-context', 'a=1', 'b']
      assert.deepEqual(await theirs('-d', '-S', '-i', 'ours', '-o', '-', ...wrapping, ...context), PLAINTEXT)
      await theirs('-e', '-S', '-i', 'in', '-o', 'theirs', ...wrapping, '-c', 'a=1', 'b=2')
      const args = ['decrypt', 'theirs', '-o', '-', ...keys.ours, ...NAMED] as const
      assert.deepEqual(await ours(...args, '-c', 'a=1', '-c', 'b'), PLAINTEXT)
    })
  }

  it('reads what esdk wrote, and the other way, under keys of AWS KMS', async () => {
    const [first, second] = kms.server.keys
    const wrapping = ['-w', `key=${second!}`]
    await ours('encrypt', 'in', '-o', 'ours', '--kms', first!, '--kms', second!, '-c', 'a=1')
    assert.deepEqual(await theirs('-d', '-S', '-i', 'ours', '-o', '-', ...wrapping), PLAINTEXT)
    const discovery = ['-w', 'discovery=true', 'discovery-partition=aws', `discovery-account=${ACCOUNT}`]
    assert.deepEqual(await theirs('-d', '-S', '-i', 'ours', '-o', '-', ...discovery), PLAINTEXT)
    await theirs('-e', '-S', '-i', 'in', '-o', 'theirs', '-w', `key=${first!}`, `key=${second!}`, '-c', 'a=1')
    assert.deepEqual(await ours('decrypt', 'theirs', '-o', '-', '--kms', second!, '-c', 'a=1'), PLAINTEXT)
    assert.deepEqual(
      await ours('decrypt', 'theirs', '-o', '-', '--discovery', '--discovery-account', ACCOUNT),
      PLAINTEXT,
    )
    assert.deepEqual(await ours('decrypt', 'theirs', '-o', '-', '--discovery', '--mrk'), PLAINTEXT)
  })

  it('reads base64, and folders, and messages of every suite', async () => {
    const key = ['--key', 'aes', ...NAMED] as const
    const wrapping = ['-w', ...NAMED_THERE, ...RAW.AES.theirs] as const
    await ours('encrypt', 'in', '-o', 'ours', ...key, '--encode')
    assert.deepEqual(await theirs('-d', '-S', '-i', 'ours', '-o', '-', '--decode', ...wrapping), PLAINTEXT)
    await theirs('-e', '-S', '-i', 'in', '-o', 'theirs', '--encode', ...wrapping)
    assert.deepEqual(await ours('decrypt', 'theirs', '-o', '-', ...key, '--decode'), PLAINTEXT)

    await mkdir(folder.of('tree/sub'), { recursive: true })
    await writeFile(folder.of('tree/sub/a.log'), 'a')
    await ours('encrypt', '-r', 'tree', '-o', 'ours-tree', ...key)
    for (const name of ['theirs-tree', 'theirs-back']) await mkdir(folder.of(name))
    await theirs('-d', '-S', '-r', '-i', 'ours-tree', '-o', 'theirs-back', ...wrapping)
    assert.equal(await readFile(folder.of('theirs-back/sub/a.log.encrypted.decrypted'), 'utf8'), 'a')
    await theirs('-e', '-S', '-r', '-i', 'tree', '-o', 'theirs-tree', ...wrapping)
    await ours('decrypt', '-r', 'theirs-tree', '-o', 'back', ...key)
    assert.equal(await readFile(folder.of('back/sub/a.log'), 'utf8'), 'a')

    const all = suitesOf(help)
    assert.equal(all.length, 11)
    const suites =
      process.env['ESDK_FULL'] === '1' ? all : all.filter((suite) => /COMMIT_KEY$|^AES_192.*P384$/.test(suite))
    for (const suite of suites) {
      const policy = [
        '--commitment-policy',
        suite.includes('COMMIT') ? 'require-encrypt-require-decrypt' : 'forbid-encrypt-allow-decrypt',
      ]
      await ours('encrypt', 'in', '-o', 'ours', ...key, '--suite', suite, ...policy)
      assert.deepEqual(await theirs('-d', '-S', '-i', 'ours', '-o', '-', ...wrapping, ...policy), PLAINTEXT)
      await theirs('-e', '-S', '-i', 'in', '-o', 'theirs', '--algorithm', suite, ...wrapping, ...policy)
      assert.deepEqual(await ours('decrypt', 'theirs', '-o', '-', ...key, ...policy), PLAINTEXT)
    }
  }).timeout(240_000)

  describe('and its guide', () => {
    let rows: readonly { readonly theirs: readonly string[]; readonly ours: string }[]
    let guide: string

    before(async () => {
      guide = await readFile(GUIDE, 'utf8')
      rows = rowsOf(guide)
    })

    it('maps every option of aws-encryption-cli --help, and no other', () => {
      const options = optionsIn(help)
      assert.ok(options.length > 35, options.join())
      const mapped = rows.flatMap(({ theirs: names }) => names)
      assert.deepEqual([...mapped].sort(), options)
    })

    it('names only commands and options that esdk has', () => {
      const commands = program().commands.map((command) => command.name())
      const known = new Set(
        program().commands.flatMap(({ options }) => options.flatMap(({ short, long }) => [short, long])),
      )
      for (const name of ['-V', '--version', '-h', '--help']) known.add(name)
      for (const { ours: text } of rows) {
        for (const [, name] of text.matchAll(/`esdk ([a-z]+)/g)) assert.ok([...commands, 'help'].includes(name!), name)
        for (const option of optionsIn(text)) assert.ok(known.has(option), option)
        assert.ok(/`|INPUT|not needed/.test(text), text)
      }
    })

    it('takes all names of algorithm suites as they are', () => {
      for (const name of suitesOf(help)) assert.ok(algorithmSuite(suiteOf(name)).id > 0)
    })

    it('shows commands that do the same', async function () {
      this.timeout(120_000)
      const blocks = [...guide.matchAll(/^```(text|sh)\n([\s\S]*?)^```$/gm)].map(([, language, code]) => ({
        language,
        code: code!,
      }))
      assert.ok(blocks.length >= 8)
      // Ours make the files that both work on.
      const inOrder = [
        ...blocks.filter(({ language }) => language === 'sh'),
        ...blocks.filter(({ language }) => language === 'text'),
      ]
      const script = inOrder
        .map(({ code }) => code)
        .join('\n')
        .replace(/arn:aws:kms:[\w:/-]+/g, kms.server.keys[0]!)
        .replaceAll('region=eu-west-1', 'region=us-east-1')
        .replaceAll('111122223333', ACCOUNT)
      const functions = `esdk() { ${JSON.stringify(process.execPath)} ${JSON.stringify(MAIN)} "$@"; }\n${shellFunction(cli)}`
      await writeFile(folder.of('script'), `set -euo pipefail\n${functions}\n${script}`)
      await chmod(folder.of('script'), 0o755)
      const env = { ...process.env, ...environment() }
      const { stdout } = await run('bash', ['script'], { cwd: folder.path, env })
      assert.equal(stdout.match(/all is well/g)?.length, 3)
      assert.deepEqual((await readFile(folder.of('back.txt'), 'utf8')).trim(), 'all is well')
      const records = (await readFile(folder.of('records.jsonl'), 'utf8')).trim().split('\n')
      assert.ok(records.length > 0)
    })
  })
})

/** The options in a text, sorted. */
function optionsIn(text: string): string[] {
  const found = text.matchAll(/(?<![\w-])(--[a-z][a-z-]+|-[A-Za-z])(?![\w-])/g)
  return [...new Set([...found].map(([, name]) => name!))].sort()
}

/** What `--algorithm` takes. */
function suitesOf(help: string): string[] {
  return /--algorithm \{([\w,]+)\}/.exec(help)![1]!.split(',')
}

/** The rows of the table of options. */
function rowsOf(guide: string): { theirs: string[]; ours: string }[] {
  const table = guide.split('## Every option')[1]!.split('\n## ')[0]!
  const rows = table.split('\n').filter((line) => /^\| `-/.test(line))
  return rows.map((line) => {
    const [, first, second] = line.split('|')
    return { theirs: optionsIn(first!), ours: second! }
  })
}
