/** What the command says of its work and of its failures: `-v`, `-q`, `--debug`. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { RawAesKeyring, encrypt } from 'esdk-streams'
import { ACCOUNT, useKmsServer } from '../keyrings/kms/setup.ts'
import { useS3Server } from '../emulators/s3-setup.ts'
import { assertLeaksNothing } from '../keyrings/leaks.ts'
import {
  AES_JWK,
  KEYRING as keyring,
  OTHER_JWK,
  type Outcome,
  commandsIn,
  esdk,
  outcome,
  start,
  temporaryFolder,
} from './command.ts'

const KEY = ['--key', 'key.jwk'] as const

describe('what esdk says', () => {
  const folder = temporaryFolder()

  beforeEach(async () => {
    await writeFile(folder.of('key.jwk'), AES_JWK)
    await writeFile(folder.of('other.jwk'), OTHER_JWK)
    await writeFile(folder.of('in'), 'plaintext')
  })

  const { run } = commandsIn(() => folder.path)

  it('is nothing unless asked; with -v, which keys there are and what was done', async () => {
    const { stderr, code } = await run('encrypt', 'in', ...KEY, '-v')
    assert.equal(code, 0)
    assert.match(
      stderr,
      /^esdk: key file key\.jwk\nesdk: encrypted in to in\.encrypted: 9 bytes read, \d+ written, 1 frames, 0x0578 ALG_\w+, keys k, \d+ ms\n$/,
    )
    assert.equal((await run('encrypt', 'in', ...KEY)).stderr, '')
    const streamed = await run('decrypt', 'in.encrypted', '-o', '-', ...KEY, '--verbose')
    assert.match(streamed.stderr, /esdk: decrypted in\.encrypted to standard output: \d+ bytes read, 9 written/)
    assert.equal(streamed.stdout.toString(), 'plaintext')
    const both = await run('encrypt', 'in', ...KEY, '-v', '-q')
    assert.match(both.stderr, /^esdk: option '-v, --verbose' cannot be used with option '-q, --quiet'; see/)
    assert.equal(both.code, 2)
  })

  it('is with -r a line a file, and with -q not even what is skipped', async () => {
    await mkdir(folder.of('tree'))
    await writeFile(folder.of('tree/a'), 'a')
    await symlink('a', folder.of('tree/link'))
    const said = await run('encrypt', '-r', 'tree', '-o', 'out', ...KEY, '-v')
    assert.match(said.stderr, /esdk: encrypted tree\/a to out\/a\.encrypted: 1 bytes read/)
    assert.match(said.stderr, /tree\/link: skipped: links are not followed/)
    const quiet = await run('encrypt', '-r', 'tree', '-o', 'out', ...KEY, '-q', '--progress', 'always')
    assert.deepEqual([quiet.stderr, quiet.code], ['', 0])
  })

  it('shows with --debug what a failure came from, down to the first cause', async () => {
    const { ciphertext } = await encrypt('secret', { keyring })
    await writeFile(folder.of('message'), ciphertext)
    const wrong = await run('decrypt', 'message', '-o', 'target', '--key', 'other.jwk', '--debug')
    const lines = wrong.stderr.trimEnd().split('\n')
    assert.match(lines[0]!, /^esdk: message: no data key could be unwrapped: .*; give the key/)
    assert.match(lines[1]!, /^ {2}UnwrapError ERR_ESDK_UNWRAP: no data key/)
    assert.ok(lines.some((line) => /^ {4}at .*\.js:\d+:\d+\)?$/.test(line)))
    assert.match(lines.at(-1)!, /^ {2}tried "esdk" "k": not authentic under this key/)
    assert.equal(wrong.code, 4)
    const missing = await run('inspect', 'nothing', '--debug')
    assert.match(missing.stderr, /^esdk: nothing: ENOENT[^\n]*\n {2}Error ENOENT: ENOENT: no such file/)
    assert.equal((await run('inspect', 'nothing')).stderr.split('\n').length, 2)
    const existing = await run('keygen', 'key.jwk', '--debug')
    assert.match(existing.stderr, /^esdk: key\.jwk: EEXIST[^\n]*\n {2}Error EEXIST/)
    assert.equal(existing.code, 1)
  })

  it('is the same for each file of -r', async () => {
    await mkdir(folder.of('tree'))
    await writeFile(folder.of('tree/letter'), 'dear')
    const { stderr, code } = await run('decrypt', '-r', 'tree', '-o', 'back', ...KEY, '--debug')
    assert.match(stderr, /^esdk: tree\/letter: .*\n {2}MalformedMessageError ERR_ESDK_MALFORMED: /)
    assert.match(stderr, /\nesdk: 1 of 1 files failed\n/)
    assert.equal(code, 1)
  })

  it('never holds key material, whatever fails', async () => {
    const secret = randomBytes(32)
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
    const jwk = JSON.stringify({ kty: 'oct', kid: 'k', k: secret.toString('base64url') })
    const { ciphertext } = await encrypt('secret', {
      keyring: new RawAesKeyring({ keyNamespace: 'esdk', keyName: 'k', wrappingKey: randomBytes(32) }),
    })
    await writeFile(folder.of('message'), ciphertext)
    for (const [name, text] of Object.entries({
      wrong: jwk,
      cut: jwk.slice(0, -1),
      longer: jwk.replace('oct', 'RSA'),
      hex: secret.toString('hex'),
      base64: secret.toString('base64'),
      lined: `${secret.toString('latin1')}\n`,
      pem,
      'cut.pem': pem.slice(0, 900),
      'pub.pem': publicKey.export({ type: 'spki', format: 'pem' }),
    })) {
      await writeFile(folder.of(name), text, 'latin1')
      const { code, stderr } = await run('decrypt', 'message', '-o', 'target', '--key', name, '-vv', '--debug')
      assert.ok(code === 2 || code === 4, stderr)
      assertLeaksNothing(new Error(stderr), secret, Buffer.from(pem.slice(60, 120)))
      for (const line of pem.split('\n').filter((each) => each.length > 40)) assert.equal(stderr.includes(line), false)
    }
  })

  describe('of AWS', () => {
    const kms = useKmsServer()
    const s3 = useS3Server('moto')
    const withKms = (...args: string[]): Promise<Outcome> =>
      esdk(folder.path, args, {
        env: {
          AWS_ACCESS_KEY_ID: 'spec',
          AWS_SECRET_ACCESS_KEY: 'spec',
          AWS_REGION: 'us-west-1',
          AWS_ENDPOINT_URL: kms.server.endpoint,
          AWS_MAX_ATTEMPTS: '1',
        },
      })

    it('is with -vv each call, without what was sent', async () => {
      const key = kms.server.keys[0]!
      const { stderr, code } = await withKms('encrypt', 'in', '--kms', key, '--kms', kms.server.keys[1]!, '-vv')
      assert.equal(code, 0)
      assert.match(stderr, /esdk: AWS KMS GenerateDataKey in us-east-1: HTTP 200.*, \d+ ms\n/)
      assert.match(stderr, /esdk: AWS KMS Encrypt in us-west-1: HTTP 200/)
      assert.doesNotMatch((await withKms('encrypt', 'in', '--kms', key, '-v')).stderr, /AWS KMS GenerateDataKey/)
      const foreign = `arn:aws:kms:us-east-1:${ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab`
      const failing = await withKms('encrypt', 'in', '--kms', foreign, '-vv', '--debug')
      assert.match(failing.stderr, /esdk: AWS KMS GenerateDataKey in us-east-1: NotFoundException, HTTP 400/)
      assert.match(failing.stderr, /\n +NotFoundException: .*\(HTTP 400/)
      assert.equal(failing.code, 4)
    })

    it('is one call for many files in base64 with --caching, whose lengths are bounds', async () => {
      await mkdir(folder.of('tree'))
      for (const name of ['a', 'b']) await writeFile(folder.of(`tree/${name}`), Buffer.from(name).toString('base64'))
      const caching = ['--decode', '--caching', 'max_age=60', '--concurrency', '1'] as const
      const key = kms.server.keys[0]!
      const { stderr, code } = await withKms('encrypt', '-r', 'tree', '-o', 'out', '--kms', key, ...caching, '-vv')
      assert.equal(code, 0)
      assert.equal(stderr.match(/AWS KMS GenerateDataKey/g)?.length, 1)
    })

    it('is also of objects of Amazon S3, which are replaced only where that is wanted', async () => {
      const { environment: env, bucket } = s3.server
      const object = `s3://${bucket}/talk`
      const written = await esdk(folder.path, ['encrypt', 'in', '-o', object, ...KEY, '-vv'], { env })
      assert.match(written.stderr, /esdk: AWS S3 PutObject in [\w-]+: HTTP 200/)
      const again = await esdk(folder.path, ['encrypt', 'in', '-o', object, ...KEY, '--no-overwrite'], { env })
      assert.match(again.stderr, /^esdk: s3:.*talk: it is there already \(EEXIST\)/)
      assert.equal(again.code, 1)
      const fresh = await esdk(folder.path, ['encrypt', 'in', '-o', `${object}-new`, ...KEY, '--no-overwrite'], { env })
      assert.deepEqual([fresh.stderr, fresh.code], ['', 0])
    })

    it('is that an object came meanwhile, which is kept', async () => {
      const { environment: env, bucket: Bucket, direct } = s3.server
      const args = ['encrypt', '-', '-o', `s3://${Bucket}/meanwhile`, ...KEY, '--no-overwrite', '-vv']
      const child = start(folder.path, args, { env })
      const ended = outcome(child)
      await new Promise<void>((resolve) => {
        child.stderr!.on('data', (bytes: Buffer) => {
          if (bytes.includes('HeadObject')) resolve()
        })
      })
      await direct.send(new PutObjectCommand({ Bucket, Key: 'meanwhile', Body: 'faster' }))
      child.stdin!.end('slower')
      const { code, stderr } = await ended
      assert.match(stderr, /\nesdk: s3:.*meanwhile: .*ERR_ESDK_CHANGED/)
      assert.equal(code, 1)
      assert.equal((await s3.server.objectBytes('meanwhile')).toString(), 'faster')
    })
  })
})
