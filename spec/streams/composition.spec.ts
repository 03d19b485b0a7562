/** The streams among other streams: every way in and out that Node has, and what is torn down when a stage fails. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Duplex, PassThrough, Readable, type Transform, Writable, finished } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { createGunzip, createGzip } from 'node:zlib'
import fc from 'fast-check'
import chain from 'stream-chain'
import { DecryptStream, EncryptStream, type EncryptOptions, type MessageStats, decrypt, encrypt } from 'esdk-streams'
import type { MessageHeader } from 'esdk-streams/format'
import { aesKeyring, bytes, cuts, sequence, through } from '../arbitraries.ts'

const keyring = aesKeyring()
const otherKeyring = aesKeyring('another')
const options: EncryptOptions = { keyring, frameLength: 100 }
const plaintext = Buffer.concat(Array.from({ length: 40 }, (_, index) => sequence(index, 250)))
const BYTE_MODES = { writableObjectMode: false, readableObjectMode: false } as const

async function messageOf(data: Uint8Array, more: Partial<EncryptOptions> = {}): Promise<Buffer> {
  return (await encrypt(data, { ...options, ...more })).ciphertext
}

/** What a stream emits, in order, until it is closed. */
function record(stream: Transform): { readonly events: string[]; readonly closed: Promise<void> } {
  const events: string[] = []
  for (const event of ['header', 'data', 'end', 'error', 'close']) stream.on(event, () => events.push(event))
  const closed = new Promise<void>((resolve) => stream.once('close', resolve))
  return { events, closed }
}

/** A message that fails, and where. */
async function failingMessages(): Promise<Readonly<Record<string, { message: Buffer; code: string }>>> {
  const signed = await messageOf(plaintext)
  const flipped = (at: number): Buffer => {
    const copy = Buffer.from(signed)
    copy[at < 0 ? copy.length + at : at]! ^= 1
    return copy
  }
  return {
    'no message': { message: Buffer.from('hello'), code: 'ERR_ESDK_MALFORMED' },
    empty: { message: Buffer.alloc(0), code: 'ERR_ESDK_TRUNCATED' },
    'under another key': { message: await messageOf(plaintext, { keyring: otherKeyring }), code: 'ERR_ESDK_UNWRAP' },
    'changed in the body': { message: flipped(5000), code: 'ERR_ESDK_AUTHENTICATION' },
    'changed in the signature': { message: flipped(-1), code: 'ERR_ESDK_AUTHENTICATION' },
    'cut off': { message: signed.subarray(0, -1), code: 'ERR_ESDK_TRUNCATED' },
    'with a byte too many': { message: Buffer.concat([signed, Buffer.alloc(1)]), code: 'ERR_ESDK_MALFORMED' },
  }
}

