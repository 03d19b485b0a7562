/** Algorithm suites: framework/algorithm-suites.md. A table instead of branches. */
import { MalformedMessageError, UnsupportedError } from '../errors.ts'

/** How a message is signed. `signatureBytes` is the DER length that this library writes; `maxSignatureBytes` the longest valid. */
export interface SignatureAlgorithm {
  readonly curve: 'P-256' | 'P-384'
  readonly hash: 'sha256' | 'sha384'
  readonly signatureBytes: number
  readonly maxSignatureBytes: number
  readonly compressedPointBytes: number
}

/** One row of the specification's table of algorithm suites. */
export interface AlgorithmSuite {
  readonly id: number
  readonly name: string
  readonly messageVersion: 1 | 2
  /** Length of the data key, of the derived key and of the AES key, in bytes. */
  readonly keyBytes: 16 | 24 | 32
  readonly kdf: 'identity' | 'hkdf'
  readonly kdfHash?: 'sha256' | 'sha384' | 'sha512'
  readonly committing: boolean
  readonly signature?: SignatureAlgorithm
}

const P256 = {
  curve: 'P-256',
  hash: 'sha256',
  signatureBytes: 71,
  maxSignatureBytes: 72,
  compressedPointBytes: 33,
} as const
const P384 = {
  curve: 'P-384',
  hash: 'sha384',
  signatureBytes: 103,
  maxSignatureBytes: 104,
  compressedPointBytes: 49,
} as const

const v1 = { messageVersion: 1, committing: false } as const
const v2 = { messageVersion: 2, committing: true, keyBytes: 32, kdf: 'hkdf', kdfHash: 'sha512' } as const
const hkdf256 = { kdf: 'hkdf', kdfHash: 'sha256' } as const
const hkdf384 = { kdf: 'hkdf', kdfHash: 'sha384' } as const

const TABLE: readonly AlgorithmSuite[] = [
  { id: 0x0014, name: 'ALG_AES_128_GCM_IV12_TAG16_NO_KDF', ...v1, keyBytes: 16, kdf: 'identity' },
  { id: 0x0046, name: 'ALG_AES_192_GCM_IV12_TAG16_NO_KDF', ...v1, keyBytes: 24, kdf: 'identity' },
  { id: 0x0078, name: 'ALG_AES_256_GCM_IV12_TAG16_NO_KDF', ...v1, keyBytes: 32, kdf: 'identity' },
  { id: 0x0114, name: 'ALG_AES_128_GCM_IV12_TAG16_HKDF_SHA256', ...v1, ...hkdf256, keyBytes: 16 },
  { id: 0x0146, name: 'ALG_AES_192_GCM_IV12_TAG16_HKDF_SHA256', ...v1, ...hkdf256, keyBytes: 24 },
  { id: 0x0178, name: 'ALG_AES_256_GCM_IV12_TAG16_HKDF_SHA256', ...v1, ...hkdf256, keyBytes: 32 },
  {
    id: 0x0214,
    name: 'ALG_AES_128_GCM_IV12_TAG16_HKDF_SHA256_ECDSA_P256',
    ...v1,
    ...hkdf256,
    keyBytes: 16,
    signature: P256,
  },
  {
    id: 0x0346,
    name: 'ALG_AES_192_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384',
    ...v1,
    ...hkdf384,
    keyBytes: 24,
    signature: P384,
  },
  {
    id: 0x0378,
    name: 'ALG_AES_256_GCM_IV12_TAG16_HKDF_SHA384_ECDSA_P384',
    ...v1,
    ...hkdf384,
    keyBytes: 32,
    signature: P384,
  },
  { id: 0x0478, name: 'ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY', ...v2 },
  { id: 0x0578, name: 'ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY_ECDSA_P384', ...v2, signature: P384 },
]

/** All eleven suites, in the order of their ids. */
export const ALGORITHM_SUITES: readonly AlgorithmSuite[] = Object.freeze(TABLE.map((suite) => Object.freeze(suite)))

/** Families of ids that other products use in the same space, never valid in a message of this format. */
const FOREIGN: readonly [first: number, last: number, product: string][] = [
  [0x0070, 0x0074, 'the Amazon S3 Encryption Client'],
  [0x6700, 0x6701, 'the AWS Database Encryption SDK'],
]

/** The algorithm suite of an id read from a message of the given version, or a coded error. */
export function suiteOfMessage(id: number, version: 1 | 2): AlgorithmSuite {
  const suite = ALGORITHM_SUITES.find((candidate) => candidate.id === id)
  if (suite?.messageVersion === version) return suite
  const hex = suiteHex(id)
  if (suite !== undefined) {
    throw new MalformedMessageError(`algorithm suite ${hex} does not go with message format version ${version}`)
  }
  const product = FOREIGN.find(([first, last]) => id >= first && id <= last)?.[2]
  if (product !== undefined) throw new UnsupportedError(`algorithm suite ${hex} belongs to ${product}`)
  throw new MalformedMessageError(`unknown algorithm suite ${hex}`)
}

/**
 * The algorithm suite that a caller names, by id (`0x0578`) or by name (with or without the leading `ALG_`).
 *
 * @throws RangeError where there is no such suite.
 */
export function algorithmSuite(idOrName: number | string): AlgorithmSuite {
  const suite = ALGORITHM_SUITES.find(
    ({ id, name }) => id === idOrName || name === idOrName || name === `ALG_${idOrName}`,
  )
  if (suite === undefined) {
    const known = ALGORITHM_SUITES.map(({ id }) => suiteHex(id)).join(', ')
    const given = typeof idOrName === 'number' ? suiteHex(idOrName) : JSON.stringify(idOrName)
    throw new RangeError(`"algorithmSuite" expected one of ${known} or its name, got ${given}`)
  }
  return suite
}

/** `0x0578` and the like. */
export function suiteHex(id: number): string {
  return `0x${id.toString(16).padStart(4, '0')}`
}
