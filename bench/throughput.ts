/**
 * How fast are the streams, in process, against the AWS Encryption SDK for JavaScript and against the floor?
 *
 *     node --import tsx bench/throughput.ts [--mib N] [--rounds N] [--check] [--engine native|node]…
 *
 * Verifies that each library reads what the other wrote, then times both by turns in one run and prints medians. The
 * floor is what a bare loop over node:crypto takes for the same frames, and a Transform that only copies its chunks.
 * With `--check` it exits 1 where a required ratio is missed. Several engines take a process each: one has one.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { cpus } from 'node:os'
import { type Duplex, Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import {
  AlgorithmSuiteIdentifier,
  CommitmentPolicy,
  RawAesKeyringNode,
  RawAesWrappingSuiteIdentifier,
  buildClient,
} from '@aws-crypto/client-node'
import { DecryptStream, EncryptStream, RawAesKeyring } from 'esdk-streams'
import { cryptoEngine } from '#lib/crypto/engine'

const MIB = 1024 * 1024
const CHUNK_BYTES = 64 * 1024
/** Not timed: V8 compiles, and the allocator gets its memory. */
const WARM_UP_ROUNDS = 2
const FRAME_LENGTHS = [4096, 65536] as const
const SUITES = {
  'unsigned 0x0478': { id: 0x0478, peer: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY },
  'signed 0x0578': {
    id: 0x0578,
    peer: AlgorithmSuiteIdentifier.ALG_AES256_GCM_IV12_TAG16_HKDF_SHA512_COMMIT_KEY_ECDSA_P384,
  },
} as const

/** What `--check` demands of the native engine and the unsigned suite, in both directions, by frame length. */
const REQUIRED_RATIOS = { 4096: 2.5, 65536: 1.7 } as const

type SuiteName = keyof typeof SUITES
type FrameLength = (typeof FRAME_LENGTHS)[number]

interface Case {
  readonly suite: SuiteName
  readonly frameLength: FrameLength
}

/** One of the libraries: makes a stream for a case. */
interface Contender {
  encrypt(what: Case): Duplex
  decrypt(): Duplex
}

const wrappingKey = randomBytes(32)
const names = { keyNamespace: 'bench', keyName: 'key' }

function ours(): Contender {
  const keyring = new RawAesKeyring({ ...names, wrappingKey })
  return {
    encrypt: ({ suite, frameLength }) => new EncryptStream({ keyring, algorithmSuite: SUITES[suite].id, frameLength }),
    decrypt: () => new DecryptStream({ keyring }),
  }
}

function peers(): Contender {
  const unencryptedMasterKey = new Uint8Array(wrappingKey) // the peer wants memory that is no slice of a pool
  const wrappingSuite = RawAesWrappingSuiteIdentifier.AES256_GCM_IV12_TAG16_NO_PADDING
  const keyring = new RawAesKeyringNode({
    keyNamespace: names.keyNamespace,
    keyName: names.keyName,
    unencryptedMasterKey,
    wrappingSuite,
  })
  const { encryptStream, decryptStream } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
  return {
    encrypt: ({ suite, frameLength }) => encryptStream(keyring, { suiteId: SUITES[suite].peer, frameLength }),
    decrypt: () => decryptStream(keyring),
  }
}

/** Only the cost of the stream machinery. */
function copying(): Transform {
  return new Transform({
    highWaterMark: CHUNK_BYTES,
    transform(chunk: Buffer, _encoding, callback) {
      callback(null, Buffer.from(chunk))
    },
  })
}

/** Feeds bytes that are in memory, in chunks of the usual size of files and sockets. */
function chunksOf(bytes: Buffer): Readable {
  let offset = 0
  return new Readable({
    highWaterMark: CHUNK_BYTES,
    read() {
      this.push(offset < bytes.length ? bytes.subarray(offset, (offset += CHUNK_BYTES)) : null)
    },
  })
}

async function collect(bytes: Buffer, stream: Duplex): Promise<Buffer> {
  const parts: Buffer[] = []
  await pipeline(chunksOf(bytes), stream, async (output: AsyncIterable<Buffer>) => {
    for await (const chunk of output) parts.push(chunk)
  })
  return Buffer.concat(parts)
}

/** Seconds that `bytes` take through a stream, and how many come out. */
async function time(bytes: Buffer, stream: Duplex): Promise<{ seconds: number; length: number }> {
  let length = 0
  const sink = new Writable({
    highWaterMark: CHUNK_BYTES,
    write(chunk: Buffer, _encoding, callback) {
      length += chunk.length
      callback()
    },
  })
  const start = performance.now()
  await pipeline(chunksOf(bytes), stream, sink)
  return { seconds: (performance.now() - start) / 1000, length }
}

/** Seconds that node:crypto alone takes for the frames of a plaintext. */
function timeBareCipher(bytes: Buffer, frameLength: number): number {
  const key = createSecretKey(randomBytes(32))
  const aad = Buffer.alloc(75)
  const iv = Buffer.alloc(12)
  const start = performance.now()
  for (let offset = 0, number = 1; offset < bytes.length; offset += frameLength, number++) {
    iv.writeUInt32BE(number, 8)
    const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: 16 })
    cipher.setAAD(aad)
    cipher.update(bytes.subarray(offset, offset + frameLength))
    cipher.final()
    cipher.getAuthTag()
  }
  return (performance.now() - start) / 1000
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}

