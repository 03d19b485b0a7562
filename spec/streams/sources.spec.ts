import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { type ByteSource, encrypt, decrypt, RawAesKeyring } from 'esdk-streams'
import { openSource, readableOf } from '#lib/streams/sources'

const keyring = new RawAesKeyring({ keyNamespace: 'spec', keyName: 'key', wrappingKey: Buffer.alloc(32, 7) })

const text = 'as plain as day'
const bytes = Buffer.from(text)

async function* chunks(): AsyncGenerator<Uint8Array, void> {
  yield bytes.subarray(0, 3)
  await Promise.resolve()
  yield bytes.subarray(3)
}

const SOURCES: Readonly<Record<string, () => string | ByteSource>> = {
  'a string': () => text,
  'a Buffer': () => bytes,
  'a Uint8Array with an offset': () => new Uint8Array(Buffer.concat([Buffer.from('xy'), bytes])).subarray(2),
  'an ArrayBuffer': () => new Uint8Array(bytes).buffer,
  'an array of chunks': () => [bytes.subarray(0, 5), bytes.subarray(5)],
  'an async iterable': chunks,
  'a Node stream': () => Readable.from(chunks(), { objectMode: false }),
  'a web stream': () => Readable.toWeb(Readable.from(chunks(), { objectMode: false })),
  'a web stream that is no iterable': () => {
    const iterator = chunks()
    return {
      getReader: () => ({
        read: async () => {
          const result: IteratorResult<Uint8Array, void> = await iterator.next()
          return result.done === true ? { done: true } : { done: false, value: result.value }
        },
        cancel: async () => {
          await iterator.return(undefined)
        },
      }),
    }
  },
  'a DataView': () => new DataView(new Uint8Array(bytes).buffer) as unknown as ByteSource, // any view serves
  'an array of strings': () => [text.slice(0, 4), text.slice(4)] as unknown as ByteSource, // text is encoded
}

describe('sources', () => {
  for (const [name, source] of Object.entries(SOURCES)) {
    it(`of plaintext can be ${name}`, async () => {
      const { ciphertext } = await encrypt(source(), { keyring })
      assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), text)
    })
  }

  for (const [name, value] of Object.entries({
    undefined,
    null: null,
    'a number': 5,
    true: true,
    'an object': {},
    'a symbol': Symbol('s'),
  })) {
    it(`cannot be ${name}`, async () => {
      await assert.rejects(encrypt(value as never, { keyring }), /expected bytes, or an iterable or stream of bytes/)
      await assert.rejects(decrypt(value as never, { keyring }), TypeError)
    })
  }

  it('may not give anything but bytes', async () => {
    for (const wrong of [5, null, {}, undefined]) {
      await assert.rejects(encrypt([bytes, wrong] as never, { keyring }), /a source of bytes gave/)
    }
  })

  it('of ciphertext may be no string and give none: setEncoding and base64 are named', async () => {
    const { ciphertext } = await encrypt(bytes, { keyring })
    const refused = (error: unknown): boolean =>
      error instanceof TypeError && /setEncoding/.test(error.message) && /base64/.test(error.message)
    await assert.rejects(decrypt(ciphertext.toString('base64') as never, { keyring }), refused)
    await assert.rejects(
      decrypt(Readable.from([ciphertext], { objectMode: false, encoding: 'latin1' }), { keyring }),
      refused,
    )
  })

  it('are let go of when the work fails', async () => {
    let returned = false
    const endless = (function* (): Generator<Buffer> {
      try {
        for (;;) yield Buffer.from('not a message')
      } finally {
        returned = true
      }
    })()
    await assert.rejects(decrypt(endless, { keyring }), { code: 'ERR_ESDK_MALFORMED' })
    assert.equal(returned, true)
    const stream = new Readable({
      read() {
        this.push('not a message')
      },
    })
    await assert.rejects(decrypt(stream, { keyring }), { code: 'ERR_ESDK_MALFORMED' })
    assert.equal(stream.destroyed, true)
  })

  it('pass on their own error as it is', async () => {
    const failure = new Error('disk on fire')
    const broken = new Readable({
      read() {
        this.destroy(failure)
      },
    })
    await assert.rejects(encrypt(broken, { keyring }), (error) => error === failure)
  })

  it('as a Node stream are closed when that is destroyed, even unread', async () => {
    let closed: Error | undefined
    const source = {
      ...openSource(bytes),
      close: (error?: Error) => {
        closed = error
      },
    }
    const stream = readableOf(source)
    stream.destroy()
    await new Promise((resolve) => stream.once('close', resolve))
    assert.match(closed!.message, /destroyed/)
  })
})
