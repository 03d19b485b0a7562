/** A proxy on loopback in front of an emulator: records what is asked, region by region, and answers wrongly on demand. */
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** What a client asked, as it can be read from its request. */
export interface Asked {
  readonly region: string
  readonly operation: string
  readonly body: Readonly<Record<string, unknown>>
  readonly userAgent: string
}

/** Instead of the emulator's answer: an error of the service, silence, a reset, or the answer changed. */
export type Fault =
  | { readonly error: string; readonly status: number }
  | 'stall'
  | 'reset'
  | ((answer: Record<string, unknown>) => Record<string, unknown>)

/** A proxy under way. */
export class FaultProxy {
  readonly asked: Asked[] = []
  readonly #upstream: string
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  #fault: (asked: Asked) => Fault | undefined = () => undefined

  constructor(upstream: string) {
    this.#upstream = upstream
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => request.socket.destroy())
    })
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  /** Starts listening; gives the endpoint. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const { port } = this.#server.address() as AddressInfo // it listens on TCP
    return `http://127.0.0.1:${port}`
  }

  /** From now on, requests for which `choose` gives a fault have it. What was asked before is forgotten. */
  faults(choose: (asked: Asked) => Fault | undefined = () => undefined): void {
    this.#fault = choose
    this.asked.length = 0
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await buffer(request)
    const scope = /Credential=[^/]+\/\d+\/([^/]+)\//.exec(request.headers.authorization ?? '')
    const asked: Asked = {
      region: scope?.[1] ?? '',
      operation: String(request.headers['x-amz-target']).split('.').at(-1)!,
      body: JSON.parse(body.toString()) as Record<string, unknown>, // AWS KMS speaks JSON
      userAgent: String(request.headers['user-agent']),
    }
    this.asked.push(asked)
    const fault = this.#fault(asked)
    if (fault === 'stall') return
    if (fault === 'reset') {
      request.socket.destroy()
      return
    }
    if (typeof fault === 'object') {
      const type = { 'content-type': 'application/x-amz-json-1.1' }
      response.writeHead(fault.status, type).end(JSON.stringify({ __type: fault.error, message: 'injected' }))
      return
    }
    const headers = new Headers(Object.entries(request.headers).map(([name, value]) => [name, String(value)]))
    for (const name of ['host', 'connection', 'content-length', 'transfer-encoding']) headers.delete(name)
    const answer = await fetch(`${this.#upstream}${request.url ?? '/'}`, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
    })
    const text = await answer.text()
    const changed = fault === undefined ? text : JSON.stringify(fault(JSON.parse(text) as Record<string, unknown>)) // as above
    response
      .writeHead(fault === undefined ? answer.status : 200, { 'content-type': 'application/x-amz-json-1.1' })
      .end(changed)
  }
}
