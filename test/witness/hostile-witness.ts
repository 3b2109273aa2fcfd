import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server on this machine whose answers a test chooses. */
export interface HostileWitness {
  /** The bodies of the requests to add-checkpoint. */
  bodies: string[]
  url: string
  close: () => Promise<void>
}

/** Serves with a listener, to which each body is given. Other routes answer 404 unless the listener takes them. */
export async function hostileWitness(
  answer: (body: string, ...exchange: Parameters<RequestListener>) => void,
): Promise<HostileWitness> {
  const bodies: string[] = []
  const server: Server = createServer((incoming, outgoing) => {
    let body = ''
    incoming.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    incoming.on('end', () => {
      if (incoming.method === 'POST') bodies.push(body)
      answer(body, incoming, outgoing)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return { bodies, url: `http://127.0.0.1:${port}`, close }
}
