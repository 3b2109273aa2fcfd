import { evolveKeys, type KeyState } from '../domain/log/keys.ts'
import type { Entry } from '../kernel/entry.ts'
import { missing } from './corrupt.ts'
import { identitySeqs } from './identity.ts'
import type { LogReader, Meta, TreeHeadFile } from './log.ts'
import { checkpointBy, keysOf } from './signer.ts'
import { entryAt } from './tiles.ts'

/**
 * Why a tree head was not signed by a key that was in force at its size; undefined if it was. The root and the size
 * are compared elsewhere. Cost: a read for each name that the ledger has had, and the check of a signature.
 */
export async function problemOfHead(
  log: LogReader & { meta: Meta },
  { note, origin, size }: TreeHeadFile,
): Promise<string | undefined> {
  if (note === undefined) return 'it is not signed'
  const seqs = identitySeqs(log.meta, log.head().size)
  const entries = await Promise.all(seqs.map((seq) => entryAt(log, seq)))
  // The tree with the entry that gives another name is signed under that name.
  const at = entries.findIndex((entry, index) => entry?.data.origin === origin && size <= (seqs[index + 1] ?? size))
  if (at === -1) return `the ledger had another name than ${origin} at size ${size}`
  const next = seqs[at + 1]
  const verified = await checkpointBy(note, next === undefined ? await keysOf(log) : await formerKeys(log, next))
  return verified.ok ? undefined : verified.reason
}

/** The keys of the name that an entry ended. Cost: a read for each entry of the ledger's own stream. */
async function formerKeys(log: LogReader, endedBy: number): Promise<readonly KeyState[]> {
  const entries: Entry[] = []
  let entry = await entryAt(log, endedBy)
  while (entry?.type !== 'ledger.created' && (entry?.seq === endedBy || entry?.type !== 'ledger.restored')) {
    const before: unknown = entry?.prev.stream
    entry = typeof before === 'number' ? await entryAt(log, before) : undefined
    if (entry === undefined) throw missing(endedBy)
    entries.unshift(entry)
  }
  const vkey = String(entry.data.vkey)
  return entries.slice(1).reduce(evolveKeys, undefined as KeyState[] | undefined) ?? [{ vkey, from: 0, to: null }]
}