interface Measured extends Case {
  readonly direction: 'encrypt' | 'decrypt'
  readonly ours: number
  readonly peer: number
  /** Median of the rounds' own ratios: what disturbs a round disturbs both. */
  readonly ratio: number
}

async function measure(what: Case, plaintext: Buffer, rounds: number): Promise<Measured[]> {
  const contenders = { ours: ours(), peer: peers() } as const
  const messages = {
    ours: await collect(plaintext, contenders.ours.encrypt(what)),
    peer: await collect(plaintext, contenders.peer.encrypt(what)),
  }
  assert.ok((await collect(messages.ours, contenders.peer.decrypt())).equals(plaintext), 'the peer reads our message')
  assert.ok((await collect(messages.peer, contenders.ours.decrypt())).equals(plaintext), 'we read the peer’s message')

  const seconds = { encrypt: { ours: [], peer: [] }, decrypt: { ours: [], peer: [] } } satisfies Record<
    string,
    Record<string, number[]>
  > as Record<'encrypt' | 'decrypt', Record<'ours' | 'peer', number[]>> // so that the empty arrays can be filled
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (const name of round % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const)) {
      const sealed = await time(plaintext, contenders[name].encrypt(what))
      const opened = await time(messages.ours, contenders[name].decrypt())
      assert.ok(sealed.length > plaintext.length)
      assert.equal(opened.length, plaintext.length)
      if (round < 0) continue
      seconds.encrypt[name].push(sealed.seconds)
      seconds.decrypt[name].push(opened.seconds)
    }
  }
  return (['encrypt', 'decrypt'] as const).map((direction) => ({
    ...what,
    direction,
    ours: plaintext.length / median(seconds[direction].ours) / 1e9,
    peer: plaintext.length / median(seconds[direction].peer) / 1e9,
    ratio: median(seconds[direction].peer.map((peer, round) => peer / seconds[direction].ours[round]!)),
  }))
}

async function floor(plaintext: Buffer, rounds: number): Promise<Readonly<Record<string, number>>> {
  const results: Record<string, number> = {}
  for (const frameLength of FRAME_LENGTHS) {
    const seconds = Array.from({ length: rounds }, () => timeBareCipher(plaintext, frameLength))
    results[`bare cipher, frames of ${frameLength}`] = plaintext.length / median(seconds) / 1e9
  }
  const seconds: number[] = []
  for (let round = 0; round < rounds; round++) seconds.push((await time(plaintext, copying())).seconds)
  results['a Transform that copies'] = plaintext.length / median(seconds) / 1e9
  return results
}

function positive(option: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) throw new RangeError(`"--${option}" expected a positive integer`)
  return value
}

/** Sets the engine of this process, while nothing has been sealed yet; the name of the one that serves. */
function useEngine(asked: string | undefined): string {
  if (asked !== undefined) process.env['ESDK_ENGINE'] = asked
  return cryptoEngine().name
}

/** Runs the benchmark once an engine, with the other arguments as they are. */
function runEach(engines: readonly string[]): void {
  const [script, ...args] = process.argv.slice(1)
  const rest = args.filter((arg, index) => !arg.startsWith('--engine') && args[index - 1] !== '--engine')
  for (const engine of engines) {
    const { status } = spawnSync(process.execPath, [...process.execArgv, script!, ...rest, '--engine', engine], {
      stdio: 'inherit',
    })
    if (status !== 0) process.exitCode = 1
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      mib: { type: 'string', default: '64' },
      rounds: { type: 'string', default: '7' },
      check: { type: 'boolean', default: false },
      engine: { type: 'string', multiple: true, default: [] },
    },
  })
  if (values.engine.length > 1) {
    runEach(values.engine)
    return
  }
  const engine = useEngine(values.engine[0])
  const mib = positive('mib', values.mib)
  const rounds = positive('rounds', values.rounds)
  const plaintext = randomBytes(mib * MIB)
  const cpu = cpus()[0]?.model ?? 'unknown'
  console.log(
    `Node ${process.version}, engine ${engine}, ${cpu}: ${mib} MiB in chunks of 64 KiB, medians of ${rounds}, in GB/s`,
  )
  console.log('\nthe floor')
  for (const [name, speed] of Object.entries(await floor(plaintext, rounds))) {
    console.log(`  ${name.padEnd(30)} ${speed.toFixed(2)}`)
  }
  console.log(`\n${'suite'.padEnd(16)}  frame  direction  esdk-streams  client-node  ratio  required`)
  let missed = false
  for (const suite of Object.keys(SUITES) as SuiteName[]) {
    // the keys of a literal
    for (const frameLength of FRAME_LENGTHS) {
      for (const result of await measure({ suite, frameLength }, plaintext, rounds)) {
        const { ratio } = result
        const required = suite === 'unsigned 0x0478' && engine === 'native' ? REQUIRED_RATIOS[frameLength] : undefined
        const short = required !== undefined && ratio < required
        missed ||= short
        console.log(
          [
            suite.padEnd(16),
            String(frameLength).padStart(5),
            result.direction.padEnd(9),
            result.ours.toFixed(2).padStart(12),
            result.peer.toFixed(2).padStart(11),
            `${ratio.toFixed(1)}×`.padStart(5),
            required === undefined ? '' : `${required.toFixed(1)}×${short ? ' MISSED' : ''}`,
          ].join('  '),
        )
      }
    }
  }
  if (values.check && missed) {
    console.error('a required ratio was missed')
    process.exitCode = 1
  }
}

await main()
