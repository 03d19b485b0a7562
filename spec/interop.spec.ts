/**
 * Messages exchanged with other implementations of the format, in both directions: every two values of suite, frame
 * length, size, wrapping key and encryption context together (with `ESDK_FULL=1`, every combination).
 */
import assert from 'node:assert/strict'
import { decrypt, encrypt, MultiKeyring } from 'esdk-streams'
import * as cases from './interop/cases.ts'
import { forEach } from './interop/each.ts'
import { JavaRawKeysPeer, jceMasterKeys, rawKeyrings, startJavaPeer } from './interop/java-peer.ts'
import { JavaScriptPeer, unwrapsPkcs1 } from './interop/javascript-peer.ts'
import { decryptPieces, encryptPieces, keyringOf, policyOf } from './interop/ours.ts'
import { pairsWithout, pairwise, product, type Compatible } from './interop/pairwise.ts'
import { isSigning, WRAPPING_ALGORITHMS, type Peer, type PeerKey, type WrappingAlgorithm } from './interop/peer.ts'
import { preparedOrPending } from './interop/pending.ts'
import { startPythonPeer } from './interop/python-peer.ts'
import { cutAtRandom, seededRandom } from './interop/random.ts'

const FULL = process.env['ESDK_FULL'] === '1'

interface Case {
  readonly suite: number
  readonly frameLength: number
  readonly size: cases.Size
  readonly algorithm: WrappingAlgorithm
  readonly context: cases.Context
}

/** What a direction leaves out. */
interface Direction {
  readonly frameLengths: readonly number[]
  readonly algorithms?: readonly WrappingAlgorithm[]
  readonly contexts?: readonly cases.Context[]
}

interface PeerUnderTest {
  readonly title: string
  readonly start: () => Promise<Peer>
  readonly reads: Direction
  readonly writes: Direction
}

const framed = [1, 16, 128, 4096, 65536]
const withoutEmptyValue = cases.CONTEXT_NAMES.filter((name) => name !== 'empty value')
const withoutPkcs1 = WRAPPING_ALGORITHMS.filter((algorithm) => algorithm !== 'rsa-pkcs1')

const peers: readonly PeerUnderTest[] = [
  {
    title: 'the AWS Encryption SDK for Python',
    start: startPythonPeer,
    reads: { frameLengths: framed },
    // It refuses to write frames that are no multiple of 128 bytes.
    writes: { frameLengths: [128, 4096, 65536, cases.NON_FRAMED] },
  },
  {
    title: 'the AWS Encryption SDK for JavaScript',
    start: () => Promise.resolve(new JavaScriptPeer()),
    // On Node 20 it can wrap with PKCS#1 v1.5, but not unwrap.
    reads: { frameLengths: framed, algorithms: unwrapsPkcs1() ? WRAPPING_ALGORITHMS : withoutPkcs1 },
    writes: { frameLengths: framed },
  },
  ...([jceMasterKeys, rawKeyrings] as const).map((keysOf) => ({
    title: `the AWS Encryption SDK for Java, with its ${keysOf === rawKeyrings ? 'keyrings' : 'master keys'}`,
    start: async (): Promise<Peer> => new JavaRawKeysPeer(await startJavaPeer(), keysOf),
    // It neither writes nor reads an encryption context with an empty value.
    reads: { frameLengths: [...framed, 17], contexts: withoutEmptyValue },
    writes: { frameLengths: [...framed, 17, cases.NON_FRAMED], contexts: withoutEmptyValue },
  })),
]

