/** Identifiers of cached branch keys: framework/aws-kms/aws-kms-hierarchical-keyring.md "Appendix A: Cache Entry Identifier Formulas". */
import { createHash, randomUUID } from 'node:crypto'
import { checkText } from './branch-key-id.ts'

const NULL = Buffer.alloc(1)
const HIERARCHICAL_KEYRING = Buffer.from([0x02])
const SCOPE_ENCRYPT = Buffer.from([0x01])
const SCOPE_DECRYPT = Buffer.from([0x02])

/** Whose branch keys they are: of which partition of the cache, and of which store. */
export interface BranchKeyScope {
  readonly partitionId: Buffer
  readonly logicalKeyStoreName: string
}

/** The bytes of a partition id; those of a random UUID where none is given. @throws TypeError when it is unfit. */
export function partitionIdBytes(partitionId: string | undefined): Buffer {
  if (partitionId === undefined) return uuidBytes(randomUUID())
  checkText('partitionId', partitionId)
  return Buffer.from(partitionId, 'utf8')
}

/** The identifier of the version that encryptions use, in hex. */
export function activeEntryId(scope: BranchKeyScope, branchKeyId: string): string {
  return hashOf(SCOPE_ENCRYPT, scope, [branchKeyId])
}

/** The identifier of one version, in hex. */
export function versionEntryId(scope: BranchKeyScope, branchKeyId: string, version: string): string {
  return hashOf(SCOPE_DECRYPT, scope, [branchKeyId, version])
}

function hashOf(scope: Buffer, { partitionId, logicalKeyStoreName }: BranchKeyScope, names: readonly string[]): string {
  const hash = createHash('sha384').update(HIERARCHICAL_KEYRING)
  for (const field of [scope, partitionId, logicalKeyStoreName, ...names]) hash.update(NULL).update(field)
  return hash.digest('hex')
}

/** The 16 bytes of a UUID. */
export function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}

/** The text of a UUID. */
export function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
