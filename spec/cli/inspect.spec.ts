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
    assert.match(
      text,
      /encrypted data keys +2\n {4}"esdk" "k", wrapped in 48 bytes\n {4}"escrow" "vault", wrapped in 256 bytes\n$/,
    )
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
      ciphertextLength: 256,
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
    assert.match(stdout.toString(), /"escrow" base64 \/2F1bHQ=, wrapped in 256 bytes\n$/)
  })

  it('walks through all frames with --frames', async () => {
    const [text, piped, json] = await Promise.all([
      esdk(folder.path, ['inspect', 'message', '--frames']),
      esdk(folder.path, ['inspect', '-', '--frames'], { input: message }),
      esdk(folder.path, ['inspect', 'message', '--frames', '--json']),
    ])
    assert.deepEqual([text.code, text.stderr, piped.code, json.code], [0, '', 0, 0])
    const shown = text.stdout.toString()
    assert.match(shown, /^message: message, UNVERIFIED\n/)
    assert.match(shown, /regular frames +2, of 4128 bytes each\n +final frame +number 3, 1808 bytes of content\n/)
    assert.match(shown, /whole +yes, as far as can be seen without keys\n$/)
    assert.equal(piped.stdout.toString(), shown.replace(/^message:/, 'standard input:'))
    const { headerLength, body } = JSON.parse(json.stdout.toString()) as InspectRecord // printed by the command
    assert.deepEqual(body, {
      messageLength: message.length,
      complete: true,
      regularFrames: 2,
      finalFrame: { sequenceNumber: 3, contentLength: 1808 },
      contentLength: 10_000,
      parts: [
        { kind: 'frames', offset: headerLength, length: 8256, count: 2 },
        { kind: 'final frame', offset: headerLength + 8256, length: 1848 },
      ],
      faults: [],
      faultCount: 0,
    })
  })

  it('says where a message is cut or damaged, prints what it found all the same, and ends with 1', async () => {
    await writeFile(folder.of('cut'), message.subarray(0, -1850))
    await writeFile(folder.of('grown'), Buffer.concat([message, Buffer.from('more')]))
    const [cut, grown, page] = await Promise.all([
      esdk(folder.path, ['inspect', 'cut', '--frames', '--json']),
      esdk(folder.path, ['inspect', 'grown', '--frames']),
      esdk(folder.path, ['inspect', 'cut', '--html']),
    ])
    assert.deepEqual([cut.code, grown.code, page.code], [1, 1, 1])
    const { body } = JSON.parse(cut.stdout.toString()) as InspectRecord // printed by the command
    const where = `after ${message.length - 1850} bytes, in the tag of frame 2`
    assert.deepEqual(body!.faults, [
      {
        code: 'ERR_ESDK_TRUNCATED',
        offset: message.length - 1850,
        message: `the input ended inside the message, ${where}`,
      },
    ])
    assert.match(cut.stderr, new RegExp(`^esdk: cut: .*${where} \\(ERR_ESDK_TRUNCATED\\); the file is incomplete`))
    assert.match(grown.stdout.toString(), /whole +NO\n {4}at \d+: there are 4 bytes after the end of the message\n$/)
    assert.match(grown.stderr, /^esdk: grown: there are 4 bytes after .*\(ERR_ESDK_MALFORMED\)/)
    assert.match(page.stdout.toString(), /Not whole:.*in the tag of frame 2.*<\/html>\n$/s)
  })

  it('is either a record or a page', async () => {
    const { code, stderr } = await esdk(folder.path, ['inspect', 'message', '--json', '--html'])
    assert.equal(code, 2)
    assert.match(stderr, /^esdk: --json and --html/)
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