describe('composition', () => {
  describe('every way in', () => {
    const ways: Readonly<Record<string, (data: Buffer, stream: Transform) => Promise<unknown>>> = {
      'one end(chunk)': (data, stream) => Promise.resolve(stream.end(data)),
      'writes that do not wait': (data, stream) => {
        for (let at = 0; at < data.length; at += 99) stream.write(data.subarray(at, at + 99))
        return Promise.resolve(stream.end())
      },
      'a Readable in byte mode': (data, stream) => pipeline(Readable.from([data], { objectMode: false }), stream),
      'an array': (data, stream) => pipeline([data.subarray(0, 1000), data.subarray(1000)], stream),
      'a generator': (data, stream) =>
        pipeline(function* () {
          for (let at = 0; at < data.length; at += 77) yield data.subarray(at, at + 77)
        }, stream),
      'an async generator': (data, stream) =>
        pipeline(async function* () {
          for (let at = 0; at < data.length; at += 777) {
            await turn()
            yield data.subarray(at, at + 777)
          }
        }, stream),
      'a web ReadableStream': (data, stream) =>
        pipeline(Readable.fromWeb(Readable.toWeb(Readable.from([data]))), stream),
      'pipe()': (data, stream) => Promise.resolve(Readable.from([data]).pipe(stream)),
      'Uint8Arrays that are views at an offset': (data, stream) => {
        const memory = new Uint8Array(data.length + 20)
        memory.set(data, 13)
        stream.write(new Uint8Array(memory.buffer, 13, 1001))
        stream.write(memory.subarray(13 + 1001, 13 + data.length))
        return Promise.resolve(stream.end())
      },
      'empty chunks among the others': (data, stream) => {
        for (let at = 0; at < data.length; at += 500) {
          stream.write(Buffer.alloc(0))
          stream.write(data.subarray(at, at + 500))
          stream.write(new Uint8Array(0))
        }
        return Promise.resolve(stream.end(Buffer.alloc(0)))
      },
    }

    for (const [name, feed] of Object.entries(ways)) {
      it(name, async () => {
        const sealing = new EncryptStream(options)
        const [sealed] = await Promise.all([sealing.toArray() as Promise<Buffer[]>, feed(plaintext, sealing)])
        const opening = new DecryptStream({ keyring })
        const [opened] = await Promise.all([
          opening.toArray() as Promise<Buffer[]>,
          feed(Buffer.concat(sealed), opening),
        ])
        assert.deepEqual(Buffer.concat(opened), plaintext)
      })
    }

    it('nothing but empty chunks, and nothing at all, are an empty plaintext', async () => {
      for (const chunks of [[], [Buffer.alloc(0)], [Buffer.alloc(0), Buffer.alloc(0)]]) {
        const message = await through(chunks, new EncryptStream(options))
        assert.equal((await decrypt(message, { keyring })).plaintext.length, 0)
      }
    })

    it('strings are encrypted in the encoding that was said', async () => {
      const stream = new EncryptStream({ ...options, defaultEncoding: 'latin1' })
      const output = stream.toArray() as Promise<Buffer[]>
      stream.write('ü')
      stream.write('ü', 'utf8')
      stream.write('00ff', 'hex')
      stream.write('AAEC', 'base64')
      stream.end('é', 'utf16le')
      const expected = Buffer.from('fcc3bc00ff000102e900', 'hex')
      assert.deepEqual((await decrypt(Buffer.concat(await output), { keyring })).plaintext, expected)
      const utf8 = await through(['ü', 'b'] as unknown as Buffer[], new EncryptStream(options)) // strings, on purpose
      assert.equal((await decrypt(utf8, { keyring })).plaintext.toString(), 'üb')
    })

    it('strings are refused by decryption, with a hint', async () => {
      const message = await messageOf(plaintext)
      const said = (error: unknown): boolean =>
        error instanceof TypeError && error.message.includes('setEncoding') && error.message.includes('base64')
      for (const encoding of ['latin1', 'base64', 'utf8'] as const) {
        const source = Readable.from([message], { objectMode: false }).setEncoding(encoding)
        await assert.rejects(pipeline(source, new DecryptStream({ keyring }).resume()), said)
      }
      await assert.rejects(pipeline(['a string'], new DecryptStream({ keyring }).resume()), said)
      const written = new DecryptStream({ keyring })
      const failed = once(written, 'error')
      written.write(message.toString('base64'), 'base64')
      assert.ok(said((await failed)[0]))
    })

    it('what is no bytes is refused at once', () => {
      for (const chunk of [5, {}, null]) {
        assert.throws(() => new EncryptStream(options).write(chunk), TypeError)
        assert.throws(() => new DecryptStream({ keyring }).write(chunk), TypeError)
      }
    })

    it('a writer may overwrite its chunk as soon as its callback fires', async () => {
      const overwriting = async (stream: Transform, chunks: readonly Buffer[], reused: boolean): Promise<Buffer> => {
        const output = stream.toArray() as Promise<Buffer[]>
        const memory = Buffer.alloc(400_000)
        for (const chunk of chunks) {
          const own = reused ? memory.subarray(0, chunk.length) : Buffer.alloc(chunk.length)
          own.set(chunk)
          const written = new Promise<void>((resolve) => {
            stream.write(own, () => {
              own.fill(0xee)
              resolve()
            })
          })
          if (reused) await written
        }
        stream.end()
        return Buffer.concat(await output)
      }
      const data = fc.oneof(
        bytes(2000),
        fc.constantFrom(100_000, 300_000).map((length) => Buffer.alloc(length, 'abc')),
      )
      const lengths = fc.constantFrom(1, 100, 4096)
      await fc.assert(
        fc.asyncProperty(data, cuts, lengths, fc.boolean(), async (whole, cut, frameLength, reused) => {
          const chunks = whole.length > 5000 ? [whole.subarray(0, 77), whole.subarray(77)] : cut(whole)
          const length = whole.length > 5000 ? 4096 : frameLength
          const sealed = await overwriting(new EncryptStream({ ...options, frameLength: length }), chunks, reused)
          assert.ok((await decrypt(sealed, { keyring })).plaintext.equals(whole))
          const parts = whole.length > 5000 ? [sealed.subarray(0, 77), sealed.subarray(77)] : cut(sealed)
          assert.ok((await overwriting(new DecryptStream({ keyring }), parts, reused)).equals(whole))
        }),
        { numRuns: 60 },
      )
    })
  })

  describe('every way out', () => {
    const ways: Readonly<Record<string, (stream: Transform) => Promise<Buffer>>> = {
      'for await': async (stream) => {
        const parts: Buffer[] = []
        for await (const chunk of stream as AsyncIterable<Buffer>) parts.push(chunk)
        return Buffer.concat(parts)
      },
      "'data'": async (stream) => {
        const parts: Buffer[] = []
        stream.on('data', (chunk: Buffer) => parts.push(chunk))
        await once(stream, 'end')
        return Buffer.concat(parts)
      },
      "'data' with pauses": async (stream) => {
        const parts: Buffer[] = []
        stream.on('data', (chunk: Buffer) => {
          parts.push(chunk)
          stream.pause()
          setTimeout(() => stream.resume(), 1)
        })
        await once(stream, 'end')
        return Buffer.concat(parts)
      },
      "'readable' and read()": async (stream) => {
        const parts: Buffer[] = []
        stream.on('readable', () => {
          for (let part = stream.read() as Buffer | null; part !== null; part = stream.read() as Buffer | null) {
            parts.push(part)
          }
        })
        await once(stream, 'end')
        return Buffer.concat(parts)
      },
      "'readable' and read(7)": async (stream) => {
        const parts: Buffer[] = []
        stream.on('readable', () => {
          for (let part = stream.read(7) as Buffer | null; part !== null; part = stream.read(7) as Buffer | null) {
            assert.ok(part.length === 7 || stream.readableLength === 0)
            parts.push(part)
          }
        })
        await once(stream, 'end')
        return Buffer.concat(parts)
      },
      'a fast sink': async (stream) => {
        const parts: Buffer[] = []
        const sink = new Writable({
          write(chunk: Buffer, _encoding, callback) {
            parts.push(chunk)
            callback()
          },
        })
        await pipeline(stream, sink)
        return Buffer.concat(parts)
      },
      'a slow sink of little room': async (stream) => {
        const parts: Buffer[] = []
        const sink = new Writable({
          highWaterMark: 1,
          write(chunk: Buffer, _encoding, callback) {
            parts.push(chunk)
            setTimeout(callback, 2)
          },
        })
        await pipeline(stream, sink)
        return Buffer.concat(parts)
      },
      'a web ReadableStream': async (stream) => {
        const parts: Uint8Array[] = []
        for await (const chunk of Readable.toWeb(stream)) parts.push(chunk as Uint8Array) // of a stream of bytes
        return Buffer.concat(parts)
      },
    }

    for (const [name, drain] of Object.entries(ways)) {
      it(name, async () => {
        const sealing = new EncryptStream(options)
        const [sealed] = await Promise.all([drain(sealing), pipeline([plaintext], sealing)])
        const opening = new DecryptStream({ keyring })
        const [opened] = await Promise.all([drain(opening), pipeline([sealed], opening)])
        assert.ok(opened.equals(plaintext))
      })
    }

    it('text, by setEncoding or option, whatever frame a character is cut by', async () => {
      const text = 'süß 😀 '.repeat(50)
      const message = await messageOf(Buffer.from(text), { frameLength: 3 })
      const stream = new DecryptStream({ keyring }).setEncoding('utf8')
      stream.end(message)
      assert.equal(((await stream.toArray()) as string[]).join(''), text)
      const chosen = new DecryptStream({ keyring, encoding: 'base64' })
      chosen.end(message)
      assert.equal(((await chosen.toArray()) as string[]).join(''), Buffer.from(text).toString('base64'))
      const sealing = new EncryptStream(options).setEncoding('hex')
      sealing.end(text)
      const sealed = Buffer.from(((await sealing.toArray()) as string[]).join(''), 'hex')
      assert.equal((await decrypt(sealed, { keyring })).plaintext.toString(), text)
    })

    it('a loop that is left closes the stream and its source', async () => {
      for (const stream of [new EncryptStream(options), new DecryptStream({ keyring })]) {
        const data = stream instanceof EncryptStream ? Buffer.alloc(1e6) : await messageOf(Buffer.alloc(1e6))
        const source = Readable.from([data], { objectMode: false })
        const done = assert.rejects(pipeline(source, stream))
        for await (const chunk of stream as AsyncIterable<Buffer>) {
          assert.ok(chunk.length > 0)
          break
        }
        await done
        assert.ok(stream.destroyed)
        assert.ok(source.destroyed)
      }
    })
  })

  it('works as a pair of web streams', async () => {
    const source = Readable.toWeb(Readable.from([plaintext.subarray(0, 999), plaintext.subarray(999)]))
    const sealed = source.pipeThrough(Duplex.toWeb(new EncryptStream(options)))
    const opened = sealed.pipeThrough(Duplex.toWeb(new DecryptStream({ keyring })))
    const parts: Uint8Array[] = []
    for await (const chunk of opened) parts.push(chunk as Uint8Array) // of a stream of bytes
    assert.ok(Buffer.concat(parts).equals(plaintext))
  })

  it('fails as a pair of web streams, with its own error', async () => {
    for (const { message, code } of Object.values(await failingMessages())) {
      const { readable, writable } = Duplex.toWeb(new DecryptStream({ keyring }))
      const writing = (async () => {
        const writer = writable.getWriter()
        await writer.write(message)
        await writer.close()
      })().catch(() => undefined) // the reader is asked below
      await assert.rejects(
        async () => {
          for await (const chunk of readable) assert.ok(chunk)
        },
        { code },
      )
      await writing
    }
  })

  it('keeps messages apart that are made and read at the same time', async () => {
    const plaintexts = Array.from({ length: 8 }, (_, index) => Buffer.alloc(20_000 + index, index + 1))
    const sealing = plaintexts.map(() => new EncryptStream(options))
    const opening = plaintexts.map(() => new DecryptStream({ keyring }))
    const outputs = opening.map((stream) => stream.toArray() as Promise<Buffer[]>)
    sealing.forEach((stream, index) => stream.pipe(opening[index]!))
    for (let at = 0; at < 20_008; at += 501) {
      sealing.forEach((stream, index) => stream.write(plaintexts[index]!.subarray(at, at + 501)))
      if (at % 5 === 0) await turn()
    }
    sealing.forEach((stream) => stream.end())
    assert.deepEqual(
      (await Promise.all(outputs)).map((parts) => Buffer.concat(parts)),
      plaintexts,
    )
  })

  describe('in stream-chain', () => {
    it('composes', async () => {
      const seal = chain([createGzip(), new EncryptStream(options)], BYTE_MODES)
      const open = chain([new DecryptStream({ keyring }), createGunzip()], BYTE_MODES)
      const parts: Buffer[] = []
      await pipeline([plaintext, plaintext], seal, open, async (output: AsyncIterable<Buffer>) => {
        for await (const chunk of output) parts.push(chunk)
      })
      assert.ok(Buffer.concat(parts).equals(Buffer.concat([plaintext, plaintext])))
    })

    const inner = async (): Promise<{ stages: readonly Transform[]; message: Buffer }> => ({
      stages: [new PassThrough(), new DecryptStream({ keyring }), new EncryptStream(options), createGzip()],
      message: await messageOf(Buffer.alloc(300_000)),
    })

    const assertTornDown = async (streams: readonly (Readable | Writable)[]): Promise<void> => {
      for (let tries = 0; tries < 50 && streams.some(({ destroyed }) => !destroyed); tries++) await wait(1)
      assert.deepEqual(
        streams.filter(({ destroyed }) => !destroyed).map(({ constructor }) => constructor.name),
        [],
        'left open',
      )
    }

    for (const failing of [0, 1, 2, 3]) {
      it(`is torn down when stage ${failing} fails`, async () => {
        const { stages, message } = await inner()
        const source = new Readable({ read: () => undefined })
        source.push(message.subarray(0, 5000))
        const sink = new PassThrough().resume()
        const failure = new Error('stage')
        setTimeout(() => stages[failing]!.destroy(failure), 2)
        await assert.rejects(pipeline(source, chain([...stages], BYTE_MODES), sink), failure)
        await assertTornDown([...stages, source, sink])
      })
    }

    it('is torn down when a message is not authentic', async () => {
      const { stages, message } = await inner()
      message[message.length - 1]! ^= 1
      const source = Readable.from([message], { objectMode: false })
      const sink = new PassThrough().resume()
      await assert.rejects(pipeline(source, chain([...stages], BYTE_MODES), sink), { code: 'ERR_ESDK_AUTHENTICATION' })
      await assertTornDown([...stages, source, sink])
    })

    it('is torn down when its source fails, or its sink', async () => {
      for (const failing of ['source', 'sink'] as const) {
        const { stages, message } = await inner()
        const source = new Readable({ read: () => undefined })
        source.push(message.subarray(0, 5000))
        const sink = new PassThrough().resume()
        const failure = new Error(failing)
        setTimeout(() => (failing === 'source' ? source : sink).destroy(failure), 2)
        await assert.rejects(pipeline(source, chain([...stages], BYTE_MODES), sink), failure)
        await assertTornDown([...stages, source, sink])
      }
    })
  })

  describe('a failure', () => {
    it('is delivered once, and there is no end after it', async () => {
      for (const [name, { message, code }] of Object.entries(await failingMessages())) {
        for (const size of [1, 1000, message.length]) {
          const stream = new DecryptStream({ keyring })
          const { events, closed } = record(stream)
          const errors: Error[] = []
          stream.on('error', (error) => errors.push(error))
          const written = new Promise<unknown>((resolve) => finished(stream, resolve))
          for (let at = 0; at < message.length; at += size) stream.write(message.subarray(at, at + size))
          stream.end()
          await closed
          await wait(1)
          assert.equal(((await written) as NodeJS.ErrnoException).code, code, name) // of a coded error
          assert.deepEqual(
            errors.map((error) => 'code' in error && error.code),
            [code],
            name,
          )
          assert.ok(!events.includes('end'), name)
          assert.equal(events.at(-1), 'close')
        }
      }
    })

    it('of a keyring is delivered once, in both directions', async () => {
      const failure = new Error('no key today')
      const failing = { onEncrypt: () => Promise.reject(failure), onDecrypt: () => Promise.reject(failure) }
      const message = await messageOf(plaintext)
      for (const stream of [new EncryptStream({ keyring: failing }), new DecryptStream({ keyring: failing })]) {
        const { events, closed } = record(stream)
        stream.end(message)
        await closed
        assert.deepEqual(events, ['error', 'close'])
        assert.equal(stream.errored?.cause, failure)
        assert.equal(stream.header, undefined)
      }
    })

    it('destroys a source and a sink in a pipeline', async () => {
      for (const { message, code } of Object.values(await failingMessages())) {
        const source = Readable.from([message, Buffer.alloc(0)], { objectMode: false })
        const sink = new PassThrough().resume()
        await assert.rejects(pipeline(source, new DecryptStream({ keyring }), sink), { code })
        assert.ok(source.destroyed)
        assert.ok(sink.destroyed)
      }
    })

    it('of a listener to the header ends the stream', async () => {
      const failure = new Error('listener')
      const stream = new EncryptStream(options)
      stream.on('header', () => {
        throw failure
      })
      await assert.rejects(pipeline([plaintext], stream.resume()), failure)
    })
  })

  describe('what a stream tells', () => {
    it('its header, once, before any bytes', async () => {
      const message = await messageOf(plaintext)
      for (const [stream, data] of [
        [new EncryptStream(options), plaintext],
        [new DecryptStream({ keyring }), message],
      ] as const) {
        const headers: MessageHeader[] = []
        const { events, closed } = record(stream)
        const early = stream.header
        assert.equal(early, undefined)
        stream.once('header', (header) => {
          headers.push(header)
          assert.equal(stream.header, header)
        })
        for (let at = 0; at < data.length; at += 300) stream.write(data.subarray(at, at + 300))
        stream.end()
        await closed
        assert.equal(events[0], 'header')
        assert.equal(events.filter((event) => event === 'header').length, 1)
        assert.ok(events.includes('data'))
        assert.deepEqual(events.slice(-2), ['end', 'close'])
        assert.equal(stream.header, headers[0])
        assert.equal(stream.header?.frameLength, 100)
      }
    })

    it('its counts', async () => {
      const sealing = new EncryptStream(options)
      const opening = new DecryptStream({ keyring })
      const message = await through([plaintext], sealing)
      await through([message], opening)
      const frames = plaintext.length / 100
      assert.deepEqual({ ...sealing.stats }, { bytesIn: plaintext.length, bytesOut: message.length, frames })
      assert.deepEqual({ ...opening.stats }, { bytesIn: message.length, bytesOut: plaintext.length, frames })
    })

    it('its progress, at most ten times a second and at the end', async () => {
      const slowly = async function* (data: Buffer): AsyncGenerator<Buffer> {
        for (let at = 0; at < data.length; at += 200) {
          await wait(6)
          yield data.subarray(at, at + 200)
        }
      }
      const message = await messageOf(plaintext)
      for (const direction of ['encrypt', 'decrypt'] as const) {
        const calls: { at: number; bytesOut: number; stats: MessageStats }[] = []
        const onProgress = (stats: MessageStats): void => {
          calls.push({ at: performance.now(), bytesOut: stats.bytesOut, stats })
        }
        const stream =
          direction === 'encrypt'
            ? new EncryptStream({ ...options, onProgress })
            : new DecryptStream({ keyring, onProgress })
        await pipeline(slowly(direction === 'encrypt' ? plaintext : message), stream.resume())
        assert.ok(calls.length >= 3, `${calls.length} calls`)
        for (const [index, { at }] of calls.slice(0, -1).entries()) {
          if (index > 0) assert.ok(at - calls[index - 1]!.at >= 99, 'more than ten a second')
        }
        assert.equal(calls.at(-1)!.bytesOut, stream.stats.bytesOut)
        assert.equal(calls.at(-1)!.stats, stream.stats)
      }
      let calls = 0
      const count = (): void => {
        calls++
      }
      await encrypt(plaintext, { ...options, onProgress: count })
      await decrypt(message, { keyring, onProgress: count })
      assert.equal(calls, 2)
    })
  })

  describe("Node's options", () => {
    it('give buffers of 64 KiB unless said', () => {
      for (const stream of [new EncryptStream(options), new DecryptStream({ keyring })]) {
        assert.equal(stream.writableHighWaterMark, 64 * 1024)
        assert.equal(stream.readableHighWaterMark, 64 * 1024)
        assert.ok(!stream.readableObjectMode)
        assert.ok(!stream.writableObjectMode)
      }
    })

    it('highWaterMark and its two halves', async () => {
      const both = new EncryptStream({ ...options, highWaterMark: 10 })
      assert.deepEqual([both.writableHighWaterMark, both.readableHighWaterMark], [10, 10])
      const halves = new DecryptStream({ keyring, writableHighWaterMark: 20, readableHighWaterMark: 30 })
      assert.deepEqual([halves.writableHighWaterMark, halves.readableHighWaterMark], [20, 30])
      const message = await through([plaintext], both)
      assert.ok((await through([message], halves)).equals(plaintext))
    })

    for (const highWaterMark of [0, 1, 1_000_000]) {
      it(`highWaterMark ${highWaterMark} changes nothing about the bytes`, async () => {
        const message = await through([plaintext], new EncryptStream({ ...options, highWaterMark }))
        const opened = await through([message], new DecryptStream({ keyring, highWaterMark }))
        assert.ok(opened.equals(plaintext))
      })
    }

    it('emitClose', async () => {
      const stream = new EncryptStream({ ...options, emitClose: false })
      stream.on('close', () => assert.fail('closed was emitted'))
      stream.resume().end(plaintext)
      await once(stream, 'end')
      await wait(2)
    })
  })
})
