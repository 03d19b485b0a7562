import assert from 'node:assert/strict'
import { bodyAad } from 'esdk-streams/format'
import { setBodyAadNumber } from '#lib/format/body-aad'
import { sequence } from '../arbitraries.ts'

describe('format/body-aad', () => {
  for (const [content, text, length] of [
    ['non-framed', 'AWSKMSEncryptionClient Single Block', 35],
    ['regular', 'AWSKMSEncryptionClient Frame', 28],
    ['final', 'AWSKMSEncryptionClient Final Frame', 34],
  ] as const) {
    it(`of ${content} content is the whole message id, "${text}", number and length`, () => {
      for (const idBytes of [16, 32]) {
        const messageId = sequence(0xa0, idBytes)
        const aad = bodyAad(messageId, content, 0x01020304, 2 ** 36 - 32)
        const numbers = Buffer.from('01020304' + '0000000fffffffe0', 'hex')
        assert.deepEqual(aad, Buffer.concat([messageId, Buffer.from(text), numbers]))
        assert.equal(aad.length, idBytes + length + 12)
      }
    })
  }

  it('takes another number, and nothing else, in place', () => {
    const messageId = sequence(0, 32)
    const aad = bodyAad(messageId, 'regular', 1, 4096)
    setBodyAadNumber(aad, 0xfffffffe)
    assert.deepEqual(aad, bodyAad(messageId, 'regular', 0xfffffffe, 4096))
  })
})
