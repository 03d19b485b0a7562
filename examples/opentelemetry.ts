/**
 * Spans of OpenTelemetry from the tracing channels: a message, and beneath it the calls of AWS KMS that it needed. Exported to
 * memory here, and printed as a tree; a service has its own exporter.
 *
 * Needs AWS credentials and a region as the AWS SDK finds them, `@opentelemetry/api` and `@opentelemetry/sdk-trace-base`.
 * Run: `AWS_KMS_KEY_ARN=arn:aws:kms:… node --import tsx examples/opentelemetry.ts`
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, tracingChannel } from 'node:diagnostics_channel'
import { type Attributes, type Span, SpanStatusCode, context, trace } from '@opentelemetry/api'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import {
  type KmsTrace,
  type MessageTrace,
  type S3Trace,
  TRACING_CHANNELS,
  type Trace,
  decrypt,
  encrypt,
} from 'esdk-streams'
import { KmsKeyring } from 'esdk-streams/kms'

const exporter = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
const tracer = provider.getTracer('esdk-streams')

/** The span that an operation is part of: each is bound to the store while it lasts. */
const current = new AsyncLocalStorage<Span>()

/** Makes spans of all operations of a channel. */
function spansOf(name: string, attributesOf: (ended: Trace) => Attributes): void {
  const spans = new WeakMap<Trace, Span>()
  tracingChannel<Span, Trace>(name).start.bindStore(current, (started) => {
    const parent = current.getStore()
    const within = parent === undefined ? context.active() : trace.setSpan(context.active(), parent)
    const span = tracer.startSpan(`${name} ${started.operation}`, {}, within)
    spans.set(started, span)
    return span
  })
  subscribe(`tracing:${name}:asyncEnd`, (ended) => {
    const span = spans.get(ended as Trace) // the channel's own kind
    span?.setAttributes(attributesOf(ended as Trace))
    span?.end()
  })
  subscribe(`tracing:${name}:error`, (failed) => {
    const { error } = failed as Trace
    const message = error instanceof Error ? error.message : String(error)
    spans.get(failed as Trace)?.setStatus({ code: SpanStatusCode.ERROR, message })
  })
}

for (const name of ['encrypt', 'decrypt', 'reencrypt'] as const) {
  spansOf(TRACING_CHANNELS[name], (ended) => {
    const { suiteName = 'unknown', stats } = ended as MessageTrace
    return { suite: suiteName, ...stats }
  })
}
spansOf(TRACING_CHANNELS.kms, (ended) => {
  const { keyId = '', region = '', attempts = 0 } = ended as KmsTrace
  return { keyId, region, attempts }
})
spansOf(TRACING_CHANNELS.s3, (ended) => {
  const { bucket = '', key = '', partNumber = 0, bytes = 0 } = ended as S3Trace
  return { bucket, key, partNumber, bytes }
})

const keyring = new KmsKeyring({ generatorKeyId: process.env['AWS_KMS_KEY_ARN']! })
await tracer.startActiveSpan('a request', async (request) => {
  await current.run(request, async () => {
    const { ciphertext } = await encrypt('attack at dawn', { keyring })
    const { plaintext } = await decrypt(ciphertext, { keyring })
    console.log(`decrypted: ${plaintext.toString()}`)
  })
  request.end()
})

const finished = exporter.getFinishedSpans()
print(undefined)

function print(parent: ReadableSpan | undefined, indent = ''): void {
  for (const span of finished.filter((one) => one.parentSpanContext?.spanId === parent?.spanContext().spanId)) {
    console.log(`${indent}${span.name} ${JSON.stringify(span.attributes)}`)
    print(span, `${indent}  `)
  }
}
