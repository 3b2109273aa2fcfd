import { Command } from 'commander'
import type { PolicyInForce } from '../api/shapes/policy.ts'
import { problemText } from '../domain/policy/document.ts'
import { codes, LockstepError } from '../errors.ts'
import { examples, globalsOf, refuseOptions, withLedger } from './context.ts'
import { print, relativeTime } from './output.ts'
import { type ActionFlags, actionFrom, decidedLines, withAction } from './run-actions.ts'

export function policyCommand(): Command {
  const policy = new Command('policy').description(
    'Show, check and load the policy: the lanes and roles that govern runs.',
  )
  for (const verb of [showCommand, checkCommand, explainCommand, reloadCommand]) policy.addCommand(verb())
  return examples(policy, 'lockstep policy show', 'lockstep policy check')
}

function showCommand(): Command {
  const command = new Command('show')
    .description('Print the policy in force: its pins, its lanes, and whether the files have changed since.')
    .action(async (_options: unknown, self: Command) => {
      const globals = globalsOf(self)
      const shown = await withLedger(globals, 'policy show', async (ledger) => ledger.policy.show())
      print(globals, shown, () => shownLines(shown))
    })
  return examples(command, 'lockstep policy show', 'lockstep policy show --json')
}

function shownLines({ grants, lanes, loaded, roles, seq }: PolicyInForce): string[] {
  const line = ({ file, on_disk, pin, source }: PolicyInForce['lanes']) =>
    `${file}  ${pin} (${source})${on_disk === 'same' ? '' : `, ${on_disk} on disk`}`
  return [
    `loaded ${relativeTime(loaded)} (entry ${seq})`,
    line(lanes),
    line(roles),
    ...grants.map((grant) => `  ${grant.lane_id}: ${grant.roles.join(', ')}`),
  ]
}

function checkCommand(): Command {
  const command = new Command('check')
    .description('Check both policy files and their symmetry. The exit code is 2 if they cannot be loaded.')
    .action(async (_options: unknown, self: Command) => {
      const globals = globalsOf(self)
      const checked = await withLedger(globals, 'policy check', async (ledger) => ledger.policy.check())
      const { findings, loadable, problems } = checked
      const found = [...problems, ...findings].map(problemText)
      print(globals, checked, () => (found.length === 0 ? 'both files are valid' : found))
      if (!loadable) process.exitCode = codes.POLICY_INVALID.exit
    })
  return examples(command, 'lockstep policy check', 'lockstep policy check --json | jq .findings')
}

interface ExplainFlags extends ActionFlags {
  case?: string
  kind?: string
  role?: string
  runId?: string
  type?: string
}

function explainCommand(): Command {
  const command = withAction(
    new Command('explain')
      .description(
        'Explain how an action would be decided, without recording it. The exit code is 0 for allow and 4 for deny.',
      )
      .option('--run-id <run_id>', 'the run that would act; otherwise give --kind and --role')
      .option('--kind <kind>', 'the kind of a run that does not exist yet; needs --role')
      .option('--role <role_id>', 'the role of a run that does not exist yet; needs --kind')
      .option('--case <case_id>', 'the case of a run that does not exist yet')
      .option('--type <type>', 'the type of its actor: agent, human or system (default: agent)'),
  ).action(async (flags: ExplainFlags, self: Command) => {
    const globals = globalsOf(self)
    if (flags.runId !== undefined)
      refuseOptions(self, ['case', 'kind', 'role', 'type'], '--run-id, because that run exists already')
    const question = questionFrom(flags)
    const verdict = await withLedger(globals, 'policy explain', async (ledger) => ledger.policy.explain(question))
    const { missing, rule_ids } = verdict
    const lines = { ...verdict, decision_id: '', missing: [...missing], rule_ids: [...rule_ids] }
    print(globals, verdict, () => decidedLines(lines))
    if (verdict.decision === 'deny') process.exitCode = codes.RUN_DENIED.exit
  })
  return examples(
    command,
    'lockstep policy explain --kind db_write --role INTAKE_AGENT --action db_write --lane WRITE_INTAKE_ARTIFACTS --target transcripts --mode append --case CASE-17 --scope case_id=CASE-17 --scope run_id=run_draft1',
    'lockstep policy explain --run-id run_draft1 --action tool_call --lane TOOL_INTERVIEW_CAPTURE --target dictation.start --scope case_id=CASE-17 --scope client_session_id=s-1 --scope run_id=run_draft1',
  )
}

function questionFrom(flags: ExplainFlags) {
  const action = actionFrom(flags)
  if (flags.runId !== undefined) return { action, run_id: flags.runId }
  if (flags.kind === undefined || flags.role === undefined) {
    throw new LockstepError('INVALID_INPUT', 'specify --run-id, or both --kind and --role')
  }
  return {
    action,
    ...(flags.type === undefined ? {} : { actor_type: flags.type as 'agent' }),
    ...(flags.case === undefined ? {} : { case_id: flags.case }),
    role_id: flags.role,
    run_kind: flags.kind as 'agent',
  }
}

function reloadCommand(): Command {
  const command = new Command('reload')
    .description(
      'Load the policy files as an audited event. Runs that are pinned to different content drift and are denied.',
    )
    .action(async (_options: unknown, self: Command) => {
      const globals = globalsOf(self)
      const shown = await withLedger(globals, 'policy reload', (ledger) => ledger.policy.reload())
      print(globals, shown, () => [...(shown.replayed ? ['the policy has not changed'] : []), ...shownLines(shown)])
    })
  return examples(command, 'lockstep policy reload', 'lockstep --actor human:BECCA policy reload --json')
}
