import type { RestoredData } from '../domain/log/origin.ts'
import { invariant } from '../errors.ts'
import type { RecordedActor } from '../kernel/ids.ts'
import { identitySeq } from '../log/identity.ts'
import type { KeyedLog } from '../log/keyed/log.ts'
import { type Meta, tokenOffset } from '../log/log.ts'
import { entryAt, treeHeadOf } from '../log/tiles.ts'
import { bareSequencer } from '../nouns/create.ts'

/**
 * How far the tokens of a restored ledger are above those of its backup. The other ledger would have to append more
 * entries than this after the backup, before one of its tokens could be equal to one of the restored ledger.
 */
const tokensApart = 2 ** 20

/** What a renamed ledger begins with. */
export interface Renaming {
  actor: RecordedActor
  by: RestoredData['by']
  identity: Pick<Meta, 'ledger_id' | 'origin'>
  /** The line of its new key. */
  vkey: string
}

/**
 * Gives a ledger that no process has open another identity, and records this as its next entry. From there on its
 * tokens are above all that the ledger it continues can have given out (ADR 0049). A crash before the entry leaves a
 * ledger whose key does not match; renaming it again repairs that.
 * Errors: LEDGER_UNAVAILABLE. Cost: two syncs.
 */
export async function renameLedger(log: KeyedLog, { actor, by, identity, vkey }: Renaming): Promise<RestoredData> {
  const { root, size } = await treeHeadOf(log)
  const { format } = log.meta
  // A restore whose entry is missing was interrupted, and does not count.
  const restored = (log.meta.restored ?? []).filter(({ seq }) => seq < size)
  const token_offset = tokenOffset({ ...log.meta, restored }) + tokensApart
  // Only an entry says who the ledger is: the meta row may have the name of an interrupted restore.
  const named = await entryAt(log, identitySeq(log.meta, size))
  invariant(named !== undefined, 'an entry names the ledger')
  const { ledger_id, origin } = named.data as Pick<Meta, 'ledger_id' | 'origin'>
  const data: RestoredData = {
    by,
    format,
    ...identity,
    previous: { ledger_id, origin, root, size },
    token_offset,
    vkey,
  }
  await log.rename({ format, ...identity, restored: [...restored, { seq: size, token_offset }] })
  const sequencer = bareSequencer(log)
  await sequencer.submit({ command: { type: 'ledger.restore', data }, actor })
  await sequencer.close()
  return data
}
