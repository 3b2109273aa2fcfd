import { LockstepError } from '../errors.ts'
import type { HeadFile } from '../fs/head-file.ts'
import { toHex } from '../merkle/hash.ts'

/** The head file's tree head must be one that the log went through. Errors: LEDGER_CORRUPT. */
export function compareHeadFile(
  headFile: Omit<HeadFile, 'time'>,
  log: { origin: string; size: number },
  rootAtSize: (size: number) => Uint8Array,
): void {
  if (headFile.origin !== log.origin) {
    throw headFileDiffers(`the head file is of ${headFile.origin}, the database of ${log.origin}`)
  }
  if (headFile.size > log.size) {
    const what = `the ledger had ${headFile.size} entries and has ${log.size}: it was cut or rolled back`
    throw headFileDiffers(what, { seq: log.size, head_size: headFile.size, size: log.size })
  }
  if (toHex(rootAtSize(headFile.size)) !== headFile.root) {
    const what = `the ledger’s root at size ${headFile.size} is not the one that .lockstep/head keeps`
    throw headFileDiffers(what, { size: headFile.size })
  }
}

function headFileDiffers(what: string, details = {}): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', what, {
    details: { check: 'head_file', ...details },
    hint: 'An older copy of the database was put back, or its newest log was cut. Restore a copy that is at least as new as .lockstep/head.',
  })
}
