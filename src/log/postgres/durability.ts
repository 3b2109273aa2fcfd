import { LockstepError } from '../../errors.ts'
import type { Query } from './seat.ts'

/** How durable a commit of a database is, as this role and this connection have it. */
export interface Durability {
  /** Settings that lose commits. */
  problems: string[]
  settings: { fsync: string; full_page_writes: string; synchronous_commit: string; synchronous_standby_names: string }
}

/** Cost: one round trip. */
export async function durabilityOf(query: Query): Promise<Durability> {
  const names = ['fsync', 'full_page_writes', 'synchronous_commit', 'synchronous_standby_names'] as const
  const [row = ['', '', '', '']] = await query<[string, string, string, string]>(
    `SELECT ${names.map((name) => `current_setting('${name}')`).join(', ')}`,
    [],
  )
  const [fsync, full_page_writes, synchronous_commit, synchronous_standby_names] = row
  const settings = { fsync, full_page_writes, synchronous_commit, synchronous_standby_names }
  const problems: string[] = []
  if (fsync === 'off') problems.push('fsync is off: a crash of the server may damage the database')
  if (full_page_writes === 'off') problems.push('full_page_writes is off: a crash of the server may damage a page')
  if (synchronous_commit === 'off' || synchronous_commit === 'local') {
    problems.push(`synchronous_commit is ${synchronous_commit}: a commit may be lost after it was answered`)
  }
  return { problems, settings }
}

/** LEDGER_UNAVAILABLE if a durable answer of this database may be lost. */
export async function assertDurable(query: Query): Promise<void> {
  const { problems } = await durabilityOf(query)
  if (problems.length === 0) return
  throw new LockstepError('LEDGER_UNAVAILABLE', `the database would lose entries: ${problems.join('; ')}`, {
    details: { outcome: 'not_applied', problems },
    hint: 'Set synchronous_commit to on, remote_write or remote_apply, and fsync and full_page_writes to on.',
  })
}
