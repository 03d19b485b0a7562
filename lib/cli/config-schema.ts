/** What `esdk.config.json` may hold: a JSON Schema, which the package ships, and the check by it. */
import type { RsaPadding } from '../keyrings/raw-rsa-keyring.ts'
import { COMMITMENT_POLICIES, type CommitmentPolicy } from '../materials/commitment-policy.ts'
import { UsageError } from './failure.ts'
import { suggestion } from './nearest.ts'
import { RSA_PADDINGS } from './option-values.ts'

/** A configuration that was checked. */
export interface Config {
  readonly defaultProfile?: string
  readonly profiles: Readonly<Record<string, Profile>>
}

/** A key, by reference. */
export interface ConfiguredKey {
  readonly kms?: string
  readonly file?: string
  readonly name?: string
  readonly namespace?: string
  readonly padding?: RsaPadding
}

/** Keys and settings under one name. */
export interface Profile {
  readonly description?: string
  readonly keys?: readonly ConfiguredKey[]
  readonly discovery?: {
    readonly accounts?: readonly string[]
    readonly partition?: string
    readonly regions?: readonly string[]
  }
  readonly mrk?: boolean
  readonly encryptionContext?: Readonly<Record<string, string>>
  readonly requiredEncryptionContextKeys?: readonly string[]
  readonly suite?: string
  readonly frameLength?: number
  readonly randomAccess?: boolean
  readonly commitmentPolicy?: CommitmentPolicy
  readonly maxEncryptedDataKeys?: number
  readonly maxLength?: number
  readonly unsignedOnly?: boolean
  readonly verifyFirst?: boolean
  readonly suffix?: string
  readonly caching?: {
    readonly maxAge: number
    readonly capacity?: number
    readonly maxMessagesEncrypted?: number
    readonly maxBytesEncrypted?: number
  }
}

/** The part of JSON Schema that is used here. */
interface Schema {
  readonly type: 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean'
  readonly description?: string
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | false
  readonly propertyNames?: { readonly pattern: string }
  readonly required?: readonly string[]
  readonly oneOf?: readonly { readonly required: readonly string[] }[]
  readonly items?: Schema
  readonly minItems?: number
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly enum?: readonly string[]
}

const text = (description: string): Schema => ({ type: 'string', description })
const whole = (description: string): Schema => ({ type: 'integer', minimum: 1, description })
const flag = (description: string): Schema => ({ type: 'boolean', description })
const texts = (description: string): Schema => ({ type: 'array', items: { type: 'string' }, minItems: 1, description })
const choice = (description: string, values: readonly string[]): Schema => ({
  type: 'string',
  enum: values,
  description,
})
const members = (description: string, properties: Readonly<Record<string, Schema>>): Schema => ({
  type: 'object',
  description,
  properties,
  additionalProperties: false,
})

const KEY: Schema = {
  ...members('A key, by reference: of AWS KMS, or in a file of its own.', {
    kms: text('Key of AWS KMS: the ARN of a key or an alias, or what AWS KMS takes in the region of the settings.'),
    file: text('Key file (JWK, PEM or raw AES bytes): a path from the folder of this configuration, or from "~/".'),
    name: text('Name of a key in a file that names none.'),
    namespace: text('Namespace of a key in a file that names none.'),
    padding: choice('Padding of an RSA key in a file that names none.', RSA_PADDINGS),
  }),
  oneOf: [{ required: ['kms'] }, { required: ['file'] }],
}

const PROFILE: Schema = members('Keys and settings under one name.', {
  description: text('What it is for; "esdk profiles" shows it.'),
  keys: { type: 'array', items: KEY, minItems: 1, description: 'The first generates the data key, any one decrypts.' },
  discovery: members('Decrypt also under whatever key of AWS KMS the message names, within these bounds.', {
    accounts: texts('Only keys of these accounts.'),
    partition: text('Partition of those accounts; "aws" unless said.'),
    regions: texts('Only keys of these regions.'),
  }),
  mrk: flag('Multi-Region keys: a replica in its own region serves as well.'),
  encryptionContext: {
    type: 'object',
    additionalProperties: { type: 'string' },
    description: 'Pairs to encrypt with, and that messages must have been encrypted with.',
  },
  requiredEncryptionContextKeys: texts('Names to authenticate without storing them, and that messages must hold.'),
  suite: text('Algorithm suite to encrypt with, by id or name.'),
  frameLength: whole('Bytes of plaintext in a frame.'),
  randomAccess: flag('Encrypt with an unsigned suite, so that ranges can be read on their own.'),
  commitmentPolicy: choice('Commitment policy.', COMMITMENT_POLICIES),
  maxEncryptedDataKeys: whole('Refuse messages with more encrypted data keys.'),
  maxLength: whole('Refuse messages with longer frames, in bytes.'),
  unsignedOnly: flag('Refuse signed messages.'),
  verifyFirst: flag('Write nothing before everything verified, even to standard output.'),
  suffix: text('What names of encrypted files end in; ".encrypted" unless said.'),
  caching: {
    ...members('Use data keys again.', {
      maxAge: { type: 'number', exclusiveMinimum: 0, description: 'Seconds.' },
      capacity: whole('Entries in the cache.'),
      maxMessagesEncrypted: whole('Messages under one data key.'),
      maxBytesEncrypted: whole('Bytes of plaintext under one data key.'),
    }),
    required: ['maxAge'],
  },
})

