import type { Code } from '../../src/errors.ts'

const files = 'needs a file system that refuses, which the tests of files have'
const shared = 'needs a policy whose lanes can reach it, which test/ledger/shared-outputs.test.ts has'
const rule = 'needs a policy with this rule, which test/ledger/turn-decisions.test.ts has'
const quiet = 'needs a lane that prohibits raw text, which test/ledger/raw-text.test.ts has'
const signer = 'needs a signer or a rotated key, which test/ledger/signer.test.ts and test/ledger/keys.test.ts have'
const race = 'needs another process at the right moment'

/** Codes of the tables that no case reaches, and why. A code that a case does reach must not stand here. */
export const unreached: Readonly<Record<string, Partial<Record<Code, string>>>> = {
  'config.check': { FILE_DENIED: files, FILE_FAILED: files },
  'config.reload': { FILE_DENIED: files, FILE_FAILED: files },
  'erasures.erase': {
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
  },
  'exports.create': {
    DECISION_NOT_OPEN: race,
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    INVALID_STATE_TRANSITION: race,
    KEY_MISSING: signer,
    KEY_NOT_IN_FORCE: signer,
    RUN_NOT_ACTIVE: race,
    SIGNER_FAILED: signer,
  },
  'head.signed': { FILE_DENIED: files, FILE_FAILED: files, SIGNER_FAILED: signer },
  'keys.adopt': {
    DISK_FULL: files,
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    SIGNER_FAILED: signer,
  },
  'keys.list': { FILE_DENIED: files, FILE_FAILED: files },
  'keys.retire': {
    DISK_FULL: files,
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    KEY_MISSING: signer,
    SIGNER_FAILED: signer,
  },
  'keys.rotate': {
    DISK_FULL: files,
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    SIGNER_FAILED: signer,
  },
  'exports.get': { OBJECT_ERASED: 'needs an erased record, which test/ledger/exports.test.ts has' },
  'retention.sweep': {
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    LEGAL_HOLD: race,
    OBJECT_IN_USE: race,
  },
  'locks.acquire': {
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    LEASE_LOST: race,
    LINK_UNSUPPORTED: files,
  },
  'locks.break': { FILE_DENIED: files, FILE_FAILED: files, FILE_READ_ONLY: files, LOCK_CONTENTION: race },
  'locks.importFile': { FILE_DENIED: files, FILE_FAILED: files, FILE_READ_ONLY: files },
  'locks.list': { FILE_DENIED: files, FILE_FAILED: files, LIMIT_EXCEEDED: 'needs 200,000 folders' },
  'locks.recover': { FILE_DENIED: files, FILE_FAILED: files, FILE_READ_ONLY: files, LOCK_CONTENTION: race },
  'locks.release': { FILE_DENIED: files, FILE_FAILED: files, FILE_READ_ONLY: files },
  'locks.renew': { FILE_DENIED: files, FILE_FAILED: files, FILE_READ_ONLY: files },
  'locks.retire': {
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    LOCK_CONTENTION: race,
    LOCK_NOT_ORPHAN: race,
  },
  'locks.status': { FILE_DENIED: files, FILE_FAILED: files },
  'locks.unknownFiles': { FILE_DENIED: files, FILE_FAILED: files },
  'log.backup': {
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    KEY_MISSING: signer,
    KEY_NOT_IN_FORCE: signer,
    SIGNER_FAILED: signer,
    VERIFY_FAILED: 'needs a damaged database, which test/backup has',
  },
  'log.prove': { FILE_DENIED: files, FILE_FAILED: files, KEY_NOT_IN_FORCE: signer, SIGNER_FAILED: signer },
  'log.seal': {
    FILE_DENIED: files,
    FILE_FAILED: files,
    FILE_READ_ONLY: files,
    KEY_NOT_IN_FORCE: signer,
    SIGNER_FAILED: signer,
  },
  'log.verify': { VERIFY_FAILED: 'needs a damaged database, which test/ledger/damage.test.ts has' },
  'policy.check': { FILE_DENIED: files, FILE_FAILED: files },
  'policy.reload': { FILE_DENIED: files, FILE_FAILED: files, FILE_READ_ONLY: files },
  'runs.authorize': { FREE_TEXT_DENIED: quiet },
  'runs.fail': {
    PROMOTION_NOT_RECORDED: shared,
    RUN_DENIED: 'needs a lane that allows partial outputs, which test/ledger/cross-case.test.ts has',
  },
  'runs.heartbeat': { FREE_TEXT_DENIED: quiet },
  'runs.record': { PROMOTION_NOT_RECORDED: shared },
  'staging.consume': { FILE_DENIED: files, FILE_FAILED: files, FILE_READ_ONLY: files },
  'turns.apply': { DECISION_REQUIRED: rule, FREE_TEXT_DENIED: quiet, E_PROMOTION_NOT_VALIDATED: race },
  'turns.promote': {
    DECISION_REQUIRED: rule,
    E_DELETE_MISSING_TOMBSTONE: 'the validation before it refuses such a turn',
    FREE_TEXT_DENIED: quiet,
  },
  'turns.stage': { FREE_TEXT_DENIED: quiet },
  'turns.validate': { FREE_TEXT_DENIED: quiet },
  'workspaces.check': { FILE_DENIED: files, FILE_FAILED: files, FILE_READ_ONLY: files },
}
