// limit: 300
import pg from 'pg'
import { suite } from 'uvu'
import { equal, is, ok, throws } from 'uvu/assert'
import { limits } from '../../src/kernel/limits.ts'
import { grantsTo, schemaSteps } from '../../src/log/postgres/schema.ts'
import { type Query, readSeat, type Seat, takeSeat } from '../../src/log/postgres/seat.ts'
import { refused } from '../api/stage.ts'
import { until } from '../ledger/stage.ts'
import { type PostgresServer, postgresMissing, startPostgres } from '../support/postgres.ts'

const test = suite('the seat of the writer')
const [one, other] = [{ node: 'one', url: 'https://one:1' }, { node: 'other' }]

let server: PostgresServer
const open: pg.Pool[] = []

test.before(async () => {
  server = await startPostgres()
})

test.after(async () => {
  for (const pool of open) await pool.end()
  await server.close()
})

/** A database with the head of a ledger, as a role that may write entries and no more. */
async function ledger(): Promise<Query> {
  const url = await server.database()
  const database = new URL(url).pathname.slice(1)
  for (const step of schemaSteps) await server.sql(step, database)
  const role = `writer_${database}`
  await server.sql(`CREATE ROLE ${role} LOGIN PASSWORD 'w'; ${grantsTo(role)}`, database)
  await server.sql(
    `INSERT INTO lockstep.head (ledger_id, size, root, frontier, format, origin) VALUES ('l', 0, '', '', 2, 'o')`,
    database,
  )
  const asWriter = Object.assign(new URL(url), { username: role, password: 'w' }).href
  const pool = new pg.Pool({ connectionString: asWriter, max: 2 })
  pool.on('error', () => {})
  open.push(pool)
  return queryOf(pool)
}

const queryOf = (pool: pg.Pool): Query => {
  return async <R extends unknown[]>(text: string, values: readonly unknown[]) =>
    (await pool.query({ rowMode: 'array', text, values: [...values] })).rows as R[]
}

async function taken(query: Query, node: { node: string; url?: string }): Promise<Seat> {
  const seat = await takeSeat(query, 'l', node)
  if (seat === undefined) throw new Error('the seat was not free')
  return seat
}

const refusal = (error: unknown) => {
  const { code, details } = error as { code: string; details: object }
  is(code, 'NOT_WRITER')
  equal(details, { outcome: 'not_applied' })
  return true
}

/** The end of a lease, brought forward. */
const expire = (query: Query) => query(`UPDATE lockstep.head SET lease_until = now() - interval '1 ms'`, [])

test('is taken once, is shown to all, and is free at once when it was given back', async () => {
  const query = await ledger()
  is((await readSeat(query, 'l')).writer, null)
  await refused(readSeat(query, 'none'), 'NO_LEDGER')
  const seat = await taken(query, one)
  is(seat.epoch, 1)
  is(seat.isSure, true)
  const shown = await readSeat(query, 'l')
  equal(shown.writer, one)
  ok(shown.left_ms > 0 && shown.left_ms <= limits.seatMillis.lease)
  equal({ system: shown.system, timeline: shown.timeline }, seat.place)
  is(await takeSeat(query, 'l', other), undefined)
  await seat.giveBack()
  throws(() => seat.assertBefore(), refusal)
  is((await taken(query, other)).epoch, 3)
})

test('goes to a node that had it before without a wait, and fences its earlier process', async () => {
  const query = await ledger()
  const seat = await taken(query, one)
  is((await taken(query, one)).epoch, 2)
  await seat.renew().then(
    () => ok(false),
    (error: unknown) => refusal(error),
  )
  is(seat.isLost, true)
})

test('whose lease has ended goes to the next node, and what the earlier one renews or gives back is ignored', async () => {
  const query = await ledger()
  const [late, idle] = [await taken(query, one), await taken(query, one)]
  await expire(query)
  const seat = await taken(query, other)
  is(seat.epoch, 3)
  await idle.giveBack()
  await late.renew().catch(refusal)
  equal((await readSeat(query, 'l')).writer, other)
  await seat.renew()
  is(seat.isSure, true)
})

test('of two nodes that try at one moment goes to one of them', async () => {
  const query = await ledger()
  for (let round = 0; round < 20; round += 1) {
    await expire(query)
    const nodes = [{ node: `a${round}` }, { node: `b${round}` }]
    const seats = await Promise.all(nodes.map((node) => takeSeat(query, 'l', node)))
    is(seats.filter((seat) => seat !== undefined).length, 1)
  }
})

test('is not sure any more when the database confirms it too late, and is again once it does', async () => {
  const query = await ledger()
  const seat = await taken(query, one)
  const { now } = performance
  const passed = (millis: number) => {
    performance.now = () => now.call(performance) + millis
  }
  try {
    passed(limits.seatMillis.lease - limits.seatMillis.margin - 100)
    seat.assertBefore()
    passed(limits.seatMillis.lease - limits.seatMillis.margin + 1)
    throws(() => seat.assertBefore(), refusal)
    is(seat.isLost, false)
    await seat.renew()
    seat.assertBefore()
  } finally {
    performance.now = now
  }
})

test('is kept by a renewal each second, and says what time it is in the database', async () => {
  const query = await ledger()
  const seat = await taken(query, one)
  const failures: unknown[] = []
  seat.keep((error) => failures.push(error))
  const first = seat.taken.now_ms
  await until('the seat outlives its lease', async () => {
    const own = seat.nowMillis()
    const { left_ms, now_ms } = await readSeat(query, 'l')
    ok(own >= first - 1 && own <= now_ms + 1, `${first} ${own} ${now_ms}`)
    return left_ms > 0 && now_ms > first + limits.seatMillis.lease
  })
  await seat.giveBack()
  equal(failures, [])
})

test('is kept over a crash of the server, and a standby that is promoted is another place', async () => {
  const query = await ledger()
  const seat = await taken(query, one)
  await server.stop('immediate')
  await server.start()
  await until('the database answers', () =>
    seat.renew().then(
      () => true,
      () => false,
    ),
  )
  is(seat.isSure, true)
  const standby = await server.standby({ isSynchronous: false })
  const [[database = ''] = []] = await query<[string]>('SELECT current_database()', [])
  const pool = new pg.Pool({ connectionString: standby.url(database) })
  open.push(pool)
  const there = queryOf(pool)
  equal((await readSeat(there, 'l')).timeline, null)
  await standby.promote()
  await until('it is promoted', async () => (await readSeat(there, 'l')).timeline !== null)
  const shown = await readSeat(there, 'l')
  is(shown.system, seat.place.system)
  ok(shown.timeline !== seat.place.timeline)
  await open.pop()?.end()
  await standby.close()
})

if (postgresMissing === undefined) test.run()
else {
  const without = suite('the seat of the writer, without a server')
  without('is not tested', () => console.log(postgresMissing))
  without.run()
}
