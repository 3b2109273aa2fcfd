/**
 * One error class and one table of codes. A code is permanent once it is released: it may get a better
 * sentence, never another meaning. `contract/v1/codes.yaml` is generated from this table.
 */
export const codes = {
  // Input and lookup
  INVALID_INPUT: code(400, 2, 'The input does not have the documented form.'),
  LIMIT_EXCEEDED: code(413, 2, 'The input is larger than its bound.'),
  NOT_FOUND: code(404, 3, 'Nothing has that name or number.'),
  NO_LEDGER: code(404, 3, 'No ledger governs this folder.'),
  LEDGER_EXISTS: code(409, 5, 'A ledger is already there, or one governs this folder.'),
  PID_NOT_FOUND: code(422, 2, 'The process named as holder cannot be seen.'),

  // Locks
  LOCK_CONTENTION: retry(409, 75, 'Someone else holds the lock, or waits for it in front of you.'),
  TIMED_OUT: retry(408, 8, 'The lock did not become free within the time asked for.'),
  ABORTED: retry(499, 8, 'The caller gave up waiting.'),
  LOCK_NOT_HELD: code(409, 5, 'No current grant belongs to this lock_id and actor.'),
  LOCK_ENDED: code(409, 5, 'This acquisition was granted once and has ended since.'),
  LOCK_NOT_ORPHAN: code(409, 5, 'Recovery is for orphans only, and this lock is none.'),
  LOCK_IS_HELD: code(409, 5, 'The lock is held, so its folder cannot be retired.'),
  LOCK_PLACEMENT: code(422, 2, 'The lock file would not be a plain direct child of a governed deliverable folder.'),
  LEASE_LOST: code(409, 76, 'The lock file is no longer the holder’s own, so the lease is over.'),
  LEASE_EXPIRED: code(409, 5, 'The lease of this grant has run out.'),
  STALE_TOKEN: code(409, 5, 'The token’s grant has ended or has been superseded.'),
  RELEASE_DENIED: code(403, 4, 'Only the release authority may do this.'),
  RELEASE_CONDITION_UNMET: code(409, 5, 'None of the lock’s release conditions is met.'),
  RUN_LOCK_RELEASED: code(409, 5, 'The run’s lock was released; RELEASED is terminal for a run_id.'),
  LOCK_OWNER_MISMATCH: code(422, 2, 'lock_owner must equal run_id.'),
  LOCK_CHECK_FAILED: code(409, 5, 'The run does not hold the lock of this target.'),
  WRITE_SCOPE_DENIED: code(403, 4, 'The actor’s write scope does not allow a lock inside a deliverable folder.'),
  LINK_UNSUPPORTED: code(
    422,
    7,
    'The file system of the folder has no hard links, so a lock file cannot be claimed safely.',
  ),
  FILE_DENIED: code(403, 4, 'The operating system refused access to a file (EACCES or EPERM).'),
  FILE_READ_ONLY: code(403, 4, 'The file system is read-only (EROFS).'),
  DISK_FULL: retry(507, 7, 'The file system has no space left (ENOSPC or EDQUOT).'),
  FILE_FAILED: retry(500, 7, 'A file operation failed for another reason, or took too long.'),

  // Runs and policy
  INVALID_STATE_TRANSITION: code(409, 5, 'The run may not go from its state to the wanted one.'),
  NOT_RUN_ACTOR: code(403, 4, 'Only the run’s actor, that of a run above it, or an operator may do this.'),
  RUN_NOT_ACTIVE: code(409, 5, 'The run is not running, so nothing is authorised or recorded in it.'),
  RUN_DENIED: code(403, 4, 'The policy denies it, and the run has been denied; details name the rules.'),
  RUN_LEASE_EXPIRED: code(409, 5, 'The run’s lease ran out, so the ledger has failed the run.'),
  RUN_HAS_OPEN_ACTION: code(409, 5, 'An allowed action of the run was not recorded yet.'),
  RUN_NOT_RETRYABLE: code(409, 5, 'Only a run that failed with retryable: true can be retried.'),
  RUN_ALREADY_RETRIED: code(409, 5, 'The attempt was retried once; its retry can be retried if it fails.'),
  DECISION_NOT_OPEN: code(409, 5, 'The decision_id is of no allow of this run and action that waits for its record.'),
  OUTPUTS_DENIED: code(403, 4, 'The run’s lane allows no outputs of what failed.'),
  FREE_TEXT_DENIED: code(403, 4, 'The run’s lane prohibits raw case text, so a reason is a single word there.'),
  POLICY_INVALID: code(422, 2, 'The policy files cannot be used; details name file and line.'),
  POLICY_DENIED: code(403, 4, 'Only the release authority or an operator may change the policy in force.'),

  // Turns
  E_STEM_INVALID: code(422, 2, 'The stem is not one that a unit of state may have.'),
  E_STEM_COLLISION: code(409, 5, 'Two stems of the workspace are the same, or differ only in case.'),
  E_STAGING_FILE_INVALID: code(
    422,
    2,
    'Something in the staging directory is no regular file that can be read, or none of a triplet.',
  ),
  E_JSON_INVALID: code(422, 2, 'It is not one JSON object of integers, without a member twice, in valid UTF-8.'),
  E_TRIPLET_INCOMPLETE: code(422, 2, 'Body, links and manifest of a stem are not all there.'),
  E_DTO_LINKS_WRONG_CONTAINER_SHAPE: code(422, 2, 'A value of links is neither a ref nor an array of refs.'),
  E_TOMBSTONE_STEM_MISMATCH: code(422, 2, 'A tombstone’s stem is not that of its file.'),
  E_TOMBSTONE_INVALID: code(
    422,
    2,
    'The tombstone has not its five members, or names another identity than the promoted one.',
  ),
  E_DELETE_MISSING_TOMBSTONE: code(422, 2, 'A delete is asked for without the tombstone that says so.'),
  E_LSI_DUPLICATE_IDENTITY: code(409, 5, 'Another stem of the workspace carries this identity.'),
  E_LSI_ORPHAN_TARGET: code(409, 5, 'A ref’s target is not visible.'),
  E_PROMOTION_FAILED: code(422, 2, 'The turn_id is malformed, or what was staged last was refused.'),
  E_PROMOTION_ALREADY_APPLIED: code(409, 5, 'This turn was promoted already.'),
  E_PROMOTION_OUT_OF_ORDER: code(409, 5, 'It is not the turn after the last promoted one.'),
  E_PROMOTION_NOT_VALIDATED: code(409, 5, 'What is staged was not validated since, or its validation failed.'),
  E_PROMOTION_STAGE_MISSING: code(409, 5, 'Nothing is staged on this turn.'),
  E_PROMOTION_CONFLICT: code(409, 5, 'A body in the workspace is not the one that the turn was based on.'),
  GUARD_REQUIRED: code(409, 5, 'The run was started with a lock, so its promotions name the grant.'),
  RUN_HAS_OPEN_TURN: code(409, 5, 'A turn of the run is staged or validated and neither promoted nor rejected.'),

  // Requests
  IDEMPOTENCY_MISMATCH: code(409, 5, 'The same request key came with other content.'),
  SIZE_MISMATCH: retry(409, 5, 'The ledger’s size is not the expected one.'),
  QUEUE_FULL: retry(429, 7, 'Too many commands are waiting to be decided.'),

  // The clock
  CLOCK_RESET_DENIED: code(403, 4, 'Only the release authority or an operator may reset the clock of the ledger.'),
  CLOCK_NOT_AHEAD: code(409, 5, 'The time of entries follows the wall clock, so there is nothing to reset.'),

  // The ledger
  LEDGER_UNAVAILABLE: retry(
    503,
    7,
    'The ledger cannot take or answer this now; details.outcome says what became of it.',
  ),
  LEDGER_CLOSED: code(503, 7, 'This handle of the ledger was closed.'),
  LEDGER_MOVED: code(
    503,
    7,
    'The open ledger was moved, removed or replaced; details.outcome says what became of the request.',
  ),
  LEDGER_CORRUPT: code(500, 6, 'Stored bytes are not what was written. Nothing more is written.'),
  LEDGER_INSECURE: code(
    403,
    4,
    'Others could change what the ledger decides by: owner, mode or kind of a file is not as Lockstep makes it.',
  ),
  LEDGER_FORMAT: code(500, 6, 'The ledger was written in a format this version does not know.'),
  VERIFY_FAILED: code(500, 6, 'The verification found a difference; details name the first bad seq.'),
  DOCTOR_FAILED: code(500, 7, 'A check of the environment failed.'),
  INVARIANT_VIOLATED: code(500, 1, 'A defect in Lockstep: something that must always hold did not.'),
}

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

/**
 * What a code means: HTTP status, exit code of the command, a sentence, and whether the same request may succeed later.
 */
interface CodeFacts {
  status: number
  exit: number
  meaning: string
  retryable: boolean
}

function code(status: number, exit: number, meaning: string): CodeFacts {
  return { status, exit, meaning, retryable: false }
}

function retry(status: number, exit: number, meaning: string): CodeFacts {
  return { status, exit, meaning, retryable: true }
}
