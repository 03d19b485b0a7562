import assert from 'node:assert/strict'
import fc from 'fast-check'
import { MalformedMessageError, encrypt } from 'esdk-streams'
import {
  ALGORITHM_SUITES,
  type AlgorithmSuite,
  algorithmSuite,
  ciphertextLength,
  plaintextLengthOf,
  readFrom,
  readHeaderAuthentication,
  readMessageHeader,
} from 'esdk-streams/format'
import { aesKeyring, policyOf } from '../arbitraries.ts'
import { type FrameRecipe, craft, framesOf, hashOf, signatureOf } from '../message-recipe.ts'

/** The length of a message's header with its authentication. */
function headerLengthOf(message: Buffer): number {
  const { value, length } = readFrom(readMessageHeader(), message)
  return length + readFrom(readHeaderAuthentication(value.version), message.subarray(length)).length
}

/** The lengths around each of the first boundaries of frames. */
function lengthsAround(frameLength: number): number[] {
  const lengths = [0, 1, 2, 3].flatMap((frames) => [-1, 0, 1].map((offset) => frames * frameLength + offset))
  return [...new Set(lengths.filter((length) => length >= 0))]
}

async function assertSizes(suite: AlgorithmSuite, frameLength: number, plaintextLength: number): Promise<void> {
  const options = { keyring: aesKeyring(), commitmentPolicy: policyOf(suite), algorithmSuite: suite.id, frameLength }
  const { ciphertext } = await encrypt(Buffer.alloc(plaintextLength), options)
  const parameters = { headerLength: headerLengthOf(ciphertext), frameLength, algorithmSuite: suite.id }
  assert.equal(ciphertextLength({ ...parameters, plaintextLength }), ciphertext.length)
  assert.equal(plaintextLengthOf({ ...parameters, ciphertextLength: ciphertext.length }), plaintextLength)
}

