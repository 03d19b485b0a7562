/** The messages that are exchanged with peers. */
import { generateKeyPairSync } from 'node:crypto'
import type { Compatible } from './pairwise.ts'
import { WRAPPING_ALGORITHMS, type AesPeerKey, type PeerKey, type RsaPeerKey } from './peer.ts'
import { seededBytes } from './random.ts'

export const NON_FRAMED = 0
export const SUITES: readonly number[] = [
  0x0014, 0x0046, 0x0078, 0x0114, 0x0146, 0x0178, 0x0214, 0x0346, 0x0378, 0x0478, 0x0578,
]

const MIB = 1024 * 1024

export type Size = 'empty' | 'one byte' | 'a frame less one' | 'a frame' | 'a frame and one' | 'three frames' | '1 MiB'

/** Sizes of plaintext, relative to the frame length. */
const SIZES: Readonly<Record<Size, (frame: number) => number>> = {
  empty: () => 0,
  'one byte': () => 1,
  'a frame less one': (frame) => frame - 1,
  'a frame': (frame) => frame,
  'a frame and one': (frame) => frame + 1,
  'three frames': (frame) => 3 * frame,
  '1 MiB': () => MIB,
}

export const SIZE_NAMES: readonly Size[] = Object.keys(SIZES) as Size[] // the keys of the table

export type Context = 'none' | 'ascii' | 'empty value' | 'multi-byte'

export const CONTEXTS: Readonly<Record<Context, Readonly<Record<string, string>>>> = {
  none: {},
  ascii: { purpose: 'interop', Zone: 'b', apple: 'pie', a: 'A' },
  'empty value': { purpose: 'interop', apple: '' },
  // "～" (U+FF5E) is before "😀" (U+1F600) in the order of UTF-8 and after it in that of UTF-16; "Z" before "é" in both,
  // and after it in a dictionary's.
  'multi-byte': { '😀': 'U+1F600', '～': 'U+FF5E', é: '値', Z: '\u0001\u0002', z: '"D"\n' },
}

export const CONTEXT_NAMES: readonly Context[] = Object.keys(CONTEXTS) as Context[] // the keys of the table

const plaintext = seededBytes(MIB, 1)

/** Non-framed content has no frame length; its sizes are relative to the default one. */
export function plaintextOf(size: Size, frameLength: number): Buffer {
  return plaintext.subarray(0, SIZES[size](frameLength === NON_FRAMED ? 4096 : frameLength))
}

const SHORT_FRAMES: ReadonlySet<unknown> = new Set([1, 16, 17])

/** The shortest frames only with little plaintext: a mebibyte in frames of one byte takes peers minutes. */
export const compatible: Compatible = (name, value, otherName, otherValue) =>
  !(name === 'frameLength' && SHORT_FRAMES.has(value) && otherName === 'size' && otherValue === '1 MiB')

/** One key an algorithm; the RSA keys share a pair of 2048 bits, made anew for each run. */
export function makeKeys(): PeerKey[] {
  const pair = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  return WRAPPING_ALGORITHMS.map((algorithm): PeerKey => {
    const name = { keyNamespace: 'esdk-streams ✓', keyName: `clé ${algorithm}` }
    if (isAes(algorithm)) {
      return { ...name, algorithm, wrappingKey: seededBytes(Number(algorithm.slice(4)) / 8, 2) } satisfies AesPeerKey
    }
    return { ...name, algorithm, ...pair } satisfies RsaPeerKey
  })
}

function isAes(algorithm: PeerKey['algorithm']): algorithm is AesPeerKey['algorithm'] {
  return algorithm.startsWith('aes-')
}
