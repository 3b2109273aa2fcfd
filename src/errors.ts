/** The table of error codes, from which `contract/v1/codes.yaml` is generated. A released code keeps its meaning. */
export const codes = {
  // Input and lookup
  INVALID_INPUT: code(400, 2, 'The input does not have the documented form.'),
  LIMIT_EXCEEDED: code(413, 2, 'The input exceeds a size limit.'),
  NOT_FOUND: code(404, 3, 'Nothing was found under this name or number.'),
  NO_LEDGER: code(404, 3, 'No ledger governs this folder.'),
  LEDGER_EXISTS: code(409, 5, 'The folder already contains a ledger or is governed by one.'),
  PID_NOT_FOUND: code(422, 2, 'The process named as the holder was not found.'),

  // Locks
  LOCK_CONTENTION: retry(409, 75, 'Another caller holds the lock or is ahead of you in its queue.'),
  TIMED_OUT: retry(408, 8, 'The lock did not become free within the requested time.'),
  ABORTED: retry(499, 8, 'The caller stopped waiting.'),
  LOCK_NOT_HELD: code(409, 5, 'This lock_id and actor have no current grant.'),
  LOCK_ENDED: code(409, 5, 'This acquisition was granted earlier, and that grant has ended.'),
  LOCK_NOT_ORPHAN: code(409, 5, 'This lock is not an orphan, so it cannot be recovered.'),
  LOCK_IS_HELD: code(409, 5, 'The lock is held, so its folder cannot be retired.'),
  LOCK_PLACEMENT: code(422, 2, 'The lock file must be a plain file directly inside a governed deliverable folder.'),
  LEASE_LOST: code(409, 76, 'The lock file no longer belongs to the holder, so the lease has ended.'),
  LEASE_EXPIRED: code(409, 5, 'The lease of this grant has expired.'),
  STALE_TOKEN: code(409, 5, 'The grant of this token has ended or was superseded.'),
  RELEASE_DENIED: code(403, 4, 'Only the release authority may do this.'),
  RELEASE_CONDITION_UNMET: code(409, 5, 'No release condition of the lock is met.'),
  RUN_LOCK_RELEASED: code(409, 5, 'The lock of this run was released, and RELEASED is a terminal state for a run_id.'),
  LOCK_OWNER_MISMATCH: code(422, 2, 'lock_owner must equal run_id.'),
  LOCK_CHECK_FAILED: code(409, 5, 'The run does not hold the lock on this target.'),
  WRITE_SCOPE_DENIED: code(403, 4, 'The actor’s write scope does not allow a lock inside a deliverable folder.'),
  LINK_UNSUPPORTED: code(422, 7, 'The folder’s file system has no hard links, which a safe lock file needs.'),
  FILE_DENIED: code(403, 4, 'The operating system refused access to a file (EACCES or EPERM).'),
  FILE_READ_ONLY: code(403, 4, 'The file system is read-only (EROFS).'),
  DISK_FULL: retry(507, 7, 'The file system has no space left (ENOSPC or EDQUOT).'),
  FILE_FAILED: retry(500, 7, 'A file operation timed out or failed for another reason.'),

  // Runs and policy
  INVALID_STATE_TRANSITION: code(409, 5, 'The run cannot move from its current state to the requested state.'),
  NOT_RUN_ACTOR: code(403, 4, 'Only the actor of the run or of a run above it, or an operator, may do this.'),
  RUN_NOT_ACTIVE: code(409, 5, 'The run is not in the running state, so it cannot authorise or record actions.'),
  RUN_ANCESTOR_ENDED: code(409, 5, 'A run above this run has ended, so no work can be added below it.'),
  RUN_DENIED: code(403, 4, 'The policy denied the request, and the run is now denied. The details name the rules.'),
  RUN_LEASE_EXPIRED: code(409, 5, 'The lease of the run expired, so the ledger marked the run as failed.'),
  RUN_NOT_ORPHAN: code(409, 5, 'The run is not known to be dead, so it cannot be recovered.'),
  RUN_OUTCOME_UNKNOWN: code(
    409,
    76,
    'The command of this run was started before, and its outcome is not recorded. It is not run again.',
  ),
  RUN_HAS_OPEN_ACTION: code(409, 5, 'An allowed action of the run is not recorded yet.'),
  RUN_NOT_RETRYABLE: code(409, 5, 'Only a run that failed with "retryable: true" can be retried.'),
  RUN_ALREADY_RETRIED: code(409, 5, 'This run was already retried. If its retry fails, retry that one.'),
  DECISION_NOT_OPEN: code(409, 5, 'The decision_id names no unrecorded allow of this run and action.'),
  BUNDLE_NOT_RECORDED: code(403, 4, 'Only an export that the ledger made records a bundle as the output of its run.'),
  PROMOTION_NOT_RECORDED: code(
    403,
    4,
    'Only an allowed write to shared knowledge, recorded as a success, puts out shared knowledge.',
  ),
  APPROVAL_DENIED: code(403, 4, 'Only a human who has the role of the approval type may approve an export.'),
  OUTPUTS_DENIED: code(403, 4, 'The lane of the run does not allow outputs after a failure.'),
  STATEMENT_DENIED: code(403, 4, 'Only the ledger itself records such an event. A caller cannot state it.'),
  OVERRIDE_DENIED: code(403, 4, 'Only the release authority or an operator may record an override.'),
  FREE_TEXT_DENIED: code(403, 4, 'The lane of the run prohibits raw case text, so a reason must be a single word.'),
  POLICY_INVALID: code(422, 2, 'The policy files are invalid. The details name the file and the line.'),
  POLICY_DENIED: code(403, 4, 'Only the release authority or an operator may change the policy in force.'),
  CONFIG_INVALID: code(422, 2, 'The configuration file is invalid. The details name the file and the line.'),
  CONFIG_DENIED: code(403, 4, 'Only the release authority or an operator may change the configuration in force.'),

  // Turns
  E_STEM_INVALID: code(422, 2, 'The stem is not a valid name for a unit of state.'),
  E_STEM_COLLISION: code(409, 5, 'Two stems of the workspace are equal or differ only in case.'),
  E_STAGING_FILE_INVALID: code(
    422,
    2,
    'The staging directory contains a file that is unreadable, is not a regular file, or does not belong to a triplet.',
  ),
  E_JSON_INVALID: code(
    422,
    2,
    'The file must be one JSON object in valid UTF-8, with integers as its only numbers and no duplicate members.',
  ),
  E_TRIPLET_INCOMPLETE: code(422, 2, 'The body, the links or the manifest of a stem is missing.'),
  E_DTO_LINKS_WRONG_CONTAINER_SHAPE: code(422, 2, 'A value in the links is neither a ref nor an array of refs.'),
  E_TOMBSTONE_STEM_MISMATCH: code(422, 2, 'The stem inside a tombstone differs from the stem in its file name.'),
  E_TOMBSTONE_INVALID: code(
    422,
    2,
    'The tombstone lacks one of its five members, or its identity differs from the promoted identity.',
  ),
  E_DELETE_MISSING_TOMBSTONE: code(422, 2, 'A delete was requested without a tombstone.'),
  E_LSI_DUPLICATE_IDENTITY: code(409, 5, 'Another stem of the workspace already has this identity.'),
  E_LSI_ORPHAN_TARGET: code(409, 5, 'The target of a ref is not visible.'),
  E_PROMOTION_FAILED: code(422, 2, 'The turn_id is malformed, or the latest stage request was refused.'),
  E_PROMOTION_ALREADY_APPLIED: code(409, 5, 'This turn was already promoted.'),
  E_PROMOTION_OUT_OF_ORDER: code(409, 5, 'The turn does not directly follow the last promoted turn.'),
  E_PROMOTION_NOT_VALIDATED: code(409, 5, 'The content staged last has not been validated, or its validation failed.'),
  E_PROMOTION_STAGE_MISSING: code(409, 5, 'Nothing is staged for this turn.'),
  E_PROMOTION_CONFLICT: code(
    409,
    5,
    'A body in the workspace differs from the body that the turn was based on, or another run wrote it and no base is stated.',
  ),
  PIN_EXISTS: code(409, 5, 'The workspace already has a pin of this name, for another turn.'),
  GUARD_REQUIRED: code(409, 5, 'The run was started with a lock, so its promotions must name the grant in a guard.'),
  DECISION_REQUIRED: code(409, 5, 'The lane of the run requires an allow’s decision_id for each promotion of a turn.'),
  RUN_HAS_OPEN_TURN: code(409, 5, 'A turn of the run is staged or validated, but not yet promoted or rejected.'),

  // Erasure and retention
  OBJECT_ERASED: code(410, 3, 'The text was erased. The details name the entry that records it.'),
  OBJECT_IN_USE: code(409, 5, 'The ledger still needs this object: it is in force, current, or open.'),
  ERASURE_DENIED: code(403, 4, 'The actor may not erase or hold texts, or the approval does not allow this erasure.'),
  RETENTION_UNCONFIRMED: code(409, 5, 'A shorter retention.minimum must be confirmed.'),
  LEGAL_HOLD: code(409, 5, 'A legal hold covers what would be erased.'),

  // Requests
  UNAUTHENTICATED: code(401, 4, 'The request has no valid token.'),
  FORBIDDEN: code(403, 4, 'The service does not allow this request to this caller.'),
  METHOD_NOT_ALLOWED: code(405, 2, 'The route does not support this HTTP method.'),
  UNSUPPORTED_MEDIA_TYPE: code(415, 2, 'The route does not accept a body of this content type.'),
  REQUEST_TIMEOUT: retry(408, 8, 'The request did not arrive completely within the time limit.'),
  RATE_LIMITED: retry(429, 7, 'This actor sends more requests than the service allows.'),
  IDEMPOTENCY_MISMATCH: code(409, 5, 'The request key was already used with different content.'),
  SIZE_MISMATCH: retry(409, 5, 'The ledger does not have the expected size.'),
  QUEUE_FULL: retry(429, 7, 'Too many commands are waiting to be decided.'),

  // The clock and tokens
  CLOCK_RESET_DENIED: code(403, 4, 'Only the release authority or an operator may reset the ledger’s clock.'),
  CLOCK_NOT_AHEAD: code(409, 5, 'The times of entries follow the wall clock, so there is nothing to reset.'),
  CLOCK_AHEAD: code(409, 5, 'The time of entries is ahead of the wall clock, so the token would have expired already.'),

  // Keys and tokens
  KEY_DENIED: code(403, 4, 'Only the release authority or an operator may change the ledger’s keys.'),
  KEY_CONFLICT: code(409, 5, 'The keys in force do not allow this change.'),
  KEY_MISSING: code(503, 7, 'No private key in force is here, so nothing can be signed. Reading and writing go on.'),
  KEY_NOT_IN_FORCE: code(409, 5, 'The key that was in force at this size was retired and signs no more.'),
  SIGNER_FAILED: retry(503, 7, 'The command that signs for the ledger failed. Reading and writing go on.'),
  SEAL_DENIED: code(403, 4, 'Only the release authority or an operator may seal the ledger.'),
  TOKEN_DENIED: code(403, 4, 'Only the release authority or an operator may create and revoke tokens.'),

  // The ledger
  LEDGER_UNAVAILABLE: retry(503, 7, 'The ledger cannot do this now. details.outcome says whether it took effect.'),
  LEDGER_SERVED: code(503, 7, 'A service has the ledger open. Use connect() to call it.'),
  LEDGER_CLOSED: code(503, 7, 'This handle of the ledger was closed.'),
  LEDGER_MOVED: code(
    503,
    7,
    'The open ledger was moved, removed or replaced. details.outcome says whether the request took effect.',
  ),
  NOT_WRITER: retry(421, 7, 'Another node writes this ledger. details.outcome says whether the request took effect.'),
  LEDGER_COPIED: code(
    409,
    5,
    'The ledger was copied or moved, and nobody has said whether the original goes on. Nothing was changed.',
  ),
  LEDGER_SEALED: code(409, 5, 'The ledger goes on in another place. This place can be read and verified.'),
  LEDGER_FORKED: code(500, 6, 'The ledger’s key signed a history that the ledger does not have. It grants no more.'),
  LEDGER_CORRUPT: code(
    500,
    6,
    'Stored bytes differ from the bytes that were written. The ledger accepts no more writes.',
  ),
  LEDGER_INSECURE: code(
    403,
    4,
    'The owner, mode or type of a ledger file is wrong, so other users could tamper with the ledger.',
  ),
  LEDGER_FORMAT: code(500, 6, 'The ledger uses a format that this version does not support.'),
  FORMAT_TOO_NEW: code(500, 6, 'A newer version of Lockstep wrote this data. Nothing was changed.'),
  VERIFY_FAILED: code(500, 6, 'The verification found a difference. The details name the first bad seq.'),
  DOCTOR_FAILED: code(500, 7, 'A check of the environment failed.'),
  INVARIANT_VIOLATED: code(500, 1, 'An internal invariant failed. This is a defect in Lockstep.'),
}

export type Code = keyof typeof codes

/** Facts about an error or refusal, in the data's own snake_case names; JSON values only. */
export type Details = Record<string, unknown>

/** The optional parts of an error: its facts, what the operator can do next, and its cause. */
export interface ErrorContext {
  details?: Details
  hint?: string | undefined
  cause?: unknown
}

/** The only error class that callers receive: `code` is for programs, `message` and `hint` are for people. */
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
    // A case of a retryable code can be one that no retry changes. It is in the details, so that a service passes it on.
    this.retryable = codes[code].retryable && details.retryable !== false
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

/** The message of any thrown value. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

/** The operating system's error code of any thrown value, such as `ENOENT`, if it has one. */
export function systemCodeOf(thrown: unknown): string | undefined {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined
}

/** The meaning of a code: HTTP status, exit code, a sentence, and whether the same request may succeed later. */
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
