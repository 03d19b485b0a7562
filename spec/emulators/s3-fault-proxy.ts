/**
 * A proxy on loopback in front of an S3 server: passes every byte on as it comes, records what is asked, and goes wrong
 * on demand. The Host header is passed on too, so that the server finds the client's signature right.
 */
import { once } from 'node:events'
import { Agent, type IncomingMessage, type ServerResponse, createServer, request as ask } from 'node:http'
import { LoopbackServer } from './loopback-server.ts'
import { type Cut, CutOff, Sink, type Traffic, aborted, pass } from './s3-body.ts'
import { type AskedOfS3, askedOf } from './s3-operation.ts'

export type { Cut } from './s3-body.ts'
export type { AskedOfS3 } from './s3-operation.ts'

/**
 * What goes wrong with a request.
 *
 * - `drop`, `reset`: the connection ends, and nothing reached the server; `stall`: nothing reaches it, no answer comes.
 * - `drop-reply`, `stall-reply`: the server does its work, and its answer is lost.
 */
export type S3Fault = 'drop' | 'reset' | 'stall' | 'drop-reply' | 'stall-reply' | Cut | ErrorAnswer | Slow | Change

/** The client is answered an error. With status 200 it is one that comes after the status, as Complete may have it. */
export interface ErrorAnswer {
  readonly error: string
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Whether the server did its work, and only the answer is another. */
  readonly forwarded?: boolean
}

/** A body comes no faster. */
export interface Slow {
  readonly slow: 'request' | 'response'
  readonly bytesPerSecond: number
}

/** The server's answer is changed on its way: how it begins, or bytes of its body, which stay as many. */
export type Change =
  { readonly head: (head: AnswerHead) => AnswerHead } | { readonly bytes: (chunk: Buffer, position: number) => Buffer }

/** How an answer begins. A header that is undefined is left out. */
export interface AnswerHead {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'expect'])

/** A proxy under way. */
export class S3FaultProxy {
  /** What was asked since `faults` was last called, in the order of arrival. */
  readonly asked: AskedOfS3[] = []
  readonly #upstream: URL
  readonly #server: LoopbackServer
  readonly #work = new Set<Promise<void>>()
  #fault: (asked: AskedOfS3) => S3Fault | undefined = () => undefined

  constructor(upstream: string) {
    this.#upstream = new URL(upstream)
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
      const work = this.#answer(request, response)
        .catch(() => request.socket.destroy())
        .then(() => void this.#work.delete(work))
      this.#work.add(work)
    }
    const server = createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, listener)
    server.on('checkContinue', listener)
    this.#server = new LoopbackServer(server)
  }

  /** Starts listening; gives the endpoint. */
  async start(): Promise<string> {
    return this.#server.start()
  }

  /** From now on, requests for which `choose` gives a fault have it. What was asked before is forgotten. */
  faults(choose: (asked: AskedOfS3) => S3Fault | undefined = () => undefined): void {
    this.#fault = choose
    this.asked.length = 0
  }

  /** The names of the operations that were asked, in order. */
  get operations(): string[] {
    return this.asked.map(({ operation }) => operation)
  }

  /** From now on, connections are refused; settles once nothing is under way any more. */
  async stop(): Promise<void> {
    await Promise.all([this.#server.stop(), ...this.#work])
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = askedOf(request)
    this.asked.push(asked)
    const fault = this.#fault(asked)
    const closed = closing(response)
    if (fault === 'drop') request.socket.destroy()
    else if (fault === 'reset') request.socket.resetAndDestroy()
    else if (fault === 'stall') await aborted(closed)
    else if (isError(fault) && fault.forwarded !== true) {
      const body = request.headers.expect === undefined
      if (body) await pass(request, new Sink(), {}, closed)
      sendError(response, asked, fault, body)
    } else await this.#forward({ request, response, asked, fault, closed })
  }

  async #forward(exchange: Exchange): Promise<void> {
    const { request, response, asked, fault, closed } = exchange
    const upstream = ask({
      agent: new Agent(), // a connection of its own: none that the server may be about to close
      hostname: this.#upstream.hostname,
      port: this.#upstream.port,
      method: request.method,
      path: request.url,
      headers: endToEnd(request.rawHeaders),
      setHost: false,
      signal: closed,
    })
    upstream.on('error', () => undefined) // once an answer has begun, it decides
    const answered = once(upstream, 'response') as Promise<[IncomingMessage]> // what the event gives
    if (request.headers.expect !== undefined) response.writeContinue()
    const plan = traffic(fault, 'request', (bytes) => (asked.bytesIn += bytes))
    const sent = pass(request, upstream, plan, closed).then(
      () => upstream.end(),
      (error: unknown) => {
        if (!(error instanceof CutOff)) return // as above
        upstream.destroy()
        cutOff(response, error)
      },
    )
    try {
      const [answer] = await answered
      await reply(answer, exchange)
    } catch (error) {
      cutOff(response, error)
    }
    upstream.destroy()
    await Promise.race([sent, aborted(closed)])
  }
}

