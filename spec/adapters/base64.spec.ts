import assert from 'node:assert/strict'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { isEncryptionSdkError } from 'esdk-streams'
import { decodedSource, encodedTarget } from '#lib/adapters/base64'
import type { FileSource } from '#lib/adapters/file-source'

const pieces = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 12 })

function sourceOf(bytes: FileSource['bytes'], length?: number): FileSource {
  return { bytes, length, close: () => Promise.resolve() }
}

async function decoded(chunks: readonly Uint8Array[]): Promise<Buffer> {
  const { bytes } = decodedSource(sourceOf(Readable.from(chunks.map((chunk) => Buffer.from(chunk)))))
  const parts: Buffer[] = []
  for await (const part of bytes) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

async function encoded(chunks: readonly Uint8Array[]): Promise<string> {
  const parts: Buffer[] = []
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, callback) => {
      parts.push(chunk)
      callback()
    },
  })
  const nothing = (): Promise<void> => Promise.resolve()
  const target = encodedTarget({ sink, direct: true, commit: nothing, discard: nothing })
  await pipeline(Readable.from(chunks.map((chunk) => Buffer.from(chunk))), target.encoder!, target.sink)
  return Buffer.concat(parts).toString('latin1')
}

function cut(text: string, at: readonly number[]): Uint8Array[] {
  const ends = [...at.map((each) => each % (text.length + 1)), text.length].sort((a, b) => a - b)
  return ends.map((end, index) => Buffer.from(text.slice(ends[index - 1] ?? 0, end), 'latin1'))
}

describe('base64', () => {
  it('is that of RFC 4648, in one line, however the bytes come', async () => {
    await fc.assert(
      fc.asyncProperty(pieces, async (chunks) => {
        assert.equal(await encoded(chunks), Buffer.concat(chunks).toString('base64'))
      }),
    )
  })

  it('is read however it is cut, with white space anywhere', async () => {
    await fc.assert(
      fc.asyncProperty(pieces, fc.array(fc.nat(), { maxLength: 8 }), async (chunks, at) => {
        const bytes = Buffer.concat(chunks)
        const wrapped = bytes.toString('base64').replace(/.{1,7}/g, '$&\r\n\t ')
        assert.deepEqual(await decoded(cut(wrapped, at)), bytes)
      }),
    )
  })

  it('takes nothing else: foreign characters, bytes after the padding, groups that were cut', async () => {
    for (const [text, code] of [
      ['QUJD*UJD', 'ERR_ESDK_MALFORMED'],
      ['QUJD-_==', 'ERR_ESDK_MALFORMED'],
      ['QUI=QUJD', 'ERR_ESDK_MALFORMED'],
      ['QQ==Q', 'ERR_ESDK_MALFORMED'],
      ['QQ==\nQUJD', 'ERR_ESDK_MALFORMED'],
      ['Q===', 'ERR_ESDK_MALFORMED'],
      ['====', 'ERR_ESDK_MALFORMED'],
      ['=', 'ERR_ESDK_TRUNCATED'],
      ['QUJ', 'ERR_ESDK_TRUNCATED'],
      ['QUJDQQ', 'ERR_ESDK_TRUNCATED'],
      ['QUJDQQ=', 'ERR_ESDK_TRUNCATED'],
      ['QUJDé', 'ERR_ESDK_MALFORMED'],
    ] as const) {
      for (let at = 0; at <= text.length; at++) {
        await assert.rejects(
          decoded(cut(text, [at])),
          (error) => isEncryptionSdkError(error) && error.code === code,
          `${text}, cut at ${at}`,
        )
      }
    }
  })

  it('keeps nothing of a block that is used again, however slowly it is read', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, index) => index % 251))
    const text = Buffer.from(bytes.toString('base64'), 'latin1')
    async function* blocks(): AsyncGenerator<Buffer, void> {
      const block = Buffer.alloc(40_000)
      for (let at = 0; at < text.length; at += block.length) {
        const length = text.copy(block, 0, at)
        yield await Promise.resolve(block.subarray(0, length))
        block.fill('A')
      }
    }
    const parts: Buffer[] = []
    for await (const part of decodedSource(sourceOf(blocks())).bytes) {
      parts.push(part as Buffer)
      await setTimeout(5)
    }
    assert.deepEqual(Buffer.concat(parts), bytes)
  })

  it('gives a bound in the place of a length, and none of none', () => {
    const { length, lengthBound } = decodedSource(sourceOf(Readable.from([]), 9))
    assert.deepEqual([length, lengthBound], [undefined, 6])
    assert.equal(decodedSource(sourceOf(Readable.from([]))).lengthBound, undefined)
  })

  it('passes on what its source fails with', async () => {
    const failing = new Readable({
      read() {
        this.destroy(new Error('the disk'))
      },
    })
    await assert.rejects(async () => {
      for await (const part of decodedSource(sourceOf(failing)).bytes) assert.fail(String(part))
    }, /the disk/)
  })
})
