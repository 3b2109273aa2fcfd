import { LockstepError } from '../../../errors.ts'
import { toHex } from '../../../merkle/hash.ts'
import type { HeadFile } from './head-file.ts'

/** Checks that the log once had the tree head in the head file. Errors: LEDGER_CORRUPT. */
export function compareHeadFile(
  headFile: Omit<HeadFile, 'time'>,
  log: { origin: string; size: number },
  rootAtSize: (size: number) => Uint8Array,
): void {
  if (headFile.origin !== log.origin) {
    throw headFileDiffers(`the head file belongs to ${headFile.origin}, but the database belongs to ${log.origin}`)
  }
  if (headFile.size > log.size) {
    const what = `the ledger had ${headFile.size} entries and now has ${log.size}: it was truncated or rolled back`
    throw headFileDiffers(what, { seq: log.size, head_size: headFile.size, size: log.size })
  }
  if (toHex(rootAtSize(headFile.size)) !== headFile.root) {
    const what = `the ledger’s root at size ${headFile.size} differs from the root in .lockstep/head`
    throw headFileDiffers(what, { size: headFile.size })
  }
}

function headFileDiffers(what: string, details = {}): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, {
    details: { check: 'head_file', ...details },
    hint: 'An older copy of the database was restored, or its newest log was truncated. Restore a copy that is at least as new as .lockstep/head.',
  })
}
