import { once } from 'node:events'
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { BatchCall } from '../../src/api/wire.ts'
import { type Client, type ConnectOptions, connect } from '../../src/client.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { type ServeOptions, type Service, serve } from '../../src/service/serve.ts'
import { withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'

/**
 * What happens to a request: it passes; its connection breaks before the service has it; the service answers it and
 * the connection breaks then; the connection breaks after a part of the answer; or it gets an answer that is made up.
 */
export type Fate =
  | 'breaks'
  | 'loses the answer'
  | 'passes'
  | { keeps: (answer: string) => string }
  | { status: number; text: string }

/** A request that a client sent. */
export interface Seen {
  path: string
  body: string
  /** The calls of a batch. */
  calls: BatchCall[]
}

/** A service in this process, a client of it, and what stands between the two. */
export interface Stage {
  client: Client
  ledger: LocalLedger
  service: Service
  seen: Seen[]
  /** Decides about every further request. */
  decide: (fate: (seen: Seen) => Fate | Promise<Fate>) => void
  /** Another client. */
  connect: (options?: ConnectOptions) => Promise<Client>
  /** The connections that are open now. */
  connections: () => number
}

/** A test with a stage of its own. Afterwards all is closed and the ledger is verified. */
export function staged(work: (stage: Stage) => Promise<void>, options: ServeOptions = {}): () => Promise<void> {
  return () =>
    withLedger(async (ledger) => {
      const service = await serve(ledger, { log: false, ...options })
      const between = await goBetween(String(service.socket))
      const clients: Client[] = []
      const open = async (more: ConnectOptions = {}) => {
        const client = await connect({ url: between.url, ...more })
        clients.push(client)
        return client
      }
      try {
        await work({ ...between, client: await open(), connect: open, ledger, service })
      } finally {
        for (const client of clients) await client.close()
        between.close()
        await service.close()
      }
    }).catch(asPlainError)
}

async function goBetween(socketPath: string) {
  const seen: Seen[] = []
  let fateOf: (seen: Seen) => Fate | Promise<Fate> = () => 'passes'
  const server = createServer(async (incoming, outgoing) => {
    const body = await textOf(incoming)
    const calls = incoming.url === '/v1/batch' ? body.trimEnd().split('\n') : []
    const request = { path: String(incoming.url), body, calls: calls.map((line) => JSON.parse(line) as BatchCall) }
    if (request.path !== '/livez') seen.push(request)
    const fate = request.path === '/livez' ? 'passes' : await fateOf(request)
    if (fate === 'breaks') incoming.socket.destroy()
    else if (typeof fate === 'object' && 'text' in fate) outgoing.writeHead(fate.status).end(fate.text)
    else pass({ body, fate, incoming, outgoing, socketPath })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  let connections = 0
  server.on('connection', (socket) => {
    connections += 1
    socket.once('close', () => {
      connections -= 1
    })
  })
  return {
    close: () => {
      server.close()
      server.closeAllConnections()
    },
    connections: () => connections,
    decide: (fate: typeof fateOf) => {
      fateOf = fate
    },
    seen,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  }
}

interface Passing {
  body: string
  fate: 'loses the answer' | 'passes' | { keeps: (answer: string) => string }
  incoming: IncomingMessage
  outgoing: ServerResponse
  socketPath: string
}

function pass({ body, fate, incoming, outgoing, socketPath }: Passing): void {
  const { headers, method, url: path } = incoming
  const own = { ...headers, host: 'localhost' }
  const onward = ask({ agent: false, headers: own, method, path, socketPath }, async (answer) => {
    if (fate === 'passes') {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers).flushHeaders()
      answer.pipe(outgoing)
      return
    }
    const text = await textOf(answer)
    if (fate === 'loses the answer') return incoming.socket.destroy()
    outgoing.writeHead(200, { 'content-type': answer.headers['content-type'] })
    outgoing.write(fate.keeps(text), () => incoming.socket.destroy())
  })
  onward.on('error', () => incoming.socket.destroy())
  outgoing.once('close', () => {
    if (!outgoing.writableFinished) onward.destroy()
  })
  onward.end(body)
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
