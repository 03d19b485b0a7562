/** Which AWS KMS key a branch key store uses: framework/branch-key-store.md "AWS KMS Configuration". */
import { formatKmsArn, isMultiRegionKey, matchesForDecrypt, parseKmsKeyArn } from '../kms-key-arn.ts'

/**
 * By the specification's names: just one key; a multi-Region key, whichever of its replicas wrapped; in one region,
 * whatever key of a record, in that region where it is a multi-Region one; or whatever key of a record. The last two only read.
 */
export type KmsConfiguration =
  | { readonly kmsKeyArn: string }
  | { readonly kmsMRKeyArn: string }
  | { readonly mrDiscovery: { readonly region: string } }
  | 'discovery'

/** The configuration as it is used. */
export interface KmsChoice {
  readonly configuration: KmsConfiguration
  /** The region of the store's clients; `undefined` is the one that the AWS SDK itself is set to. */
  readonly region: string | undefined
  /** The key that wraps; none where the store only reads. */
  readonly keyArn: string | undefined
  /** The key to ask for what `wrappedBy` wrapped. @throws Error where it may not be asked for. */
  readonly keyFor: (wrappedBy: string) => string
}

/** @throws TypeError unless it is a configuration. */
export function kmsChoiceOf(configuration: KmsConfiguration): KmsChoice {
  const given: unknown = configuration
  if (given === 'discovery') {
    return { configuration: given, region: undefined, keyArn: undefined, keyFor: (wrappedBy) => wrappedBy }
  }
  const [[name, value], ...others] = typeof given === 'object' && given !== null ? entries(given) : NOTHING
  if (others.length === 0 && name === 'kmsKeyArn') return oneKey(name, value, (a, b) => a === b)
  if (others.length === 0 && name === 'kmsMRKeyArn') return oneKey(name, value, matchesForDecrypt)
  if (others.length === 0 && name === 'mrDiscovery') return discoveryIn((value as { region?: unknown } | null)?.region)
  throw new TypeError(
    `"kmsConfiguration" expected 'discovery' or an object with one of kmsKeyArn, kmsMRKeyArn and mrDiscovery`,
  )
}

type Entries = readonly [readonly [string, unknown], ...(readonly [string, unknown])[]]

const NOTHING: Entries = [['', undefined]]

function entries(value: object): Entries {
  const [first, ...others] = Object.entries(value) as [string, unknown][] // whose values are any
  return first === undefined ? NOTHING : [first, ...others]
}

function oneKey(
  name: 'kmsKeyArn' | 'kmsMRKeyArn',
  keyArn: unknown,
  matches: (wrappedBy: string, configured: string) => boolean,
): KmsChoice {
  const arn = typeof keyArn === 'string' ? parseKmsKeyArn(keyArn) : undefined
  if (typeof keyArn !== 'string' || arn === undefined) {
    throw new TypeError(`"kmsConfiguration.${name}" expected the ARN of an AWS KMS key, and of no alias`)
  }
  return {
    configuration: Object.freeze(name === 'kmsKeyArn' ? { kmsKeyArn: keyArn } : { kmsMRKeyArn: keyArn }),
    region: arn.region,
    keyArn,
    keyFor: (wrappedBy) => {
      if (!matches(wrappedBy, keyArn)) throw new Error(`wrapped by ${wrappedBy}, not by ${keyArn}`)
      return keyArn
    },
  }
}

function discoveryIn(region: unknown): KmsChoice {
  if (typeof region !== 'string' || region === '') {
    throw new TypeError('"kmsConfiguration.mrDiscovery.region" expected the name of a region')
  }
  return {
    configuration: Object.freeze({ mrDiscovery: Object.freeze({ region }) }),
    region,
    keyArn: undefined,
    keyFor: (wrappedBy) => {
      const arn = parseKmsKeyArn(wrappedBy)
      return arn !== undefined && isMultiRegionKey(wrappedBy) ? formatKmsArn(arn, region) : wrappedBy
    },
  }
}
