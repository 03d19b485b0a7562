/** An abort, whenever it comes: it rejects with an AbortError, closes everything and stops the keyring's call. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { PassThrough, Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import fc from 'fast-check'
import {
  type ByteSource,
  type CallOptions,
  type CryptographicMaterialsManager,
  DecryptStream,
  DefaultCryptographicMaterialsManager,
  EncryptStream,
  type Keyring,
  UnwrapError,
  WrapError,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { ProtocolTransform } from '#lib/streams/protocol-transform'
import { aesKeyring } from '../arbitraries.ts'

const keyring = aesKeyring()
const DIRECTIONS = ['encrypt', 'decrypt'] as const
type Direction = (typeof DIRECTIONS)[number]

const plaintext = Buffer.alloc(100_000, 'plaintext')
let message: Buffer
const rejections: unknown[] = []
const noteRejection = (reason: unknown): void => void rejections.push(reason)

interface StreamChoice {
  readonly keyring?: Keyring
  readonly materialsManager?: CryptographicMaterialsManager
  readonly signal?: AbortSignal
  readonly verifyFirst?: boolean
}

function streamOf(direction: Direction, choice: StreamChoice = { keyring }): EncryptStream | DecryptStream {
  const { verifyFirst, ...shared } = choice
  if (direction === 'encrypt') return new EncryptStream(shared)
  return new DecryptStream({ ...shared, ...(verifyFirst !== undefined && { verifyFirst }) })
}

function whole(direction: Direction, source: ByteSource, choice: StreamChoice = { keyring }): Promise<unknown> {
  return direction === 'encrypt' ? encrypt(source, choice) : decrypt(source, choice)
}

function inputOf(direction: Direction): Buffer {
  return direction === 'encrypt' ? plaintext : message
}

/** A matcher of Node's AbortError with this cause. */
function abortError(cause: unknown): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error)
    assert.equal(error.name, 'AbortError')
    assert.equal('code' in error && error.code, 'ABORT_ERR')
    assert.equal(error.cause, cause)
    return true
  }
}

/** A source that gives some bytes and then nothing, for ever. */
function stuckSource(first: Buffer): Readable {
  const source = new Readable({ read: () => undefined })
  source.push(first)
  return source
}

async function assertClosed(streams: readonly (Readable | Writable)[]): Promise<void> {
  for (let tries = 0; tries < 100 && streams.some(({ closed }) => !closed); tries++) await wait(1)
  for (const stream of streams) {
    assert.ok(stream.destroyed, `${stream.constructor.name} was left open`)
    assert.ok(stream.closed, `${stream.constructor.name} was not closed`)
  }
}

/** How a keyring behaves that does not answer in time, and the signals that its calls were given. */
function waitingKeyring(how: 'never' | 'honours' | 'late'): {
  keyring: Keyring
  signals: AbortSignal[]
  calls: () => number
} {
  const signals: AbortSignal[] = []
  let calls = 0
  const answer = ({ signal }: CallOptions): Promise<never> => {
    calls++
    assert.ok(signal !== undefined)
    signals.push(signal)
    if (how === 'never') return new Promise(() => undefined)
    return new Promise((_resolve, reject) => {
      if (how === 'late')
        setTimeout(() => {
          reject(new Error('too late'))
        }, 30)
      else
        signal.addEventListener('abort', () => {
          reject(signal.reason as Error)
        }) // as every signal here is aborted
    })
  }
  const waiting: Keyring = {
    onEncrypt: (_materials, options) => answer(options),
    onDecrypt: (_materials, _keys, options) => answer(options),
  }
  return { keyring: waiting, signals, calls: () => calls }
}

