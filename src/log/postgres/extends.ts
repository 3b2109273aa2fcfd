import { LockstepError } from '../../errors.ts'
import { toHex } from '../../merkle/hash.ts'
import type { Head } from '../log.ts'
import { rootOf } from '../tiles.ts'
import { type Ground, type Known, PostgresReader } from './reader.ts'

/**
 * Checks that the ledger in the database extends a tree head that this node knows. A failover to a server that had not
 * received the last entries loses them, and other entries may follow in their place. Errors: LEDGER_FORKED.
 */
export async function assertExtends(
  ground: Ground,
  now: Known,
  { root, size }: Pick<Head, 'root' | 'size'>,
): Promise<void> {
  if (size > now.head.size) throw forked({ head_size: size, size: now.head.size })
  const found = await rootOf(new PostgresReader(ground, now), size)
  if (toHex(found) !== toHex(root)) throw forked({ head_size: size, root: toHex(found), size: now.head.size })
}

function forked(details: { head_size: number; root?: string; size: number }): LockstepError {
  const { head_size, size } = details
  const what =
    details.root === undefined
      ? `this node knows ${head_size} entries, but the database has ${size}`
      : `the database has other entries below ${head_size} than this node knows`
  return new LockstepError('LEDGER_FORKED', `${what}: it was set back, or has lost its newest entries`, {
    details,
    hint: 'Nothing is written any more. Restore the database from a server that has the entries. The runbook says how to go on without them.',
  })
}
