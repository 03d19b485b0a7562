import assert from 'node:assert/strict'
import { type KeyObject, createCipheriv, createSecretKey, generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { AeadKey, type Sealed, openAead, sealAead } from '#lib/crypto/aead'
import type { NativeAddon } from '#lib/crypto/native-addon'
import { bytes, sequence } from '../arbitraries.ts'
import { useAddon } from './addon.ts'

const key = createSecretKey(sequence(0, 32))
const iv = sequence(0xc0, 12)

for (const engine of ['native', 'node'] as const) {
  describe(`crypto/aead by the engine ${engine}`, () => {
    const addon = engine === 'native' ? useAddon() : undefined
    const seal = (aes: KeyObject, nonce: Buffer, aad: Buffer, plaintext: Buffer): Sealed =>
      new AeadKey(aes, addon?.()).seal(nonce, aad, plaintext)
    const open = (aes: KeyObject, nonce: Buffer, aad: Buffer, { ciphertext, tag }: Sealed): Buffer | undefined =>
      new AeadKey(aes, addon?.()).open(nonce, aad, ciphertext, tag)

    it('opens what it sealed, with keys of every size', () => {
      fc.assert(
        fc.property(
          fc.constantFrom(16, 24, 32),
          bytes(12, 12),
          bytes(40),
          bytes(100),
          (size, nonce, aad, plaintext) => {
            const aes = createSecretKey(sequence(3, size))
            const sealed = seal(aes, nonce, aad, plaintext)
            assert.equal(sealed.ciphertext.length, plaintext.length)
            assert.equal(sealed.tag.length, 16)
            assert.deepEqual(open(aes, nonce, aad, sealed), plaintext)
          },
        ),
      )
    })

    it('is AES-GCM', () => {
      const cipher = createCipheriv('aes-256-gcm', key, iv)
      cipher.setAAD(Buffer.from('aad'))
      const ciphertext = Buffer.concat([cipher.update('plaintext'), cipher.final()])
      const sealed = seal(key, iv, Buffer.from('aad'), Buffer.from('plaintext'))
      assert.deepEqual(sealed, { ciphertext, tag: cipher.getAuthTag() })
    })

    it('gives the known answer of a wrapped data key', () => {
      const sealed = {
        ciphertext: Buffer.from('40096524333dd019d090b7e97ee1a6191c22b16c68b749ed729a11516b2021e9', 'hex'),
        tag: Buffer.from('6e66117327925eb757c176a4c22e04e7', 'hex'),
      }
      const context = Buffer.from('0001000a6465706172746d656e74000561646d696e', 'hex')
      assert.deepEqual(open(key, iv, context, sealed), sequence(0x40, 32))
      assert.deepEqual(seal(key, iv, context, sequence(0x40, 32)), sealed)
    })

    it('opens nothing that was changed in any byte', () => {
      const aad = Buffer.from('aad')
      const sealed = seal(key, iv, aad, Buffer.from('plaintext'))
      const parts = { iv, aad, ciphertext: sealed.ciphertext, tag: sealed.tag }
      for (const [part, whole] of Object.entries(parts)) {
        for (let at = 0; at < whole.length; at++) {
          const changed = Buffer.from(whole)
          changed[at]! ^= 0x80
          const all = { ...parts, [part]: changed }
          assert.equal(open(key, all.iv, all.aad, all), undefined, `${part} at ${at}`)
        }
      }
      assert.equal(open(createSecretKey(sequence(1, 32)), iv, aad, sealed), undefined)
      assert.equal(open(createSecretKey(sequence(0, 16)), iv, aad, sealed), undefined)
      assert.deepEqual(open(key, iv, aad, sealed), Buffer.from('plaintext'))
    })

    it('takes whole tags only', () => {
      const sealed = seal(key, iv, iv, Buffer.from('plaintext'))
      for (const length of [0, 4, 8, 12, 15]) {
        assert.equal(open(key, iv, iv, { ...sealed, tag: sealed.tag.subarray(0, length) }), undefined)
      }
      assert.equal(open(key, iv, iv, { ...sealed, tag: Buffer.concat([sealed.tag, Buffer.alloc(1)]) }), undefined)
    })

    it('takes IVs of 12 bytes and AES keys only', () => {
      const sealed = seal(key, iv, iv, iv)
      for (const length of [0, 8, 11, 13, 16]) {
        assert.throws(() => seal(key, Buffer.alloc(length), iv, iv), /an IV has 12 bytes/)
        assert.throws(() => open(key, Buffer.alloc(length), iv, sealed), TypeError)
      }
      assert.throws(() => seal(createSecretKey(Buffer.alloc(31)), iv, iv, iv), /16, 24 or 32 bytes, got 31/)
      const { privateKey } = generateKeyPairSync('ed25519')
      assert.throws(() => seal(privateKey, iv, iv, iv), /no secret key/)
    })

    it('gives and takes the same bytes as the other, of any length around where it changes over', () => {
      const wholes = [0, 1, 15, 16, 17, 65_535, 65_536, 65_537, 200_000].map((length) => sequence(1, length))
      for (const plaintext of wholes) {
        const sealed = seal(key, iv, plaintext, plaintext)
        assert.deepEqual(new AeadKey(key, undefined).open(iv, plaintext, sealed.ciphertext, sealed.tag), plaintext)
        const other = new AeadKey(key, undefined).seal(iv, plaintext, plaintext)
        assert.deepEqual(other, sealed)
        assert.deepEqual(open(key, iv, plaintext, other), plaintext)
      }
    })
  })
}

describe('crypto/aead', () => {
  const addon = useAddon()

  it('clears the bytes of the key that the addon was given', () => {
    const keys: Uint8Array[] = []
    const spying: NativeAddon = {
      ...addon(),
      sealOnce: (...given) => {
        keys.push(given[0])
        assert.deepEqual(Buffer.from(given[0]), key.export())
        addon().sealOnce(...given)
      },
      openOnce: (...given) => {
        keys.push(given[0])
        return addon().openOnce(...given)
      },
    }
    const { ciphertext, tag } = new AeadKey(key, spying).seal(iv, iv, Buffer.from('plaintext'))
    assert.notEqual(new AeadKey(key, spying).open(iv, iv, ciphertext, tag), undefined)
    assert.equal(new AeadKey(key, spying).open(iv, Buffer.alloc(0), ciphertext, tag), undefined)
    assert.equal(keys.length, 3)
    for (const bytes of keys) assert.deepEqual(Buffer.from(bytes), Buffer.alloc(32))
  })

  it('seals and opens with a key that is used once', () => {
    const sealed = sealAead(key, iv, iv, Buffer.from('plaintext'))
    assert.deepEqual(openAead(key, iv, iv, sealed), Buffer.from('plaintext'))
  })
})
