/** A proxy on loopback in front of an emulator: records what is asked, region by region, and answers wrongly on demand. */
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { LoopbackServer } from './loopback-server.ts'

type Json = Readonly<Record<string, unknown>>

/** What a client asked, as it can be read from its request. */
export interface Asked {
  readonly region: string
  readonly operation: string
  readonly body: Json
  readonly userAgent: string
}

/** Instead of the emulator's answer: an error of the service, silence, a reset, a text of the spec's, or the answer changed. */
export type Fault =
  | { readonly error: string; readonly status: number }
  | 'stall'
  | 'reset'
  | Text
  | Rewrite
  | ((answer: Record<string, unknown>) => Record<string, unknown>)

interface Text {
  readonly text: string
  /** Whether the answer was said to be longer, and stops there. */
  readonly stalls?: boolean
}

/** The emulator is asked something else than the client asked the proxy. */
interface Rewrite {
  readonly region?: string
  readonly ask: (body: Json) => Json
  readonly answer: (answer: Json) => Json
}

const JSON_TYPE = { 'content-type': 'application/x-amz-json-1.1' }

/** A proxy under way. */
export class FaultProxy {
  readonly asked: Asked[] = []
  readonly #upstream: string
  readonly #server: LoopbackServer
  #fault: (asked: Asked) => Fault | undefined = () => undefined

  constructor(upstream: string) {
    this.#upstream = upstream
    const server = createServer((request, response) => {
      this.#answer(request, response).catch(() => request.socket.destroy())
    })
    this.#server = new LoopbackServer(server)
  }

  /** Starts listening; gives the endpoint. */
  async start(): Promise<string> {
    return this.#server.start()
  }

  /** From now on, requests for which `choose` gives a fault have it. What was asked before is forgotten. */
  faults(choose: (asked: Asked) => Fault | undefined = () => undefined): void {
    this.#fault = choose
    this.asked.length = 0
  }

  /** From now on, connections are refused. */
  async stop(): Promise<void> {
    await this.#server.stop()
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = askedOf(request, await buffer(request))
    this.asked.push(asked)
    const fault = this.#fault(asked)
    if (fault === 'stall') return
    if (fault === 'reset') {
      request.socket.destroy()
      return
    }
    if (typeof fault === 'object' && 'error' in fault) {
      response.writeHead(fault.status, JSON_TYPE).end(JSON.stringify({ __type: fault.error, message: 'injected' }))
      return
    }
    if (typeof fault === 'object' && 'text' in fault) {
      const length = Buffer.byteLength(fault.text) + (fault.stalls === true ? 1000 : 0)
      response.writeHead(200, { ...JSON_TYPE, 'content-length': length }).write(fault.text)
      if (fault.stalls !== true) response.end()
      return
    }
    const answer = await this.#ask(request, asked, typeof fault === 'object' ? fault : undefined)
    const given = (await answer.json()) as Record<string, unknown> // AWS KMS speaks JSON
    const changed = typeof fault === 'function' ? fault(given) : given
    response.writeHead(typeof fault === 'function' ? 200 : answer.status, JSON_TYPE).end(JSON.stringify(changed))
  }

  async #ask({ headers, url }: IncomingMessage, { body, region }: Asked, rewrite?: Rewrite): Promise<Response> {
    const authorization = (headers.authorization ?? '').replace(`/${region}/`, `/${rewrite?.region ?? region}/`)
    const target = String(headers['x-amz-target'])
    const answer = await fetch(`${this.#upstream}${url ?? '/'}`, {
      method: 'POST',
      headers: { ...JSON_TYPE, 'x-amz-target': target, authorization },
      body: JSON.stringify(rewrite === undefined ? body : rewrite.ask(body)),
    })
    if (rewrite === undefined || !answer.ok) return answer
    return Response.json(rewrite.answer((await answer.json()) as Json)) // as above
  }
}

function askedOf({ headers }: IncomingMessage, body: Buffer): Asked {
  const scope = /Credential=[^/]+\/\d+\/([^/]+)\//.exec(headers.authorization ?? '')
  return {
    region: scope?.[1] ?? '',
    operation: String(headers['x-amz-target']).split('.').at(-1)!,
    body: JSON.parse(body.toString()) as Json, // AWS KMS speaks JSON
    userAgent: String(headers['user-agent']),
  }
}