/** The JSON Schema of `esdk.config.json`. */
export const CONFIG_SCHEMA: Schema & { readonly $schema: string; readonly title: string } = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'esdk.config.json',
  ...members('Keys and settings of the command esdk.', {
    $schema: text('Where this schema is.'),
    defaultProfile: text('The profile that serves where no key is named.'),
    profiles: {
      type: 'object',
      propertyNames: { pattern: '^[A-Za-z0-9_][A-Za-z0-9._-]*$' },
      additionalProperties: PROFILE,
      description: 'Profiles by their names: letters, digits, dots, hyphens and underscores.',
    },
  }),
  required: ['profiles'],
}

/** Members of keys themselves, as people put them where only references belong. */
const OF_KEYS: readonly string[] = ['k', 'kty', 'd', 'p', 'q', 'n', 'key', 'jwk', 'pem', 'secret', 'wrappingKey']

/**
 * Checks a value. Values are never named in what it says: they may be secrets that are in the wrong place.
 *
 * @param where the way to the value, such as `profiles.backup.keys[0]`
 * @throws UsageError
 */
export function checkBySchema(value: unknown, schema: Schema, where: string): void {
  const fail = (reason: string): never => {
    throw new UsageError(where === '' ? reason : `${where}: ${reason}`)
  }
  if (typeOf(value) !== schema.type && !(schema.type === 'number' && typeof value === 'number')) {
    fail(`expected ${ARTICLES[schema.type]}, got ${typeOf(value)}`)
  }
  if (typeof value === 'object') checkMembers(value as object, schema, where, fail) // typeOf knows it from null
  if (typeof value === 'string') {
    if (value === '' && schema !== PROFILE.properties!['suffix']) fail('expected text, got nothing')
    if (value.includes('-----BEGIN ')) fail('holds a key itself: put it into a file of its own, and name that')
    if (schema.enum?.includes(value) === false) fail(`expected one of ${schema.enum.join(', ')}`)
  }
  if (typeof value === 'number') {
    const { minimum = -Infinity, exclusiveMinimum = -Infinity } = schema
    if (value < minimum || value <= exclusiveMinimum) {
      fail(schema.minimum === undefined ? `expected more than ${exclusiveMinimum}` : `expected ${minimum} or more`)
    }
  }
}

function checkMembers(value: object, schema: Schema, where: string, fail: (reason: string) => never): void {
  if (Array.isArray(value)) {
    if (value.length < (schema.minItems ?? 0)) fail('expected at least one entry')
    for (const [index, each] of value.entries()) checkBySchema(each, schema.items!, `${where}[${index}]`)
    return
  }
  const { properties = {}, additionalProperties, propertyNames, required = [], oneOf = [] } = schema
  for (const [name, each] of Object.entries(value)) {
    if (propertyNames !== undefined && !new RegExp(propertyNames.pattern).test(name)) {
      fail(`the name ${JSON.stringify(name)} expected letters, digits, dots, hyphens and underscores`)
    }
    const known = Object.hasOwn(properties, name) ? properties[name] : undefined
    const member = known ?? (additionalProperties === false ? undefined : additionalProperties)
    if (member !== undefined) checkBySchema(each, member, where === '' ? name : `${where}.${name}`)
    else if (OF_KEYS.includes(name)) {
      fail(`${JSON.stringify(name)} looks like part of a key: put the key into a file of its own, and name that`)
    } else {
      fail(`unknown name ${JSON.stringify(name)}${suggestion(name, Object.keys(properties))}`)
    }
  }
  const lacking = required.find((name) => !Object.hasOwn(value, name))
  if (lacking !== undefined) fail(`lacks ${JSON.stringify(lacking)}`)
  const fitting = oneOf.filter(({ required: names }) => names.every((name) => Object.hasOwn(value, name)))
  if (oneOf.length > 0 && fitting.length !== 1) {
    fail(`expected either ${oneOf.map(({ required: names }) => names.map((name) => `"${name}"`).join()).join(' or ')}`)
  }
}

const ARTICLES: Readonly<Record<Schema['type'], string>> = {
  object: 'an object',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return Number.isSafeInteger(value) ? 'integer' : typeof value
}
