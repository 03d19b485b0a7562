import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { MultiKeyring, RawAesKeyring, RawRsaKeyring, encrypt } from 'esdk-streams'
import { generateKeyPairSync } from 'node:crypto'
import type { InspectRecord } from '#lib/cli/inspect'
import { AES_KEY, esdk, temporaryFolder } from './command.ts'

const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const keyring = new MultiKeyring({
  generator: new RawAesKeyring({ keyNamespace: 'esdk', keyName: 'k', wrappingKey: AES_KEY }),
  children: [new RawRsaKeyring({ keyNamespace: 'escrow', keyName: 'vault', publicKey, padding: 'oaep-sha256' })],
})

describe('esdk inspect', () => {
  const folder = temporaryFolder()
  let message: Buffer

  beforeEach(async () => {
    const encryptionContext = { purpose: 'a\nb\u001b[2J', __proto__x: '' }
    message = (await encrypt(Buffer.alloc(10_000), { keyring, encryptionContext, algorithmSuite: 0x0478 })).ciphertext
    await writeFile(folder.of('message'), message)
  })

  it('shows the header, marked as unverified, without anything that moves a cursor', async () => {
    const { code, stdout, stderr } = await esdk(folder.path, ['inspect', 'message'])
    assert.deepEqual([code, stderr], [0, ''])
    const text = stdout.toString()
    assert.match(text, /^message: header of a message, UNVERIFIED\n/)
    assert.match(text, /algorithm suite +0x0478 ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY \(committing, not signed\)\n/)
    assert.match(text, /framed, 4096 bytes a frame\n/)
    assert.match(text, /10000 bytes, if the message is whole\n/)
    assert.match(text, /encrypted data keys +2\n {4}"esdk" "k"\n {4}"escrow" "vault"\n$/)
    assert.ok(text.includes('"purpose" = "a\\nb\\u001b[2J"\n'))
    assert.equal(text.includes('\u001b'), false)
  })

  it('prints one record with --json', async () => {
    const { stdout } = await esdk(folder.path, ['inspect', 'message', '--json'])
    const record = JSON.parse(stdout.toString()) as InspectRecord // printed by the command
    assert.equal(record.verified, false)
    assert.deepEqual([record.input, record.version, record.algorithmSuite.id], ['message', 2, '0x0478'])
    assert.equal(record.messageId, message.subarray(3, 35).toString('base64'))
    assert.deepEqual(record.encryptionContext, { purpose: 'a\nb\u001b[2J', __proto__x: '' })
    assert.deepEqual([record.messageLength, record.plaintextLength], [message.length, 10_000])
    assert.deepEqual(record.encryptedDataKeys[1], {
      keyProviderId: 'escrow',
      keyProviderInfo: Buffer.from('vault').toString('base64'),
      keyName: 'vault',
    })
  })

  it('needs no more of stdin than the header, and says nothing of lengths', async () => {
    const { code, stdout } = await esdk(folder.path, ['inspect', '-'], { input: message.subarray(0, -500) })
    assert.equal(code, 0)
    assert.match(stdout.toString(), /^standard input: header of a message, UNVERIFIED\n/)
    assert.doesNotMatch(stdout.toString(), /message length|plaintext/)
  })

  it('says of a file whose length fits no message only how long it is', async () => {
    await writeFile(folder.of('message'), Buffer.concat([message, Buffer.alloc(2298)]))
    const { stdout } = await esdk(folder.path, ['inspect', 'message'])
    assert.match(stdout.toString(), /message length/)
    assert.doesNotMatch(stdout.toString(), /if the message is whole/)
  })

  it('shows key names that are not text in base64', async () => {
    const at = message.indexOf('vault')
    message[at] = 0xff
    await writeFile(folder.of('message'), message)
    const { stdout } = await esdk(folder.path, ['inspect', 'message'])
    assert.match(stdout.toString(), /"escrow" base64 \/2F1bHQ=\n$/)
  })

  it('fails with 1 on what is no message, or not a whole header, or not there', async () => {
    await writeFile(folder.of('text'), 'hello')
    await writeFile(folder.of('cut'), message.subarray(0, 40))
    await writeFile(folder.of('base64'), message.toString('base64'))
    const results = await Promise.all(
      ['text', 'cut', 'base64', 'missing', '.'].map((name) => esdk(folder.path, ['inspect', name])),
    )
    assert.deepEqual(
      results.map(({ code }) => code),
      [1, 1, 1, 1, 1],
    )
    for (const [index, expected] of [
      /^esdk: text: not an AWS Encryption SDK message.*\(ERR_ESDK_MALFORMED\); check that/,
      /^esdk: cut: .*\(ERR_ESDK_TRUNCATED\); the file is incomplete/,
      /^esdk: base64: .*base64/,
      /^esdk: missing: ENOENT: .*; check the path/,
      /^esdk: \.: EISDIR: .*; name a file/,
    ].entries()) {
      assert.match(results[index]!.stderr, expected)
    }
  })
})
