import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { Channel, subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { inspect } from 'node:util'
import {
  DecryptStream,
  EncryptStream,
  type Keyring,
  type MessageTrace,
  MultiKeyring,
  TRACING_CHANNELS,
  decrypt,
  encrypt,
  reencrypt,
} from 'esdk-streams'
import { decryptFile, encryptFile } from 'esdk-streams/file'
import { aesKeyring } from '../arbitraries.ts'
import { EVENTS, type Heard, heard, linesOf } from '../materials/listening.ts'

const keyring = aesKeyring('traced')
const MESSAGES = ['encrypt', 'decrypt', 'reencrypt'] as const
const WHOLE = ['start', 'end', 'asyncStart', 'asyncEnd']
const FAILED = ['start', 'end', 'error', 'asyncStart', 'asyncEnd']

const lines = (operation: string, events: readonly string[]): string[] => events.map((event) => `${operation}:${event}`)

const last = (events: readonly Heard<MessageTrace>[], operation: string): MessageTrace =>
  events.findLast(({ context }) => context.operation === operation)!.context

describe('streams/traced', () => {
  it('tells of whole messages: when, of which suite and key, and how much', async () => {
    const { events } = await heard<MessageTrace>(MESSAGES, async () => {
      const { ciphertext } = await encrypt('x'.repeat(10_000), { keyring })
      await decrypt(ciphertext, { keyring })
    })
    assert.deepEqual(linesOf(events), [...lines('encrypt', WHOLE), ...lines('decrypt', WHOLE)])
    const [sealed, opened] = [last(events, 'encrypt'), last(events, 'decrypt')]
    const { stats, ...facts } = sealed
    assert.deepEqual(facts, {
      operation: 'encrypt',
      suiteId: 0x0578,
      suiteName: 'ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384',
      messageVersion: 2,
      signed: true,
      frameLength: 4096,
      dataKeys: facts.dataKeys,
    })
    assert.deepEqual(
      facts.dataKeys!.map(({ keyName }) => keyName),
      ['traced'],
    )
    assert.deepEqual({ ...facts, operation: 'decrypt', stats: opened.stats }, opened)
    assert.deepEqual([stats.bytesIn, stats.frames], [10_000, 3])
    assert.deepEqual(opened.stats, { bytesIn: stats.bytesOut, bytesOut: 10_000, frames: 3 })
  })

  it('tells of an empty message, and of one without a readable key name', async () => {
    const binary: Keyring = {
      onEncrypt: async (materials) => {
        const made = await keyring.onEncrypt(materials)
        const foreign = {
          keyProviderId: 'other',
          keyProviderInfo: Buffer.from([0, 255, 1]),
          ciphertext: Buffer.alloc(9),
        }
        return { ...made, encryptedDataKeys: [...made.encryptedDataKeys, foreign] }
      },
      onDecrypt: (materials, keys) => keyring.onDecrypt(materials, keys),
    }
    const { events } = await heard<MessageTrace>(MESSAGES, async () => {
      await decrypt((await encrypt('', { keyring: binary })).ciphertext, { keyring })
    })
    const { stats, dataKeys } = last(events, 'decrypt')
    assert.ok(stats.bytesIn > 100)
    assert.equal(stats.bytesOut, 0)
    assert.deepEqual(dataKeys![1], { keyProviderId: 'other', keyName: undefined })
  })

  it('tells of streams, of files and of verification first, once each', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'esdk-traced-'))
    const [plain, sealed, opened] = ['a', 'b', 'c'].map((name) => join(folder, name)) as [string, string, string] // as many
    await writeFile(plain, 'x'.repeat(100_000))
    for (const work of [
      async () => {
        const ciphertext = await buffer(Readable.from([Buffer.alloc(100_000)]).pipe(new EncryptStream({ keyring })))
        await buffer(Readable.from([ciphertext]).pipe(new DecryptStream({ keyring, verifyFirst: true })))
      },
      async () => {
        await encryptFile(plain, sealed, { keyring })
        await decryptFile(sealed, opened, { keyring })
      },
    ]) {
      const { events, failure } = await heard<MessageTrace>(MESSAGES, work)
      assert.equal(failure, undefined)
      assert.deepEqual(linesOf(events), [...lines('encrypt', WHOLE), ...lines('decrypt', WHOLE)])
      assert.equal(last(events, 'encrypt').stats.bytesIn, 100_000)
      assert.equal(last(events, 'decrypt').stats.bytesOut, 100_000)
    }
    await rm(folder, { recursive: true })
  })

  it('tells of a re-encryption, and of the two operations inside it', async () => {
    const { ciphertext } = await encrypt('x'.repeat(5000), { keyring })
    const { events } = await heard<MessageTrace>(MESSAGES, () =>
      buffer(reencrypt(ciphertext, { from: { keyring }, to: { keyring, algorithmSuite: 0x0478 } })),
    )
    for (const operation of MESSAGES) {
      const of = events.filter(({ context }) => context.operation === operation)
      assert.deepEqual(linesOf(of), lines(operation, WHOLE))
    }
    assert.equal(linesOf(events)[0], 'reencrypt:start')
    assert.equal(linesOf(events).at(-1), 'reencrypt:asyncEnd')
    assert.equal(last(events, 'decrypt').stats.bytesOut, 5000)
    assert.deepEqual([last(events, 'decrypt').suiteId, last(events, 'reencrypt').suiteId], [0x0578, 0x0478])
  })

  it('tells why an operation failed', async () => {
    const { ciphertext } = await encrypt('text', { keyring })
    ciphertext[ciphertext.length - 1]! ^= 1
    for (const work of [
      () => decrypt(ciphertext, { keyring }),
      () => pipeline([ciphertext], new DecryptStream({ keyring }), new PassThrough().resume()),
    ]) {
      const { events, failure } = await heard<MessageTrace>(MESSAGES, work)
      assert.equal((failure as { code?: string }).code, 'ERR_ESDK_AUTHENTICATION')
      assert.deepEqual(linesOf(events), lines('decrypt', FAILED))
      assert.equal(last(events, 'decrypt').error, failure)
    }
  })

  it('tells that one was aborted or given up, also where nobody reads', async () => {
    const controller = new AbortController()
    const { events, failure } = await heard<MessageTrace>(MESSAGES, async () => {
      const stuck: Keyring = {
        onEncrypt: () => new Promise(() => undefined),
        onDecrypt: () => Promise.reject(new Error()),
      }
      setTimeout(() => {
        controller.abort()
      }, 5)
      await encrypt('text', { keyring: stuck, signal: controller.signal })
    })
    assert.equal((failure as Error).name, 'AbortError')
    assert.deepEqual(linesOf(events), lines('encrypt', FAILED))
    assert.equal(last(events, 'encrypt').error, failure)

    const given = await heard<MessageTrace>(MESSAGES, async () => {
      const stream = new EncryptStream({ keyring })
      stream.write(Buffer.alloc(1_000_000))
      await once(stream, 'header')
      const closed = once(stream, 'close')
      stream.destroy()
      await closed
      await new Promise(setImmediate)
    })
    assert.deepEqual(linesOf(given.events), lines('encrypt', FAILED))
    assert.match(String(last(given.events, 'encrypt').error), /destroyed/)
  })

  it('keeps the asynchronous context in which an operation was asked for, and gives it to keyrings', async () => {
    const store = new AsyncLocalStorage<string>()
    const [seen, keyrings]: [string[], (string | undefined)[]] = [[], []]
    const spying: Keyring = {
      onEncrypt: async (materials) => {
        await new Promise(setImmediate)
        keyrings.push(store.getStore())
        return keyring.onEncrypt(materials)
      },
      onDecrypt: (materials, keys, options) => keyring.onDecrypt(materials, keys, options),
    }
    const source = new PassThrough() // its chunks come from elsewhere
    await heard<MessageTrace>(
      ['encrypt'],
      async () => {
        const stream = store.run('of the stream', () => new EncryptStream({ keyring: spying }))
        const done = buffer(source.pipe(stream))
        store.run('of the writer', () => source.end(Buffer.alloc(300_000)))
        await done
        await store.run('of the call', () => encrypt('text', { keyring: spying }))
      },
      ({ event }) => seen.push(`${event} ${store.getStore()!}`),
    )
    assert.deepEqual(keyrings, ['of the stream', 'of the call'])
    assert.deepEqual(
      seen,
      ['of the stream', 'of the call'].flatMap((of) => WHOLE.map((event) => `${event} ${of}`)),
    )
  })

  it('binds a store for all of an operation, and for no other', async () => {
    const store = new AsyncLocalStorage<MessageTrace>()
    const { start } = tracingChannel<MessageTrace, MessageTrace>(TRACING_CHANNELS.encrypt)
    const seen: (number | undefined)[] = []
    const spying: Keyring = {
      onEncrypt: async (materials) => {
        await new Promise(setImmediate)
        assert.equal(store.getStore()?.operation, 'encrypt')
        return keyring.onEncrypt(materials)
      },
      onDecrypt: () => Promise.reject(new Error('not asked')),
    }
    start.bindStore(store, (context) => context)
    try {
      const { ciphertext } = await encrypt('text', { keyring: new MultiKeyring({ generator: spying }) })
      assert.equal(store.getStore(), undefined)
      await decrypt(ciphertext, {
        keyring: {
          ...spying,
          onDecrypt: (materials, keys) => {
            seen.push(store.getStore()?.suiteId)
            return keyring.onDecrypt(materials, keys)
          },
        },
      })
    } finally {
      start.unbindStore(store)
    }
    assert.deepEqual(seen, [undefined])
  })

  it('goes on where a listener throws, which Node reports as it does for any channel', async () => {
    const [before] = [process.listeners('uncaughtException')]
    const reported: string[] = []
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => reported.push(error.message))
    try {
      const { failure } = await heard(
        MESSAGES,
        async () => {
          const { ciphertext } = await encrypt('text', { keyring })
          assert.equal((await decrypt(ciphertext, { keyring })).plaintext.toString(), 'text')
          await new Promise(setImmediate)
        },
        ({ event }) => {
          throw new Error(event)
        },
      )
      assert.equal(failure, undefined)
    } finally {
      process.removeAllListeners('uncaughtException')
      for (const listener of before) process.on('uncaughtException', listener)
    }
    assert.deepEqual(reported, [...WHOLE, ...WHOLE])
  })

  it('makes and publishes nothing where nobody listens', async () => {
    const replaced = [
      [AsyncLocalStorage, 'snapshot'],
      [Channel.prototype, 'publish'],
      [Channel.prototype, 'runStores'],
    ] as const
    const originals = replaced.map(([owner, name]) => Reflect.get(owner, name) as unknown)
    let made = 0
    const count = (): never => {
      made += 1
      throw new Error('made')
    }
    for (const [owner, name] of replaced) Reflect.set(owner, name, count)
    try {
      const { ciphertext } = await encrypt('text', { keyring })
      await decrypt(ciphertext, { keyring })
      await buffer(reencrypt(ciphertext, { from: { keyring }, to: { keyring } }))
      assert.equal(made, 0)
      for (const event of EVENTS) {
        const listener = (): void => undefined
        subscribe(`tracing:${TRACING_CHANNELS.encrypt}:${event}`, listener)
        await assert.rejects(encrypt('text', { keyring }), /made/, event)
        unsubscribe(`tracing:${TRACING_CHANNELS.encrypt}:${event}`, listener)
      }
      assert.equal(made, EVENTS.length)
    } finally {
      for (const [index, [owner, name]] of replaced.entries()) Reflect.set(owner, name, originals[index])
    }
  })

  it('shows no plaintext, no value of the encryption context and no key', async () => {
    const shown: string[] = []
    await heard<MessageTrace>(
      MESSAGES,
      async () => {
        const encryptionContext = { name: 'a-secret-value' }
        const { ciphertext } = await encrypt('a-secret-text', { keyring, encryptionContext })
        await decrypt(ciphertext, { keyring })
      },
      ({ context }) => shown.push(inspect(context, { depth: Infinity, showHidden: true })),
    )
    assert.equal(shown.length, 8)
    assert.doesNotMatch(shown.join(), /a-secret|KeyObject|Buffer/)
  })
})
