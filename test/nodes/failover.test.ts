// limit: 300
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { readEngineFile } from '../../src/disk/engine-file.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { openFollower } from '../../src/log/postgres/open.ts'
import type { PostgresLog } from '../../src/log/postgres/postgres-log.ts'
import { takeSeat } from '../../src/log/postgres/seat.ts'
import { openLedger } from '../../src/open.ts'
import { openShared } from '../../src/shared.ts'
import { refused } from '../api/stage.ts'
import { testActor } from '../support/ledger.ts'
import { entriesLeft, newNodesLedger, useEngine } from '../support/nodes.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'
import { asPlainError } from '../support/scene.ts'

const test = suite('stale writers and failovers')
const event = { actor: testActor, events: [{ action_type: 'system' as const, outcome: 'success' as const }] }

test('of 1,000 appends by writers that were fenced, none lands', async () => {
  const server = await startPostgres()
  const ledger = await newNodesLedger(server, 1)
  const layout = layoutOf(ledger.dirs[0] ?? '')
  const file = readEngineFile(layout)
  if (file === undefined) throw new Error('the ledger is in files')
  const database = new URL(ledger.engine).pathname.slice(1)
  const stale: PostgresLog[] = []
  for (let writer = 0; writer < 10; writer += 1) {
    const log = await openFollower({ file })
    await server.sql(`UPDATE lockstep.head SET lease_until = '-infinity'`, database)
    const seat = await takeSeat(log.parts.database.query, file.ledger_id, { node: `stale-${writer}` })
    if (seat === undefined) throw new Error('the seat was not free')
    await log.write(seat)
    stale.push(log)
  }
  await server.sql(`UPDATE lockstep.head SET lease_until = '-infinity'`, database)
  const [newest] = stale
  await takeSeat((newest as PostgresLog).parts.database.query, file.ledger_id, { node: 'newest' })
  const before = await server.sql('SELECT size, root, epoch FROM lockstep.head', database)
  const outcomes = new Map<string, number>()
  for (const log of stale) {
    for (let tries = 0; tries < 100; tries += 1) {
      const { size } = log.head()
      const outcome = await log.append({ size }, [], [], { reactor: tries }).then(
        ({ outcome }) => outcome,
        (error: unknown) => (error instanceof LockstepError ? error.code : 'another error'),
      )
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
  }
  equal([...outcomes], [['NOT_WRITER', 1_000]])
  is(await server.sql('SELECT size, root, epoch FROM lockstep.head', database), before)
  for (const log of stale) await log.close().catch(() => {})
  await server.sql(`UPDATE lockstep.head SET lease_until = '-infinity'`, database)
  await entriesLeft(ledger)
  await server.close()
})

test('a failover to a synchronous standby loses nothing that was answered', async () => {
  const server = await startPostgres()
  const ledger = await newNodesLedger(server, 1)
  const [dir = ''] = ledger.dirs
  const standby = await server.standby({ isSynchronous: true })
  const writer = await openLedger({ actor: testActor, dir })
  const answered: number[] = []
  const load = Array.from({ length: 16 }, async () => {
    for (;;) {
      const { events } = await writer.audit.append(event)
      answered.push(...events.map(({ seq }) => seq))
      if (answered.length === 400) void server.stop('immediate')
    }
  })
  await Promise.allSettled(load)
  await writer.close().catch(() => {})
  await standby.promote()
  useEngine(dir, standby.url(new URL(ledger.engine).pathname.slice(1)))
  const entries = await entriesLeft(ledger)
  ok(answered.length >= 400)
  for (const seq of answered) is(entries[seq]?.type, 'audit.recorded')
  const last = entries.filter(({ type }) => type === 'seat.taken').at(-1)
  is(last?.data.timeline, '00000002')
  await standby.close()
  await server.close()
})

test('a failover that lost the newest entries is found by the heads of the nodes, after a restart too', async () => {
  const server = await startPostgres()
  const ledger = await newNodesLedger(server, 2)
  const [first = '', second = ''] = ledger.dirs
  const standby = await server.standby({ isSynchronous: false })
  const node = await openShared({ actor: testActor, dir: second })
  if (node === undefined) throw new Error('the ledger is in files')
  const writer = await openLedger({ actor: testActor, dir: first })
  await writer.audit.append(event)
  // The standby stops to receive, so that the primary alone has the newest entries.
  await standby.sql('SELECT pg_wal_replay_pause()')
  await standby.stop()
  await writer.audit.append(event)
  await writer.close()
  await node.follow()
  await node.close()
  await server.stop('immediate')
  await standby.start()
  await standby.sql('SELECT pg_wal_replay_resume()').catch(() => {})
  await standby.promote()
  for (const dir of [first, second]) {
    useEngine(dir, standby.url(new URL(ledger.engine).pathname.slice(1)))
    await refused(openLedger({ actor: testActor, dir }), 'LEDGER_FORKED').catch(asPlainError)
  }
  await standby.close()
  await server.close()
})

if (postgresMissing === undefined) test.run()
else {
  const without = suite('stale writers and failovers, without a server')
  without('are not tested', () => console.log(postgresMissing))
  without.run()
}
