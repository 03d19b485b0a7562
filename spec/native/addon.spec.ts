/** The addon's own boundary: whatever it is called with, it answers or throws, and a process lives on. */
import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { inspect } from 'node:util'
import { Worker } from 'node:worker_threads'
import { p256 } from '@noble/curves/nist.js'
import fc from 'fast-check'
import type { NativeAddon, NativeHandle } from '#lib/crypto/native-addon'
import { sequence } from '../arbitraries.ts'
import { useAddon } from '../crypto/addon.ts'

const F = 16
const SIZE = F + 32
const AAD = Buffer.alloc(72)
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const SIGNING_KEY = privateKey.export({ type: 'pkcs8', format: 'der' })
const PUBLIC_KEY = publicKey.export({ type: 'spki', format: 'der' }).subarray(-65)
const ENDED = { name: 'TypeError', message: 'this frame cipher has ended' }

type Method = keyof NativeAddon
/** The addon as JavaScript sees it. */
type Loose = Readonly<Record<Method, (...values: unknown[]) => unknown>>

function detached(length: number): Buffer {
  const bytes = Buffer.from(new ArrayBuffer(length))
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  assert.equal(bytes.length, 0)
  return bytes
}

describe('native/addon', () => {
  const addon = useAddon()
  // Called wrongly on purpose.
  const loose = (): Loose => addon() as unknown as Loose
  const newHandle = (frameLength = F): NativeHandle => addon().create(sequence(0, 32), AAD, frameLength)

  function sealed(count: number, first = 1): Buffer {
    const frames = Buffer.alloc(count * SIZE)
    addon().seal(newHandle(), Buffer.alloc(count * F, 7), first, frames)
    return frames
  }

  it('gives nine functions, and handles that show nothing', () => {
    assert.deepEqual(Object.keys(addon()).sort(), [
      'create',
      'deriveTwo',
      'end',
      'open',
      'openOnce',
      'random',
      'seal',
      'sealOnce',
      'signDigest',
    ])
    assert.deepEqual(Reflect.ownKeys(newHandle()), [])
  })

  it('seals and opens', () => {
    const plaintext = Buffer.alloc(3 * F)
    assert.equal(addon().open(newHandle(), sealed(3, 5), 5, plaintext), 3)
    assert.deepEqual(plaintext, Buffer.alloc(3 * F, 7))
  })

  it('seals and opens once, clears what is not authentic, and refuses overlap', () => {
    const [key, iv, aad] = [sequence(0, 32), sequence(1, 12), Buffer.from('aad')]
    const sealed = Buffer.alloc(5 + 16)
    addon().sealOnce(key, iv, aad, Buffer.from('plain'), sealed)
    const plaintext = Buffer.alloc(5)
    assert.equal(addon().openOnce(key, iv, aad, sealed.subarray(0, 5), plaintext, sealed.subarray(5)), true)
    assert.equal(plaintext.toString(), 'plain')
    assert.equal(addon().openOnce(key, iv, iv, sealed.subarray(0, 5), plaintext, sealed.subarray(5)), false)
    assert.deepEqual(plaintext, Buffer.alloc(5))
    assert.throws(() => {
      addon().sealOnce(key, iv, aad, sealed.subarray(0, 5), sealed)
    }, /RangeError: input and output overlap/)
  })

  it('signs a digest, and leaves no error behind', () => {
    const [digest, room] = [Buffer.alloc(32, 1), Buffer.alloc(160)]
    const length = addon().signDigest(SIGNING_KEY, digest, room)
    assert.ok(p256.verify(room.subarray(0, length), digest, PUBLIC_KEY, { prehash: false, lowS: false, format: 'der' }))
    assert.throws(() => addon().signDigest(Buffer.alloc(9), digest, room), { message: 'OpenSSL could not sign' })
    assert.throws(() => createPrivateKey('no key'), { code: 'ERR_OSSL_UNSUPPORTED' }) // not what the addon met
  })

  it('clears all output when any frame is not authentic, says which, and ends the handle', () => {
    for (const at of [4, 15, 16, SIZE - 1, SIZE + 3, SIZE + 20, 3 * SIZE - 1]) {
      const frames = sealed(3)
      frames[at]! ^= 1
      const plaintext = Buffer.alloc(3 * F, 0xee)
      const handle = newHandle()
      assert.equal(addon().open(handle, frames, 1, plaintext), Math.floor(at / SIZE))
      assert.deepEqual(plaintext, Buffer.alloc(3 * F))
      assert.throws(() => addon().open(handle, sealed(1), 1, Buffer.alloc(F)), ENDED)
      assert.throws(() => {
        addon().seal(handle, Buffer.alloc(F), 1, Buffer.alloc(SIZE))
      }, ENDED)
      addon().end(handle)
    }
  })

  describe('refuses', () => {
    /** Reads as its name. `call` gets a fresh handle. */
    const WRONG: Readonly<Record<string, readonly [RegExp, (addon: Loose, handle: NativeHandle) => unknown]>> = {
      'no arguments': [/TypeError: the key must be/, ({ create }) => create()],
      'a key that is no array': [/TypeError: the key must be/, ({ create }) => create('x'.repeat(32), AAD, F)],
      'a key of other elements': [/TypeError: the key must be/, ({ create }) => create(new Uint16Array(16), AAD, F)],
      'a key in a DataView': [
        /TypeError: the key must be/,
        ({ create }) => create(new DataView(new ArrayBuffer(32)), AAD, F),
      ],
      'a key of no AES': [/RangeError: an AES key/, ({ create }) => create(Buffer.alloc(31), AAD, F)],
      'a detached key': [/RangeError: an AES key/, ({ create }) => create(detached(32), AAD, F)],
      'an AAD that is none': [/TypeError: the AAD must be/, ({ create }) => create(Buffer.alloc(32), null, F)],
      'a short AAD': [/RangeError: an AAD has/, ({ create }) => create(Buffer.alloc(32), Buffer.alloc(11), F)],
      'a long AAD': [/RangeError: an AAD has/, ({ create }) => create(Buffer.alloc(32), Buffer.alloc(129), F)],
      'a frame length of 0': [/RangeError: the frame length/, ({ create }) => create(Buffer.alloc(32), AAD, 0)],
      'a frame length of a half': [/RangeError: the frame length/, ({ create }) => create(Buffer.alloc(32), AAD, 1.5)],
      'a frame length that is NaN': [
        /RangeError: the frame length/,
        ({ create }) => create(Buffer.alloc(32), AAD, NaN),
      ],
      'a frame length of text': [/RangeError: the frame length/, ({ create }) => create(Buffer.alloc(32), AAD, '16')],
      'a frame length above 1 GiB': [
        /RangeError: the frame length/,
        ({ create }) => create(Buffer.alloc(32), AAD, 2 ** 30 + 1),
      ],
      'no handle': [/TypeError: the handle/, ({ seal }) => seal()],
      'a handle that is an object': [
        /TypeError: the handle/,
        ({ seal }) => seal({}, Buffer.alloc(F), 1, Buffer.alloc(SIZE)),
      ],
      'a handle that is none, at the end': [/TypeError: the handle/, ({ end }) => end(AAD)],
      'an input that is none': [/TypeError: the input/, ({ seal }, handle) => seal(handle, [1], 1, Buffer.alloc(SIZE))],
      'a detached input': [
        /RangeError: the input must be a whole/,
        ({ seal }, handle) => seal(handle, detached(F), 1, Buffer.alloc(SIZE)),
      ],
      'an empty input': [
        /RangeError: the input must be a whole/,
        ({ open }, handle) => open(handle, Buffer.alloc(0), 1, Buffer.alloc(0)),
      ],
      'a part of a frame': [
        /RangeError: the input must be a whole/,
        ({ open }, handle) => open(handle, Buffer.alloc(2 * SIZE - 1), 1, Buffer.alloc(2 * F)),
      ],
      'number 0': [
        /RangeError: a sequence number/,
        ({ seal }, handle) => seal(handle, Buffer.alloc(F), 0, Buffer.alloc(SIZE)),
      ],
      'number FFFFFFFF': [
        /RangeError: a sequence number/,
        ({ seal }, handle) => seal(handle, Buffer.alloc(F), 0xffffffff, Buffer.alloc(SIZE)),
      ],
      'a negative number': [
        /RangeError: a sequence number/,
        ({ seal }, handle) => seal(handle, Buffer.alloc(F), -1, Buffer.alloc(SIZE)),
      ],
      'a number that is no integer': [
        /RangeError: a sequence number/,
        ({ seal }, handle) => seal(handle, Buffer.alloc(F), 1.5, Buffer.alloc(SIZE)),
      ],
      'a number that is a bigint': [
        /RangeError: a sequence number/,
        ({ seal }, handle) => seal(handle, Buffer.alloc(F), 1n, Buffer.alloc(SIZE)),
      ],
      'frames beyond FFFFFFFE': [
        /RangeError: there are no numbers/,
        ({ seal }, handle) => seal(handle, Buffer.alloc(2 * F), 0xfffffffe, Buffer.alloc(2 * SIZE)),
      ],
      'an output that is none': [/TypeError: the output/, ({ seal }, handle) => seal(handle, Buffer.alloc(F), 1)],
      'an output that is too short': [
        /RangeError: the output/,
        ({ seal }, handle) => seal(handle, Buffer.alloc(2 * F), 1, Buffer.alloc(2 * SIZE - 1)),
      ],
      'an output that is too long': [
        /RangeError: the output/,
        ({ open }, handle) => open(handle, Buffer.alloc(2 * SIZE), 1, Buffer.alloc(2 * F + 1)),
      ],
      'a detached output': [
        /RangeError: the output/,
        ({ seal }, handle) => seal(handle, Buffer.alloc(F), 1, detached(SIZE)),
      ],
      'no key to seal with': [/TypeError: the key must be/, ({ sealOnce }) => sealOnce()],
      'a key to seal with that is no AES key': [
        /RangeError: an AES key has/,
        ({ sealOnce }) =>
          sealOnce(Buffer.alloc(15), Buffer.alloc(12), Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(17)),
      ],
      'an IV that is none': [
        /TypeError: the IV must be/,
        ({ sealOnce }) => sealOnce(Buffer.alloc(16), 12, Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(17)),
      ],
      'an IV of 11 bytes': [
        /RangeError: an IV has/,
        ({ sealOnce }) =>
          sealOnce(Buffer.alloc(16), Buffer.alloc(11), Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(17)),
      ],
      'a detached IV': [
        /RangeError: an IV has/,
        ({ openOnce }) =>
          openOnce(Buffer.alloc(16), detached(12), Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(1), Buffer.alloc(16)),
      ],
      'an AAD that is none, once': [
        /TypeError: the AAD must be/,
        ({ sealOnce }) => sealOnce(Buffer.alloc(16), Buffer.alloc(12), {}, Buffer.alloc(1), Buffer.alloc(17)),
      ],
      'an input that is none, once': [
        /TypeError: the input must be/,
        ({ sealOnce }) => sealOnce(Buffer.alloc(16), Buffer.alloc(12), Buffer.alloc(0), 1, Buffer.alloc(17)),
      ],
      'an output that is none, once': [
        /TypeError: the output must be/,
        ({ sealOnce }) => sealOnce(Buffer.alloc(16), Buffer.alloc(12), Buffer.alloc(0), Buffer.alloc(1)),
      ],
      'too little room for ciphertext and tag': [
        /RangeError: the output must have room for ciphertext/,
        ({ sealOnce }) =>
          sealOnce(Buffer.alloc(16), Buffer.alloc(12), Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(16)),
      ],
      'too much room for ciphertext and tag': [
        /RangeError: the output must have room for ciphertext/,
        ({ sealOnce }) =>
          sealOnce(Buffer.alloc(16), Buffer.alloc(12), Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(18)),
      ],
      'too little room for the plaintext': [
        /RangeError: the output must have room for the plaintext/,
        ({ openOnce }) =>
          openOnce(
            Buffer.alloc(16),
            Buffer.alloc(12),
            Buffer.alloc(0),
            Buffer.alloc(2),
            Buffer.alloc(1),
            Buffer.alloc(16),
          ),
      ],
      'a tag that is none': [
        /TypeError: the tag must be/,
        ({ openOnce }) =>
          openOnce(Buffer.alloc(16), Buffer.alloc(12), Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(1)),
      ],
      'a tag of 15 bytes': [
        /RangeError: a tag has/,
        ({ openOnce }) =>
          openOnce(
            Buffer.alloc(16),
            Buffer.alloc(12),
            Buffer.alloc(0),
            Buffer.alloc(1),
            Buffer.alloc(1),
            Buffer.alloc(15),
          ),
      ],
      'a detached tag': [
        /RangeError: a tag has/,
        ({ openOnce }) =>
          openOnce(Buffer.alloc(16), Buffer.alloc(12), Buffer.alloc(0), Buffer.alloc(1), Buffer.alloc(1), detached(16)),
      ],
      'nothing to derive from': [/TypeError: data key, salt/, ({ deriveTwo }) => deriveTwo()],
      'an empty data key': [
        /RangeError: a data key has/,
        ({ deriveTwo }) =>
          deriveTwo(Buffer.alloc(0), Buffer.alloc(32), Buffer.alloc(9), Buffer.alloc(9), Buffer.alloc(64)),
      ],
      'a long data key': [
        /RangeError: a data key has/,
        ({ deriveTwo }) =>
          deriveTwo(Buffer.alloc(1025), Buffer.alloc(32), Buffer.alloc(9), Buffer.alloc(9), Buffer.alloc(64)),
      ],
      'an empty salt': [
        /RangeError: a salt has/,
        ({ deriveTwo }) =>
          deriveTwo(Buffer.alloc(32), detached(32), Buffer.alloc(9), Buffer.alloc(9), Buffer.alloc(64)),
      ],
      'a long salt': [
        /RangeError: a salt has/,
        ({ deriveTwo }) =>
          deriveTwo(Buffer.alloc(32), Buffer.alloc(129), Buffer.alloc(9), Buffer.alloc(9), Buffer.alloc(64)),
      ],
      'an empty label': [
        /RangeError: a label has/,
        ({ deriveTwo }) =>
          deriveTwo(Buffer.alloc(32), Buffer.alloc(32), Buffer.alloc(0), Buffer.alloc(9), Buffer.alloc(64)),
      ],
      'a long label': [
        /RangeError: a label has/,
        ({ deriveTwo }) =>
          deriveTwo(Buffer.alloc(32), Buffer.alloc(32), Buffer.alloc(9), Buffer.alloc(65), Buffer.alloc(64)),
      ],
      'too little room for keys': [
        /RangeError: there must be 64 bytes/,
        ({ deriveTwo }) =>
          deriveTwo(Buffer.alloc(32), Buffer.alloc(32), Buffer.alloc(9), Buffer.alloc(9), Buffer.alloc(63)),
      ],
      'random bytes of nothing': [/TypeError: the bytes must be/, ({ random }) => random()],
      'no random bytes': [/RangeError: there must be 1 to 1024/, ({ random }) => random(detached(9))],
      'too many random bytes': [/RangeError: there must be 1 to 1024/, ({ random }) => random(Buffer.alloc(1025))],
      'a signing key that is none': [
        /TypeError: the key must be/,
        ({ signDigest }) => signDigest('key', Buffer.alloc(32), Buffer.alloc(160)),
      ],
      'a signing key that is no DER': [
        /Error: OpenSSL could not sign/,
        ({ signDigest }) => signDigest(Buffer.alloc(185, 0x30), Buffer.alloc(32), Buffer.alloc(160)),
      ],
      'a detached signing key': [
        /Error: OpenSSL could not sign/,
        ({ signDigest }) => signDigest(detached(185), Buffer.alloc(32), Buffer.alloc(160)),
      ],
      'a digest that is none': [
        /TypeError: the digest must be/,
        ({ signDigest }) => signDigest(SIGNING_KEY, null, Buffer.alloc(160)),
      ],
      'an empty digest': [
        /RangeError: a digest has/,
        ({ signDigest }) => signDigest(SIGNING_KEY, detached(32), Buffer.alloc(160)),
      ],
      'a digest that is too long': [
        /RangeError: a digest has/,
        ({ signDigest }) => signDigest(SIGNING_KEY, Buffer.alloc(49), Buffer.alloc(160)),
      ],
      'a signature that is none': [
        /TypeError: the signature must be/,
        ({ signDigest }) => signDigest(SIGNING_KEY, Buffer.alloc(32)),
      ],
      'too little room for a signature': [
        /RangeError: there must be 160 bytes/,
        ({ signDigest }) => signDigest(SIGNING_KEY, Buffer.alloc(32), Buffer.alloc(159)),
      ],
    }
    for (const [what, [message, call]] of Object.entries(WRONG)) {
      it(what, () => {
        const handle = newHandle()
        assert.throws(() => call(loose(), handle), message)
        addon().seal(handle, Buffer.alloc(F), 1, Buffer.alloc(SIZE)) // it is still good
      })
    }

    it('a handle of something else', async () => {
      const server = createServer().listen(0)
      await once(server, 'listening')
      try {
        const foreign: unknown = Reflect.get(Reflect.get(server, '_handle') as object, '_externalStream') // of Node's own
        assert.equal(inspect(foreign).replace(/:.*/, ''), '[External')
        for (const method of ['seal', 'open', 'end'] as const) {
          assert.throws(() => loose()[method](foreign, Buffer.alloc(F), 1, Buffer.alloc(SIZE)), /TypeError: the handle/)
        }
      } finally {
        server.close()
      }
    })

    it('input and output that overlap, in either direction', () => {
      const memory = Buffer.alloc(4 * SIZE)
      for (const [from, to] of [
        [0, 0],
        [0, F - 1],
        [SIZE - 1, 0],
        [5, 0],
      ] as const) {
        const [input, output] = [memory.subarray(from, from + F), memory.subarray(to, to + SIZE)]
        const pattern = { name: 'RangeError', message: 'input and output overlap' }
        assert.throws(() => {
          addon().seal(newHandle(), input, 1, output)
        }, pattern)
        assert.throws(() => addon().open(newHandle(), output, 1, input), pattern)
      }
      addon().seal(newHandle(), memory.subarray(0, F), 1, memory.subarray(F, F + SIZE)) // side by side is fine
    })
  })

  it('answers or throws, whatever it is called with', () => {
    const frames = sealed(2)
    const ended = newHandle()
    addon().end(ended)
    const value = fc.oneof(
      fc.constantFrom<unknown>(
        undefined,
        null,
        true,
        NaN,
        Infinity,
        -0,
        2 ** 53,
        1n,
        '',
        'x',
        Symbol('x'),
        {},
        [],
        () => 1,
      ),
      fc.nat(100),
      fc.double(),
      fc.nat(200).map((length) => Buffer.alloc(length)),
      fc.constantFrom(F, SIZE, 2 * F, 2 * SIZE).map((length) => Buffer.alloc(length)),
      fc.constant(frames),
      fc.nat(100).map((length) => detached(length)),
      fc.nat(100).map((length) => new Uint8Array(new SharedArrayBuffer(length))),
      fc.constantFrom(new Uint32Array(8), new Float64Array(4), new DataView(new ArrayBuffer(48)), new ArrayBuffer(48)),
      fc.constantFrom(null, ended).map((handle) => handle ?? newHandle()),
    )
    const calls = fc.array(
      fc.tuple(fc.constantFrom<Method>('create', 'seal', 'open', 'end'), fc.array(value, { maxLength: 6 })),
      { maxLength: 20 },
    )
    let answers = 0
    fc.assert(
      fc.property(calls, (list) => {
        for (const [method, values] of list) {
          try {
            loose()[method](...values)
            answers++
          } catch (error) {
            assert.ok(error instanceof TypeError || error instanceof RangeError, String(error))
          }
        }
      }),
      { numRuns: 500 },
    )
    assert.ok(answers > 0)
  })

  it('is open to any of several threads, also to one that is stopped', async () => {
    const code = `
      const { parentPort } = require('node:worker_threads')
      import('esdk-streams').then(async ({ RawAesKeyring, encrypt, decrypt }) => {
        const keyring = new RawAesKeyring({ keyNamespace: 'a', keyName: 'b', wrappingKey: Buffer.alloc(32, 1) })
        for (let round = 0; ; round++) {
          const { ciphertext } = await encrypt(Buffer.alloc(300_000, round), { keyring, algorithmSuite: 0x0478 })
          const { plaintext } = await decrypt(ciphertext, { keyring })
          if (!plaintext.equals(Buffer.alloc(300_000, round))) throw new Error('other plaintext')
          parentPort.postMessage(round)
        }
      })`
    const workers = Array.from({ length: 3 }, () => new Worker(code, { eval: true, execArgv: [] }))
    const rounds = workers.map(
      (worker) =>
        new Promise<void>((resolve, reject) => {
          worker.on('error', reject)
          worker.on('message', (round) => {
            if (round === 5) resolve()
          })
        }),
    )
    await Promise.all(rounds)
    await Promise.all(workers.map((worker) => worker.terminate()))
    assert.equal(addon().open(newHandle(), sealed(1), 1, Buffer.alloc(F)), 1)
  })

  it('frees what is not ended when it is collected', async () => {
    assert.ok(globalThis.gc !== undefined, 'run with --expose-gc')
    const rss = (): number => process.memoryUsage().rss
    const make = async (count: number): Promise<void> => {
      for (let index = 0; index < count; index++) newHandle()
      globalThis.gc!()
      await new Promise((resolve) => setImmediate(resolve))
    }
    await make(20_000)
    const before = rss()
    for (let turn = 0; turn < 5; turn++) await make(20_000)
    const grown = rss() - before
    assert.ok(grown < 40 * 2 ** 20, `grew by ${(grown / 2 ** 20).toFixed(0)} MiB over 100,000 handles`) // they take more
  })
})