describe('format/message-size', () => {
  it('foretells the size of every message that encrypt writes, and finds its plaintext’s', async () => {
    for (const suite of ALGORITHM_SUITES) {
      for (const length of lengthsAround(16)) await assertSizes(suite, 16, length)
    }
    for (const frameLength of [1, 2, 31, 32, 33, 40, 41]) {
      for (const length of lengthsAround(frameLength)) await assertSizes(algorithmSuite(0x0478), frameLength, length)
    }
    for (const length of [4095, 4096, 4097, 300_000]) await assertSizes(algorithmSuite(0x0578), 4096, length)
  })

  it('takes suite 0x0578 unless told otherwise, and names as well as ids', () => {
    const sizes = { headerLength: 100, frameLength: 4096, plaintextLength: 10 }
    assert.equal(ciphertextLength(sizes), 100 + 10 + 40 + 2 + 103)
    assert.equal(ciphertextLength({ ...sizes, algorithmSuite: 'AES_256_GCM_HKDF_SHA512_COMMIT_KEY' }), 150)
    assert.equal(ciphertextLength({ ...sizes, algorithmSuite: 0x0214 }), 150 + 2 + 71)
    assert.equal(ciphertextLength({ ...sizes, signatureLength: 102 }), 150 + 2 + 102)
  })

  it('has the known answer of the first public commitment vector', () => {
    const key = { keyProviderId: 'ProviderName', keyProviderInfo: Buffer.alloc(25), ciphertext: Buffer.alloc(48) }
    const { message, header } = craft({
      suite: algorithmSuite(0x0478),
      context: {},
      keys: [key],
      frameLength: 4096,
      plaintext: Buffer.from('GoodCommitment'),
    })
    assert.equal(header.length, 92 + 91)
    assert.equal(message.length, 237)
    assert.equal(message.toString('base64').length, 316)
    const sizes = { headerLength: 183, frameLength: 4096, algorithmSuite: 0x0478 }
    assert.equal(ciphertextLength({ ...sizes, plaintextLength: 14 }), 237)
    assert.equal(plaintextLengthOf({ ...sizes, ciphertextLength: 237 }), 14)
  })

  it('finds the plaintext’s length in both shapes of an even plaintext, and without frames', () => {
    const suite = algorithmSuite(0x0478)
    for (const frames of [1, 2, 3]) {
      const plaintext = Buffer.alloc(frames * 16)
      const full = craft({ suite, plaintext })
      const regular: FrameRecipe[] = framesOf(plaintext, 16).map((frame) => ({ ...frame, kind: 'regular' }))
      const last: FrameRecipe = { content: Buffer.alloc(0), kind: 'final', number: frames + 1 }
      const empty = craft({ suite, plaintext, frames: [...regular, last] })
      assert.equal(empty.message.length, full.message.length + 32)
      for (const { message, header } of [full, empty]) {
        const sizes = { headerLength: header.length, frameLength: 16, algorithmSuite: suite.id }
        assert.equal(plaintextLengthOf({ ...sizes, ciphertextLength: message.length }), plaintext.length)
      }
    }
    for (const length of [0, 1, 100]) {
      const { message, header } = craft({ suite, plaintext: Buffer.alloc(length), nonFramed: true })
      const sizes = { headerLength: header.length, frameLength: 0, algorithmSuite: suite.id }
      assert.equal(plaintextLengthOf({ ...sizes, ciphertextLength: message.length }), length)
      assert.equal(ciphertextLength({ ...sizes, plaintextLength: length }), message.length)
    }
  })

  it('takes a peer’s signature of another length', () => {
    const suite = algorithmSuite(0x0578)
    const { message, header } = craft({
      suite,
      sign: (bytes) => signatureOf(suite.signature!, hashOf(suite.signature!, bytes), 102),
    })
    const sizes = { headerLength: header.length, frameLength: 16, ciphertextLength: message.length }
    assert.equal(plaintextLengthOf({ ...sizes, signatureLength: 102 }), 40)
  })

  it('is its own inverse', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 40 }),
        fc.integer({ min: 0, max: 2 ** 20 }),
        fc.nat(5000),
        fc.constantFrom(...ALGORITHM_SUITES.map(({ id }) => id)),
        (plaintextLength, frameLength, headerLength, suite) => {
          const sizes = { frameLength, headerLength, algorithmSuite: suite }
          const total = ciphertextLength({ ...sizes, plaintextLength })
          assert.equal(plaintextLengthOf({ ...sizes, ciphertextLength: total }), plaintextLength)
        },
      ),
    )
  })

  it('refuses each length that no whole message has, and no other', () => {
    const sizes = { headerLength: 100, frameLength: 16, algorithmSuite: 0x0478 }
    const possible = new Set<number>()
    for (let frames = 0; frames < 10; frames++) {
      for (let last = 0; last <= 16; last++) possible.add(100 + frames * (16 + 32) + 40 + last)
    }
    for (let total = 0; total < 500; total++) {
      if (possible.has(total)) plaintextLengthOf({ ...sizes, ciphertextLength: total })
      else assert.throws(() => plaintextLengthOf({ ...sizes, ciphertextLength: total }), MalformedMessageError)
    }
    const nonFramed = { ...sizes, frameLength: 0 }
    assert.throws(() => plaintextLengthOf({ ...nonFramed, ciphertextLength: 135 }), MalformedMessageError)
    assert.equal(plaintextLengthOf({ ...nonFramed, ciphertextLength: 136 }), 0)
  })

  it('refuses what is no length, and names it', () => {
    const sizes = { headerLength: 100, frameLength: 16, plaintextLength: 1, ciphertextLength: 1000 }
    for (const wrong of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      for (const name of ['headerLength', 'frameLength', 'plaintextLength'] as const) {
        const expected = { name: 'RangeError', message: new RegExp(`^"${name}" expected a non-negative integer`) }
        assert.throws(() => ciphertextLength({ ...sizes, [name]: wrong }), expected)
      }
      assert.throws(() => plaintextLengthOf({ ...sizes, ciphertextLength: wrong }), /"ciphertextLength" expected/)
    }
    assert.throws(() => ciphertextLength({ ...sizes, algorithmSuite: 0x1234 }), RangeError)
  })
})
