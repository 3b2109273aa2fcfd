import { readEngineFile } from '../disk/engine-file.ts'
import type { Layout } from '../disk/layout.ts'
import { Warning } from './warning.ts'

/** Which engine has the ledger, and whether a database keeps what it has answered. A writer needs few rights. */
export async function engineFinding(layout: Layout): Promise<string> {
  const file = readEngineFile(layout)
  if (file === undefined) return 'LevelDB, in .lockstep/ledger'
  const { engineFacts } = await import('../log/postgres/facts.ts')
  const { durability, excess, round_trip_ms, schema_version, server_version } = await engineFacts(file.engine)
  const { fsync, synchronous_commit, synchronous_standby_names } = durability.settings
  const standbys = synchronous_standby_names === '' ? 'no synchronous standby' : synchronous_standby_names
  const text = `PostgreSQL ${server_version}, schema ${schema_version}, ${round_trip_ms.toFixed(1)} ms a round trip, synchronous_commit ${synchronous_commit}, fsync ${fsync}, ${standbys}`
  if (durability.problems.length > 0) throw new Error(`${text}: ${durability.problems.join('; ')}`)
  if (excess.length > 0) throw new Warning(`${text}: this role has ${excess.join(', ')}, which a writer must not have`)
  return text
}
