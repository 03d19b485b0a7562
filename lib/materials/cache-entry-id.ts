/** Identifiers of cache entries: framework/caching-cmm.md "Appendix A: Cache Entry Identifier Formulas". */
import { createHash } from 'node:crypto'
import { encodeEncryptedDataKeys } from '../format/encrypted-data-key.ts'
import { encodeEncryptionContext } from '../format/encryption-context.ts'
import type { DecryptionMaterialsRequest, EncryptionMaterialsRequest } from './cryptographic-materials-manager.ts'

const NULL = Buffer.alloc(1)
const CACHING_MANAGER = Buffer.from([0x01])
const SCOPE_ENCRYPT = Buffer.from([0x01])
const SCOPE_DECRYPT = Buffer.from([0x02])
const NO_SUITE = Buffer.from([0x00])
const SUITE = Buffer.from([0x01])

/** What the specification's formulas leave out although the materials depend on it, each under its own tag. */
const EXTRA = { requiredNames: 0x01, commitmentPolicy: 0x02, reproducedContext: 0x03 } as const

type Extra = readonly [tag: number, bytes: Buffer]

/**
 * The identifier of the materials that an encryption request is answered with, in hex. Beside the formula's own fields
 * it depends on the required names and, where the policy chooses the suite, on the policy.
 */
export function encryptionEntryId(partitionId: string, request: EncryptionMaterialsRequest): string {
  const { algorithmSuite, requiredEncryptionContextKeys: names } = request
  const extras: Extra[] = []
  if (names.length > 0) extras.push([EXTRA.requiredNames, encodeNames(names)])
  if (algorithmSuite === undefined) extras.push([EXTRA.commitmentPolicy, Buffer.from(request.commitmentPolicy)])
  return extended(specifiedEncryptionId(partitionId, request), extras)
}

/** The identifier of the materials that a decryption request is answered with; it depends on the reproduced pairs too. */
export function decryptionEntryId(partitionId: string, request: DecryptionMaterialsRequest): string {
  const reproduced = encodeEncryptionContext(request.reproducedEncryptionContext)
  const extras: Extra[] = reproduced.length > 0 ? [[EXTRA.reproducedContext, reproduced]] : []
  return extended(specifiedDecryptionId(partitionId, request), extras)
}

/** The specification's formula for encryption. */
export function specifiedEncryptionId(
  partitionId: string,
  {
    encryptionContext,
    algorithmSuite: suite,
  }: Pick<EncryptionMaterialsRequest, 'encryptionContext' | 'algorithmSuite'>,
): Buffer {
  const suiteFields = suite === undefined ? [NO_SUITE] : [SUITE, suiteId(suite.id)]
  return hashOf(SCOPE_ENCRYPT, partitionId, [...suiteFields, encodeEncryptionContext(encryptionContext)])
}

/** The specification's formula for decryption. */
export function specifiedDecryptionId(
  partitionId: string,
  {
    algorithmSuite,
    encryptedDataKeys,
    encryptionContext,
  }: Pick<DecryptionMaterialsRequest, 'algorithmSuite' | 'encryptedDataKeys' | 'encryptionContext'>,
): Buffer {
  const keys = encryptedDataKeys.map((key) => encodeEncryptedDataKeys([key]).subarray(2)) // without the count
  return hashOf(SCOPE_DECRYPT, partitionId, [
    suiteId(algorithmSuite.id),
    Buffer.concat(keys.sort((a, b) => Buffer.compare(a, b))),
    encodeEncryptionContext(encryptionContext),
  ])
}

function hashOf(scope: Buffer, partitionId: string, fields: readonly Buffer[]): Buffer {
  const hash = createHash('sha384').update(CACHING_MANAGER)
  for (const field of [scope, Buffer.from(partitionId, 'utf8'), ...fields]) hash.update(NULL).update(field)
  return hash.digest()
}

/** The identifier itself where there is nothing to add, else a hash of it and of what there is. */
function extended(identifier: Buffer, extras: readonly Extra[]): string {
  if (extras.length === 0) return identifier.toString('hex')
  const hash = createHash('sha384').update(identifier)
  for (const [tag, bytes] of extras) hash.update(Buffer.from([tag])).update(lengthPrefixed(bytes))
  return hash.digest('hex')
}

/** Names as a set: each once, in the order of their bytes, each behind its length. */
function encodeNames(names: readonly string[]): Buffer {
  const encoded = [...new Set(names)].map((name) => Buffer.from(name, 'utf8'))
  return Buffer.concat(encoded.sort((a, b) => Buffer.compare(a, b)).map(lengthPrefixed))
}

function lengthPrefixed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}

function suiteId(id: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(id)
  return bytes
}
