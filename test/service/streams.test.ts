import { connect } from 'node:net'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { membersOf, unwrapped } from '../../src/api/hints.ts'
import { everyOperation } from '../../src/api/operations.ts'
import { mediaTypes, paths } from '../../src/api/wire.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { randomBelow } from '../support/seed.ts'
import { ask, begin, linesIn, problemIn, until, withService } from '../support/service.ts'

const streams = suite('streams of the service')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 40)

const event = { action_type: 'system', outcome: 'success', notes: 'x'.repeat(200) } as const
const append = (ledger: LocalLedger, count: number) => ledger.audit.append({ events: Array(count).fill(event) })

/** The ids of complete events in a text. */
const idsIn = (text: string) => [...text.matchAll(/^id: (\d+)\ndata: .*\n\n/gm)].map(([, id]) => Number(id))

/** Reads events from a seq on, or after the last event, until enough have come. Then it cuts the connection. */
async function readSome(at: string, resume: { after?: number; from?: number }, count: number): Promise<number[]> {
  const headers: Record<string, string> = resume.after === undefined ? {} : { 'last-event-id': String(resume.after) }
  const query = resume.from === undefined ? '' : `?from=${resume.from}`
  const incoming = await begin(at, `${paths.events}${query}`, { headers })
  is(incoming.headers['content-type'], mediaTypes.events)
  let text = ''
  try {
    for await (const chunk of incoming.setEncoding('utf8')) {
      text += chunk
      if (idsIn(text).length >= count) break
    }
  } catch {
    // A cut-off event has no empty line, so it does not count.
  }
  incoming.destroy()
  return idsIn(text)
}

streams('of events that are cut and resumed give every seq once and in order, while entries are written', async () => {
  const random = randomBelow('cut and resumed')
  await withService(async ({ address }, ledger) => {
    const total = rounds * 20
    const written = (async () => {
      for (let done = 0; done < total; done += 10) await append(ledger, 10)
    })()
    const seen: number[] = await readSome(address, { from: 0 }, 1)
    while (seen.length < total) {
      const left = total + 1 - seen.length
      seen.push(...(await readSome(address, { after: seen.at(-1) ?? 0 }, 1 + random(Math.min(left, 40)))))
    }
    await written
    equal(
      seen,
      Array.from({ length: seen.length }, (_, seq) => seq),
    )
  })
})

streams('end with {"end":true}, and are the items of the operation', async () => {
  await withService(async ({ address }, ledger) => {
    await append(ledger, 300)
    const { headers, text } = await ask(address, '/v1/log/read?from=0&to=200')
    is(headers['content-type'], mediaTypes.lines)
    const lines = linesIn(text)
    equal(lines.pop(), { end: true })
    equal(
      lines.map(({ seq }) => seq),
      Array.from({ length: 200 }, (_, seq) => seq),
    )
    const asEvents = await ask(address, '/v1/log/read?from=0&to=5', { headers: { accept: mediaTypes.events } })
    equal(idsIn(asEvents.text), [0, 1, 2, 3, 4])
    ok(asEvents.text.endsWith('event: end\ndata: {"end":true}\n\n'), asEvents.text)
    problemIn(await ask(address, '/v1/workspaces/refs?run_id=run_none'), 'NOT_FOUND')
    is((await ask(address, '/v1/log/subscribe', { method: 'HEAD' })).headers['content-type'], mediaTypes.lines)
    is(JSON.parse((await ask(address, paths.ready)).text).streams, 0)
  })
})

streams('that have no end are ended when the service closes', async () => {
  await withService(async (service) => {
    const lines = ask(service.address, '/v1/log/subscribe?from=0')
    const events = ask(service.address, `${paths.events}?from=0`)
    await until('both are open', async () => JSON.parse((await ask(service.address, paths.ready)).text).streams === 2)
    await service.close()
    equal(linesIn((await lines).text).at(-1), { end: true })
    ok(/retry: \d+\nevent: end\n/.test((await events).text))
  })
})

streams('whose readers never read hold up nobody, and wait in a bounded buffer', async () => {
  await withService(async ({ address }, ledger) => {
    const sockets = Array.from({ length: 10 }, () => {
      const socket = connect(address)
      socket.on('error', () => {})
      socket.write(`GET ${paths.events}?from=0 HTTP/1.1\r\nHost: x\r\n\r\n`)
      socket.pause()
      return socket
    })
    const readiness = async () => JSON.parse((await ask(address, paths.ready)).text)
    await until('all are open', async () => (await readiness()).streams === 10)
    const before = process.memoryUsage().external + process.memoryUsage().heapUsed
    for (let done = 0; done < 40; done += 1) await append(ledger, 250)
    const seen = await readSome(address, { from: 0 }, 10_000)
    is(seen.length, 10_001)
    const grown = process.memoryUsage().external + process.memoryUsage().heapUsed - before
    ok(grown < 150 * 1024 * 1024, `${grown} bytes`)
    for (const socket of sockets) socket.destroy()
    await until('all have left', async () => (await readiness()).streams === 0)
  })
})

streams('have no item that looks like their last line', () => {
  for (const { facts, name } of everyOperation()) {
    if (facts.kind !== 'stream') continue
    const members = membersOf(unwrapped(facts.output, 'output')).map(([member]) => member)
    ok(members.length > 0, name)
    for (const last of ['end', 'problem']) ok(!members.includes(last), `${name} has a member ${last}`)
  }
})

streams('end when the token of their reader is revoked', async () => {
  const socket_auth = 'token'
  await withService(
    async ({ address }, ledger) => {
      const token_actor = { actor_id: 'reader', actor_type: 'agent' } as const
      const actor = { actor_id: ledger.settings.release_authority, actor_type: 'human' } as const
      const { secret, token_id } = await ledger.tokens.create({ actor, grants: ['agent'], token_actor })
      const headers = { authorization: `Bearer ${secret}` }
      const incoming = await begin(address, `${paths.events}?from=0`, { headers })
      let text = ''
      incoming.setEncoding('utf8').on('data', (chunk) => {
        text += chunk
      })
      await until('the stream follows', () => idsIn(text).includes(1))
      await ledger.tokens.revoke({ actor, token_id })
      await append(ledger, 1)
      await until('the stream has ended', () => text.includes('event: problem'))
      equal([idsIn(text), text.includes('UNAUTHENTICATED')], [[0, 1], true])
    },
    { socket_auth },
  )
})

streams.run()
