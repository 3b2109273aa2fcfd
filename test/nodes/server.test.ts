// limit: 300
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'uvu'
import { is, not, ok } from 'uvu/assert'
import { until } from '../ledger/stage.ts'
import { root } from '../runner.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'

/** A process that starts a server and prints its port. */
function starter(env: Record<string, string>): ChildProcess {
  const support = pathToFileURL(join(root, 'test/support/postgres.ts')).href
  const source = `const { startPostgres } = await import(${JSON.stringify(support)})
    const server = await startPostgres()
    console.log(server.port)
    setInterval(() => {}, 1000)`
  const words = ['--import', 'tsx', '--input-type=module', '-e', source]
  return spawn(process.execPath, words, {
    cwd: root,
    detached: true,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

if (postgresMissing !== undefined) {
  test('without a server, its tests say why they check less', () => {
    console.log(postgresMissing)
    not(postgresMissing, '')
  })
} else {
  test('a server that crashed has every committed row when it is started again', async () => {
    const server = await startPostgres()
    is(await server.sql('SHOW fsync'), 'on')
    const name = new URL(await server.database()).pathname.slice(1)
    await server.sql('CREATE TABLE t AS SELECT 7 AS a', name)
    await server.stop('immediate')
    await server.start()
    is(await server.sql('SELECT a FROM t', name), '7')
    await server.close()
  })

  test('a standby follows its primary, synchronously or not, and is promoted to a timeline of its own', async () => {
    const server = await startPostgres()
    const [late, exact] = [
      await server.standby({ isSynchronous: false }),
      await server.standby({ isSynchronous: true }),
    ]
    await server.sql('CREATE TABLE t AS SELECT 7 AS a')
    is(await server.sql("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"), '2')
    await server.stop()
    await exact.promote()
    is(await exact.sql('SELECT a FROM t'), '7')
    is(await exact.sql('SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)'), '00000002')
    for (const one of [server, late, exact]) await one.close()
  })

  test('nothing is left of a server whose test was killed, below a folder with a long name and spaces', async () => {
    const place = join(temporaryRoot(), `a folder ${'x'.repeat(120)}`)
    mkdirSync(place, { mode: 0o755 })
    const child = starter({ TMPDIR: place })
    const [line] = (await once(child.stdout ?? child, 'data')) as [Buffer]
    ok(Number(line.toString()) > 0)
    process.kill(-(child.pid ?? 0), 'SIGKILL')
    await once(child, 'exit')
    await until('its folder is removed', () =>
      readdirSync(place).every((name) => !existsSync(join(place, name, 'data'))),
    )
  })
}

test.run()