describe('abort', () => {
  before(async () => {
    message = (await encrypt(plaintext, { keyring, frameLength: 1000 })).ciphertext
    process.on('unhandledRejection', noteRejection)
  })

  after(async () => {
    await wait(50)
    process.off('unhandledRejection', noteRejection)
    assert.deepEqual(rejections, [], 'there were unhandled rejections')
  })

  describe('at any moment', () => {
    const moments = fc.record({
      direction: fc.constantFrom(...DIRECTIONS),
      by: fc.constantFrom('option', 'pipeline', 'destroy'),
      /** After so many bytes were given, */
      position: fc.nat(100_000),
      /** so many turns of the event loop later, */
      turns: fc.constantFrom(0, 0, 1, 2, 5),
      chunk: fc.constantFrom(1000, 16_384, 200_000),
      /** with a reader that takes no more than this. */
      reads: fc.constantFrom(0, 1000, Infinity),
      verifyFirst: fc.boolean(),
    } as const)

    it('closes everything', async () => {
      await fc.assert(
        fc.asyncProperty(moments, async ({ direction, by, position, turns, chunk, reads, verifyFirst }) => {
          const controller = new AbortController()
          const reason = new Error('the reason')
          const stream = streamOf(direction, {
            keyring,
            verifyFirst,
            ...(by === 'option' && { signal: controller.signal }),
          })
          const errors: Error[] = []
          stream.on('error', (error) => errors.push(error))
          stream.on('end', () => assert.fail('an aborted stream ended'))
          const stop = async (): Promise<void> => {
            for (let count = 0; count < turns; count++) await turn()
            if (by === 'destroy') stream.destroy(reason)
            else controller.abort(reason)
          }
          let given = 0
          const input = inputOf(direction)
          const last = Math.min(position, input.length - 1)
          let stopping = false
          const source = new Readable({
            read() {
              if (given < last) {
                const part = input.subarray(given, Math.min(given + chunk, last))
                given += part.length
                this.push(part)
              } else if (!stopping) {
                stopping = true
                void stop() // and the source is stuck from here on
              }
            },
          })
          const sink = new PassThrough({ highWaterMark: 1 })
          let read = 0
          sink.on('data', (part: Buffer) => {
            read += part.length
            if (read >= reads) sink.pause()
          })
          if (reads === 0) sink.pause()
          if (reads !== Infinity) setTimeout(() => void stop(), 3) // by then a pipe of so few bytes stands still
          const run = pipeline(source, stream, sink, by === 'pipeline' ? { signal: controller.signal } : {})
          if (by === 'destroy') await assert.rejects(run, reason)
          else await assert.rejects(run, abortError(reason))
          await assertClosed([source, stream, sink])
          assert.equal(errors.length, 1)
          assert.equal(stream.readableEnded, false)
        }),
        { numRuns: 200 },
      )
    })

    it('a whole message rejects and lets go of its source', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...DIRECTIONS),
          fc.nat(100_000),
          fc.constantFrom(1000, 16_384, 200_000),
          async (direction, position, chunk) => {
            const controller = new AbortController()
            const reason = { any: 'reason' }
            const input = inputOf(direction)
            let given = 0
            const source = new Readable({
              read() {
                if (given >= Math.min(position, input.length - 1)) {
                  controller.abort(reason)
                  return
                }
                const part = input.subarray(given, Math.min(given + chunk, position, input.length - 1))
                given += part.length
                this.push(part)
              },
            })
            const failed = once(source, 'error').catch(() => undefined)
            await assert.rejects(whole(direction, source, { keyring, signal: controller.signal }), abortError(reason))
            await assertClosed([source])
            await failed
          },
        ),
        { numRuns: 50 },
      )
    })
  })

  describe('before anything began', () => {
    for (const direction of DIRECTIONS) {
      it(`asks for no key, and closes: ${direction}`, async () => {
        const reason = new Error('before')
        const signal = AbortSignal.abort(reason)
        const waiting = waitingKeyring('never')
        const stream = streamOf(direction, { keyring: waiting.keyring, signal })
        await assert.rejects(once(stream, 'data'), abortError(reason))
        await assertClosed([stream])
        const source = Readable.from([inputOf(direction)], { objectMode: false })
        const other = streamOf(direction, { keyring: waiting.keyring, signal })
        await assert.rejects(pipeline(source, other, new PassThrough().resume()), abortError(reason))
        assert.equal(waiting.calls(), 0)
      })

      it(`whole: asks for no key, and lets go of the source: ${direction}`, async () => {
        const reason = new Error('before')
        const waiting = waitingKeyring('never')
        const source = stuckSource(inputOf(direction).subarray(0, 5000))
        source.on('error', () => undefined)
        const choice = { keyring: waiting.keyring, signal: AbortSignal.abort(reason) }
        await assert.rejects(whole(direction, source, choice), abortError(reason))
        await assertClosed([source])
        assert.equal(waiting.calls(), 0)
      })
    }
  })

  describe('while a keyring is asked', () => {
    for (const direction of DIRECTIONS) {
      for (const how of ['never', 'honours', 'late'] as const) {
        it(`that ${how === 'never' ? 'never answers' : how === 'honours' ? 'honours its signal' : 'rejects late'}: ${direction}`, async () => {
          const reason = new Error('the reason')
          for (const by of ['option', 'pipeline', 'destroy', 'whole'] as const) {
            const controller = new AbortController()
            const waiting = waitingKeyring(how)
            const source = Readable.from([inputOf(direction)], { objectMode: false })
            const { signal } = controller
            const stream = streamOf(direction, { keyring: waiting.keyring, ...(by === 'option' && { signal }) })
            const run =
              by === 'whole'
                ? whole(direction, source, { keyring: waiting.keyring, signal })
                : pipeline(source, stream, new PassThrough().resume(), by === 'pipeline' ? { signal } : {})
            const rejected = assert.rejects(run, by === 'destroy' ? reason : abortError(reason))
            while (waiting.calls() === 0) await wait(1)
            assert.equal(waiting.signals[0]!.aborted, false)
            if (by === 'destroy') stream.destroy(reason)
            else controller.abort(reason)
            await rejected
            assert.ok(waiting.signals[0]!.aborted, 'the call was not told')
            assert.equal(waiting.calls(), 1)
            await assertClosed(by === 'whole' ? [source] : [source, stream])
            await wait(how === 'late' ? 40 : 0)
          }
        })
      }

      it(`is no failed key, for a multi-keyring or a manager: ${direction}`, async () => {
        const controller = new AbortController()
        const waiting = waitingKeyring('honours')
        const materialsManager = new DefaultCryptographicMaterialsManager(waiting.keyring)
        const reason = new Error('the reason')
        const run = whole(direction, inputOf(direction), { materialsManager, signal: controller.signal })
        const rejected = assert.rejects(run, abortError(reason))
        while (waiting.calls() === 0) await wait(1)
        controller.abort(reason)
        await rejected
      })
    }

    it('a failure elsewhere aborts the call too', async () => {
      for (const direction of DIRECTIONS) {
        const waiting = waitingKeyring('never')
        const source = stuckSource(inputOf(direction))
        const stream = streamOf(direction, { keyring: waiting.keyring })
        const failure = new Error('the source failed')
        const rejected = assert.rejects(pipeline(source, stream, new PassThrough().resume()), failure)
        while (waiting.calls() === 0) await wait(1)
        source.destroy(failure)
        await rejected
        assert.ok(waiting.signals[0]!.aborted)
      }
    })
  })

  describe('by a timer, where source and sink are in memory', () => {
    /** Endless, unless the test failed: then it would never give up. */
    const endless = function* (): Generator<Buffer> {
      const chunk = Buffer.alloc(64 * 1024)
      const end = performance.now() + 5000
      while (performance.now() < end) yield chunk
    }

    it('an encryption, streamed', async () => {
      const stream = new EncryptStream({ keyring, signal: AbortSignal.timeout(50) })
      const start = performance.now()
      await assert.rejects(pipeline(Readable.from(endless()), stream.resume()), { code: 'ABORT_ERR' })
      assert.ok(performance.now() - start < 5000)
    })

    it('an encryption of frames of one byte', async () => {
      const stream = new EncryptStream({ keyring, frameLength: 1, signal: AbortSignal.timeout(50) })
      await assert.rejects(pipeline(endless(), stream.resume()), { code: 'ABORT_ERR' })
    })

    it('encrypt → decrypt', async () => {
      const opening = new DecryptStream({ keyring, signal: AbortSignal.timeout(50) })
      await assert.rejects(pipeline(endless(), new EncryptStream({ keyring }), opening.resume()), { code: 'ABORT_ERR' })
    })

    for (const direction of DIRECTIONS) {
      it(`a large buffer, whole or in one write: ${direction}`, async () => {
        const large = Buffer.alloc(256 * 1024 * 1024)
        const input =
          direction === 'encrypt' ? large : (await encrypt(large, { keyring, algorithmSuite: 0x0478 })).ciphertext
        const timer = (): AbortSignal => AbortSignal.timeout(20)
        await assert.rejects(whole(direction, input, { keyring, signal: timer() }), { code: 'ABORT_ERR' })
        const stream = streamOf(direction, { keyring, signal: timer() })
        const failed = once(stream.resume(), 'end')
        stream.end(input)
        await assert.rejects(failed, { code: 'ABORT_ERR' })
        if (direction === 'encrypt') return
        const verifying = streamOf(direction, { keyring, signal: timer(), verifyFirst: true })
        const refused = once(verifying.resume(), 'end')
        verifying.end(input)
        await assert.rejects(refused, { code: 'ABORT_ERR' })
      })
    }

    it('other timers go on meanwhile', async () => {
      let ticks = 0
      const ticking = setInterval(() => ticks++, 5)
      const start = performance.now()
      await encrypt(Buffer.alloc(128 * 1024 * 1024), { keyring, algorithmSuite: 0x0478 })
      clearInterval(ticking)
      const took = performance.now() - start
      assert.ok(ticks >= took / 60, `${ticks} ticks in ${took.toFixed(0)} ms`)
    })
  })

  describe('a source that is stuck', () => {
    const generators: Readonly<Record<string, (first: Buffer, onReturn: () => void) => ByteSource>> = {
      'an async generator': (first, onReturn) =>
        (async function* () {
          try {
            yield first
            for (;;) {
              await wait(1)
              yield Buffer.alloc(0)
            }
          } finally {
            onReturn()
          }
        })(),
      'an async iterable whose next() never settles': (first, onReturn) => {
        let turns = 0
        return {
          [Symbol.asyncIterator]: () => ({
            next: () =>
              turns++ === 0 ? Promise.resolve({ done: false as const, value: first }) : new Promise(() => undefined),
            return: () => {
              onReturn()
              return new Promise(() => undefined)
            },
          }),
        }
      },
      'a Readable': (first, onReturn) =>
        stuckSource(first)
          .on('error', () => undefined)
          .on('close', onReturn),
      'a web ReadableStream': (first, onReturn) =>
        new ReadableStream<Uint8Array>({
          start(controller) {
            controller.enqueue(first)
          },
          cancel: onReturn,
        }),
      'a reader of a web stream': (first, onReturn) => {
        let turns = 0
        return {
          getReader: () => ({
            read: () =>
              turns++ === 0 ? Promise.resolve({ done: false, value: first }) : new Promise<never>(() => undefined),
            cancel: () => {
              onReturn()
              return Promise.resolve()
            },
          }),
        }
      },
    }

    for (const [name, make] of Object.entries(generators)) {
      it(name, async () => {
        for (const direction of DIRECTIONS) {
          const controller = new AbortController()
          const reason = new Error('enough')
          let returned = 0
          const source = make(inputOf(direction).subarray(0, 5000), () => returned++)
          const rejected = assert.rejects(
            whole(direction, source, { keyring, signal: controller.signal }),
            abortError(reason),
          )
          await wait(5)
          controller.abort(reason)
          await rejected
          for (let tries = 0; tries < 100 && returned === 0; tries++) await wait(1)
          assert.equal(returned, 1, `${direction}: the source was not let go`)
        }
      })
    }

    it('a source of nothing but empty chunks lets timers fire', async () => {
      const end = performance.now() + 3000 // so that a failure is no endless loop
      const sync = function* (): Generator<Buffer> {
        while (performance.now() < end) yield Buffer.alloc(0)
      }
      for (const direction of DIRECTIONS) {
        const signal = AbortSignal.timeout(20)
        await assert.rejects(whole(direction, sync(), { keyring, signal }), { code: 'ABORT_ERR' })
      }
    })

    it('a sync generator is returned when decryption fails', async () => {
      let returned = false
      const source = (function* () {
        try {
          for (;;) yield Buffer.alloc(1000)
        } finally {
          returned = true
        }
      })()
      await assert.rejects(decrypt(source, { keyring }), { code: 'ERR_ESDK_MALFORMED' })
      assert.ok(returned)
    })

    it('a Readable is destroyed with the error that ended the message', async () => {
      const source = stuckSource(Buffer.from('no message'))
      const failed = once(source, 'error')
      await assert.rejects(decrypt(source, { keyring }), { code: 'ERR_ESDK_MALFORMED' })
      const [error] = (await failed) as [NodeJS.ErrnoException] // what 'error' is emitted with
      assert.equal(error.code, 'ERR_ESDK_MALFORMED')
    })
  })

  describe('a stream that is destroyed', () => {
    /** Yields without end, or waits for input without end; tells when its `finally` ran. */
    class Probe extends ProtocolTransform {
      constructor(waitsFor: 'reader' | 'input', onLeft: () => void) {
        super(async function* (input) {
          try {
            for (;;) {
              if (waitsFor === 'input') await input.need(1000)
              yield Buffer.alloc(100_000)
            }
          } finally {
            onLeft()
          }
        }, {})
      }
    }

    for (const waitsFor of ['reader', 'input'] as const) {
      it(`lets its protocol clean up, which waits for ${waitsFor === 'reader' ? 'the reader' : 'input'}`, async () => {
        const events: string[] = []
        const probe = new Probe(waitsFor, () => events.push('left'))
        probe.write(Buffer.alloc(1))
        await wait(2)
        assert.deepEqual(events, [])
        probe.destroy()
        await wait(5)
        assert.deepEqual(events, ['left'])
      })
    }

    it('tells whoever waits for a write', async () => {
      for (const direction of DIRECTIONS) {
        const stream = streamOf(direction, { keyring: waitingKeyring('never').keyring })
        stream.on('error', () => undefined)
        const reason = new Error('the reason')
        const outcomes = [1, 2, 3].map(
          () =>
            new Promise((resolve) => {
              stream.write(inputOf(direction), resolve)
            }),
        )
        await wait(2)
        stream.destroy(reason)
        // A decryption has taken the first by then, to read the header from it.
        assert.deepEqual((await Promise.all(outcomes)).slice(1), [reason, reason])
      }
    })
  })

  it("a source's own error is passed on as it is", async () => {
    const failure = Object.assign(new Error('disk on fire'), { code: 'EIO' })
    for (const direction of DIRECTIONS) {
      const failing = async function* (): AsyncGenerator<Buffer> {
        yield inputOf(direction).subarray(0, 2000)
        await turn()
        throw failure
      }
      await assert.rejects(whole(direction, failing()), failure)
      await assert.rejects(pipeline(failing, streamOf(direction).resume()), failure)
    }
  })

  it('leaves no listener on the signal, and no handle', async () => {
    const listening = new Map<string, number>()
    const { signal } = new AbortController()
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listening.set(args[0], (listening.get(args[0]) ?? 0) + 1)
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listening.set(args[0], (listening.get(args[0]) ?? 0) - 1)
      remove(...args)
    }
    await encrypt(plaintext, { keyring, signal })
    await decrypt(message, { keyring, signal })
    await assert.rejects(decrypt('x'.repeat(9) as unknown as Buffer, { keyring, signal })) // a string, on purpose
    await assert.rejects(decrypt(plaintext, { keyring, signal }))
    assert.equal(listening.get('abort') ?? 0, 0)

    const before = process.getActiveResourcesInfo().length
    const controller = new AbortController()
    const runs = DIRECTIONS.map((direction) => {
      const stream = streamOf(direction, { keyring, signal: controller.signal })
      const source = stuckSource(inputOf(direction).subarray(0, 3000))
      return assert.rejects(pipeline(source, stream, new PassThrough().resume()))
    })
    await wait(5)
    controller.abort()
    await Promise.all(runs)
    await wait(5)
    assert.ok(process.getActiveResourcesInfo().length <= before)
  })
})

