import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import { decrypt, encrypt } from 'esdk-streams'
import { sinkOf } from '#lib/adapters/file-target'
import { decryptTransfer, encryptTransfer, reencryptTransfer } from '#lib/adapters/transfer'
import { OutputMemory } from '#lib/streams/output-memory'
import { aesKeyring } from '../arbitraries.ts'

const KIB = 1024
const keyring = aesKeyring()
const plaintext = randomBytes(24 * KIB * KIB + 12_345)

/** What sealing and opening leave in memory that is given back: a target that keeps what it is given, slowly. */
function slowTarget(memory = new OutputMemory()) {
  const written: Buffer[] = []
  const buffers = new Set<ArrayBufferLike>()
  const write = async (bytes: Buffer, offset: number, length: number): Promise<{ bytesWritten: number }> => {
    const before = Buffer.from(bytes.subarray(offset, offset + length))
    await setTimeout(Math.random() * 3)
    assert.ok(bytes.subarray(offset, offset + length).equals(before), 'changed while it was written')
    written.push(before)
    if (bytes.buffer.byteLength >= 64 * KIB) buffers.add(bytes.buffer)
    return { bytesWritten: length }
  }
  const done = (): Promise<void> => Promise.resolve()
  const target = { sink: sinkOf({ write }, memory), memory, direct: false, commit: done, discard: done }
  return { target, buffers, bytes: () => Buffer.concat(written) }
}

const sourceOf = (bytes: Buffer, chunk = 512 * KIB) => ({
  bytes: Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk)
    })(),
  ),
  length: bytes.length,
  close: () => Promise.resolve(),
})

describe('streams/output-memory', () => {
  it('gives out a block again when all of it has come back, in whatever pieces', () => {
    const memory = new OutputMemory()
    const first = memory.take(100_000)
    assert.equal(first.length, 100_000)
    const other = memory.take(100_000)
    assert.notEqual(other.buffer, first.buffer)
    memory.give(first.subarray(40_000))
    memory.give(first.subarray(0, 39_999))
    assert.notEqual(memory.take(70_000).buffer, first.buffer)
    memory.give(first.subarray(39_999, 40_000))
    const again = memory.take(100_001)
    assert.equal(again.buffer, first.buffer)
    assert.equal(again.length, 100_001)
  })

  it('takes nothing that is not its own, nor anything twice', () => {
    const memory = new OutputMemory()
    const own = memory.take(70_000)
    memory.give(Buffer.allocUnsafeSlow(own.buffer.byteLength))
    memory.give(own)
    memory.give(own)
    assert.equal(memory.take(70_000).buffer, own.buffer)
    assert.notEqual(memory.take(70_000).buffer, own.buffer)
  })

  it('gives out more than a block that is free holds in memory of its own', () => {
    const memory = new OutputMemory()
    const small = memory.take(70_000)
    memory.give(small)
    const large = memory.take(1_000_000)
    assert.equal(large.length, 1_000_000)
    assert.notEqual(large.buffer, small.buffer)
  })

  it('gives out little without keeping anything of it', () => {
    const memory = new OutputMemory()
    const little = memory.take(1000)
    memory.give(little)
    assert.notEqual(memory.take(1000).byteOffset, little.byteOffset)
  })

  it('keeps no more blocks than a sink has waiting', () => {
    const memory = new OutputMemory()
    const many = Array.from({ length: 20 }, () => memory.take(70_000))
    for (const bytes of many) memory.give(bytes)
    const known = new Set(many.map(({ buffer }) => buffer))
    assert.equal(many.filter(() => known.has(memory.take(70_000).buffer)).length, 16)
  })

  for (const algorithmSuite of [0x0478, 0x0578] as const) {
    for (const frameLength of [4 * KIB, 64 * KIB, 700 * KIB]) {
      it(`serves a few blocks in turn, none before it was written: ${algorithmSuite.toString(16)}, frames of ${frameLength}`, async () => {
        const options = { keyring, algorithmSuite, frameLength }
        const sealing = slowTarget()
        await encryptTransfer(sourceOf(plaintext), sealing.target, options)
        assert.ok((await decrypt(sealing.bytes(), { keyring })).plaintext.equals(plaintext))
        const opening = slowTarget()
        await decryptTransfer(sourceOf(sealing.bytes()), opening.target, { keyring })
        assert.ok(opening.bytes().equals(plaintext))
        for (const { buffers } of [sealing, opening])
          assert.ok(buffers.size > 0 && buffers.size <= 24, String(buffers.size))
      })
    }
  }

  it('serves a re-encryption, and a decryption that verifies first', async () => {
    const { ciphertext } = await encrypt(plaintext, { keyring, frameLength: 10_000 })
    const renewed = slowTarget()
    const options = { from: { keyring }, to: { keyring, frameLength: 33_333 } }
    await reencryptTransfer(sourceOf(ciphertext), renewed.target, options)
    assert.ok((await decrypt(renewed.bytes(), { keyring })).plaintext.equals(plaintext))
    const opening = slowTarget()
    await decryptTransfer(sourceOf(renewed.bytes()), opening.target, { keyring, verifyFirst: true })
    assert.ok(opening.bytes().equals(plaintext))
    for (const { buffers } of [renewed, opening])
      assert.ok(buffers.size > 0 && buffers.size <= 24, String(buffers.size))
  })

  it('is asked by nobody else: a stream’s chunks are its reader’s for good', async () => {
    const { ciphertext } = await encrypt(plaintext, { keyring })
    const buffers = new Set<ArrayBufferLike>()
    const { DecryptStream } = await import('esdk-streams')
    let bytes = 0
    await pipeline(
      sourceOf(ciphertext).bytes,
      new DecryptStream({ keyring }),
      new Writable({
        write(chunk: Buffer, _encoding, callback) {
          if (chunk.length > 100_000) {
            assert.ok(!buffers.has(chunk.buffer))
            buffers.add(chunk.buffer)
          }
          bytes += chunk.length
          callback()
        },
      }),
    )
    assert.equal(bytes, plaintext.length)
    assert.ok(buffers.size > 10)
  })
})
