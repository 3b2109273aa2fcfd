/**
 * One error class and one table of codes. A code is permanent once it is released: it may get a better
 * sentence, never another meaning. `contract/v1/codes.yaml` is generated from this table.
 */
export const codes = {
  // Input and lookup
  INVALID_INPUT: {
    status: 400,
    exit: 2,
    retryable: false,
    meaning: 'The input does not have the documented form.',
  },
  LIMIT_EXCEEDED: { status: 413, exit: 2, retryable: false, meaning: 'The input is larger than its bound.' },
  NOT_FOUND: { status: 404, exit: 3, retryable: false, meaning: 'Nothing has that name or number.' },
  NO_LEDGER: { status: 404, exit: 3, retryable: false, meaning: 'No ledger governs this folder.' },
  LEDGER_EXISTS: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'A ledger is already there, or one governs this folder.',
  },
  PID_NOT_FOUND: {
    status: 422,
    exit: 2,
    retryable: false,
    meaning: 'The process named as holder cannot be seen.',
  },

  // Locks
  LOCK_CONTENTION: {
    status: 409,
    exit: 75,
    retryable: true,
    meaning: 'Someone else holds the lock, or waits for it in front of you.',
  },
  TIMED_OUT: {
    status: 408,
    exit: 8,
    retryable: true,
    meaning: 'The lock did not become free within the time asked for.',
  },
  ABORTED: { status: 499, exit: 8, retryable: true, meaning: 'The caller gave up waiting.' },
  LOCK_NOT_HELD: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'No current grant belongs to this lock_id and actor.',
  },
  LOCK_ENDED: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'This acquisition was granted once and has ended since.',
  },
  LOCK_NOT_ORPHAN: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'Recovery is for orphans only, and this lock is none.',
  },
  LOCK_IS_HELD: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'The lock is held, so its folder cannot be retired.',
  },
  LOCK_PLACEMENT: {
    status: 422,
    exit: 2,
    retryable: false,
    meaning: 'The lock file would not be a plain direct child of a governed deliverable folder.',
  },
  LEASE_LOST: {
    status: 409,
    exit: 76,
    retryable: false,
    meaning: 'The lock file is no longer the holder’s own, so the lease is over.',
  },
  LEASE_EXPIRED: { status: 409, exit: 5, retryable: false, meaning: 'The lease of this grant has run out.' },
  STALE_TOKEN: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'The token’s grant has ended or has been superseded.',
  },
  RELEASE_DENIED: {
    status: 403,
    exit: 4,
    retryable: false,
    meaning: 'Only the release authority may do this.',
  },
  RELEASE_CONDITION_UNMET: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'None of the lock’s release conditions is met.',
  },
  RUN_LOCK_RELEASED: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'The run’s lock was released; RELEASED is terminal for a run_id.',
  },
  LOCK_OWNER_MISMATCH: { status: 422, exit: 2, retryable: false, meaning: 'lock_owner must equal run_id.' },
  LOCK_CHECK_FAILED: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'The run does not hold the lock of this target.',
  },
  WRITE_SCOPE_DENIED: {
    status: 403,
    exit: 4,
    retryable: false,
    meaning: 'The actor’s write scope does not allow a lock inside a deliverable folder.',
  },
  LINK_UNSUPPORTED: {
    status: 422,
    exit: 7,
    retryable: false,
    meaning: 'The file system of the folder has no hard links, so a lock file cannot be claimed safely.',
  },
  FILE_DENIED: {
    status: 403,
    exit: 4,
    retryable: false,
    meaning: 'The operating system refused access to a file (EACCES or EPERM).',
  },
  FILE_READ_ONLY: {
    status: 403,
    exit: 4,
    retryable: false,
    meaning: 'The file system is read-only (EROFS).',
  },
  DISK_FULL: {
    status: 507,
    exit: 7,
    retryable: true,
    meaning: 'The file system has no space left (ENOSPC or EDQUOT).',
  },
  FILE_FAILED: {
    status: 500,
    exit: 7,
    retryable: true,
    meaning: 'A file operation failed for another reason, or took too long.',
  },

  // Requests
  IDEMPOTENCY_MISMATCH: {
    status: 409,
    exit: 5,
    retryable: false,
    meaning: 'The same request key came with other content.',
  },
  SIZE_MISMATCH: {
    status: 409,
    exit: 5,
    retryable: true,
    meaning: 'The ledger’s size is not the expected one.',
  },
  QUEUE_FULL: {
    status: 429,
    exit: 7,
    retryable: true,
    meaning: 'Too many commands are waiting to be decided.',
  },

  // The ledger
  LEDGER_UNAVAILABLE: {
    status: 503,
    exit: 7,
    retryable: true,
    meaning: 'The ledger cannot take or answer this now; details.outcome says what became of it.',
  },
  LEDGER_CLOSED: { status: 503, exit: 7, retryable: false, meaning: 'This handle of the ledger was closed.' },
  LEDGER_CORRUPT: {
    status: 500,
    exit: 6,
    retryable: false,
    meaning: 'Stored bytes are not what was written. Nothing more is written.',
  },
  LEDGER_FORMAT: {
    status: 500,
    exit: 6,
    retryable: false,
    meaning: 'The ledger was written in a format this version does not know.',
  },
  VERIFY_FAILED: {
    status: 500,
    exit: 6,
    retryable: false,
    meaning: 'The verification found a difference; details name the first bad seq.',
  },
  DOCTOR_FAILED: { status: 500, exit: 7, retryable: false, meaning: 'A check of the environment failed.' },
  INVARIANT_VIOLATED: {
    status: 500,
    exit: 1,
    retryable: false,
    meaning: 'A defect in Lockstep: something that must always hold did not.',
  },
} as const satisfies Record<string, { status: number; exit: number; retryable: boolean; meaning: string }>

export type Code = keyof typeof codes

/** Facts about an error or refusal, in the data's own snake_case names; JSON values only. */
export type Details = Record<string, unknown>

/** What the operator can do next, and what led here. */
export interface ErrorContext {
  details?: Details
  hint?: string
  cause?: unknown
}

/** The one error that leaves Lockstep: `code` is for programs, `message` and `hint` are for people. */
export class LockstepError extends Error {
  override readonly name = 'LockstepError'
  readonly code: Code
  readonly details: Details
  readonly hint: string | undefined
  readonly retryable: boolean

  constructor(code: Code, message: string, { details = {}, hint, cause }: ErrorContext = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.details = details
    this.hint = hint
    this.retryable = codes[code].retryable
  }

  /** The problem document of `--json`: `{code, message, retryable, hint?, …details}`. */
  toJSON(): Details {
    return {
      code: this.code,
      message: this.message,
      retryable: this.retryable,
      ...(this.hint === undefined ? {} : { hint: this.hint }),
      ...this.details,
    }
  }
}

/** Throws INVARIANT_VIOLATED unless the condition holds. For defects only, never for bad input. */
export function invariant(condition: unknown, what: string, details: Details = {}): asserts condition {
  if (!condition) throw new LockstepError('INVARIANT_VIOLATED', `invariant violated: ${what}`, { details })
}

/** The text of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** The operating system's code (`ENOENT`) of whatever was thrown, if it has one. */
export function systemCodeOf(thrown: unknown): string | undefined {
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined
  return typeof code === 'string' ? code : undefined
}
