/**
 * The server process of the bench `service`: a new ledger and its service, and beside it a bare Hono route that only
 * parses a body and answers with one of the same size. Its parent tells it when to end.
 */
import { createServer } from 'node:http'
import { join } from 'node:path'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { built, newLedger } from './built.ts'

/** What the parent has to know. */
export interface Serving {
  /** The root of the ledger. */
  root: string
  /** The socket of the service. */
  socket: string
  /** The socket of the bare route. */
  bare: string
}

const [folder = ''] = process.argv.slice(2)
const { serve } = (await import(new URL('service/serve.js', built).href)) as typeof import('../src/service/serve.ts')
const root = join(folder, 'served')
const ledger = await newLedger(root)
const service = await serve(ledger, { log: false, calls_per_second: 1_000_000_000 })

const app = new Hono()
const answers = await answersOf()
for (const [verb, answer] of Object.entries(answers)) {
  app.post(`/v1/locks/${verb}`, async (context) => {
    await context.req.json()
    return context.json(answer)
  })
}
const bare = join(folder, 'bare.sock')
const server = createServer(getRequestListener(app.fetch))
server.listen(bare, () => process.send?.({ bare, root, socket: service.socket } as Serving))
process.once('message', async () => {
  server.close()
  server.closeAllConnections()
  await service.close()
  await ledger.log.verify()
  const { entries } = ledger.counts
  await ledger.close()
  process.send?.({ entries })
  process.disconnect()
})

/** Answers of the ledger, for the bare route. */
async function answersOf() {
  const acquire = await ledger.locks.acquire({ name: 'bare', holder: 'bench' })
  return { acquire, release: await ledger.locks.release({ lock_id: acquire.lock_id }) }
}
