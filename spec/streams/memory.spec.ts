/** Memory does not depend on how much passes through, and time is linear in it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type Duplex, Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { DecryptStream, EncryptStream, type EncryptOptions, encrypt } from 'esdk-streams'
import type { MessageHeader } from 'esdk-streams/format'
import { aesKeyring } from '../arbitraries.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB
const CHUNK_BYTES = 64 * 1024
const keyring = aesKeyring()
const unsigned = { keyring, algorithmSuite: 0x0478 } as const

/** Its length shares no factor with frames or chunks, so that a lost or moved one shows. */
const PATTERN_BYTES = 65_521
const pattern = Buffer.from(Array.from({ length: PATTERN_BYTES }, (_, index) => (index * 167 + (index >> 8)) & 0xff))
const patterns = Buffer.concat([pattern, pattern, pattern])

function patternAt(position: number, length: number): Buffer {
  const start = position % PATTERN_BYTES
  return patterns.subarray(start, start + length)
}

/** `length` bytes of the pattern, and how many of them were taken. */
function patternSource(length: number): Readable & { readonly taken: () => number } {
  let position = 0
  const source = new Readable({
    highWaterMark: CHUNK_BYTES,
    read() {
      const count = Math.min(CHUNK_BYTES, length - position)
      this.push(count === 0 ? null : patternAt(position, count))
      position += count
    },
  })
  return Object.assign(source, { taken: () => position })
}

interface Usage {
  readonly rss: number
  readonly external: number
}

function usage(): Usage {
  const { rss, external } = process.memoryUsage() // external holds the array buffers too
  return { rss, external }
}

function collectGarbage(): void {
  if (globalThis.gc === undefined) throw new Error('run with --expose-gc')
  globalThis.gc()
}

/** Bytes of array buffers that are still referred to. */
async function liveBuffers(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    collectGarbage()
    await wait(5)
  }
  return process.memoryUsage().arrayBuffers
}

/** Checks the pattern, is slow every 2 MiB, and keeps the highest usage seen. */
class PatternSink extends Writable {
  received = 0
  highest: Usage = usage()
  #untilSample = 0

  constructor() {
    super({ highWaterMark: CHUNK_BYTES })
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error) => void): void {
    for (let offset = 0; offset < chunk.length; offset += PATTERN_BYTES) {
      const part = chunk.subarray(offset, offset + PATTERN_BYTES)
      if (!part.equals(patternAt(this.received + offset, part.length))) {
        callback(new Error(`other bytes came out than went in, after ${this.received + offset}`))
        return
      }
    }
    this.received += chunk.length
    this.#untilSample -= chunk.length
    if (this.#untilSample > 0) {
      callback()
      return
    }
    this.#untilSample = 2 * MIB
    const now = usage()
    this.highest = {
      rss: Math.max(now.rss, this.highest.rss),
      external: Math.max(now.external, this.highest.external),
    }
    setTimeout(callback, 2)
  }
}

function copying(): Transform {
  return new Transform({
    highWaterMark: CHUNK_BYTES,
    transform(chunk: Buffer, _encoding, callback) {
      callback(null, Buffer.from(chunk))
    },
  })
}

/** What the process grows by at most while so many bytes pass through two stages into a slow sink. */
async function growth(length: number, first: Duplex, second: Duplex, before: Usage): Promise<Usage> {
  const sink = new PatternSink()
  await pipeline(patternSource(length), first, second, sink)
  assert.equal(sink.received, length)
  return { rss: sink.highest.rss - before.rss, external: sink.highest.external - before.external }
}

async function messageOfZeros(length: number, options: EncryptOptions): Promise<Buffer> {
  return (await encrypt(Buffer.alloc(length), options)).ciphertext
}

/** Writes a byte at a time, waiting where the stream says so; reads it to its end. */
async function timeByteByByte(stream: Duplex, bytes: Buffer): Promise<number> {
  stream.resume()
  const ended = once(stream, 'end')
  const start = performance.now()
  for (let index = 0; index < bytes.length; index++) {
    if (!stream.write(bytes.subarray(index, index + 1))) await once(stream, 'drain')
  }
  stream.end()
  await ended
  return performance.now() - start
}

/** How many times as long twice as much takes; the best of a few tries, since a machine has other things to do. */
async function slowdown(timeOf: (size: 1 | 2) => Promise<number>): Promise<number> {
  let best = Infinity
  for (let attempt = 0; attempt < 4 && best >= 2.5; attempt++) {
    const single = await timeOf(1)
    best = Math.min(best, (await timeOf(2)) / single)
  }
  return best
}

