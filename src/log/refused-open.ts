import { LockstepError } from '../errors.ts'
import type { Layout } from '../fs/layout.ts'
import { readOwner } from '../fs/owner.ts'
import { failureOf, isOfTheMachine, systemCodeIn } from './failure.ts'
import { dropEvidence, fingerprint, sealEvidence } from './files.ts'
import { putBack } from './put-back.ts'
import { isNeeded, type Wal } from './wal.ts'

/** An attempt to open that came to nothing. */
export interface Attempt {
  layout: Layout
  /** The folder in which the files were kept, and what they were when they were met. */
  evidence: string
  met: Record<string, string>
  /** By which the owner file says that nobody else had the database since. */
  nonce: string
  /** What was read of the logs before LevelDB read them; undefined where that failed. */
  wal: Wal | undefined
}

/**
 * Undoes an attempt to open, and says what it is refused with. LevelDB may have replaced its files by others that
 * miss what it could not read, so those that were met are put back. They also stay where they were kept if there is
 * damage to look at, or if they cannot be put back.
 */
export function refusedOpen(error: unknown, attempt: Attempt): LockstepError {
  const { evidence, layout } = attempt
  const isBack = isAsMet(attempt) || isPutBack(attempt)
  const failure = isUnread(error, attempt) ? unread(error, attempt) : openFailure(layout, error)
  if (failure.code !== 'LEDGER_CORRUPT' && isBack) {
    dropEvidence(evidence)
    return failure
  }
  const kept = sealEvidence(evidence, layout.evidence)
  const state = isBack
    ? `The database as it was met is kept in ${kept}; "lockstep doctor --repair" puts a kept one in place where it verifies.`
    : `LevelDB has replaced files of the database; as it was met it is kept in ${kept}, and "lockstep doctor --repair" verifies that and puts it back.`
  const { cause, code, details, hint = 'Nothing was changed by Lockstep.', message } = failure
  return new LockstepError(code, message, { details: { ...details, evidence: kept }, hint: `${hint} ${state}`, cause })
}

/** An error of an open: each has a code, and says that nothing was applied. */
export function openFailure({ home }: Layout, error: unknown): LockstepError {
  if (!(error instanceof LockstepError)) {
    if (isOfTheMachine(error)) return failureOf(`opening the ledger in ${home}`, error)
    throw error
  }
  const { cause, code, details, hint, message } = error
  const isTransient = code === 'FILE_FAILED' && systemCodeIn(cause) !== 'EISDIR'
  return new LockstepError(isTransient ? 'LEDGER_UNAVAILABLE' : code, message, {
    details: { ...(code === 'LEDGER_CORRUPT' ? {} : { outcome: 'not_applied' }), ...details },
    ...(hint === undefined ? {} : { hint }),
    cause,
  })
}

/** Whether every file that matters is what it was when it was met. */
function isAsMet({ layout, met, wal }: Attempt): boolean {
  // LevelDB was not let at the files.
  if (wal === undefined) return true
  try {
    const files = fingerprint(layout.ledger)
    return Object.keys(met).every((name) => !isNeeded(wal, name) || files[name] === met[name])
  } catch {
    return false
  }
}

/** Whoever opened the database since has named itself in the owner file, and what it did stays. */
function isPutBack({ evidence, layout, nonce, wal }: Attempt): boolean {
  try {
    // Where one read failed another may, and this one decides whether the next open finds all that was acknowledged.
    const owner = readOwner(layout.owner) ?? readOwner(layout.owner)
    return (
      owner?.state === 'open' && owner.nonce === nonce && wal !== undefined && putBack(layout.ledger, evidence, wal)
    )
  } catch {
    return false
  }
}

/** Whether LevelDB came to less than its logs held, each byte of which was seen to be right. */
function isUnread(error: unknown, { wal }: Attempt): boolean {
  if (!(error instanceof LockstepError) || error.code !== 'LEDGER_CORRUPT') return false
  const { check, head_size } = error.details
  if (check === 'origin') return wal?.hasBeginning === true
  return check === 'head_file' && wal?.head !== undefined && head_size === wal.head.size
}

function unread(error: unknown, { wal }: Attempt): LockstepError {
  const { head_size = wal?.head?.size, size = 0 } = (error as LockstepError).details
  const message = `LevelDB recovered ${size} of the ${head_size} entries, though its write-ahead log is whole: it met a read error`
  return new LockstepError('LEDGER_UNAVAILABLE', message, {
    details: { outcome: 'not_applied', size, head_size },
    hint: 'Try again; if it stays, look at the disk and at the system log.',
    cause: error,
  })
}
