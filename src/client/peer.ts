import { Pool } from 'undici'
import { limits } from '../kernel/limits.ts'
import { exchange, type StreamedRequest } from './exchange.ts'
import type { TlsOptions } from './undici-transport.ts'

/** A whole answer of another node. */
export interface PeerAnswer {
  status: number
  headers: Readonly<Record<string, string | string[] | undefined>>
  body: Buffer
}

/** Another node of the same ledger, at its URL. It has one pool of connections, and no queue: a request is sent at once. */
export class Peer {
  readonly url: string
  readonly #pool: Pool

  constructor(url: string, tls: TlsOptions | undefined) {
    this.url = url
    this.#pool = new Pool(new URL(url).origin, {
      connect: { ...tls, timeout: limits.connectMillisMax },
      connections: limits.requestsMax,
    })
  }

  /** Errors: LEDGER_UNAVAILABLE with the outcome `not_applied` if nothing was sent, and otherwise `unknown`. */
  async send(request: StreamedRequest): Promise<PeerAnswer> {
    const { body, headers, status } = await exchange(this.#pool, this.url, request)
    const chunks: Buffer[] = []
    for await (const chunk of body) chunks.push(chunk as Buffer)
    return { status, headers, body: Buffer.concat(chunks) }
  }

  close(): Promise<void> {
    return this.#pool.destroy()
  }
}
