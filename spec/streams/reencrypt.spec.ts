import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { EncryptionSdkError, decrypt, encrypt, readHeader, reencrypt } from 'esdk-streams'
import { bodyLength } from '#lib/format/message-size'
import { aesKeyring, cuts, messageCases, policyOf, sequence, suites } from '../arbitraries.ts'
import { FRAMED_KINDS, framedMessages } from '../framed-messages.ts'
import { craftingKeyring } from '../message-recipe.ts'

const from = aesKeyring('old')
const to = aesKeyring('new')

describe('reencrypt', () => {
  it('gives the same plaintext and context under new keys only, for every message and cutting', async () => {
    await fc.assert(
      fc.asyncProperty(messageCases, cuts, async (message, cut) => {
        const { ciphertext, header } = await encrypt(message.plaintext, message.encryptOptions)
        const stream = reencrypt(Readable.from(cut(ciphertext)), { from: message.decryptOptions, to: { keyring: to } })
        const renewed = await buffer(stream)
        const result = await decrypt(renewed, { keyring: to })
        assert.ok(result.plaintext.equals(message.plaintext))
        assert.deepEqual(result.header, stream.header)
        assert.notDeepEqual(result.header.messageId, header.messageId)
        assert.deepEqual(withoutReserved(result.header.encryptionContext), withoutReserved(header.encryptionContext))
        await assert.rejects(decrypt(renewed, { keyring: from }), { code: 'ERR_ESDK_UNWRAP' })
      }),
      { numRuns: 60 },
    )
  })

  it('takes both versions, signed and not, with either final frame, and gives the message that is asked for', async () => {
    const asked = fc.record({
      suite: suites,
      frameLength: fc.integer({ min: 1, max: 60 }),
      encryptionContext: fc.constantFrom({}, { purpose: 'other' }, { new: '2' }),
    })
    for (const kind of FRAMED_KINDS) {
      await fc.assert(
        fc.asyncProperty(framedMessages(kind), asked, cuts, async (made, { suite, ...options }, cut) => {
          const under = { keyring: to, commitmentPolicy: policyOf(suite) }
          const stream = reencrypt(Readable.from(cut(made.message)), {
            from: { keyring: craftingKeyring(), commitmentPolicy: policyOf(made.suite) },
            to: { ...under, ...options, algorithmSuite: suite.id },
          })
          const renewed = await buffer(stream)
          const { plaintext, header } = await decrypt(renewed, under)
          assert.equal(plaintext.toString('hex'), made.plaintext.toString('hex'))
          assert.deepEqual(
            [header.version, header.suite.id, header.contentType, header.frameLength],
            [suite.messageVersion, suite.id, 'framed', options.frameLength],
          )
          assert.deepEqual(withoutReserved(header.encryptionContext), { ...made.context, ...options.encryptionContext })
          const { headerLength } = await readHeader(renewed)
          const footerBytes = suite.signature === undefined ? 0 : 2 + suite.signature.signatureBytes
          assert.equal(renewed.length, headerLength + bodyLength(plaintext.length, options.frameLength) + footerBytes)
          await assert.rejects(decrypt(renewed, { ...under, keyring: craftingKeyring() }), { code: 'ERR_ESDK_UNWRAP' })
        }),
        { numRuns: 12 },
      )
    }
  })

  it('adds and replaces pairs, changes suite and frame length, and can require a carried pair', async () => {
    const { ciphertext } = await encrypt('text', { keyring: from, encryptionContext: { a: '1', b: '2' } })
    const renewed = await buffer(
      reencrypt(ciphertext, {
        from: { keyring: from },
        to: {
          keyring: to,
          algorithmSuite: 0x0478,
          frameLength: 7,
          encryptionContext: { b: '3', c: '4' },
          requiredEncryptionContextKeys: ['a'],
        },
      }),
    )
    const { header } = await readHeader(renewed)
    assert.deepEqual({ ...header.encryptionContext }, { b: '3', c: '4' })
    assert.deepEqual([header.suite.id, header.frameLength], [0x0478, 7])
    assert.equal((await decrypt(renewed, { keyring: to, encryptionContext: { a: '1' } })).plaintext.toString(), 'text')
  })

  it('never ends where the source is not authentic to its last byte', async () => {
    const plaintext = sequence(0, 200)
    for (const algorithmSuite of [0x0478, 0x0578]) {
      const { ciphertext } = await encrypt(plaintext, { keyring: from, frameLength: 50, algorithmSuite })
      for (const at of [30, ciphertext.length - 200, ciphertext.length - 1]) {
        const tampered = Buffer.from(ciphertext)
        tampered[at]! ^= 1
        await assert.rejects(
          buffer(reencrypt(tampered, { from: { keyring: from }, to: { keyring: to } })),
          EncryptionSdkError,
        )
      }
      for (const chunks of [[ciphertext.subarray(0, -1)], [ciphertext, Buffer.from([0])], []]) {
        await assert.rejects(
          buffer(reencrypt(chunks, { from: { keyring: from }, to: { keyring: to } })),
          EncryptionSdkError,
        )
      }
    }
  })

  it('refuses unfit options at once', () => {
    assert.throws(() => reencrypt(Buffer.alloc(1), { from: {}, to: { keyring: to } }), TypeError)
    assert.throws(
      () => reencrypt(Buffer.alloc(1), { from: { keyring: from }, to: { keyring: to, frameLength: 0 } }),
      RangeError,
    )
  })

  it('passes on the error of its source, and of the keyring that is to wrap', async () => {
    const failure = new Error('disk on fire')
    const broken = new Readable({
      read() {
        this.destroy(failure)
      },
    })
    await assert.rejects(
      buffer(reencrypt(broken, { from: { keyring: from }, to: { keyring: to } })),
      (error) => error === failure,
    )
    const { ciphertext } = await encrypt('text', { keyring: from })
    const refusing = {
      onEncrypt: () => Promise.reject(new Error('denied')),
      onDecrypt: () => Promise.reject(new Error('unused')),
    }
    const source = Readable.from([ciphertext])
    await assert.rejects(buffer(reencrypt(source, { from: { keyring: from }, to: { keyring: refusing } })), {
      code: 'ERR_ESDK_WRAP',
    })
    assert.equal(source.destroyed, true)
  })

  it('lets go of the source when it is destroyed', async () => {
    const source = new Readable({ read() {} })
    const stream = reencrypt(source, { from: { keyring: from }, to: { keyring: to } })
    stream.destroy()
    await new Promise((resolve) => source.once('close', resolve))
    assert.equal(source.destroyed, true)
  })
})

function withoutReserved(context: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(context).filter(([name]) => !name.startsWith('aws-crypto-')))
}
