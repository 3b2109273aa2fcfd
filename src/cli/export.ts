import type { Command } from 'commander'
import type { CreatedExport, CreateExport } from '../api/shapes/exports.ts'
import { LockstepError } from '../errors.ts'
import { askOpenLedger, serviceOf, withOpenLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { timeText } from './output.ts'
import { wholeNumber } from './values.ts'
import { type Given, local, noun, text, texts, toggle, verb } from './verb.ts'

export function exportCommand(asked?: string): Command {
  const verbs = { approve: approveVerb, create: createVerb, show: showVerb, verify: verifyVerb }
  return noun('export', verbs, asked, [
    'lockstep export create --case CASE-17 --out case-17.tar.gz --lane release --role operator --reason discovery',
    'lockstep export verify case-17.tar.gz --key "$(cat key-from-elsewhere.pub)"',
  ])
}

/** The options that select the exported entries. */
const selecting = {
  case: text('--case <case_id>', 'select a case; it also becomes case_id in the scope'),
  lock: text('--lock <name>', 'select a lock'),
  range: text('--range <a..b>', 'select the entries from seq a to seq b'),
  run: text('--run <run_id>', 'select a run and all runs below it'),
}
/** The option that withholds free texts. It is the member `withheld` of the redaction. */
const redacting = {
  redact: texts('--redact <field...>', 'free texts to withhold, such as notes and reason, or all of them'),
}

/** The redaction of a request. What is withheld is also applied. */
function redactionFrom(stated: unknown, { redact }: Given<typeof redacting>): object {
  if (redact === undefined) return stated === undefined ? {} : { redaction: stated }
  return { redaction: { redaction_applied: true, ...(stated as object | undefined), withheld: redact } }
}
const selectText = 'Exactly one of --run, --case, --lock and --range is required.'

function approveVerb(): Command {
  return verb('approve', 'exports.approve', {
    flags: { approval_type: { name: 'type' }, select: false },
    more: `The approver is a human other than the exporter, with the role of the type, such as COMPLIANCE. The approval serves one export of this kind, selection, size and redaction: pass its approval_id to "export create --approval". ${selectText}`,
    own: { ...selecting, ...redacting },
    input: (values, given) => ({
      ...values,
      ...redactionFrom(values.redaction, given),
      select: selectionFrom(given),
    }),
    lines: ({ approval_id, expires_at, size }) => [
      approval_id,
      `size ${size}, ${expires_at === null ? 'never expires' : `expires ${timeText(expires_at)}`}`,
    ],
    examples: [
      'lockstep --actor human:ana export approve --case CASE-17 --type compliance --kind discovery_production --expires 7d',
      'lockstep --actor human:ana export approve --run run_draft1 --type attorney_admin --size 812 --notes "order of 2 May"',
    ],
  })
}

function createVerb(): Command {
  return verb('create', 'exports.create', {
    flags: {
      approvals: { about: 'an approval by another person' },
      effects: { about: 'an effect of the export, such as cross_case_lookup' },
      lane_id: { about: 'the lane of the export run' },
      redaction: { about: 'the earlier redactions to record in the bundle: {"redaction_applied": …}' },
      role_id: { about: 'the role that the actor claims; the policy denies an export without one' },
      scope: { about: 'a member of the scope' },
      select: false,
    },
    more: `It exports a run and all runs below it, a case, a lock or a range. An export run governs and records this. ${selectText}`,
    own: {
      ...redacting,
      ...selecting,
      reason: text('--reason <text>', 'the reason for the export; it becomes export_reason in the scope'),
    },
    input: (values, given) => ({
      ...values,
      ...redactionFrom(values.redaction, given),
      scope: {
        ...(given.case === undefined ? {} : { case_id: given.case }),
        ...(given.reason === undefined ? {} : { export_reason: given.reason }),
        ...(values.scope as object),
      },
      select: selectionFrom(given),
    }),
    run: ({ command, globals, input }) => createBeside(globals, command, input),
    lines: ({ bundle, file, record_file, run_id }) => [
      `${bundle.bundle_id}  ${file}`,
      `record   ${record_file}`,
      `run      ${run_id}`,
      `manifest ${bundle.integrity.manifest_hash_sha256}`,
      `package  ${bundle.integrity.package_hash_sha256}`,
    ],
    examples: [
      'lockstep export create --run run_draft1 --out x1.tar.gz --lane release --role operator --scope case_id=CASE-17 --reason "asked for"',
      'lockstep export create --case CASE-17 --out case-17.tar.gz --lane release --role operator --reason discovery',
    ],
  })
}

/**
 * Without a service, the bundle is written from a snapshot: the ledger is open only for the appends before and after.
 */
async function createBeside(globals: Globals, command: string, asked: CreateExport): Promise<CreatedExport> {
  const [{ create }, { parse }] = await Promise.all([import('../api/shapes/exports.ts'), import('../writer/parse.ts')])
  const request = parse(create, asked, 'exports.create')
  const served = await serviceOf(globals)
  if (served !== undefined) return served.exports.create(request)
  await askOpenLedger(globals, command, (ledger) => ledger.exporting.ready(request), 'command')
  const { begun, snapshot } = await withOpenLedger(globals, command, async (ledger) => {
    // The snapshot is taken first. If that fails, no run has begun that would have to be ended.
    const snapshot = await ledger.snapshot()
    const begun = await ledger.exporting
      .begin(request)
      .catch((error: unknown) => snapshot.close().then(() => Promise.reject(error)))
    return { begun, snapshot }
  })
  const outcome = await snapshot.exporting.write(begun).then(
    (written) => ({ written }),
    (error: unknown) => ({ error }),
  )
  await snapshot.close()
  return withOpenLedger(globals, command, ({ exporting }) =>
    'written' in outcome ? exporting.finish(begun, outcome.written) : exporting.fail(begun, outcome.error),
  )
}

/** The selection, which must be exactly one of the four options. Errors: INVALID_INPUT. */
function selectionFrom({ case: case_id, lock, range, run: run_id }: Given<typeof selecting>): CreateExport['select'] {
  const named = [run_id, case_id, lock, range].filter((value) => value !== undefined)
  if (named.length !== 1) {
    throw new LockstepError('INVALID_INPUT', 'specify exactly one of --run, --case, --lock and --range', {
      hint: 'To name the case of a run or a lock, use --scope case_id=…',
    })
  }
  if (run_id !== undefined) return { run_id }
  if (case_id !== undefined) return { case_id }
  if (lock !== undefined) return { lock }
  const [, from, to] = /^(\d+)\.\.(\d+)$/.exec(range ?? '') ?? []
  if (from !== undefined && to !== undefined) return { from: wholeNumber(from), to: wholeNumber(to) }
  throw new LockstepError('INVALID_INPUT', `--range must be A..B, not "${range}"`)
}

function showVerb(): Command {
  return verb('show', 'exports.get', {
    flags: { bundle_id: false, run_id: false },
    own: { id: text('<id>', 'a bundle_id, which finds its newest export, or a run_id') },
    isLong: true,
    input: (_, { id = '' }) => (/^bnd_[0-9a-f]{32}$/.test(id) ? { bundle_id: id } : { run_id: id }),
    lines: ({ bundle }) => JSON.stringify(bundle, null, 2).split('\n'),
    examples: [
      'lockstep export show bnd_0123456789abcdef0123456789abcdef --json',
      'lockstep export show run_draft1 > case-17.tar.gz.json',
    ],
  })
}

function verifyVerb(): Command {
  return local('verify', 'Verifies a bundle or its unpacked folder. This needs no ledger.', {
    errors: ['VERIFY_FAILED', 'FORMAT_TOO_NEW', 'NOT_FOUND', 'FILE_DENIED'],
    more: 'It says what is proven and what the owner of the key claims. --key or --checkpoint is required: the key in the bundle proves nothing by itself.',
    own: {
      checkpoint: texts('--checkpoint <file...>', 'signed checkpoints that you kept (lockstep head --signed)'),
      key: text('--key <vkey>', 'the key line of the ledger, from another source than the bundle'),
      path: text('<path>', 'the archive or the unpacked folder'),
      proof: texts(
        '--proof <file...>',
        'proofs between the checkpoints and the bundle (lockstep consistency FROM TO --json); they may come from anyone',
      ),
      witnessPolicy: text(
        '--witness-policy <file>',
        'a quorum of this policy must have cosigned a checkpoint in the bundle',
      ),
      unauthenticated: toggle('--unauthenticated', 'only check that the bundle agrees with itself'),
    },
    run: async ({ given }) => {
      const { verifyExport } = await import('../nouns/exports/export-verify.ts')
      const { readGrowths, readKept } = await import('./kept-files.ts')
      const { policyOf } = await import('./witnessed.ts')
      return verifyExport(given.path ?? '.', {
        checkpoints: readKept(given.checkpoint),
        growths: readGrowths(given.proof),
        unauthenticated: given.unauthenticated,
        policy: given.witnessPolicy === undefined ? undefined : await policyOf(given.witnessPolicy),
        vkey: given.key,
      })
    },
    lines: async (verified) => (await import('./export-text.ts')).verifiedLines(verified),
    examples: [
      'lockstep export verify case-17.tar.gz --key "$(cat key-from-elsewhere.pub)"',
      'lockstep export verify case-17.tar.gz --checkpoint kept/2026-05-01.txt --proof growth.json',
      'lockstep export verify case-17.tar.gz --unauthenticated',
    ],
  })
}
