/** The one place from which AWS KMS is called, and told of. */
import { isError } from '../../errors.ts'
import type { CallOptions } from '../../materials/keyring.ts'
import { type KmsTrace, isTraced, traceChannel, traceRequest } from '../../materials/tracing.ts'
import type { KmsClient } from './kms-client.ts'
import { parseKmsArn } from './kms-key-arn.ts'

const CHANNEL = traceChannel<KmsTrace>('kms')

/** A call: what it is, of which key, and by which client. */
export interface KmsRequest extends CallOptions {
  readonly client: KmsClient
  readonly keyId: string
}

/** What `send` takes besides the command. */
export function sendOptions({ signal }: CallOptions): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal }
}

/** Calls AWS KMS. */
export async function callKms<T extends object>(
  operation: string,
  call: KmsRequest,
  send: (options: { abortSignal?: AbortSignal }) => Promise<T>,
): Promise<T> {
  if (!isTraced(CHANNEL)) return send(sendOptions(call))
  const { keyId, client, signal } = call
  const region = parseKmsArn(keyId)?.region ?? (await regionOf(client))
  return traceRequest(CHANNEL, { operation, keyId, region }, signal, () => send(sendOptions(call)), {
    shown: withoutResponse,
  })
}

/** The region that a client is set to; a client of the caller's own making may not say. */
async function regionOf(client: Partial<KmsClient>): Promise<string | undefined> {
  try {
    return await client.config?.region()
  } catch {
    return undefined
  }
}

/**
 * A failure that may be shown. One to read a response that was no error holds that response, data key and all, and quotes
 * it in its message: only its name is kept.
 */
export function withoutResponse(error: unknown, service = 'AWS KMS'): unknown {
  if (!isError(error) || '$fault' in error) return error
  return '$response' in error || error.name === 'SyntaxError'
    ? new Error(`the response of ${service} can't be read (${error.name})`)
    : error
}
