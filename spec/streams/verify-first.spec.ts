import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { DecryptStream, EncryptionSdkError, type Keyring, encrypt } from 'esdk-streams'
import { aesKeyring, cutInto, sequence, through } from '../arbitraries.ts'

const aes = aesKeyring()

/** Counts how often it is asked. */
function counting(): { keyring: Keyring; asked: () => number } {
  let count = 0
  return {
    keyring: {
      onEncrypt: (materials) => aes.onEncrypt(materials),
      onDecrypt: (...args) => {
        count++
        return aes.onDecrypt(...args)
      },
    },
    asked: () => count,
  }
}

describe('verifyFirst', () => {
  let spoolFolder: string

  before(async () => {
    spoolFolder = await mkdtemp(join(tmpdir(), 'esdk-verify-first-'))
  })

  after(() => rm(spoolFolder, { recursive: true }))

  for (const size of [0, 1000, 3_000_000]) {
    it(`gives ${size} bytes, asks for the keys once, and leaves no file`, async () => {
      const plaintext = Buffer.alloc(size, sequence(0, 253))
      const { ciphertext } = await encrypt(plaintext, { keyring: aes })
      const { keyring, asked } = counting()
      const stream = new DecryptStream({ keyring, verifyFirst: true, spoolFolder })
      let headers = 0
      stream.on('header', () => headers++)
      const opened = await through(cutInto([70_001])(ciphertext), stream)
      assert.ok(opened.equals(plaintext))
      assert.deepEqual([asked(), headers], [1, 1])
      assert.equal(stream.stats.frames, Math.max(1, Math.ceil(size / 4096)))
      assert.deepEqual(await readdir(spoolFolder), [])
    })

    it(`releases none of ${size} bytes where the last one of the message is wrong, missing or one too many`, async () => {
      for (const algorithmSuite of [0x0478, 0x0578]) {
        const { ciphertext } = await encrypt(Buffer.alloc(size, 1), { keyring: aes, algorithmSuite })
        const wrong = Buffer.from(ciphertext)
        wrong[wrong.length - 1]! ^= 1
        for (const message of [wrong, ciphertext.subarray(0, -1), Buffer.concat([ciphertext, Buffer.from([0])])]) {
          const stream = new DecryptStream({ keyring: aes, verifyFirst: true, spoolFolder })
          let released = 0
          stream.on('data', (chunk) => (released += chunk.length))
          stream.on('header', () => assert.fail('a header was announced'))
          await assert.rejects(pipeline(Readable.from(cutInto([100_000])(message)), stream), EncryptionSdkError)
          assert.equal(released, 0)
          assert.deepEqual(await readdir(spoolFolder), [])
        }
      }
    })
  }

  it('fails with the error of the file system where there is no room to spool', async () => {
    const { ciphertext } = await encrypt(Buffer.alloc(3_000_000), { keyring: aes })
    const stream = new DecryptStream({ keyring: aes, verifyFirst: true, spoolFolder: join(spoolFolder, 'missing') })
    await assert.rejects(through([ciphertext], stream), { code: 'ENOENT' })
  })
})
