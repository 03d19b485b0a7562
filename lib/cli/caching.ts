/** `--caching`: its value, and what comes of it. */
import { InvalidArgumentError } from 'commander'
import { UsageError, asUsage } from './failure.ts'
import type { KeySource } from '../materials/key-source.ts'
import type { Keyring } from '../materials/keyring.ts'

/** What `--caching` says, in the units of the library. */
export interface CachingFlag {
  readonly maxAgeMs?: number
  readonly capacity?: number
  readonly maxMessages?: number
  readonly maxBytes?: number
}

const DEFAULT_CAPACITY = 100

/** The names of aws-encryption-cli, and what they are here. */
const NAMES: Readonly<Record<string, { readonly option: keyof CachingFlag; readonly unit: number }>> = {
  max_age: { option: 'maxAgeMs', unit: 1000 },
  capacity: { option: 'capacity', unit: 1 },
  max_messages_encrypted: { option: 'maxMessages', unit: 1 },
  max_bytes_encrypted: { option: 'maxBytes', unit: 1 },
}

/** Reads `NAME=VALUE,…`, in addition to what was read before. */
export function cachingOf(text: string, previous: CachingFlag = {}): CachingFlag {
  return text.split(',').reduce<CachingFlag>((flag, pair) => {
    const [name = '', value = ''] = pair.split('=', 2)
    const known = Object.hasOwn(NAMES, name) ? NAMES[name] : undefined
    if (known === undefined) {
      throw new InvalidArgumentError(`expected one of ${Object.keys(NAMES).join(', ')}, got ${JSON.stringify(name)}`)
    }
    const number = /^\d+(?:\.\d+)?$/.test(value) ? Number(value) * known.unit : Number.NaN
    if (!(number > 0) || (known.unit === 1 && !Number.isSafeInteger(number))) {
      throw new InvalidArgumentError(`${name} expected a number above 0, got ${JSON.stringify(value)}`)
    }
    return { ...flag, [known.option]: number }
  }, previous)
}

/**
 * The keyring itself, or a manager that caches what it gives.
 *
 * @throws UsageError when a limit is unfit or lacks.
 */
export async function cachingSource(keyring: Keyring, caching: CachingFlag | undefined): Promise<KeySource> {
  if (caching === undefined) return { keyring }
  const { maxAgeMs, capacity = DEFAULT_CAPACITY, ...limits } = caching
  if (maxAgeMs === undefined) throw new UsageError('--caching expected a max_age, in seconds')
  const [{ CachingCryptographicMaterialsManager }, { LocalCryptographicMaterialsCache }] = await Promise.all([
    import('../materials/caching-cmm.ts'),
    import('../materials/local-materials-cache.ts'),
  ])
  const materialsManager = asUsage(() => {
    const cache = new LocalCryptographicMaterialsCache({ capacity })
    return new CachingCryptographicMaterialsManager({ keyring, cache, maxAgeMs, ...limits })
  })
  return { materialsManager }
}
