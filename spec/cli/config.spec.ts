/** `esdk.config.json`, its profiles, and `esdk profiles`. */
import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { findConfig } from '#lib/cli/config'
import type { Profile } from '#lib/cli/config-schema'
import type { FileRecord } from '#lib/cli/record'
import { AES_JWK, AES_KEY, OTHER_JWK, commandsIn, esdk, temporaryFolder } from './command.ts'

const KMS_KEY = 'arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab'

describe('esdk.config.json', () => {
  const folder = temporaryFolder()

  beforeEach(async () => {
    await mkdir(folder.of('keys'))
    await mkdir(folder.of('work/deep'), { recursive: true })
    await writeFile(folder.of('keys/aes.jwk'), AES_JWK)
    await writeFile(folder.of('keys/other.jwk'), OTHER_JWK)
    await writeFile(folder.of('keys/raw'), AES_KEY)
    await writeFile(folder.of('work/in'), 'plaintext')
  })

  async function configure(profiles: Readonly<Record<string, Profile>>, defaultProfile?: string): Promise<void> {
    await writeFile(folder.of('esdk.config.json'), JSON.stringify({ defaultProfile, profiles }))
  }

  const { run, done } = commandsIn(() => folder.of('work'))

  async function refuses(text: RegExp, ...args: string[]): Promise<void> {
    const { code, stderr, stdout } = await run(...args)
    assert.match(stderr, text)
    assert.match(stderr, /^esdk: [^\n]+\n$/)
    assert.equal(code, 2, stderr)
    assert.equal(stdout.length, 0)
  }

  async function recordOf(...args: string[]): Promise<FileRecord> {
    return JSON.parse((await done(...args, '--json')).toString()) as FileRecord
  }

  it('is found around the folder, and its default profile serves where no key is named', async () => {
    const keys = [{ file: 'keys/aes.jwk' }, { file: 'keys/other.jwk' }]
    await configure({ team: { keys, encryptionContext: { team: 'a=b', purpose: 'daily' } } }, 'team')
    const { header } = await recordOf('encrypt', 'in', '-c', 'purpose=backup')
    const { 'aws-crypto-public-key': _, ...pairs } = header.encryptionContext
    assert.deepEqual(pairs, { team: 'a=b', purpose: 'backup' })
    assert.equal(header.encryptedDataKeys.length, 2)
    const deep = await esdk(folder.of('work/deep'), ['decrypt', '../in.encrypted', '-o', '-', '-c', 'purpose=backup'])
    assert.deepEqual([deep.stdout.toString(), deep.stderr], ['plaintext', ''])
    const other = await run('decrypt', 'in.encrypted', '-o', 'target') // the profile's own pair is another
    assert.match(other.stderr, /ERR_ESDK_POLICY.*correct -c/)
    assert.equal(other.code, 5)
    await refuses(/no key: give --key KEYFILE/, 'decrypt', 'in.encrypted', '-o', '-', '--no-config')
    // A key on the command line says that something else is meant.
    assert.equal(
      (await done('decrypt', 'in.encrypted', '-o', '-', '--key', '../keys/other.jwk')).toString(),
      'plaintext',
    )
  })

  it('has settings, for all of which the command line counts more', async () => {
    await configure({
      all: {
        keys: [{ file: 'keys/raw', name: 'n', namespace: 's' }],
        suite: '0x0478',
        frameLength: 5,
        maxEncryptedDataKeys: 1,
        suffix: '.x',
        requiredEncryptionContextKeys: ['tenant'],
        encryptionContext: { tenant: 't' },
        caching: { maxAge: 60, maxMessagesEncrypted: 10 },
        commitmentPolicy: 'require-encrypt-allow-decrypt',
      },
      strict: {
        keys: [{ file: 'keys/raw', name: 'n', namespace: 's' }],
        maxLength: 4,
        encryptionContext: { tenant: 't' },
      },
      unsigned: { keys: [{ file: 'keys/aes.jwk' }], unsignedOnly: true, verifyFirst: true },
    })
    const { header, frames, output } = await recordOf('encrypt', 'in', '--profile', 'all')
    assert.deepEqual([header.algorithmSuite.id, header.frameLength, frames, output], ['0x0478', 5, 2, 'in.x'])
    assert.deepEqual(header.encryptionContext, {})
    assert.equal(header.encryptedDataKeys[0]!.keyName, 'n')
    const said = ['--suite', '0x0578', '--frame-length', '9', '--suffix', '.y', '-c', 'more=1'] as const
    const other = await recordOf('encrypt', 'in', '--profile', 'all', ...said)
    assert.deepEqual([other.header.algorithmSuite.id, other.frames, other.output], ['0x0578', 1, 'in.y'])
    assert.equal((await done('decrypt', 'in.x', '-o', '-', '--profile', 'all')).toString(), 'plaintext')
    await done('encrypt', 'in', '-o', 'random', '--profile', 'all', '--random-access')
    const many = await run(
      'encrypt',
      'in',
      '-o',
      't',
      '--profile',
      'all',
      '--key',
      '../keys/aes.jwk',
      '--key',
      '../keys/other.jwk',
    )
    assert.match(many.stderr, /ERR_ESDK_LIMIT.*raise --max-encrypted-data-keys/)
    const long = await run('decrypt', 'in.x', '-o', 't', '--profile', 'strict')
    assert.match(long.stderr, /in\.x: the message has a frame length of 5 bytes.*ERR_ESDK_LIMIT.*raise --max-length/)
    assert.equal(long.code, 5)
    assert.equal(
      (await done('decrypt', 'in.x', '-o', '-', '--profile', 'strict', '--max-length', '5')).toString(),
      'plaintext',
    )
    await done('encrypt', 'in', '-o', 'signed', '--key', '../keys/aes.jwk')
    assert.equal((await run('decrypt', 'signed', '-o', 't', '--profile', 'unsigned')).code, 5)
  })

  it('names RSA keys, whose public half encrypts, and a key to re-encrypt under', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    await writeFile(folder.of('keys/pub.pem'), publicKey.export({ type: 'spki', format: 'pem' }))
    await writeFile(folder.of('keys/priv.pem'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const rsa = { name: 'vault', namespace: 'escrow', padding: 'oaep-sha512' } as const
    await configure({
      old: { keys: [{ file: 'keys/aes.jwk' }] },
      escrow: { keys: [{ file: 'keys/pub.pem', ...rsa }], suite: '0x0478', encryptionContext: { kept: 'yes' } },
      vault: { keys: [{ file: 'keys/priv.pem', ...rsa }] },
      found: { discovery: {} },
    })
    await done('encrypt', 'in', '--profile', 'old', '-c', 'a=1')
    const { header } = await recordOf('reencrypt', 'in.encrypted', '--profile', 'old', '--to-profile', 'escrow')
    assert.deepEqual(header.encryptionContext, { a: '1', kept: 'yes' })
    assert.equal(header.algorithmSuite.id, '0x0478')
    assert.equal((await done('decrypt', 'in.encrypted', '-o', '-', '--profile', 'vault')).toString(), 'plaintext')
    const both = ['reencrypt', 'in.encrypted', '--profile', 'vault', '--to-profile', 'old'] as const
    await refuses(/--to-profile stands in the place of --to-key/, ...both, '--to-key', '../keys/aes.jwk')
    await refuses(/profile "found" has no keys to encrypt with/, 'encrypt', 'in', '--profile', 'found')
    await refuses(
      /profile "found" has no keys to encrypt with/,
      'reencrypt',
      'in.encrypted',
      '--profile',
      'old',
      '--to-profile',
      'found',
    )
    const { code } = await run('decrypt', 'in.encrypted', '-o', 't', '--profile', 'old')
    assert.equal(code, 4)
  })

  it('writes over no key file of a profile', async () => {
    await configure({ team: { keys: [{ file: 'keys/aes.jwk' }] } }, 'team')
    await refuses(/may not be a key file/, 'encrypt', 'in', '-o', '../keys/aes.jwk')
    assert.equal(await readFile(folder.of('keys/aes.jwk'), 'utf8'), AES_JWK)
  })

  it('refuses what it does not know, and suggests what may be meant, without any values', async () => {
    const secret = AES_KEY.toString('base64url')
    const cases: readonly (readonly [text: string, expected: RegExp])[] = [
      [
        '{"profiles": {"team": {"key": []}}}',
        /profiles\.team: "key" looks like part of a key: put the key into a file/,
      ],
      ['{"profiles": {"team": {"kys": []}}}', /profiles\.team: unknown name "kys" \(did you mean "keys"\?\)/],
      ['{"profile": {}}', /unknown name "profile" \(did you mean "profiles"\?\)/],
      ['{}', /lacks "profiles"/],
      ['[]', /expected an object, got array/],
      [`{"profiles": {"team": {"keys": ["${secret}"]}}}`, /keys\[0\]: expected an object, got string/],
      [
        `{"profiles": {"team": {"keys": [{"kty": "oct", "k": "${secret}"}]}}}`,
        /keys\[0\]: "kty" looks like part of a key/,
      ],
      [`{"profiles": {"team": {"keys": [{"file": "-----BEGIN PRIVATE KEY-----${secret}"}]}}}`, /holds a key itself/],
      ['{"profiles": {"team": {"keys": [{}]}}}', /keys\[0\]: expected either "kms" or "file"/],
      ['{"profiles": {"team": {"keys": [{"kms": "a", "file": "b"}]}}}', /expected either "kms" or "file"/],
      ['{"profiles": {"team": {"keys": []}}}', /keys: expected at least one entry/],
      ['{"profiles": {"team": {"keys": [{"file": ""}]}}}', /keys\[0\]\.file: expected text, got nothing/],
      [`{"profiles": {"team": {"keys": [{"file": "a", "padding": "${secret}"}]}}}`, /padding: expected one of pkcs1, /],
      [`{"profiles": {"team": {"commitmentPolicy": "${secret}"}}}`, /commitmentPolicy: expected one of /],
      ['{"profiles": {"team": {"frameLength": 0}}}', /frameLength: expected 1 or more/],
      ['{"profiles": {"team": {"frameLength": 1.5}}}', /frameLength: expected a whole number, got number/],
      ['{"profiles": {"team": {"caching": {}}}}', /caching: lacks "maxAge"/],
      ['{"profiles": {"team": {"caching": {"maxAge": 0}}}}', /maxAge: expected more than 0/],
      ['{"profiles": {"team": {"mrk": "yes"}}}', /mrk: expected true or false, got string/],
      ['{"profiles": {"team": {"encryptionContext": {"a": null}}}}', /encryptionContext\.a: expected text, got null/],
      ['{"profiles": {"$(reboot)": {}}}', /the name "\$\(reboot\)" expected letters, digits/],
      ['{"profiles": {"team": {}}, "defaultProfile": "taem"}', /no profile "taem" \(did you mean "team"\?\)/],
      ['{"profiles":\n {"team": {} "x": 1}}', /this is not JSON, at line 2, column 14/],
      [`{"profiles":\n {"team": ${secret}}}`, /this is not JSON/],
      ['', /this is not JSON/],
    ]
    const path = folder.of('esdk.config.json')
    for (const [text, expected] of cases) {
      await writeFile(path, text)
      await assert.rejects(findConfig(path), (error) => {
        assert.ok(error instanceof Error && error.name === 'UsageError')
        assert.match(error.message, expected)
        assert.ok(error.message.startsWith(`${path}: `), error.message)
        assert.equal(error.message.includes(secret), false)
        return true
      })
    }
    await writeFile(path, `{"profiles":\n {"team": "${secret}", ${secret}}`)
    const { code, stderr } = await run('profiles', '--debug')
    assert.match(stderr, /^esdk: .*esdk\.config\.json: this is not JSON.*\n {2}UsageError/)
    assert.equal(stderr.includes(secret.slice(0, 5)), false)
    assert.equal(code, 2)
  })

  it('is asked for by name, or not at all', async () => {
    await refuses(
      /--profile team is looked for in esdk\.config\.json, and there is none in .*work or around it/,
      'encrypt',
      'in',
      '--profile',
      'team',
    )
    await refuses(/--config x\.json: there is no such file/, 'encrypt', 'in', '--config', 'x.json')
    await configure({ team: { keys: [{ file: 'keys/aes.jwk' }] }, tame: {} })
    await refuses(
      /no profile "teem" \(did you mean "team"\?\); it has team, tame/,
      'encrypt',
      'in',
      '--profile',
      'teem',
    )
    await refuses(/no profile "x"; it has team, tame/, 'encrypt', 'in', '--profile', 'x')
    await refuses(/no key: .*--profile with one of team, tame/, 'encrypt', 'in')
    await refuses(/--no-config has no profiles/, 'encrypt', 'in', '--no-config', '--profile', 'team')
    await refuses(/profile "tame" has no keys to encrypt with/, 'encrypt', 'in', '--profile', 'tame')
    const named = ['--config', '../esdk.config.json', '--profile', 'team'] as const
    await done('encrypt', 'in', ...named)
    const { code } = await run('encrypt', 'in', '--config', 'deep', '--profile', 'team')
    assert.equal(code, 1)
  })

  it('chooses no keys where someone else could have written it', async function () {
    if (process.getuid === undefined) this.skip()
    await configure({ team: { keys: [{ file: 'keys/aes.jwk' }] } }, 'team')
    await chmod(folder.of('esdk.config.json'), 0o666)
    await refuses(
      /esdk\.config\.json: all may write it; use it with --config .*, or not at all with --no-config/,
      'encrypt',
      'in',
    )
    await done('encrypt', 'in', '--config', '../esdk.config.json')
    await chmod(folder.of('esdk.config.json'), 0o644)
    await done('encrypt', 'in')
    if (process.getuid() !== 0) return
    await chown(folder.of('esdk.config.json'), 12_345, 12_345)
    await refuses(/belongs to someone else/, 'encrypt', 'in')
  })

  it('is listed by esdk profiles', async () => {
    await refuses(/there is no esdk\.config\.json in .* or around it; name one with --config/, 'profiles')
    const team: Profile = { description: 'daily work', keys: [{ kms: KMS_KEY }, { file: 'keys/aes.jwk' }] }
    await configure({ team, audit: { discovery: { accounts: ['111122223333'] } } }, 'team')
    assert.equal(
      (await done('profiles')).toString(),
      `${resolve(folder.of('esdk.config.json'))}\n  team (default): daily work\n    ${KMS_KEY}\n    keys/aes.jwk\n` +
        '  audit\n    keys of AWS KMS that a message names\n',
    )
    assert.equal((await done('profiles', '--names')).toString(), 'team\naudit\n')
    const record = JSON.parse((await done('profiles', '--json')).toString()) as { profiles: { team: Profile } }
    assert.deepEqual(record.profiles.team, team)
  })

  it('is what the documentation says', async () => {
    const page = await readFile(new URL('../../docs/command-line.md', import.meta.url), 'utf8')
    const [example, ...others] = [...page.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, text]) => text!)
    assert.deepEqual(others, [])
    const path = folder.of('esdk.config.json')
    await writeFile(path, example!)
    assert.equal((await findConfig(path))?.defaultProfile, 'reports')
    // The table has every member.
    const rows = page.split('| member ')[1]!.split('\n\n')[0]!
    const { CONFIG_SCHEMA } = await import('#lib/cli/config-schema')
    const { additionalProperties: profile } = CONFIG_SCHEMA.properties!['profiles']!
    assert.ok(profile !== false && profile !== undefined)
    for (const name of Object.keys(profile.properties!)) assert.ok(rows.includes(`\`${name}\``), name)
  })

  it('has a JSON Schema in the package, which knows what the command knows', async () => {
    const text = await readFile(new URL('../../dist/esdk.config.schema.json', import.meta.url), 'utf8')
    const { CONFIG_SCHEMA } = await import('#lib/cli/config-schema')
    assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(CONFIG_SCHEMA)))
  })
})