describe('interop', () => {
  let keys: ReadonlyMap<WrappingAlgorithm, PeerKey>
  before(() => {
    keys = new Map(cases.makeKeys().map((key) => [key.algorithm, key]))
  })

  for (const { title, start, reads, writes } of peers) {
    describe(`with ${title}`, () => {
      let peer: Peer | undefined
      const counts = { reads: 0, writes: 0 }

      before(async function () {
        this.timeout(600_000)
        peer = await preparedOrPending(this, start)
      })
      after(async () => {
        await peer?.close()
        if (!FULL || peer === undefined) return
        console.log(`    interop, full product: ${peer.name} read ${counts.reads} messages of ours`)
        console.log(`    interop, full product: we read ${counts.writes} messages of ${peer.name}`)
      })

      describe('reads what we write', () => {
        forEachSuite(reads, async (test) => {
          await peerReadsOurs(peer!, keyOf(test), test)
          counts.reads++
        })
        it('under two keys, with either of them', async () => {
          await peerReadsOursUnderTwoKeys(peer!, twoKeys())
        })
      })

      describe('writes what we read', () => {
        forEachSuite(writes, async (test) => {
          await weReadPeers(peer!, keyOf(test), test)
          counts.writes++
        })
        it('under two keys, with either of them', async () => {
          await weReadPeersUnderTwoKeys(peer!, twoKeys())
        })
      })
    })
  }

  function keyOf({ algorithm }: Pick<Case, 'algorithm'>): PeerKey {
    return keys.get(algorithm)!
  }

  function twoKeys(): readonly [PeerKey, PeerKey] {
    return [keyOf({ algorithm: 'rsa-oaep-sha256' }), keyOf({ algorithm: 'aes-192' })]
  }
})

describe('the choice of cases', () => {
  const parameters = { letter: ['a', 'b', 'c'], digit: [1, 2, 3, 4], mark: ['!', '?'] } as const
  const not4c: Compatible = (name, value, other, otherValue) =>
    !(name === 'letter' && value === 'c' && other === 'digit' && otherValue === 4)

  it('meets every pair in few rows', () => {
    const rows = pairwise(parameters)
    assert.deepEqual(pairsWithout(rows, parameters), [])
    assert.ok(rows.length >= 12 && rows.length <= 14, `${rows.length} rows`)
    assert.equal(product(parameters).length, 24)
  })

  it('keeps to the pairs that are allowed', () => {
    const rows = pairwise(parameters, not4c)
    assert.deepEqual(pairsWithout(rows, parameters, not4c), [])
    assert.deepEqual(pairsWithout(rows, parameters), ['letter=c digit=4'])
    assert.equal(product(parameters, not4c).length, 22)
  })

  it('is checked by something that notices a pair left out', () => {
    const rows = pairwise(parameters).filter(({ letter, digit }) => !(letter === 'b' && digit === 2))
    assert.ok(pairsWithout(rows, parameters).includes('letter=b digit=2'))
  })
})

/** A test for each suite over its chosen cases. */
function forEachSuite(direction: Direction, work: (test: Case) => Promise<void>): void {
  const chosen = casesOf(direction)
  for (const suite of cases.SUITES) {
    const own = chosen.filter((test) => test.suite === suite)
    it(`${own.length} messages of suite ${hex(suite)}`, async function () {
      if (FULL) this.timeout(1_800_000)
      await forEach(own, 4, describeCase, work)
    })
  }
}

function casesOf({
  frameLengths,
  algorithms = WRAPPING_ALGORITHMS,
  contexts = cases.CONTEXT_NAMES,
}: Direction): readonly Case[] {
  const parameters = {
    suite: cases.SUITES,
    frameLength: frameLengths,
    size: cases.SIZE_NAMES,
    algorithm: algorithms,
    context: contexts,
  }
  if (FULL) return product(parameters, cases.compatible)
  const rows = pairwise(parameters, cases.compatible)
  assert.deepEqual(pairsWithout(rows, parameters, cases.compatible), [])
  return rows
}

function hex(suite: number): string {
  return suite.toString(16).padStart(4, '0')
}

function describeCase({ suite, frameLength, size, algorithm, context }: Case): string {
  const frames = frameLength === cases.NON_FRAMED ? 'non-framed' : `frames of ${frameLength}`
  return `suite ${hex(suite)}, ${frames}, ${size}, key ${algorithm}, encryption context ${context}`
}

/** The same numbers for the same case, whatever ran before it. */
function randomOf(test: Case): () => number {
  return seededRandom(Buffer.from(describeCase(test)).reduce((sum, byte) => Math.imul(sum, 31) + byte, 7))
}

