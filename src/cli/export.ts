import { Command } from 'commander'
import type { ApproveExport, CreatedExport, CreateExport } from '../api/shapes/exports.ts'
import { LockstepError } from '../errors.ts'
import { askLedger, examples, fromHere, globalsOf, wholeNumber, withLedger } from './context.ts'
import type { Globals } from './globals.ts'
import { collect } from './lock-acquire.ts'
import { print, say } from './output.ts'
import { jsonIn, scopeFrom } from './run-actions.ts'

export function exportCommand(): Command {
  const command = new Command('export').description('Export entries with proofs, for readers without the ledger.')
  command.addCommand(approveCommand())
  command.addCommand(createCommand())
  command.addCommand(showCommand())
  command.addCommand(verifyCommand())
  return examples(
    command,
    'lockstep export create --case CASE-17 --out case-17.tar.gz --lane EXPORT_CASE_DATA --role ATTORNEY_ADMIN --reason discovery',
    'lockstep export verify case-17.tar.gz',
  )
}

interface SelectFlags {
  case?: string
  lock?: string
  range?: string
  run?: string
}

interface ApproveFlags extends SelectFlags {
  notes?: string
  type: string
}

/** Adds the options that select the exported entries. Exactly one of them is required. */
function selecting(command: Command): Command {
  return command
    .option('--run <run_id>', 'select a run and all runs below it')
    .option('--case <case_id>', 'select a case; it also becomes case_id in the scope')
    .option('--lock <name>', 'select a lock')
    .option('--range <a..b>', 'select the entries from seq a to seq b')
    .addHelpText('after', '\nExactly one of --run, --case, --lock and --range is required.')
}

function approveCommand(): Command {
  const command = selecting(new Command('approve'))
    .description(
      'Approve an export, as a human other than its exporter. Prints the event_id to pass to "export create --approval".',
    )
    .requiredOption(
      '--type <type>',
      'the type of the approval: attorney_admin, delegated_admin, compliance or court_order',
    )
    .option('--notes <text>', 'notes, as free text')
    .action(async (flags: ApproveFlags, self: Command) => {
      const globals = globalsOf(self)
      const request = { approval_type: flags.type, notes: flags.notes, select: selectionFrom(flags) } as ApproveExport
      const approved = await withLedger(globals, 'export approve', (ledger) => ledger.exports.approve(request))
      print(globals, approved, () => `${approved.seq} ${approved.event_id}`)
    })
  return examples(
    command,
    'lockstep export approve --case CASE-17 --type compliance',
    'lockstep --actor human:ana export approve --run run_draft1 --type attorney_admin --notes "order of 2 May"',
  )
}

interface CreateFlags extends SelectFlags {
  approval?: string[]
  description?: string
  effect?: string[]
  kind?: string
  lane: string
  matter?: string
  name?: string
  out: string
  parent?: string
  reason?: string
  redaction?: string
  role?: string
  scope?: string[]
  size?: number
}

function createCommand(): Command {
  const command = selecting(new Command('create'))
    .description(
      'Write a bundle of a run and all runs below it, a case, a lock or a range. An export run governs and records this.',
    )
    .requiredOption('--out <file>', 'the archive to write, such as case-17.tar.gz; its record is written next to it')
    .requiredOption('--lane <lane_id>', 'the lane of the export run')
    .option('--role <role_id>', 'the role that the actor claims; the policy denies an export without one')
    .option('--approval <event_id>', 'an approval by another person; repeatable', collect)
    .option('--size <n>', 'export from the tree of this size (default: the size before the export)', wholeNumber)
    .option('--reason <text>', 'the reason for the export; it becomes export_reason in the scope')
    .option('--scope <key=value>', 'a member of the scope; repeatable', collect)
    .option('--effect <word>', 'an effect of the export, such as cross_case_lookup; repeatable', collect)
    .option('--kind <kind>', 'the bundle_kind, such as discovery_production (default: internal_review)')
    .option('--name <text>', 'the bundle_name to record in the bundle')
    .option('--description <text>', 'the bundle_description to record in the bundle')
    .option('--matter <matter_id>', 'the matter_id to record in the bundle')
    .option(
      '--redaction <file>',
      'the earlier redactions to record in the bundle: a JSON file with {"redaction_applied": …}, or - for stdin',
    )
    .option('--parent <run_id>', 'the parent of the export run')
    .action(async (flags: CreateFlags, self: Command) => {
      const globals = globalsOf(self)
      const request = requestFrom(flags)
      const exported = await createBeside(globals, request)
      const { bundle, file, record_file, run_id } = exported
      print(globals, exported, () => [
        `${bundle.bundle_id}  ${file}`,
        `record   ${record_file}`,
        `run      ${run_id}`,
        `manifest ${bundle.integrity.manifest_hash_sha256}`,
        `package  ${bundle.integrity.package_hash_sha256}`,
      ])
    })
  return examples(
    command,
    'lockstep export create --run run_draft1 --out x1.tar.gz --lane EXPORT_CASE_DATA --role ATTORNEY_ADMIN --scope case_id=CASE-17 --reason "asked for"',
    'lockstep export create --case CASE-17 --out case-17.tar.gz --lane EXPORT_CASE_DATA --role ATTORNEY_ADMIN --reason discovery',
  )
}

