/** Identifiers of AWS KMS keys: framework/aws-kms/aws-kms-key-arn.md and the MRK pages beside it. Pure. */

/** The parts of an ARN of a key or an alias. */
export interface KmsArn {
  readonly partition: string
  readonly region: string
  readonly account: string
  readonly resourceType: 'key' | 'alias'
  readonly resourceId: string
}

const MAX_IDENTIFIER_CHARACTERS = 2048
const MRK_PREFIX = 'mrk-'
const ALIAS_PREFIX = 'alias/'

/** The parts of an ARN, or `undefined` where the text is no ARN of an AWS KMS key or alias. */
export function parseKmsArn(text: string): KmsArn | undefined {
  const parts = text.split(':')
  if (parts.length !== 6 || !hasIdentifierCharacters(text)) return undefined
  const [arn, partition, service, region, account, resource] = parts as [string, string, string, string, string, string] // counted
  const slash = resource.indexOf('/')
  if (slash < 0) return undefined
  const [resourceType, resourceId] = [resource.slice(0, slash), resource.slice(slash + 1)]
  if (arn !== 'arn' || service !== 'kms' || partition === '' || region === '' || account === '') return undefined
  if ((resourceType !== 'key' && resourceType !== 'alias') || resourceId === '') return undefined
  return { partition, region, account, resourceType, resourceId }
}

/** The ARN of a key (not of an alias), or `undefined`. */
export function parseKmsKeyArn(text: string): KmsArn | undefined {
  const arn = parseKmsArn(text)
  return arn?.resourceType === 'key' ? arn : undefined
}

/** The text of an ARN, in another region where one is given. */
export function formatKmsArn(arn: KmsArn, region: string = arn.region): string {
  const { partition, account, resourceType, resourceId } = arn
  return `arn:${partition}:kms:${region}:${account}:${resourceType}/${resourceId}`
}

/** @throws TypeError unless it is an ARN, an alias name, or the bare id of a key. */
export function checkKmsKeyIdentifier(option: string, value: unknown): asserts value is string {
  const fits =
    typeof value === 'string' &&
    value !== '' &&
    hasIdentifierCharacters(value) &&
    (value.startsWith('arn:') ? parseKmsArn(value) !== undefined : isRawIdentifier(value))
  if (!fits)
    throw new TypeError(`"${option}" expected the ARN, alias or id of an AWS KMS key, got ${JSON.stringify(value)}`)
}

/** ASCII, and not too long. */
function hasIdentifierCharacters(value: string): boolean {
  return /^[ -~]*$/.test(value) && value.length <= MAX_IDENTIFIER_CHARACTERS
}

function isRawIdentifier(value: string): boolean {
  if (value.startsWith(ALIAS_PREFIX)) return value.length > ALIAS_PREFIX.length
  return !value.includes('/') && !value.includes(':')
}

/** Whether an identifier is that of a multi-Region key. */
export function isMultiRegionKey(identifier: string): boolean {
  if (!identifier.startsWith('arn:')) return identifier.startsWith(MRK_PREFIX)
  return parseKmsKeyArn(identifier)?.resourceId.startsWith(MRK_PREFIX) === true
}

/** Whether a data key wrapped under one of two identifiers can be unwrapped under the other: equal, or replicas of one key. */
export function matchesForDecrypt(a: string, b: string): boolean {
  if (a === b) return true
  const [arnA, arnB] = [parseKmsKeyArn(a), parseKmsKeyArn(b)]
  if (arnA === undefined || arnB === undefined || !isMultiRegionKey(a) || !isMultiRegionKey(b)) return false
  return arnA.partition === arnB.partition && arnA.account === arnB.account && arnA.resourceId === arnB.resourceId
}

/** @throws TypeError that names all identifiers of multi-Region keys of which there are replicas among them. */
export function checkMultiRegionKeysUnique(identifiers: readonly string[]): void {
  const keys = identifiers.filter(isMultiRegionKey)
  const idOf = (identifier: string): string => parseKmsKeyArn(identifier)?.resourceId ?? identifier
  const repeated = keys.filter((key) => keys.filter((other) => idOf(other) === idOf(key)).length > 1)
  if (repeated.length > 0) {
    throw new TypeError(`related multi-Region keys can't be used together: ${repeated.join(', ')}`)
  }
}
