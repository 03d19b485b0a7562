import assert from 'node:assert/strict'
import {
  type KeyObject,
  constants,
  createPrivateKey,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { decryptPkcs1, decryptPkcs1Unpadded } from '#lib/crypto/rsa-pkcs1'
import { ciphertexts } from '../../scripts/pkcs1-answers.ts'

interface Answers {
  readonly keys: readonly {
    readonly modulusBits: number
    readonly privateKey: string
    readonly answers: readonly {
      readonly what: string
      readonly ciphertext: string
      readonly plaintext: string | null
    }[]
  }[]
}

const path = join(resolve(import.meta.dirname, '..', '..'), 'fixtures', 'rsa-pkcs1.json')
const { keys } = JSON.parse(readFileSync(path, 'utf8')) as Answers // as scripts/pkcs1-answers.ts made it

/** What a decryption gives, or null where it fails. */
function outcome(
  decrypt: (key: KeyObject, ciphertext: Buffer) => Buffer,
  key: KeyObject,
  ciphertext: Buffer,
): string | null {
  try {
    return decrypt(key, ciphertext).toString('hex')
  } catch {
    return null
  }
}

function decryptByNode(key: KeyObject, ciphertext: Buffer): Buffer {
  return privateDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, ciphertext)
}

const pair = generateKeyPairSync('rsa', { modulusLength: 1024 })
const nodeHasPadding = outcome(decryptByNode, pair.privateKey, Buffer.alloc(128, 1)) !== null

describe('crypto/rsa-pkcs1', () => {
  for (const { modulusBits, privateKey, answers } of keys) {
    it(`gives the known answers under ${modulusBits} bits, on this Node (${process.versions.node}) as on any`, () => {
      const key = createPrivateKey(privateKey)
      assert.equal(key.asymmetricKeyDetails?.modulusLength, modulusBits)
      assert.ok(answers.some(({ plaintext }) => plaintext === null))
      assert.ok(answers.some(({ what, plaintext }) => what === 'block type 1' && plaintext !== null))
      for (const { what, ciphertext, plaintext } of answers) {
        assert.equal(outcome(decryptPkcs1Unpadded, key, Buffer.from(ciphertext, 'hex')), plaintext, what)
        assert.equal(outcome(decryptPkcs1, key, Buffer.from(ciphertext, 'hex')), plaintext, what)
      }
    })
  }

  it('covers several sizes of modulus, one of them not in whole words', () => {
    assert.deepEqual(
      keys.map(({ modulusBits }) => modulusBits),
      [1024, 2048, 2056, 3072],
    )
  })

  for (const modulusLength of [1024, 2048, 2056, 3072]) {
    it(`gives what Node gives, byte for byte, under ${modulusLength} bits`, function () {
      if (!nodeHasPadding) this.skip() // Node 20 refuses the padding; the known answers stand in for it
      const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength })
      const size = modulusLength / 8
      const all = ciphertexts(publicKey, size)
      for (let index = 0; index < 100; index++) {
        const random = randomBytes(size - (index % 3))
        random[0] = 0
        all.push(['random', random])
      }
      for (const [what, ciphertext] of all) {
        const expected = outcome(decryptByNode, privateKey, ciphertext)
        assert.equal(outcome(decryptPkcs1Unpadded, privateKey, ciphertext), expected, what)
      }
    })
  }

  it('decrypts what publicEncrypt encrypted, of every length that fits', () => {
    for (let length = 0; length <= 128 - 11; length++) {
      const plaintext = randomBytes(length)
      const ciphertext = publicEncrypt({ key: pair.publicKey, padding: constants.RSA_PKCS1_PADDING }, plaintext)
      assert.deepEqual(decryptPkcs1(pair.privateKey, ciphertext), plaintext)
      assert.deepEqual(decryptPkcs1Unpadded(pair.privateKey, ciphertext), plaintext)
    }
  })

  it('gives pseudo-random bytes for bad padding: the same each time, others for each key and ciphertext', () => {
    const other = generateKeyPairSync('rsa', { modulusLength: 1024 })
    const seen: string[] = []
    for (let index = 0; index < 50; index++) {
      const ciphertext = Buffer.concat([Buffer.alloc(1), randomBytes(127)])
      for (const { privateKey } of [pair, other]) {
        const first = outcome(decryptPkcs1, privateKey, ciphertext)
        assert.equal(outcome(decryptPkcs1, privateKey, ciphertext), first)
        assert.ok(first !== null)
        if (first.length >= 16) seen.push(first) // shorter ones may come up twice
      }
    }
    assert.ok(seen.length > 50)
    assert.equal(new Set(seen).size, seen.length)
    assert.ok(new Set(seen.map(({ length }) => length)).size > 20)
  })

  it('fails for what can’t be a ciphertext', () => {
    for (const wrong of [Buffer.alloc(0), Buffer.alloc(129, 1), Buffer.alloc(128, 0xff)]) {
      assert.throws(() => decryptPkcs1(pair.privateKey, wrong))
      assert.throws(() => decryptPkcs1Unpadded(pair.privateKey, wrong))
    }
  })
})