async function peerReadsOurs(peer: Peer, key: PeerKey, test: Case): Promise<void> {
  const { suite, frameLength } = test
  const plaintext = cases.plaintextOf(test.size, frameLength)
  const encryptionContext = cases.CONTEXTS[test.context]
  const options = {
    keyring: keyringOf(key),
    encryptionContext,
    algorithmSuite: suite,
    commitmentPolicy: policyOf(suite),
    frameLength,
  }
  const random = randomOf(test)
  const data =
    random() < 0.5
      ? (await encrypt(plaintext, options)).ciphertext
      : await encryptPieces(cutAtRandom(plaintext, random), options)
  const decrypted = await peer.decrypt({ suite, keys: [key], data })
  assertSameBytes(decrypted.plaintext, plaintext)
  assertContext(decrypted.encryptionContext, encryptionContext, suite)
}

async function weReadPeers(peer: Peer, key: PeerKey, test: Case): Promise<void> {
  const { suite, frameLength } = test
  const plaintext = cases.plaintextOf(test.size, frameLength)
  const encryptionContext = cases.CONTEXTS[test.context]
  const data = await peer.encrypt({ suite, keys: [key], data: plaintext, frameLength, encryptionContext })
  const options = { keyring: keyringOf(key), commitmentPolicy: policyOf(suite) }
  const decrypted = await decrypt(data, options)
  assertSameBytes(decrypted.plaintext, plaintext)
  assertContext(decrypted.header.encryptionContext, encryptionContext, suite)
  assertSameBytes(await decryptPieces(cutAtRandom(data, randomOf(test)), options), plaintext)
}

const forTwoKeys = { suite: 0x0578, frameLength: 4096, encryptionContext: cases.CONTEXTS.ascii } as const

async function peerReadsOursUnderTwoKeys(peer: Peer, keys: readonly [PeerKey, PeerKey]): Promise<void> {
  const { suite, frameLength, encryptionContext } = forTwoKeys
  const plaintext = cases.plaintextOf('three frames', frameLength)
  const keyring = new MultiKeyring({ generator: keyringOf(keys[0]), children: [keyringOf(keys[1])] })
  const { ciphertext } = await encrypt(plaintext, { keyring, algorithmSuite: suite, frameLength, encryptionContext })
  for (const key of keys) {
    const decrypted = await peer.decrypt({ suite, keys: [key], data: ciphertext })
    assertSameBytes(decrypted.plaintext, plaintext)
    assertContext(decrypted.encryptionContext, encryptionContext, suite)
  }
}

async function weReadPeersUnderTwoKeys(peer: Peer, keys: readonly [PeerKey, PeerKey]): Promise<void> {
  const plaintext = cases.plaintextOf('three frames', forTwoKeys.frameLength)
  const data = await peer.encrypt({ ...forTwoKeys, keys, data: plaintext })
  for (const key of keys) {
    const { plaintext: decrypted, header } = await decrypt(data, { keyring: keyringOf(key) })
    assertSameBytes(decrypted, plaintext)
    assertContext(header.encryptionContext, forTwoKeys.encryptionContext, forTwoKeys.suite)
    assert.equal(header.encryptedDataKeys.length, 2)
  }
}

/** Says where they differ instead of printing a mebibyte of each. */
function assertSameBytes(actual: Buffer, expected: Buffer): void {
  if (actual.equals(expected)) return
  const at = expected.findIndex((byte, index) => actual[index] !== byte)
  assert.fail(`${actual.length} bytes of ${expected.length}, different from ${at === -1 ? expected.length : at} on`)
}

/** The pairs that were given, and the public key of a signed message. */
function assertContext(
  actual: Readonly<Record<string, string>>,
  expected: Readonly<Record<string, string>>,
  suite: number,
): void {
  const { 'aws-crypto-public-key': publicKey, ...pairs } = actual
  assert.deepEqual(pairs, expected)
  assert.equal(publicKey !== undefined, isSigning(suite), 'a public key is there just where the suite signs')
}
