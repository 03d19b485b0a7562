/** Items of a branch key store, and what authenticates them: framework/branch-key-store.md "Encryption Context", "Record Format". Pure. */
import type { AttributeValue } from '@aws-sdk/client-dynamodb'
import { type EncryptionContext, encryptionContextOf, selectPairs } from '../../../format/encryption-context.ts'
import { parseKmsKeyArn } from '../kms-key-arn.ts'

/** One row of the table. */
export type BranchKeyItem = Readonly<Record<string, AttributeValue>>

/** What an item says: the wrapped key, and all the rest, which AWS KMS authenticates with it. */
export interface BranchKeyRecord {
  readonly context: EncryptionContext
  readonly wrappedKey: Uint8Array
}

/** The names of the table's key. */
export const ID_NAME = 'branch-key-id'
export const TYPE_NAME = 'type'

/** The type of the item whose key encryptions use. */
export const ACTIVE_TYPE = 'branch:ACTIVE'
/** The type of the item of the beacon key. */
export const BEACON_TYPE = 'beacon:ACTIVE'

export const WRAPPED_KEY_NAME = 'enc'
const VERSION_NAME = 'version'
const CREATE_TIME_NAME = 'create-time'
const KMS_ARN_NAME = 'kms-arn'
const HIERARCHY_VERSION_NAME = 'hierarchy-version'
/** In the encryption context alone: the logical name of the store. */
const STORE_NAME = 'tablename'

const VERSION_PREFIX = 'branch:version:'
const CUSTOM_PREFIX = 'aws-crypto-ec:'
const HIERARCHY_VERSION = '1'
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** The type of the item of one version. */
export function versionType(version: string): string {
  return VERSION_PREFIX + version
}

/** What a new branch key is made of. */
export interface NewBranchKey {
  readonly branchKeyId: string
  readonly version: string
  readonly kmsArn: string
  readonly logicalKeyStoreName: string
  /** Pairs of the caller's own. */
  readonly encryptionContext: EncryptionContext
}

/** The encryption context of the first version of a branch key. */
export function versionContext(key: NewBranchKey): EncryptionContext {
  return encryptionContextOf([
    [ID_NAME, key.branchKeyId],
    [TYPE_NAME, versionType(key.version)],
    [CREATE_TIME_NAME, timestamp()],
    [STORE_NAME, key.logicalKeyStoreName],
    [KMS_ARN_NAME, key.kmsArn],
    [HIERARCHY_VERSION_NAME, HIERARCHY_VERSION],
    ...Object.entries(key.encryptionContext).map(([name, value]) => [CUSTOM_PREFIX + name, value] as const),
  ])
}

/** The encryption context of a later version: all but type and time as with the version that was active. */
export function nextVersionContext(active: EncryptionContext, version: string): EncryptionContext {
  return changed(selectPairs(active, [VERSION_NAME], false), {
    [TYPE_NAME]: versionType(version),
    [CREATE_TIME_NAME]: timestamp(),
  })
}

/** The encryption context of a version's copy that encryptions use. */
export function activeContext(version: EncryptionContext): EncryptionContext {
  return changed(version, { [VERSION_NAME]: version[TYPE_NAME]!, [TYPE_NAME]: ACTIVE_TYPE })
}

/** The encryption context of the beacon key that is made with the first version. */
export function beaconContext(version: EncryptionContext): EncryptionContext {
  return changed(version, { [TYPE_NAME]: BEACON_TYPE })
}

function changed(context: EncryptionContext, changes: EncryptionContext): EncryptionContext {
  return encryptionContextOf([...Object.entries(context), ...Object.entries(changes)])
}

/** ISO 8601 to the microsecond; the clock tells milliseconds. */
function timestamp(): string {
  return new Date().toISOString().replace('Z', '000Z')
}

/** The item of a wrapped key and the encryption context that it was wrapped with. */
export function itemOf({ context, wrappedKey }: BranchKeyRecord): BranchKeyItem {
  const item: Record<string, AttributeValue> = { [WRAPPED_KEY_NAME]: { B: wrappedKey } }
  for (const [name, value] of Object.entries(context)) {
    if (name !== STORE_NAME) item[name] = name === HIERARCHY_VERSION_NAME ? { N: value } : { S: value }
  }
  return item
}

/**
 * Reads the item that was asked for. AWS KMS will authenticate all of it with the key.
 *
 * @throws Error that says what is wrong where it is no item of a store, or another than the one asked for.
 */
export function readItem(
  item: BranchKeyItem,
  asked: { readonly branchKeyId: string; readonly type: string },
  logicalKeyStoreName: string,
): BranchKeyRecord {
  if (Object.hasOwn(item, STORE_NAME)) throw new Error(`its item has an attribute "${STORE_NAME}"`)
  const pairs: [string, string][] = []
  for (const [name, { S, N }] of Object.entries(item)) {
    if (name === WRAPPED_KEY_NAME) continue
    const value = name === HIERARCHY_VERSION_NAME ? N : S
    if (value === undefined) throw new Error(`the attribute ${JSON.stringify(name)} of its item has another type`)
    pairs.push([name, value])
  }
  const context = encryptionContextOf([...pairs, [STORE_NAME, logicalKeyStoreName]])
  checkContext(context, asked)
  const wrappedKey = item[WRAPPED_KEY_NAME]?.B
  if (wrappedKey === undefined || wrappedKey.length === 0) throw new Error('its item holds no wrapped key')
  return { context, wrappedKey }
}

function checkContext(context: EncryptionContext, asked: { branchKeyId: string; type: string }): void {
  if (context[ID_NAME] !== asked.branchKeyId || context[TYPE_NAME] !== asked.type) {
    throw new Error(
      `its item is ${JSON.stringify(context[TYPE_NAME] ?? null)} of ${JSON.stringify(context[ID_NAME] ?? null)}`,
    )
  }
  if (context[CREATE_TIME_NAME] === undefined) throw new Error(`its item has no "${CREATE_TIME_NAME}"`)
  if (context[HIERARCHY_VERSION_NAME] !== HIERARCHY_VERSION) {
    throw new Error(
      `its item has the hierarchy version ${context[HIERARCHY_VERSION_NAME] ?? 'null'}; only ${HIERARCHY_VERSION} is known`,
    )
  }
  if (parseKmsKeyArn(context[KMS_ARN_NAME] ?? '') === undefined) {
    throw new Error(`"${KMS_ARN_NAME}" of its item is not the ARN of a key`)
  }
  const version = context[VERSION_NAME]
  const fits = asked.type === ACTIVE_TYPE ? version?.startsWith(VERSION_PREFIX) === true : version === undefined
  if (!fits) throw new Error(`"${VERSION_NAME}" of its item does not fit its type`)
  if (asked.type !== BEACON_TYPE && !UUID.test(versionOf(context))) throw new Error('its version is not a UUID')
}

/** The ARN of the AWS KMS key that wrapped an item's key. */
export function kmsArnOf(context: EncryptionContext): string {
  return context[KMS_ARN_NAME]!
}

/** The version of an item of a branch key. */
export function versionOf(context: EncryptionContext): string {
  return (context[VERSION_NAME] ?? context[TYPE_NAME]!).slice(VERSION_PREFIX.length)
}

/** The pairs of the caller's own. */
export function customContextOf(context: EncryptionContext): EncryptionContext {
  return encryptionContextOf(
    Object.entries(context)
      .filter(([name]) => name.startsWith(CUSTOM_PREFIX))
      .map(([name, value]) => [name.slice(CUSTOM_PREFIX.length), value]),
  )
}