/** Writes the bundle from a snapshot. The ledger is open only for the appends before and after that. */
async function createBeside(globals: Globals, asked: CreateExport): Promise<CreatedExport> {
  const name = 'export create'
  const [{ create }, { parse }] = await Promise.all([import('../api/shapes/exports.ts'), import('../writer/parse.ts')])
  const request = parse(create, asked, 'exports.create')
  await askLedger(globals, name, (ledger) => ledger.exporting.ready(request))
  const { begun, snapshot } = await withLedger(globals, name, async (ledger) => {
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
  return withLedger(globals, name, ({ exporting }) =>
    'written' in outcome ? exporting.finish(begun, outcome.written) : exporting.fail(begun, outcome.error),
  )
}

function requestFrom(flags: CreateFlags): CreateExport {
  const { lane, kind, out, parent, reason, role, scope = [], size } = flags
  return {
    ...(flags.approval === undefined ? {} : { approvals: flags.approval }),
    ...(flags.description === undefined ? {} : { bundle_description: flags.description }),
    ...(flags.name === undefined ? {} : { bundle_name: flags.name }),
    ...(flags.matter === undefined ? {} : { matter_id: flags.matter }),
    ...(flags.redaction === undefined ? {} : { redaction: jsonIn(flags.redaction) as CreateExport['redaction'] }),
    bundle_kind: kind as CreateExport['bundle_kind'],
    effects: flags.effect,
    file: fromHere(out),
    lane_id: lane,
    parent_run_id: parent,
    role_id: role,
    scope: {
      ...(flags.case === undefined ? {} : { case_id: flags.case }),
      ...(reason === undefined ? {} : { export_reason: reason }),
      ...scopeFrom(scope),
    },
    select: selectionFrom(flags),
    size,
  }
}

/** The selection, which must be exactly one of the four options. Errors: INVALID_INPUT. */
function selectionFrom({ case: case_id, lock, range, run: run_id }: SelectFlags): CreateExport['select'] {
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
  if (from === undefined || to === undefined) {
    throw new LockstepError('INVALID_INPUT', `--range must be A..B, not "${range}"`)
  }
  return { from: wholeNumber(from), to: wholeNumber(to) }
}

function showCommand(): Command {
  const command = new Command('show')
    .description('Print the record of an exported bundle, found by its bundle_id or by its export run.')
    .argument('<id>', 'a bundle_id, which finds its newest export, or a run_id')
    .action(async (id: string, _flags: object, self: Command) => {
      const globals = globalsOf(self)
      const asked = /^bnd_[0-9a-f]{32}$/.test(id) ? { bundle_id: id } : { run_id: id }
      const record = await askLedger(globals, 'export show', (ledger) => ledger.exports.get(asked))
      print(globals, record, () => [JSON.stringify(record.bundle, null, 2)])
    })
  return examples(
    command,
    'lockstep export show bnd_0123456789abcdef0123456789abcdef --json',
    'lockstep export show run_draft1 > case-17.tar.gz.json',
  )
}

function verifyCommand(): Command {
  const command = new Command('verify')
    .description('Verify a bundle or its unpacked folder. This needs no ledger.')
    .argument('<path>', 'the archive or the unpacked folder')
    .option('--key <vkey>', 'the key line of the ledger, from another source than the bundle')
    .action(async (path: string, { key }: { key?: string }, self: Command) => {
      const globals = globalsOf(self)
      const { verifyExport } = await import('../nouns/exports/export-verify.ts')
      const verified = await verifyExport(path, { vkey: key })
      if (verified.authenticity === 'unchecked') {
        say(
          'authenticity: unchecked, because the key in the bundle proves nothing by itself. Compare the key, or pass it with --key.',
        )
      }
      print(globals, verified, () => [
        `verified ${verified.entries} entries, seq ${verified.first_seq} to ${verified.last_seq}: ${verified.ends}`,
        `origin ${verified.origin}`,
        `size ${verified.size}`,
        `root ${verified.root}`,
        `key ${verified.key_fingerprint_sha256}`,
        `package ${verified.package_hash_sha256}`,
        `authenticity ${verified.authenticity}`,
      ])
    })
  return examples(
    command,
    'lockstep export verify case-17.tar.gz',
    'lockstep export verify case-17.tar.gz --key "$(cat key-from-elsewhere.pub)"',
  )
}
