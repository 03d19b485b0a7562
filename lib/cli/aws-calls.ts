/** With `-vv`: each call to AWS, on stderr. Nothing of what is sent and received is shown. */
import type { KMSClient } from '@aws-sdk/client-kms'
import type { S3Client } from '@aws-sdk/client-s3'
import { isSaid, say } from './log.ts'

/** Has a client say what it asks, where that is wanted. Gives it back. */
export function telling<Client extends Pick<KMSClient, 'middlewareStack' | 'config'> | S3Client>(
  client: Client,
): Client {
  if (!isSaid(2)) return client
  const { region } = client.config
  // Clients differ in the types of their inputs, at which nobody looks here.
  const stack = client.middlewareStack as KMSClient['middlewareStack']
  stack.add(
    (next, { clientName = 'AWS', commandName = 'call' }) =>
      async (args) => {
        const started = performance.now()
        const told = async (answer: unknown): Promise<void> => {
          const milliseconds = Math.round(performance.now() - started)
          const where = await region().catch(() => 'no region')
          const what = `${clientName.replace(/Client$/, '')} ${commandName.replace(/Command$/, '')}`
          say(2, `AWS ${what} in ${where}: ${answerIn(answer)}, ${milliseconds} ms`)
        }
        try {
          const result = await next(args)
          await told(result.output)
          return result
        } catch (error) {
          await told(error)
          throw error
        }
      },
    // Around the deserializer: once an attempt, and with what the AWS SDK read in the answer.
    { step: 'deserialize', priority: 'high' },
  )
  return client
}

function answerIn(answer: unknown): string {
  const name = answer instanceof Error ? `${answer.name}, ` : ''
  if (typeof answer !== 'object' || answer === null || !('$metadata' in answer)) return `${name}no answer`
  const { httpStatusCode, requestId } = answer.$metadata as { httpStatusCode?: number; requestId?: string } // of the AWS SDK
  const id = requestId === undefined ? '' : `, request ${requestId}`
  return httpStatusCode === undefined ? `${name}no answer` : `${name}HTTP ${httpStatusCode}${id}`
}
