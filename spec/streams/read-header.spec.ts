import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { decrypt, encrypt, readHeader } from 'esdk-streams'
import { aesKeyring, cuts, messageCases, messageOf, sequence } from '../arbitraries.ts'

describe('readHeader', () => {
  it('reads the header of any message without a key, and leaves the rest', async () => {
    await fc.assert(
      fc.asyncProperty(messageCases, cuts, async (message, cut) => {
        const { ciphertext, header } = await encrypt(message.plaintext, message.encryptOptions)
        const read = await readHeader(Readable.from(cut(ciphertext)))
        assert.deepEqual(read.header, header)
        assert.deepEqual(read.headerBytes, ciphertext.subarray(0, read.headerLength))
        assert.deepEqual(await buffer(read.rest), ciphertext.subarray(read.headerLength))
      }),
      { numRuns: 60 },
    )
  })

  it('leaves a message that can still be decrypted, however long', async () => {
    const keyring = aesKeyring()
    const plaintext = Buffer.alloc(3_000_000, sequence(0, 251))
    const { ciphertext } = await encrypt(plaintext, { keyring })
    const { headerBytes, rest } = await readHeader([ciphertext])
    const whole = async function* (): AsyncGenerator<Buffer> {
      yield headerBytes
      yield* rest as AsyncIterable<Buffer>
    }
    assert.ok((await decrypt(whole(), { keyring })).plaintext.equals(plaintext))
  })

  it('fails with a coded error and lets go of the source', async () => {
    const message = await messageOf(fc.sample(messageCases, { seed: 1, numRuns: 1 })[0]!)
    const short = Readable.from([message.subarray(0, 30)])
    await assert.rejects(readHeader(short), { code: 'ERR_ESDK_TRUNCATED' })
    const endless = new Readable({
      read() {
        this.push(Buffer.alloc(100))
      },
    })
    await assert.rejects(readHeader(endless), { code: 'ERR_ESDK_MALFORMED' })
    assert.equal(endless.destroyed, true)
    await assert.rejects(readHeader(message.toString('base64') as never), TypeError)
    await assert.rejects(readHeader(Buffer.from(message.toString('base64'))), /base64-encoded/)
    await assert.rejects(readHeader(message, { maxHeaderBytes: 40 }), { code: 'ERR_ESDK_LIMIT' })
  })

  it('lets go of the source when the rest is destroyed unread', async () => {
    const message = await messageOf(fc.sample(messageCases, { seed: 2, numRuns: 1 })[0]!)
    const source = new Readable({ read() {} })
    source.push(message)
    const { rest } = await readHeader(source)
    rest.destroy()
    await new Promise((resolve) => rest.once('close', resolve))
    assert.equal(source.destroyed, true)
  })
})
