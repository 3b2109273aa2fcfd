import { renameSync, rmSync } from 'node:fs'
import { layoutOf } from '../../src/disk/layout.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { eventIdOf } from '../../src/kernel/ids.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import { digestOfObjectKey, entryKey, kindOf } from '../../src/log/keyed/rows/keys.ts'
import { fingerprint } from '../../src/log/level/files.ts'
import { writeOwner } from '../../src/log/level/owner/owner.ts'
import { openStore } from '../../src/log/level/store.ts'
import { rebuildViews } from '../../src/verify/rebuild.ts'

/** What an attacker makes of the entries of a ledger. */
export type Change = (entries: Entry[]) => Entry[]

/** Derived from entries, so that an attacker makes them again. */
const derived: readonly unknown[] = ['entry', 'head', 'index', 'meta', 'receipts', 'row', 'state', 'tile']

/**
 * Writes the database of a closed ledger anew with other entries: numbered and linked as if nothing else had ever been,
 * with their tree, rows and receipts. This is what somebody can do who has all modules of Lockstep and no key.
 */
export async function forge(root: string, change: Change): Promise<void> {
  const { ledger, owner } = layoutOf(root)
  const old = await openStore(ledger, { create: false })
  const { meta } = KeyedLog.open(old)
  const { size } = KeyedLog.open(old).head()
  const texts = new Map<string, unknown>()
  const before = Array.from({ length: size }, (_, seq): Entry => {
    // The canonical text, the free texts in a line of their own if there are any, and a checksum.
    const stored = Buffer.from(old.get(entryKey(seq)) ?? []).subarray(0, -4)
    const [text = '', list] = stored.toString().split('\n')
    const entry: Entry = JSON.parse(text)
    if (list !== undefined) texts.set(entry.event_id, JSON.parse(list))
    return entry
  })
  const kept = change(before)
  const entries = linked(kept, meta.ledger_id)
  const made = await openStore(`${ledger}.made`, { create: true })
  const log = await KeyedLog.create(made, meta)
  const text = JSON.stringify(entries)
  const isNamed = (key: Uint8Array) => kindOf(key) !== 'object' || text.includes(digestOfObjectKey(key).digest)
  for await (const page of old.scan({ gte: Buffer.of(0), lt: Buffer.of(255) })) {
    const copied = page.filter(([key]) => !derived.includes(kindOf(key)) && isNamed(key))
    await made.write({ deletes: [], puts: copied.map(([key, value]) => ({ key, value })) })
  }
  await log.append(
    { size: 0 },
    entries.map((entry, at) => ({ entry, text: JSON.stringify(entry), ...textsOf(texts, kept[at]) })),
    [],
    {},
  )
  await rebuildViews(log)
  await Promise.all([old.close(), made.close()])
  rmSync(ledger, { recursive: true })
  renameSync(`${ledger}.made`, ledger)
  writeOwner(owner, { files: fingerprint(ledger), state: 'closed' })
}

/** The free texts of an entry, which go where it goes. */
function textsOf(texts: ReadonlyMap<string, unknown>, entry: Entry | undefined): object {
  const held = texts.get(entry?.event_id ?? '')
  return held === undefined ? {} : { texts: held }
}

/** The entries with seqs, ids and links that fit. */
function linked(entries: readonly Entry[], ledgerId: string): Entry[] {
  const [ofStream, ofRun, moved] = [new Map<string, number>(), new Map<string, number>(), new Map<string, string>()]
  return entries.map((found, seq) => {
    moved.set(found.event_id, eventIdOf(ledgerId, seq))
    // An entry names the decision that allowed it by its id.
    const entry: Entry = JSON.parse(JSON.stringify(found).replace(/evt_[a-z0-9]+_\d+/g, (id) => moved.get(id) ?? id))
    const { prev, run_id, stream } = entry
    const run = run_id === undefined || prev.run === undefined ? {} : { run: ofRun.get(run_id) ?? null }
    const next = {
      ...entry,
      event_id: eventIdOf(ledgerId, seq),
      prev: { ...run, stream: ofStream.get(stream) ?? null },
      seq,
    }
    ofStream.set(stream, seq)
    if (run_id !== undefined) ofRun.set(run_id, seq)
    return next
  })
}
