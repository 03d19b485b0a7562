/** Listening to a tracing channel, and what was heard. */
import { tracingChannel } from 'node:diagnostics_channel'
import { TRACING_CHANNELS, type Trace } from 'esdk-streams'

export type Name = keyof typeof TRACING_CHANNELS

/** One event: which of the five channels, of which operation. */
export interface Heard<Context extends Trace> {
  readonly event: 'start' | 'end' | 'asyncStart' | 'asyncEnd' | 'error'
  readonly context: Context
}

export const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const

/** Runs work while listening, and gives what was heard of each of the channels, in its order. */
export async function heard<Context extends Trace>(
  names: readonly Name[],
  work: () => Promise<unknown>,
  onEvent: (heard: Heard<Context>) => void = () => undefined,
): Promise<{ readonly events: Heard<Context>[]; readonly failure: unknown }> {
  const events: Heard<Context>[] = []
  const listeners = names.map((name) => {
    const channel = tracingChannel<unknown, Context>(TRACING_CHANNELS[name])
    const listener = Object.fromEntries(
      EVENTS.map((event) => [
        event,
        (context: Context): void => {
          events.push({ event, context })
          onEvent({ event, context })
        },
      ]),
    ) as unknown as Parameters<typeof channel.subscribe>[0] // it has all five
    channel.subscribe(listener)
    return { channel, listener }
  })
  let failure: unknown
  try {
    await work()
  } catch (error) {
    failure = error
  } finally {
    for (const { channel, listener } of listeners) channel.unsubscribe(listener)
  }
  return { events, failure }
}

/** `operation:event`, of each. */
export function linesOf(events: readonly Heard<Trace>[]): string[] {
  return events.map(({ event, context }) => `${context.operation}:${event}`)
}
