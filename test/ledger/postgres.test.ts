// limit: 300
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { Database } from '../../src/log/postgres/database.ts'
import { setUpSchema } from '../../src/log/postgres/setup.ts'
import { openLedger } from '../../src/open.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { type PostgresServer, postgresMissing, startPostgres } from '../support/postgres.ts'
import { asPlainError } from '../support/scene.ts'

const test = suite('a ledger in PostgreSQL')
type Engine = `postgres://${string}`

/** A database with the schema, and a role of its own that is a writer. */
async function prepared(server: PostgresServer): Promise<{ admin: string; engine: Engine; password: string }> {
  const admin = await server.database()
  const database = await Database.of({ connectionString: admin })
  await setUpSchema(database, 'lockstep_writer')
  await database.close()
  const [name, password] = [`node_${new URL(admin).pathname.slice(6)}`, 'S3cret-of-the-node']
  await server.sql(`CREATE ROLE ${name} LOGIN PASSWORD '${password}' IN ROLE lockstep_writer`)
  const url = new URL(admin)
  url.username = name
  url.password = password
  return { admin, engine: url.href as Engine, password }
}

async function record(ledger: LocalLedger, from: number, to: number): Promise<void> {
  const calls = Array.from({ length: to - from }, (_, at) =>
    ledger.audit.append({
      events: [
        {
          action_type: 'system',
          notes: `note ${from + at}`,
          outcome: 'success',
          target: { name: `place ${from + at}`, target_type: 'system' },
        },
      ],
    }),
  )
  await Promise.all(calls)
}

async function refusal(work: Promise<unknown>): Promise<LockstepError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof LockstepError)) throw new Error(`it ended with ${inspect(error)}`)
  return error
}

