import { homedir } from 'node:os'
import { join } from 'node:path'
import type { ClientConfig } from 'pg'
import { readTextFile } from '../../disk/regular-file.ts'
import { LockstepError } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'

/** Parameters of a service file, and what the driver calls them. */
const named = { host: 'host', port: 'port', user: 'user', password: 'password', dbname: 'database' } as const

/**
 * What the driver needs for a connection string. It reads PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGPASSFILE and
 * PGSSLMODE itself. A service is looked up here, as libpq does: `?service=NAME` or PGSERVICE, in PGSERVICEFILE or
 * `~/.pg_service.conf`. What the string states comes first. Errors: INVALID_INPUT, which never quotes the string.
 */
export function configOf(engine: string): ClientConfig {
  if (!URL.canParse(engine)) throw unusable('is not a valid address')
  const url = new URL(engine)
  const service = url.searchParams.get('service') ?? process.env.PGSERVICE
  url.searchParams.delete('service')
  const application_name = url.searchParams.get('application_name') ?? 'lockstep'
  const found = service === undefined ? {} : parametersOf(service)
  // The driver prefers what the string has, also if that is empty. So what the service adds becomes part of the string.
  if (url.pathname.length <= 1 && found.database !== undefined) url.pathname = `/${encodeURIComponent(found.database)}`
  const stated = { host: url.hostname, password: url.password, port: url.port, user: url.username }
  for (const [name, value] of Object.entries(stated)) {
    const added = found[name as keyof typeof stated]
    if (value === '' && added !== undefined) url.searchParams.set(name, String(added))
  }
  return { connectionString: url.href, application_name }
}

/** The section of a service in its file. */
function parametersOf(service: string): ClientConfig {
  const path = process.env.PGSERVICEFILE ?? join(homedir(), '.pg_service.conf')
  const text = readTextFile(path, limits.homeFileBytes, (is) => unusable(`names a service, but ${path} ${is}`))
  const lines = (text ?? '').split(/\r?\n/).map((line) => line.trim())
  const at = lines.indexOf(`[${service}]`)
  if (at === -1) throw unusable(`names the service ${service}, which ${path} does not have`)
  const config: Record<string, string | number> = {}
  for (const line of lines.slice(at + 1)) {
    if (line.startsWith('[')) break
    const [, name = '', value = ''] = /^(\w+)\s*=\s*(.*)$/.exec(line) ?? []
    if (name in named) config[named[name as keyof typeof named]] = name === 'port' ? Number(value) : value
  }
  return config
}

function unusable(what: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `the connection string of the engine ${what}`)
}
