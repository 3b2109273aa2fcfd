import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, Socket } from 'node:net'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { until } from '../ledger/stage.ts'
import { reachablePlace } from './ledger.ts'

const run = promisify(execFile)
const readyMsMax = 60_000

/** A throw-away PostgreSQL server with `fsync` on. It and its files are removed when the test process ends, killed or not. */
export interface PostgresServer {
  readonly port: number
  /** Makes a new, empty database, and returns its connection string as the superuser. */
  database: () => Promise<string>
  /** The connection string of a database, as the superuser. */
  url: (database: string) => string
  /** Runs SQL by psql as the superuser, and returns the rows: columns separated by `|`. */
  sql: (text: string, database?: string) => Promise<string>
  /** Stops the server. `immediate` is a crash: the next start recovers from the write-ahead log. */
  stop: (mode?: 'immediate' | 'fast') => Promise<void>
  /** Starts a stopped server on the same port, and waits until it answers. */
  start: () => Promise<void>
  /** Makes a streaming standby of this server, and waits until it streams. A synchronous one delays each commit of this server. */
  standby: (options: { isSynchronous: boolean }) => Promise<PostgresServer>
  /** Makes a standby a primary on a timeline of its own. */
  promote: () => Promise<void>
  /** Everything that the server logged. */
  log: () => string
  /** Stops the server and removes its files. */
  close: () => Promise<void>
}

const binaries = findBinaries()
const user = findUser()

/** Why no server can be started here; undefined if one can. A test that needs one prints it and checks less. */
export const postgresMissing: string | undefined = missing()

/** Starts a new server on a free port of 127.0.0.1. `settings` are settings of postgresql.conf. */
export async function startPostgres(settings: Record<string, string> = {}): Promise<PostgresServer> {
  const password = randomBytes(12).toString('hex')
  const cluster = newCluster(password)
  const file = join(cluster.home, 'password')
  writeFileSync(file, password, { mode: 0o600 })
  own(file)
  const auth = ['--username=postgres', '--auth=scram-sha-256', `--pwfile=${file}`]
  await tool('initdb', ['--no-sync', '--locale=C', '--encoding=UTF8', ...auth, cluster.data], cluster)
  return started(cluster, settings)
}

/** The files of one server, and the process that removes them. */
interface Cluster {
  home: string
  data: string
  password: string
  guard: ChildProcess
}

function newCluster(password: string): Cluster {
  const home = mkdtempSync(join(reachablePlace(), 'lockstep-test-'))
  const data = join(home, 'data')
  mkdirSync(data, { mode: 0o700 })
  for (const path of [home, data]) own(path)
  return { home, data, password, guard: guardOf(home) }
}

// The guard's stdin is closed when this process ends, however it ends. It leads a group of its own, so it outlives the
// test runner's kill of the test's group.
const guardScript = `cat > /dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null) && kill -CONT "$pid" && kill -QUIT "$pid"
tries=0
while [ -n "$pid" ] && kill -0 "$pid" 2> /dev/null; do
  tries=$((tries + 1))
  [ "$tries" -lt 100 ] || kill -KILL "$pid"
  sleep 0.05
done
rm -rf "$1"`

function guardOf(home: string): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', guardScript, 'guard', home], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.unref()
  unref(guard.stdin)
  return guard
}

