import { lstatSync } from 'node:fs'
import { join } from 'node:path'
import * as z from 'zod'
import { LockstepError } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { writeDurably } from './durable.ts'
import type { Layout } from './layout.ts'
import { thisMachine } from './process.ts'
import { readTextFile } from './regular-file.ts'

/**
 * `.lockstep/place`: which folder, on which machine, a ledger was made or first opened in. A copy of the ledger brings
 * this file along and is another folder. Unknown facts are null. Device numbers and host names are not recorded, because
 * they change at reboots and in containers (ADR 0050).
 */
const placeSchema = z.strictObject({
  born_ns: z.string().nullable(),
  host_id: z.string().nullable(),
  inode: z.string(),
})
type Place = z.infer<typeof placeSchema>

/** Records where a home folder is. The record moves along with the folder. Errors: those of `writeDurably`. */
export function recordPlace(home: string): Promise<void> {
  return writeDurably(join(home, 'place'), `${JSON.stringify(placeOf(home))}\n`, 0o600)
}

/**
 * Checks that the ledger is in the folder and on the machine that were recorded. Returns whether there is a record; older
 * versions made none. Errors: LEDGER_COPIED. Cost: one call of stat and one small file.
 */
export function demandPlace({ home, place, root }: Layout): boolean {
  const text = readTextFile(place, limits.homeFileBytes, (is) => copied(root, [`${place} ${is}`]))
  if (text === undefined) return false
  const recorded = parsed(text)
  if (recorded === undefined) throw copied(root, [`${place} is not a record of its place`])
  const now = placeOf(home)
  const members = ['inode', 'born_ns', 'host_id'] as const
  const changed = members.filter((member) => {
    const [before, after] = [recorded[member], now[member]]
    return before !== null && after !== null && before !== after
  })
  if (changed.length === 0) return true
  throw copied(
    root,
    changed.map((member) => whatChanged[member]),
    { recorded, now },
  )
}

const whatChanged = {
  born_ns: '.lockstep was created at another time',
  host_id: 'this machine has another machine id',
  inode: '.lockstep is another folder',
}

function parsed(text: string): Place | undefined {
  try {
    return placeSchema.parse(JSON.parse(text))
  } catch {
    return undefined
  }
}

function placeOf(home: string): Place {
  const { birthtimeNs, ctimeNs, ino } = lstatSync(home, { bigint: true })
  const { host_id, is_host_known } = thisMachine()
  // Without a birth time, Node reports zero or the time of the last change.
  const isBorn = birthtimeNs > 0n && birthtimeNs !== ctimeNs
  return { born_ns: isBorn ? String(birthtimeNs) : null, host_id: is_host_known ? host_id : null, inode: String(ino) }
}

function copied(root: string, reasons: readonly string[], details = {}): LockstepError {
  return new LockstepError('LEDGER_COPIED', `the ledger in ${root} is a copy or was moved: ${reasons.join('; ')}`, {
    details: { dir: root, ...details },
    hint: 'If this ledger was moved and the original is gone, run "lockstep adopt --moved". If the original is still used, run "lockstep adopt --copied", which gives this copy a new name.',
  })
}
