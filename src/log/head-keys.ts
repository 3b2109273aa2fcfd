import { verifySignedCheckpoint } from '../merkle/checkpoint.ts'
import { parseVkey } from '../merkle/vkey.ts'
import type { LogReader, Meta, TreeHeadFile } from './log.ts'
import { sha256 } from './sha256.ts'
import { isSignatureOf } from './signer.ts'
import { entryAt } from './tiles.ts'

/** The seqs of the entries that name a ledger, oldest first. The last one is in force. */
export function identitySeqs({ restored = [] }: Meta): number[] {
  return [0, ...restored.map(({ seq }) => seq)]
}

/**
 * Why a tree head was not signed by the key that the ledger had at its size; undefined if it was. The root and the size
 * are compared elsewhere. Cost: a read for each name that the ledger has had, and the check of a signature.
 */
export async function problemOfHead(
  log: LogReader & { meta: Meta },
  { note, origin, size }: TreeHeadFile,
): Promise<string | undefined> {
  if (note === undefined) return 'it is not signed'
  const seqs = identitySeqs(log.meta)
  const entries = await Promise.all(seqs.map((seq) => entryAt(log, seq)))
  // The tree with the entry that gives another name is signed under that name.
  const at = entries.findIndex((entry, index) => entry?.data.origin === origin && size <= (seqs[index + 1] ?? size))
  const key = await parseVkey(String(entries[at]?.data.vkey), sha256)
  if (!key.ok) return `the ledger had another name than ${origin} at size ${size}`
  const verified = await verifySignedCheckpoint(note, key.value, isSignatureOf)
  return verified.ok ? undefined : verified.reason
}
