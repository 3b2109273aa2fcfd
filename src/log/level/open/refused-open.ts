import type { Layout } from '../../../disk/layout.ts'
import { LockstepError } from '../../../errors.ts'
import { failureOf, isOfTheMachine, systemCodeIn } from '../../failure.ts'
import { dropEvidence, fingerprint, sealEvidence } from '../files.ts'
import { readOwner } from '../owner/owner.ts'
import { putBack } from '../wal/put-back.ts'
import { isNeeded, type Wal } from '../wal/wal.ts'

/** A failed attempt to open the ledger. */
export interface Attempt {
  layout: Layout
  /** The folder in which the files were kept, and their fingerprints before the attempt. */
  evidence: string
  met: Record<string, string>
  /** If the owner file still contains this nonce, no other process has opened the database since. */
  nonce: string
  /** The state of the logs before LevelDB read them; undefined if they could not be read. */
  wal: Wal | undefined
}

/**
 * Undoes a failed attempt to open, and returns the error to report. LevelDB may have replaced files with new ones that
 * lack the data it could not read, so the original files are put back. The kept files stay in the evidence folder if
 * there is damage to examine, or if they could not be put back.
 */
export function refusedOpen(error: unknown, attempt: Attempt): LockstepError {
  const { evidence, layout } = attempt
  const isBack = isAsMet(attempt) || isPutBack(attempt)
  const failure = isUnread(error, attempt) ? unread(error, attempt) : openFailure(layout, error)
  if (failure.code !== 'LEDGER_CORRUPT' && isBack) {
    dropEvidence(evidence)
    return failure
  }
  const sealed = sealEvidence(evidence, layout.evidence, { isBack })
  const { cause, code, details, hint = 'Lockstep changed nothing.', message } = failure
  if ('earlier' in sealed) {
    const state = `The database is as it was found. Databases of earlier refusals are kept beside ${sealed.earlier}, but no more of them: copy .lockstep yourself.`
    return new LockstepError(code, message, { details, hint: `${hint} ${state}`, cause })
  }
  const { path } = sealed
  const state = isBack
    ? `The database as it was found is kept in ${path}. "lockstep doctor --repair" restores a kept database if it verifies.`
    : `LevelDB has replaced database files. The original database is kept in ${path}. "lockstep doctor --repair" verifies and restores it.`
  return new LockstepError(code, message, { details: { ...details, evidence: path }, hint: `${hint} ${state}`, cause })
}

/** Converts an error of an open. The result always has a code and says that nothing was applied. */
export function openFailure({ home }: Layout, error: unknown): LockstepError {
  if (!(error instanceof LockstepError)) {
    if (isOfTheMachine(error)) return failureOf(`opening the ledger in ${home}`, error)
    throw error
  }
  const { cause, code, details, hint, message } = error
  const isTransient = code === 'FILE_FAILED' && systemCodeIn(cause) !== 'EISDIR'
  return new LockstepError(isTransient ? 'LEDGER_UNAVAILABLE' : code, message, {
    details: { ...(code === 'LEDGER_CORRUPT' ? {} : { outcome: 'not_applied' }), ...details },
    hint,
    cause,
  })
}

/** Whether every required file is unchanged since the attempt began. */
function isAsMet({ layout, met, wal }: Attempt): boolean {
  // LevelDB never got access to the files.
  if (wal === undefined) return true
  try {
    const files = fingerprint(layout.ledger)
    return Object.keys(met).every((name) => !isNeeded(wal, name) || files[name] === met[name])
  } catch {
    return false
  }
}

/**
 * Puts the files back, unless another process has opened the database since. That process would have written the owner
 * file, and its changes stay.
 */
function isPutBack({ evidence, layout, nonce, wal }: Attempt): boolean {
  try {
    // If one read fails, a second may succeed. This result decides whether the next open finds all acknowledged data.
    const owner = readOwner(layout.owner) ?? readOwner(layout.owner)
    return (
      owner?.state === 'open' && owner.nonce === nonce && wal !== undefined && putBack(layout.ledger, evidence, wal)
    )
  } catch {
    return false
  }
}

/** Whether LevelDB recovered less than its logs held, although every byte of the logs was read and found correct. */
function isUnread(error: unknown, { wal }: Attempt): boolean {
  if (!(error instanceof LockstepError) || error.code !== 'LEDGER_CORRUPT') return false
  const { check, head_size } = error.details
  if (check === 'origin') return wal?.hasBeginning === true
  return check === 'head_file' && wal?.head !== undefined && head_size === wal.head.size
}

function unread(error: unknown, { wal }: Attempt): LockstepError {
  const { head_size = wal?.head?.size, size = 0 } = (error as LockstepError).details
  const message = `LevelDB recovered only ${size} of ${head_size} entries, although its write-ahead log is intact: a read error occurred`
  return new LockstepError('LEDGER_UNAVAILABLE', message, {
    details: { outcome: 'not_applied', size, head_size },
    hint: 'Try again; if the error persists, check the disk and the system log.',
    cause: error,
  })
}