async function started(cluster: Cluster, settings: Record<string, string>): Promise<PostgresServer> {
  const { home, password } = cluster
  const port = await freePort()
  const url = (database: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`
  const logFile = join(home, 'log')
  let server: ChildProcess | undefined
  const sql = async (text: string, database = 'postgres') =>
    (await tool('psql', ['-XAtqc', text, '-v', 'ON_ERROR_STOP=1', url(database)], cluster)).trimEnd()
  const start = async () => {
    server = launch(cluster, { port: String(port), ...settings }, logFile)
    const isReady = async () => {
      if (server?.exitCode !== null) throw new Error(`PostgreSQL did not start: ${readFileSync(logFile, 'utf8')}`)
      return (await sql('SELECT 1').catch(() => '')) === '1'
    }
    await until('PostgreSQL answers', isReady, readyMsMax)
  }
  const stop = async (mode: 'immediate' | 'fast' = 'immediate') => {
    if (server === undefined || server.exitCode !== null || server.signalCode !== null) return
    server.ref()
    const exited = once(server, 'exit')
    server.kill(mode === 'immediate' ? 'SIGQUIT' : 'SIGINT')
    await exited
  }
  await start()
  return {
    port,
    database: async () => {
      const name = `test_${randomBytes(6).toString('hex')}`
      await sql(`CREATE DATABASE ${name}`)
      return url(name)
    },
    url,
    sql,
    stop,
    start,
    standby: ({ isSynchronous }) => standbyOf({ sql, url }, password, isSynchronous),
    promote: async () => {
      await sql('SELECT pg_promote()')
    },
    log: () => readFileSync(logFile, 'utf8'),
    close: async () => {
      await stop()
      cluster.guard.ref()
      const removed = once(cluster.guard, 'exit')
      cluster.guard.stdin?.end()
      await removed
    },
  }
}

// TCP alone: the path of a Unix socket is limited to 107 bytes, and a temporary folder may be longer.
function launch({ data, home }: Cluster, settings: Record<string, string>, logFile: string): ChildProcess {
  const all = { listen_addresses: '127.0.0.1', unix_socket_directories: '', shared_buffers: '16MB', ...settings }
  const words = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const line = `exec "$0" "$@" >> ${quoted(logFile)} 2>&1`
  const child = spawn('/bin/sh', ['-c', line, join(binaries ?? '', 'postgres'), '-D', data, ...words], {
    ...userOptions(home),
    detached: true,
    stdio: 'ignore',
  })
  child.unref()
  return child
}

async function standbyOf(
  { sql, url }: Pick<PostgresServer, 'sql' | 'url'>,
  password: string,
  isSynchronous: boolean,
): Promise<PostgresServer> {
  const cluster = newCluster(password)
  const name = `standby_${randomBytes(4).toString('hex')}`
  const source = `${url('postgres')}?application_name=${name}`
  await tool('pg_basebackup', ['-D', cluster.data, '-R', '-X', 'stream', '-c', 'fast', '-d', source], cluster)
  const standby = await started(cluster, {})
  if (isSynchronous) {
    await sql(`ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 ("${name}")'`)
    await sql('SELECT pg_reload_conf()')
  }
  const wanted = isSynchronous ? 'streaming|quorum' : 'streaming|async'
  const state = `SELECT state, sync_state FROM pg_stat_replication WHERE application_name = '${name}'`
  await until('the standby streams', async () => (await sql(state)) === wanted, readyMsMax)
  return standby
}

async function tool(name: string, words: readonly string[], { home }: Cluster): Promise<string> {
  return (await run(join(binaries ?? '', name), words, userOptions(home))).stdout
}

/** A server refuses to run as root, so root runs it as the user `postgres`. */
function userOptions(home: string) {
  const env = { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
  return { cwd: home, env, ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }) }
}

function own(path: string): void {
  if (user !== undefined) chownSync(path, user.uid, user.gid)
}

/** A free port below those that the kernel gives to outgoing connections, so that a stopped server finds it free again. */
async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = 20_000 + (randomBytes(2).readUInt16BE() % 12_000)
    const probe = createServer().listen(port, '127.0.0.1')
    const isFree = await Promise.race([
      once(probe, 'listening').then(() => true),
      once(probe, 'error').then(() => false),
    ])
    if (!isFree) continue
    probe.close()
    await once(probe, 'close')
    return port
  }
  throw new Error('no port is free')
}

function missing(): string | undefined {
  if (binaries === undefined) return 'PostgreSQL is not installed: nothing is tested against a server'
  if (process.getuid?.() === 0 && user === undefined) return 'there is no user postgres: no server is started as root'
  return undefined
}

/** The folder of Debian's newest server, or the one that PATH names. */
function findBinaries(): string | undefined {
  const debian = '/usr/lib/postgresql'
  const versions = existsSync(debian) ? readdirSync(debian).sort((one, other) => Number(other) - Number(one)) : []
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ]
  return folders.find((folder) =>
    ['initdb', 'postgres', 'pg_basebackup', 'psql'].every((name) => existsSync(join(folder, name))),
  )
}

function findUser(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined
  const { status, stdout } = spawnSync('id', ['postgres'], { encoding: 'utf8' })
  const [, uid, gid] = /^uid=(\d+)\S* gid=(\d+)/.exec(stdout) ?? []
  return status === 0 ? { uid: Number(uid), gid: Number(gid) } : undefined
}

function quoted(path: string): string {
  return `'${path.replaceAll("'", `'\\''`)}'`
}

/** Lets this process end although the stream is open. */
function unref(stream: unknown): void {
  if (stream instanceof Socket) stream.unref()
}
