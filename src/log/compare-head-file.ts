import { type Details, LockstepError } from '../errors.ts'
import { toHex } from '../merkle/hash.ts'
import type { TreeHeadFile } from './log.ts'

/** Checks that the log once had each tree head in the head file. `origins` are its names. Errors: LEDGER_CORRUPT. */
export function compareHeadFile(
  headFile: TreeHeadFile,
  log: { origins: readonly string[]; size: number },
  rootAtSize: (size: number) => Uint8Array,
): void {
  const { origin, reached, root, size } = headFile
  if (!log.origins.includes(origin)) {
    throw headFileCorrupt(`the head file belongs to ${origin}, but the database belongs to ${log.origins[0]}`)
  }
  for (const head of [{ root, size }, ...(reached === undefined ? [] : [reached])]) {
    if (head.size > log.size) {
      const what = `the ledger had ${head.size} entries and now has ${log.size}: it was truncated or rolled back`
      throw headFileCorrupt(what, { seq: log.size, head_size: head.size, size: log.size })
    }
    if (toHex(rootAtSize(head.size)) !== head.root) {
      const what = `the ledger’s root at size ${head.size} differs from the root in .lockstep/head`
      throw headFileCorrupt(what, { size: head.size })
    }
  }
}

/** LEDGER_CORRUPT: the head file is evidence that the database was set back or replaced, or was itself replaced. */
export function headFileCorrupt(what: string, details: Details = {}, cause?: unknown): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, {
    details: { check: 'head_file', ...details },
    hint: 'An older copy of the database was restored, its newest log was truncated, or .lockstep/head was changed. Restore a copy of .lockstep that is at least as new as .lockstep/head. If there is none, "lockstep verify --accept-missing-head" goes on with the database as it is, and an entry records that.',
    cause,
  })
}
