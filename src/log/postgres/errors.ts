import { type Code, LockstepError, systemCodeOf } from '../../errors.ts'
import { given } from '../../kernel/given.ts'

interface Meaning {
  code: Code
  what: string
  hint?: string
}

const ask = 'Ask the person who runs the database.'
const initFirst = 'Run "lockstep engine init" with a role that may create schemas.'

/** SQLSTATEs and system codes, by how they begin. The first that fits counts. */
const meanings: readonly [begins: string, meaning: Meaning][] = [
  ['28', unavailable('PostgreSQL refused the user or the password', ask)],
  ['3D000', unavailable('the database does not exist', 'Create it, then run "lockstep engine init".')],
  ['3F000', unavailable('the database has no schema of Lockstep', initFirst)],
  ['42P01', unavailable('the database has no schema of Lockstep, or another version of it', initFirst)],
  ['42703', unavailable('the schema of the database has another version', 'Run "lockstep engine upgrade".')],
  [
    '42501',
    unavailable('the role may not do this', 'Grant the role the rights of the writer: "lockstep engine init".'),
  ],
  ['25006', unavailable('the server is read-only: it is a standby', 'Connect to the primary.')],
  ['53100', { code: 'DISK_FULL', what: 'the disk of the database is full', hint: 'Free space and try again.' }],
  ['53300', unavailable('PostgreSQL takes no more connections', 'Raise max_connections, or use a pooler.')],
  ['XX001', { code: 'LEDGER_CORRUPT', what: 'PostgreSQL found damaged data' }],
  ['XX002', { code: 'LEDGER_CORRUPT', what: 'PostgreSQL found a damaged index' }],
  ['57P', unavailable('PostgreSQL is starting or stopping', 'Try again.')],
  ['08', unavailable('the connection to PostgreSQL failed', 'Try again.')],
  ['ENOTFOUND', unavailable('the host of the database is not known', 'Check the connection string.')],
  ['ECONNREFUSED', unavailable('PostgreSQL does not answer', 'Check that the server runs.')],
]

const other = unavailable('PostgreSQL failed', 'Try again. The log of the server says more.')

/**
 * Converts an error of the driver. The text of the original is not taken over, nor is it kept as the cause: it can name
 * users, hosts, statements and values.
 */
export function databaseError(cause: unknown): LockstepError {
  if (cause instanceof LockstepError) return cause
  const found = systemCodeOf(cause)
  const { code, hint, what } = meanings.find(([begins]) => found?.startsWith(begins))?.[1] ?? other
  const isSqlState = found !== undefined && /^[0-9A-Z]{5}$/.test(found)
  return new LockstepError(code, found === undefined ? what : `${what} (${found})`, {
    details: { outcome: 'not_applied', ...given({ [isSqlState ? 'sqlstate' : 'system_code']: found }) },
    ...given({ hint }),
  })
}

/** Whether the server or the connection to it failed, and not the statement: it may be run again. */
export function isOfConnection(error: unknown): boolean {
  if (!(error instanceof LockstepError)) return false
  const { sqlstate } = error.details
  return typeof sqlstate === 'string' ? /^(?:08|25006|40|53|57)/.test(sqlstate) : error.code === 'LEDGER_UNAVAILABLE'
}

function unavailable(what: string, hint: string): Meaning {
  return { code: 'LEDGER_UNAVAILABLE', what, hint }
}