if (postgresMissing !== undefined) console.log(postgresMissing)
else {
  const server = await startPostgres()
  const on = (title: string, work: (ground: Awaited<ReturnType<typeof prepared>> & { dir: string }) => Promise<void>) =>
    test(title, async () => work({ ...(await prepared(server)), dir: temporaryRoot() }).catch(asPlainError))

  on('is made, closed, opened again and verified like one in files', async ({ dir, engine }) => {
    const ledger = await openLedger({ create: true, dir, engine })
    await record(ledger, 0, 300)
    const { root, size } = await ledger.head.get()
    await ledger.close()
    const again = await openLedger({ dir })
    equal(await again.head.get().then((head) => [head.root, head.size]), [root, size])
    await record(again, 300, 310)
    is((await again.log.verify()).size, size + 10)
    const snapshot = await again.snapshot()
    await again.close()
    is((await snapshot.head.signed({})).size, size + 10)
    await snapshot.close()
  })

  on('keeps its connection string in one file that others cannot read', async ({ dir, engine, password }) => {
    const ledger = await openLedger({ create: true, dir, engine })
    await record(ledger, 0, 3)
    const { config, engine: file } = layoutOf(dir)
    is(statSync(file).mode & 0o777, 0o600)
    ok(readFileSync(file, 'utf8').includes(password))
    ok(!readFileSync(config, 'utf8').includes(password))
    for await (const entry of ledger.log.read({})) ok(!JSON.stringify(entry).includes(password))
    await ledger.close()
    is((await refusal(openLedger({ dir, engine: 'mysql://x' as Engine }))).code, 'INVALID_INPUT')
    const wrong = new URL(engine)
    for (const change of [
      () => (wrong.pathname = '/nowhere'),
      () => (wrong.password = `${password}-wrong`),
      () => (wrong.port = '1'),
    ]) {
      change()
      const error = await refusal(openLedger({ dir, engine: wrong.href as Engine, open_wait_s: 0 }))
      is(error.code, 'LEDGER_UNAVAILABLE')
      const text = inspect(error, { depth: 9 })
      for (const secret of [password, wrong.username, wrong.host]) ok(!text.includes(secret), text)
    }
    writeFileSync(file, '{"engine":"postgres://secret"}')
    const error = await refusal(openLedger({ dir }))
    is(error.code, 'CONFIG_INVALID')
    ok(!inspect(error).includes('postgres://secret'))
  })

  on('gives the writer no right to change or delete what is hashed', async ({ dir, engine }) => {
    const ledger = await openLedger({ create: true, dir, engine })
    await record(ledger, 0, 300)
    await ledger.close()
    const writer = await Database.of({ connectionString: engine })
    for (const text of [
      'UPDATE lockstep.batch SET lines = lines',
      'DELETE FROM lockstep.batch',
      'TRUNCATE lockstep.batch',
      'UPDATE lockstep.tile SET hashes = hashes',
      'DELETE FROM lockstep.tile',
      'DROP TABLE lockstep.batch',
      'DELETE FROM lockstep.head',
    ]) {
      is((await refusal(writer.query(text, []))).details.sqlstate, '42501', text)
    }
    await writer.close()
  })

  on('finds a line, a text and a row that were changed', async ({ admin, dir, engine }) => {
    const ledger = await openLedger({ create: true, dir, engine })
    await record(ledger, 0, 300)
    const { size } = await ledger.head.get()
    const owner = await Database.of({ connectionString: admin })
    const entry = (seq: number) => refusal(ledger.log.entry({ seq }))
    await owner.query(`UPDATE lockstep.text SET texts = replace(texts, 'note', 'NOTE')`, [])
    match((await entry(size - 10)).message, /free texts/)
    await owner.query(
      `UPDATE lockstep.batch SET lines = replace(lines, '"outcome":"success"', '"outcome":"failure"')`,
      [],
    )
    for (const seq of [5, size - 1]) match((await entry(seq)).message, /hash/)
    await owner.close()
    await ledger.close()
    is((await refusal(openLedger({ dir }))).code, 'LEDGER_CORRUPT')
  })

  on('is refused where a commit could be lost', async ({ admin, dir, engine }) => {
    await (await openLedger({ create: true, dir, engine })).close()
    const owner = await Database.of({ connectionString: admin })
    const role = new URL(engine).username
    for (const value of ['off', 'local']) {
      await owner.query(`ALTER ROLE ${role} SET synchronous_commit = ${value}`, [])
      match((await refusal(openLedger({ dir }))).message, /synchronous_commit/)
    }
    await owner.query(`ALTER ROLE ${role} RESET synchronous_commit`, [])
    await owner.close()
    await (await openLedger({ dir })).close()
  })

  on('is forked for a node that knows more than the database has', async ({ admin, dir, engine }) => {
    const ledger = await openLedger({ create: true, dir, engine })
    await record(ledger, 0, 5)
    await ledger.close()
    const older = `${new URL(admin).pathname.slice(1)}_older`
    await server.sql(`CREATE DATABASE ${older} TEMPLATE ${new URL(admin).pathname.slice(1)}`)
    const again = await openLedger({ dir })
    await record(again, 5, 10)
    await again.close()
    const url = new URL(engine)
    url.pathname = older
    const error = await refusal(openLedger({ dir, engine: url.href as Engine }))
    is(error.code, 'LEDGER_FORKED')
    await (await openLedger({ dir })).close()
  })

  on('has one writer: another process waits for the seat, or reads', async ({ dir, engine }) => {
    const ledger = await openLedger({ create: true, dir, engine })
    await record(ledger, 0, 5)
    const error = await refusal(openLedger({ dir, open_wait_s: 0 }))
    equal([error.code, error.details.busy], ['LEDGER_UNAVAILABLE', true])
    const reader = await openLedger({ dir, open_wait_s: 0, snapshot: 'if-busy' })
    equal([reader.isSnapshot, (await reader.head.get()).size], [true, (await ledger.head.get()).size])
    await reader.close()
    const waiting = openLedger({ dir })
    await ledger.close()
    await (await waiting).close()
  })

  on('appends each command once, however often its connections are lost', async ({ dir, engine }) => {
    const ledger = await openLedger({ create: true, dir, engine })
    const { size } = await ledger.head.get()
    const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 10)
    const role = new URL(engine).username
    for (let round = 0; round < rounds; round += 1) {
      const recording = record(ledger, round * 50, round * 50 + 50)
      await server.sql(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = '${role}'`)
      await recording
    }
    is((await ledger.head.get()).size, size + rounds * 50)
    await ledger.log.verify()
    await ledger.close()
  })
  test.after(() => server.close())
}
test.run()