describe('a keyring or manager that fails', () => {
  const foreign: Readonly<Record<string, unknown>> = {
    'an Error': new Error('down'),
    'a string': 'down',
    undefined: undefined,
    'an object': { reason: 'down' },
    'an AbortError of its own': Object.assign(new Error('down'), { name: 'AbortError', code: 'ABORT_ERR' }),
  }

  before(async () => {
    message = (await encrypt(plaintext, { keyring, frameLength: 1000 })).ciphertext
  })

  for (const [name, thrown] of Object.entries(foreign)) {
    for (const how of ['rejects', 'throws at once'] as const) {
      const fail = (): Promise<never> => {
        if (how === 'throws at once') throw thrown
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- anything may be thrown at us
        return Promise.reject(thrown)
      }

      it(`a keyring that ${how} with ${name} becomes the cause of a coded error`, async () => {
        const failing: Keyring = { onEncrypt: fail, onDecrypt: fail }
        for (const direction of DIRECTIONS) {
          const expected = (error: unknown): boolean =>
            error instanceof (direction === 'encrypt' ? WrapError : UnwrapError) && error.cause === thrown
          await assert.rejects(whole(direction, inputOf(direction), { keyring: failing }), expected)
          const stream = streamOf(direction, { keyring: failing })
          await assert.rejects(pipeline([inputOf(direction)], stream.resume()), expected)
        }
      })

      it(`a manager that ${how} with ${name} ends the message, and only that`, async () => {
        const materialsManager: CryptographicMaterialsManager = { getEncryptionMaterials: fail, decryptMaterials: fail }
        for (const direction of DIRECTIONS) {
          const expected = (error: unknown): boolean =>
            thrown instanceof Error ? error === thrown : error instanceof Error && !('code' in error)
          await assert.rejects(whole(direction, inputOf(direction), { materialsManager }), expected)
          const stream = streamOf(direction, { materialsManager })
          await assert.rejects(pipeline([inputOf(direction)], stream.resume()), expected)
          assert.equal(stream.header, undefined)
        }
      })
    }
  }
})