describe('memory and time', () => {
  it('2 GiB through encrypt → decrypt into a slow sink grow the process no more than two copying Transforms', async function () {
    this.timeout(180_000)
    await growth(64 * MIB, new EncryptStream(unsigned), new DecryptStream({ keyring }), usage()) // compiles
    // When the collector runs is its own affair: what is held is seen every time, what only waits for it is not.
    let excess: string[] = []
    for (let attempt = 0; attempt < 3; attempt++) {
      collectGarbage()
      const before = usage()
      const plain = await growth(2 * GIB, copying(), copying(), before)
      collectGarbage()
      const ours = await growth(2 * GIB, new EncryptStream(unsigned), new DecryptStream({ keyring }), before)
      const over = (['rss', 'external'] as const).filter((measure) => ours[measure] > plain[measure] + 32 * MIB)
      excess = over.map((measure) => `${measure}: ${ours[measure]} bytes; ${plain[measure]} without encryption`)
      if (excess.length === 0) break
    }
    assert.deepEqual(excess, [])
  })

  for (const [name, options] of [
    ['signed', { keyring, frameLength: 4096 }],
    ['unsigned in frames of 1 MiB', { ...unsigned, frameLength: MIB }],
    ['unsigned in frames of 65,535 bytes', { ...unsigned, frameLength: 65_535 }],
  ] as const) {
    it(`holds no more than a few batches of a message at any time: ${name}`, async () => {
      const before = await liveBuffers()
      let highest = 0
      let received = 0
      await pipeline(
        patternSource(64 * MIB),
        new EncryptStream(options),
        new DecryptStream({ keyring }),
        async (output: AsyncIterable<Buffer>) => {
          let nextSample = 0
          for await (const chunk of output) {
            received += chunk.length
            if (received < nextSample) continue
            nextSample = received + 8 * MIB
            highest = Math.max(highest, (await liveBuffers()) - before)
          }
        },
      )
      assert.equal(received, 64 * MIB)
      const most = (options.frameLength === MIB ? 16 : 4) * MIB
      assert.ok(highest < most, `${(highest / MIB).toFixed(1)} MiB were held`)
    })
  }

  describe('a reader that stalls', () => {
    const options: EncryptOptions = { ...unsigned, frameLength: 4096 }

    for (const direction of ['encrypt', 'decrypt'] as const) {
      it(`makes write() return false, and holds the writer off: ${direction}`, async () => {
        const bytes = direction === 'encrypt' ? Buffer.alloc(8 * MIB) : await messageOfZeros(8 * MIB, options)
        const stream = direction === 'encrypt' ? new EncryptStream(options) : new DecryptStream({ keyring })
        let written = 0
        let stalled = false
        while (!stalled && written < bytes.length) {
          const goOn = stream.write(bytes.subarray(written, (written += 8192)))
          if (!goOn) stalled = await Promise.race([once(stream, 'drain').then(() => false), wait(100, true)])
        }
        assert.ok(stalled)
        assert.ok(written <= MIB, `${written} bytes were taken`)
        stream.destroy()
      })

      it(`stops the source, whatever its length: ${direction}`, async () => {
        const source = patternSource(GIB)
        const sealing = new EncryptStream(options)
        const last = direction === 'encrypt' ? sealing : new DecryptStream({ keyring })
        const stages = direction === 'encrypt' ? [sealing] : [sealing, last]
        const before = await liveBuffers()
        const stop = new Error('enough')
        const done = assert.rejects(pipeline([source, ...stages]), stop)
        await wait(100)
        const taken = source.taken()
        assert.ok(taken <= 4 * MIB, `${taken} bytes were taken`)
        assert.ok((await liveBuffers()) - before < 4 * MIB)
        assert.equal(source.taken(), taken)
        assert.ok(last.readableLength <= MIB)
        last.destroy(stop)
        await done
      })
    }

    it('holds off what one huge chunk gives, or a message that was verified first', async () => {
      const large = Buffer.alloc(32 * MIB)
      const message = await messageOfZeros(large.length, options)
      for (const [stream, bytes] of [
        [new EncryptStream(options), large],
        [new DecryptStream({ keyring }), message],
        [new DecryptStream({ keyring, verifyFirst: true }), message],
      ] as const) {
        stream.end(bytes)
        await once(stream, 'readable')
        await wait(150)
        assert.ok(stream.readableLength <= MIB, `${stream.readableLength} bytes wait`)
        assert.ok(stream.stats.bytesOut <= MIB)
        let received = 0
        for await (const chunk of stream as AsyncIterable<Buffer>) received += chunk.length
        assert.equal(received, stream.stats.bytesOut)
        assert.ok(received >= large.length)
      }
    })

    it('in the middle of a frame of 1 MiB gets the rest when it goes on', async () => {
      const length = 16 * MIB
      const source = patternSource(length)
      const stream = source
        .pipe(new EncryptStream({ ...unsigned, frameLength: MIB }))
        .pipe(new DecryptStream({ keyring }))
      let position = 0
      const take = (bytes: Buffer): void => {
        assert.ok(bytes.equals(patternAt(position, bytes.length)))
        position += bytes.length
      }
      await once(stream, 'readable')
      const first = stream.read(1000) as Buffer // no encoding is set
      take(first)
      await wait(100)
      const taken = source.taken()
      assert.ok(taken <= 8 * MIB, `${taken} bytes were taken`)
      await wait(50)
      assert.equal(source.taken(), taken)
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        for (let offset = 0; offset < chunk.length; offset += PATTERN_BYTES) {
          take(chunk.subarray(offset, offset + PATTERN_BYTES))
        }
      }
      assert.equal(position, length)
    })
  })

  describe('is linear', () => {
    const frameLength = MIB

    it('in 1-byte chunks of frames of 1 MiB: encrypt', async () => {
      const ratio = await slowdown((size) =>
        timeByteByByte(new EncryptStream({ ...unsigned, frameLength }), Buffer.alloc(size * MIB)),
      )
      assert.ok(ratio < 3, `2 MiB took ${ratio.toFixed(1)} times as long as 1 MiB`)
    })

    it('in 1-byte chunks of frames of 1 MiB: decrypt', async () => {
      const ratio = await slowdown(async (size) => {
        const { ciphertext } = await encrypt(Buffer.alloc(size * MIB), { ...unsigned, frameLength })
        return timeByteByByte(new DecryptStream({ keyring }), ciphertext)
      })
      assert.ok(ratio < 3, `2 MiB took ${ratio.toFixed(1)} times as long as 1 MiB`)
    })

    it('in 1-byte chunks of a header of 60 KiB', async () => {
      const ratio = await slowdown(async (size) => {
        const pairs = Array.from({ length: size * 30 }, (_, index) => [`name ${index}`, 'x'.repeat(1000)])
        const encryptionContext = Object.fromEntries(pairs) as Record<string, string> // of pairs of strings
        const { ciphertext } = await encrypt('', { ...unsigned, encryptionContext })
        return timeByteByByte(new DecryptStream({ keyring }), ciphertext)
      })
      assert.ok(ratio < 3, `60 KiB took ${ratio.toFixed(1)} times as long as 30 KiB`)
    })
  })

  describe('what is kept', () => {
    const KEPT = 16

    async function opened(): Promise<DecryptStream[]> {
      const encryptionContext = { purpose: 'kept', long: 'x'.repeat(5000) }
      const { ciphertext } = await encrypt(Buffer.alloc(2 * MIB), { keyring, encryptionContext })
      const streams = Array.from({ length: KEPT }, () => new DecryptStream({ keyring }))
      for (const stream of streams) {
        stream.resume()
        stream.end(ciphertext)
        await once(stream, 'close')
      }
      return streams
    }

    it('a header does not keep the memory that it was read from', async () => {
      const before = await liveBuffers()
      const pool = Math.max(16 * 1024, Buffer.poolSize + 1024) // small buffers lie in Node's own
      const headers: readonly MessageHeader[] = (await opened()).map(({ header }) => header!)
      const kept = (await liveBuffers()) - before
      assert.ok(kept < (KEPT * MIB) / 8, `${KEPT} headers keep ${kept} bytes`)
      for (const { messageId, encryptedDataKeys } of headers) {
        const fields = encryptedDataKeys.flatMap((key) => [key.keyProviderInfo, key.ciphertext])
        for (const field of [messageId, ...fields]) assert.ok(field.buffer.byteLength <= pool)
      }
    })

    it('a stream that has ended does not keep its input either', async () => {
      const before = await liveBuffers()
      const streams = await opened()
      const kept = (await liveBuffers()) - before
      assert.ok(kept < (KEPT * MIB) / 8, `${KEPT} streams keep ${kept} bytes`)
      assert.ok(streams.every(({ destroyed }) => destroyed))
    })
  })
})
