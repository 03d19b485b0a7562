/** Clients of AWS KMS by region: framework/aws-kms/aws-kms-multi-keyrings.md "Client Supplier". */
import { KMSClient } from '@aws-sdk/client-kms'

/** The part of an AWS KMS client that keyrings use. */
export type KmsClient = Pick<KMSClient, 'send' | 'config' | 'middlewareStack'>

/**
 * Gives the client for a region; `undefined` is the region that the AWS SDK itself is set to. Where it gives `false` (or
 * nothing), that region is not used.
 */
export type KmsClientProvider = (region: string | undefined) => KmsClient | false | undefined

const CONNECTION_TIMEOUT_MS = 2000
const ATTEMPT_TIMEOUT_MS = 5000
type UserAgent = [name: string, version?: string]
const USER_AGENT: UserAgent = ['esdk-streams', '0.1.0']

/** Clients of regions that never answered are kept up to this number: a message may name any region. */
const MAX_UNANSWERED = 16

/**
 * A provider of clients of our own, one a region, which it keeps. They connect within two seconds and give each attempt
 * `attemptTimeoutMs` (5,000 unless said): the AWS SDK's own clients wait for ever. They retry as the AWS SDK does.
 *
 * @example new KmsKeyring({ generatorKeyId, clientProvider: kmsClientProvider({ attemptTimeoutMs: 2000 }) })
 * @throws RangeError unless `attemptTimeoutMs` is a positive integer.
 */
export function kmsClientProvider({
  attemptTimeoutMs,
}: { readonly attemptTimeoutMs?: number | undefined } = {}): KmsClientProvider {
  return ownClients({ attemptTimeoutMs })
}

/** What a client of our own is made for. */
export interface ClientUse {
  readonly attemptTimeoutMs: number | undefined
  /** Told to the service beside our own name. */
  readonly feature?: string
}

/** {@link kmsClientProvider} for what takes a name of its own. */
export function ownClients(use: ClientUse): KmsClientProvider {
  clientSettings({ ...use, region: undefined }) // throws where they are unfit, and not only at the first call
  return cacheClients((region) => new KMSClient(clientSettings({ ...use, region })))
}

/** How clients of our own are made, of whatever service. */
export function clientSettings({
  attemptTimeoutMs = ATTEMPT_TIMEOUT_MS,
  region,
  feature,
}: ClientUse & { readonly region: string | undefined }): {
  region?: string
  customUserAgent: UserAgent[]
  requestHandler: Readonly<Record<string, number | boolean>>
} {
  if (!Number.isInteger(attemptTimeoutMs) || attemptTimeoutMs < 1) {
    throw new RangeError(`"attemptTimeoutMs" expected a positive integer, got ${String(attemptTimeoutMs)}`)
  }
  return {
    ...(region !== undefined && { region }),
    customUserAgent: feature === undefined ? [USER_AGENT] : [USER_AGENT, [feature]],
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: attemptTimeoutMs,
      throwOnRequestTimeout: true,
      // The request timeout ends with the first byte of the response; this one is for its body.
      socketTimeout: attemptTimeoutMs,
    },
  }
}

/**
 * Asks the provider once a region, and keeps its client for good once AWS KMS answered it (an error is an answer).
 *
 * @example cacheClients((region) => new KMSClient({ region, maxAttempts: 5 }))
 */
export function cacheClients(provider: KmsClientProvider): KmsClientProvider {
  const answered = new Map<string | undefined, KmsClient>()
  const unanswered = new Map<string | undefined, KmsClient>()
  return (region) => {
    const known = answered.get(region) ?? unanswered.get(region)
    if (known !== undefined) return known
    const client = provider(region)
    if (client === false || client === undefined) return false
    for (const oldest of unanswered.keys()) {
      if (unanswered.size < MAX_UNANSWERED) break
      unanswered.delete(oldest)
    }
    unanswered.set(region, client)
    onAnswer(client, () => {
      unanswered.delete(region)
      if (!answered.has(region)) answered.set(region, client)
    })
    return client
  }
}

function onAnswer(client: KmsClient, heard: () => void): void {
  client.middlewareStack.add(
    (next) => async (request) => {
      const response = await next(request)
      heard()
      return response
    },
    // Beneath the deserializer, which throws where the answer is an error.
    { step: 'deserialize', priority: 'low' },
  )
}

/** Only these regions. The region that the AWS SDK itself is set to is not known here, and not used. */
export function limitRegions(regions: readonly string[], provider: KmsClientProvider): KmsClientProvider {
  const allowed = new Set(checkedRegions(regions))
  return (region) => (region !== undefined && allowed.has(region) ? provider(region) : false)
}

/** All regions but these. The region that the AWS SDK itself is set to is used, for keys without a region of their own. */
export function excludeRegions(regions: readonly string[], provider: KmsClientProvider): KmsClientProvider {
  const denied = new Set(checkedRegions(regions))
  return (region) => (region !== undefined && denied.has(region) ? false : provider(region))
}

/** A copy. @throws TypeError unless it is a list of names. */
export function checkedRegions(regions: readonly string[]): readonly string[] {
  if (
    !isArray(regions) ||
    regions.length === 0 ||
    regions.some((region) => typeof region !== 'string' || region === '')
  ) {
    throw new TypeError('"regions" expected at least one name of a region')
  }
  return [...regions]
}

/** Also of another realm. That of TypeScript would make a list of anything of what it checks. */
export function isArray(value: unknown): boolean {
  return Array.isArray(value)
}
