import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import { exitCodes } from '../../contract/documents.ts'
import { codes } from '../../src/contract.ts'
import { root } from '../runner.ts'
import { readSources, withoutComments } from '../tidy.ts'

const test = suite('the codes of Contract v1')

const table = Object.entries(codes)
const sources = [...readSources(join(root, 'src'))].map(([path, text]) => ({ path, text: withoutComments(text) }))
const text = readFileSync('contract/v1/codes.yaml', 'utf8')

test('are those of the code, in its order', () => {
  const rows = table.map(([code, { exit, meaning, retryable, status }]) => {
    return { code, meaning, http_status: status, exit_code: exit, retryable }
  })
  assert.equal(parse(text).codes, rows)
  assert.equal(parse(text, { version: '1.1' }), parse(text, { version: '1.2' }))
})

test('are in the docs with their meaning, retryable, exit code and HTTP status', () => {
  const page = readFileSync('docs/reference/errors.md', 'utf8')
  const rows = [...page.matchAll(/^\| `(\w+)` \| (.+) \| (yes|no) \| (\d+) \| (\d+) \|$/gm)].map(
    ([, ...cells]) => cells,
  )
  assert.equal(
    rows,
    table.map(([code, { exit, meaning, retryable, status }]) => {
      return [code, meaning, retryable ? 'yes' : 'no', String(exit), String(status)]
    }),
  )
})

test('are each used in src', () => {
  const isUsed = (code: string) =>
    sources.some(({ path, text }) =>
      path === 'errors.ts' ? text.includes(`LockstepError('${code}'`) : text.includes(`'${code}'`),
    )
  assert.equal(
    Object.keys(codes).filter((code) => !isUsed(code)),
    [],
  )
})