/** A request under way, and what is to go wrong with it. */
interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly asked: AskedOfS3
  readonly fault: S3Fault | undefined
  /** Aborted when the answer has ended or the client has gone. */
  readonly closed: AbortSignal
}

async function reply(answer: IncomingMessage, { response, asked, fault, closed }: Exchange): Promise<void> {
  if (fault === 'drop-reply' || fault === 'stall-reply' || isError(fault)) {
    await pass(answer, new Sink(), {}, closed)
    if (fault === 'stall-reply') await aborted(closed)
    else if (isError(fault)) sendError(response, asked, fault)
    else response.destroy()
    return
  }
  const head = { status: answer.statusCode ?? 0, headers: answer.headers }
  const { status, headers } = typeof fault === 'object' && 'head' in fault ? fault.head(head) : head
  response.sendDate = false
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !HOP_BY_HOP.has(name)) response.setHeader(name, value)
  }
  response.writeHead(status).flushHeaders()
  asked.status = status
  await pass(
    answer,
    response,
    traffic(fault, 'response', (bytes) => (asked.bytesOut += bytes)),
    closed,
  )
  response.end()
  await aborted(closed)
}

function isError(fault: S3Fault | undefined): fault is ErrorAnswer {
  return typeof fault === 'object' && 'error' in fault
}

/** Answers an error of the service. Where a body was announced that nobody waits for, the connection ends with it. */
function sendError(
  response: ServerResponse,
  asked: AskedOfS3,
  { error, status, headers }: ErrorAnswer,
  reuse = true,
): void {
  const text = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${error}</Code><Message>injected</Message></Error>`
  const type = { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(text) }
  response.writeHead(status, { ...type, ...(!reuse && { connection: 'close' }), ...headers }).end(text)
  asked.status = status
}

/** Ends the connection, in the way that was asked for. */
function cutOff(response: ServerResponse, error: unknown): void {
  if (error instanceof CutOff && error.how === 'reset') response.socket?.resetAndDestroy()
  else response.destroy()
}

/** Headers in pairs, without those that are between a client and its next server only. */
function endToEnd(raw: readonly string[]): string[] {
  return raw.filter((_, index) => !HOP_BY_HOP.has(raw[index - (index % 2)]!.toLowerCase()))
}

function closing(response: ServerResponse): AbortSignal {
  const closed = new AbortController()
  response.on('close', () => {
    closed.abort()
  })
  response.on('error', () => undefined) // it was written to after the client had gone
  return closed.signal
}

/** What a fault means for the body that goes one way. */
function traffic(fault: S3Fault | undefined, way: 'request' | 'response', count: (bytes: number) => void): Traffic {
  if (typeof fault !== 'object') return { count }
  if ('cut' in fault && fault.cut === way) return { count, cut: fault }
  if ('slow' in fault && fault.slow === way) return { count, bytesPerSecond: fault.bytesPerSecond }
  if ('bytes' in fault && way === 'response') return { count, bytes: fault.bytes }
  return { count }
}
