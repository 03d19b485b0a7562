/** A body on its way through a proxy, which may be slow, changed or cut off. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Writable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'

const SLICES_PER_SECOND = 20

/** A body ends, or stops, after so many bytes of it; of a request, the server got just as many. */
export interface Cut {
  readonly cut: 'request' | 'response'
  readonly after: number
  /** The connection is closed, is reset (the client may lose bytes that it has not read yet), or nothing more comes. */
  readonly by: 'drop' | 'reset' | 'stall'
}

/** A body was cut off on purpose. */
export class CutOff extends Error {
  readonly how: 'drop' | 'reset'

  constructor(how: 'drop' | 'reset') {
    super(`the body was cut off by a ${how}`)
    this.how = how
  }
}

/** Where bytes go that nobody wants. */
export class Sink extends Writable {
  override _write(_chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    done()
  }
}

/** What is done to a body on its way. */
export interface Traffic {
  readonly cut?: Cut
  readonly bytesPerSecond?: number
  readonly bytes?: (chunk: Buffer, position: number) => Buffer
  readonly count?: (bytes: number) => void
}

/** Passes a body on, each piece once the one before is out of this process; does not end the sink. */
export async function pass(source: IncomingMessage, sink: Writable, plan: Traffic, closed: AbortSignal): Promise<void> {
  const { cut, bytesPerSecond = Infinity, bytes, count } = plan
  const slice = Math.max(1, Math.floor(bytesPerSecond / SLICES_PER_SECOND))
  let position = 0
  if (cut?.after === 0) await atCut(cut, closed)
  const chunks = source.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer> // no encoding is set
  for await (const chunk of chunks) {
    const wanted = cut === undefined ? chunk : chunk.subarray(0, cut.after - position)
    const passed = bytes === undefined ? wanted : bytes(wanted, position)
    position += wanted.length
    for (let from = 0; from < passed.length; from += slice) {
      const piece = passed.subarray(from, from + slice)
      await written(sink, piece)
      count?.(piece.length)
      if (bytesPerSecond === Infinity) continue
      await setTimeout((piece.length / bytesPerSecond) * 1000, undefined, { signal: closed })
    }
    if (cut !== undefined && position === cut.after) await atCut(cut, closed)
  }
}

async function atCut({ by }: Cut, closed: AbortSignal): Promise<never> {
  if (by === 'stall') await aborted(closed)
  throw new CutOff(by === 'reset' ? by : 'drop')
}

function written(sink: Writable, piece: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const gone = (): void => {
      reject(new Error('closed'))
    }
    sink.once('close', gone)
    sink.write(piece, (error) => {
      sink.off('close', gone)
      if (error) reject(error)
      else resolve()
    })
  })
}

/** Settles once the signal is aborted. */
export async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}