test('are the only ones that src refuses or throws with', () => {
  const used = sources.flatMap(({ path, text }) =>
    [...text.matchAll(/\b(?:refuse|LockstepError)\(\s*'([^']*)'/g)].map(([, code = '']) => ({ path, code })),
  )
  assert.ok(used.length > 50, `${used.length} uses are seen`)
  assert.equal(
    used.filter(({ code }) => !Object.hasOwn(codes, code)),
    [],
  )
})

test('have the exit codes of the command, which are permanent', () => {
  const exits: Record<number, string[]> = {
    1: ['INVARIANT_VIOLATED'],
    2: [
      'INVALID_INPUT',
      'LIMIT_EXCEEDED',
      'PID_NOT_FOUND',
      'LOCK_PLACEMENT',
      'LOCK_OWNER_MISMATCH',
      'POLICY_INVALID',
      'CONFIG_INVALID',
      'E_STEM_INVALID',
      'E_STAGING_FILE_INVALID',
      'E_JSON_INVALID',
      'E_TRIPLET_INCOMPLETE',
      'E_DTO_LINKS_WRONG_CONTAINER_SHAPE',
      'E_TOMBSTONE_STEM_MISMATCH',
      'E_TOMBSTONE_INVALID',
      'E_DELETE_MISSING_TOMBSTONE',
      'E_PROMOTION_FAILED',
      'METHOD_NOT_ALLOWED',
      'UNSUPPORTED_MEDIA_TYPE',
    ],
    3: ['NOT_FOUND', 'NO_LEDGER', 'OBJECT_ERASED'],
    4: [
      'RELEASE_DENIED',
      'WRITE_SCOPE_DENIED',
      'FILE_DENIED',
      'FILE_READ_ONLY',
      'NOT_RUN_ACTOR',
      'RUN_DENIED',
      'BUNDLE_NOT_RECORDED',
      'PROMOTION_NOT_RECORDED',
      'APPROVAL_DENIED',
      'OUTPUTS_DENIED',
      'STATEMENT_DENIED',
      'OVERRIDE_DENIED',
      'FREE_TEXT_DENIED',
      'POLICY_DENIED',
      'CONFIG_DENIED',
      'ERASURE_DENIED',
      'UNAUTHENTICATED',
      'FORBIDDEN',
      'CLOCK_RESET_DENIED',
      'KEY_DENIED',
      'SEAL_DENIED',
      'TOKEN_DENIED',
      'LEDGER_INSECURE',
    ],
    5: [
      'LEDGER_EXISTS',
      'LOCK_NOT_HELD',
      'LOCK_ENDED',
      'LOCK_NOT_ORPHAN',
      'LOCK_IS_HELD',
      'LEASE_EXPIRED',
      'STALE_TOKEN',
      'RELEASE_CONDITION_UNMET',
      'RUN_LOCK_RELEASED',
      'LOCK_CHECK_FAILED',
      'INVALID_STATE_TRANSITION',
      'RUN_NOT_ACTIVE',
      'RUN_ANCESTOR_ENDED',
      'RUN_LEASE_EXPIRED',
      'RUN_NOT_ORPHAN',
      'RUN_HAS_OPEN_ACTION',
      'RUN_NOT_RETRYABLE',
      'RUN_ALREADY_RETRIED',
      'DECISION_NOT_OPEN',
      'E_STEM_COLLISION',
      'E_LSI_DUPLICATE_IDENTITY',
      'E_LSI_ORPHAN_TARGET',
      'E_PROMOTION_ALREADY_APPLIED',
      'E_PROMOTION_OUT_OF_ORDER',
      'E_PROMOTION_NOT_VALIDATED',
      'E_PROMOTION_STAGE_MISSING',
      'E_PROMOTION_CONFLICT',
      'PIN_EXISTS',
      'GUARD_REQUIRED',
      'DECISION_REQUIRED',
      'RUN_HAS_OPEN_TURN',
      'OBJECT_IN_USE',
      'RETENTION_UNCONFIRMED',
      'LEGAL_HOLD',
      'IDEMPOTENCY_MISMATCH',
      'SIZE_MISMATCH',
      'CLOCK_NOT_AHEAD',
      'CLOCK_AHEAD',
      'KEY_CONFLICT',
      'KEY_NOT_IN_FORCE',
      'LEDGER_COPIED',
      'LEDGER_SEALED',
    ],
    6: ['LEDGER_FORKED', 'LEDGER_CORRUPT', 'LEDGER_FORMAT', 'FORMAT_TOO_NEW', 'VERIFY_FAILED'],
    7: [
      'LINK_UNSUPPORTED',
      'DISK_FULL',
      'FILE_FAILED',
      'RATE_LIMITED',
      'QUEUE_FULL',
      'KEY_MISSING',
      'SIGNER_FAILED',
      'LEDGER_UNAVAILABLE',
      'LEDGER_SERVED',
      'LEDGER_CLOSED',
      'LEDGER_MOVED',
      'NOT_WRITER',
      'DOCTOR_FAILED',
    ],
    8: ['TIMED_OUT', 'ABORTED', 'REQUEST_TIMEOUT'],
    75: ['LOCK_CONTENTION'],
    76: ['LEASE_LOST', 'RUN_OUTCOME_UNKNOWN'],
  }
  const found: Record<number, string[]> = {}
  for (const [code, { exit }] of table) found[exit] = [...(found[exit] ?? []), code]
  assert.equal(found, exits)
  const meant = Object.keys(exitCodes).filter((exit) => exit !== '0' && exit !== '128+n')
  assert.equal(meant, Object.keys(exits))
})

test("have an HTTP status that tells the caller's faults from the server's", () => {
  for (const [code, { exit, status }] of table) {
    assert.ok(status >= 400 && status < 600, code)
    if (exit === 3) assert.is(status, code === 'OBJECT_ERASED' ? 410 : 404, code)
    if (exit === 4) assert.is(status, code === 'UNAUTHENTICATED' ? 401 : 403, code)
    if (exit === 6) assert.is(status, 500, code)
  }
})

test.run()
