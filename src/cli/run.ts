import { Command } from 'commander'
import type { RunTree } from '../api/shapes/runs.ts'
import type { Runs } from '../nouns/runs/runs.ts'
import { actorFrom, askLedger, examples, globalsOf, wholeNumber, withLedger } from './context.ts'
import { collect } from './lock-acquire.ts'
import { print, relativeTime, table } from './output.ts'
import { authorizeCommand, recordCommand, refsIn } from './run-actions.ts'
import { execCommand } from './run-exec.ts'
import {
  cancelCommand,
  completeCommand,
  denyCommand,
  failCommand,
  heartbeatCommand,
  retryCommand,
  startCommand,
} from './run-moves.ts'
import { runLines, whyLines } from './run-text.ts'

export function runsCommand(): Command {
  const run = new Command('run').description(
    'Create runs, authorise their actions by lane and role, and record the results.',
  )
  const moves = [startCommand, heartbeatCommand, completeCommand, failCommand, denyCommand, cancelCommand, retryCommand]
  const actions = [authorizeCommand, recordCommand, execCommand]
  for (const verb of [createCommand, ...moves, ...actions, showCommand, whyCommand, treeCommand, listCommand]) {
    run.addCommand(verb())
  }
  return examples(run, 'lockstep run create --kind orchestrator --case CASE-17', 'lockstep run why run_draft1')
}

interface CreateFlags {
  case?: string
  correlation?: string
  for?: string
  inputs?: string
  key?: string
  kind: string
  lane?: string
  name?: string
  notes?: string
  parent?: string
  role?: string
  runId?: string
  session?: string
  tag?: string[]
  workflow?: string
}

function createCommand(): Command {
  const command = new Command('create')
    .description('Create a run. It cannot act before "run start".')
    .requiredOption('--kind <kind>', 'orchestrator, agent, tool_gateway, db_write, db_read, promotion or export')
    .option('--run-id <run_id>', 'the id of the run (default: a new id)')
    .option('--parent <run_id>', 'the parent run; the new run inherits its case, pins and correlation')
    .option('--lane <lane_id>', 'the lane of the run; every kind except orchestrator needs one to start')
    .option('--role <role_id>', 'the role that the actor claims; every kind except orchestrator needs one to start')
    .option('--for <actor>', 'the actor of the run (default: the actor that creates it)')
    .option('--case <case_id>', 'the case of the run')
    .option('--session <id>', 'the client_session_id to record')
    .option('--workflow <id>', 'the workflow_id; runs of one workflow share a workspace')
    .option('--correlation <id>', 'the correlation_id to record')
    .option('--inputs <file>', 'the inputs: a file with a JSON array of artifact refs, or - for stdin')
    .option('--name <text>', 'a name for people (run_name)')
    .option('--notes <text>', 'notes, as free text')
    .option('--tag <tag>', 'a tag; repeatable', collect)
    .option('--key <key>', 'request key: repeating a request with its key returns the first answer')
    .action(async (flags: CreateFlags, self: Command) => {
      const globals = globalsOf(self)
      const record = await withLedger(globals, 'run create', (ledger) => ledger.runs.create(requestFrom(flags)))
      print(globals, record, () => runLines(record))
    })
  return examples(
    command,
    'lockstep run create --kind orchestrator --case CASE-17',
    'lockstep run create --kind tool_gateway --parent run_draft1 --lane TOOL_INTERVIEW_CAPTURE --role INTERVIEW_AGENT',
  )
}

function requestFrom(flags: CreateFlags): Parameters<Runs['create']>[0] {
  return {
    case_id: flags.case,
    client_session_id: flags.session,
    correlation_id: flags.correlation,
    idempotency_key: flags.key,
    inputs: inputsFrom(flags.inputs),
    lane_id: flags.lane,
    notes: flags.notes,
    parent_run_id: flags.parent,
    role_id: flags.role,
    run_actor: actorFrom(flags.for),
    run_id: flags.runId,
    run_kind: flags.kind as 'orchestrator',
    run_name: flags.name,
    tags: flags.tag,
    workflow_id: flags.workflow,
  }
}

function inputsFrom(file: string | undefined): Parameters<Runs['create']>[0]['inputs'] {
  const artifact_refs = refsIn(file)
  return artifact_refs && { artifact_refs }
}

function showCommand(): Command {
  const command = new Command('show')
    .description('Print the record of a run.')
    .argument('<run_id>', 'the id of the run')
    .action(async (runId: string, _options: unknown, self: Command) => {
      const globals = globalsOf(self)
      const record = await withLedger(globals, 'run show', async (ledger) => ledger.runs.get({ run_id: runId }))
      print(globals, record, () => runLines(record))
    })
  return examples(command, 'lockstep run show run_draft1', 'lockstep run show run_draft1 --json')
}

function whyCommand(): Command {
  const command = new Command('why')
    .description(
      'Explain the state of a run: last event, missing events, denying rule, lock, lease and possible moves.',
    )
    .argument('<run_id>', 'the id of the run')
    .action(async (runId: string, _options: unknown, self: Command) => {
      const globals = globalsOf(self)
      const why = await withLedger(globals, 'run why', async (ledger) => ledger.runs.why({ run_id: runId }))
      print(globals, why, () => whyLines(why))
    })
  return examples(command, 'lockstep run why run_draft1', 'lockstep run why run_draft1 --json | jq .denied')
}

function treeCommand(): Command {
  const command = new Command('tree')
    .description('Print a run and all runs below it.')
    .argument('<run_id>', 'the id of the run')
    .action(async (runId: string, _options: unknown, self: Command) => {
      const globals = globalsOf(self)
      const tree = await askLedger(globals, 'run tree', (ledger) => ledger.runs.tree({ run_id: runId }))
      print(globals, tree, () => treeLines(tree))
    })
  return examples(command, 'lockstep run tree run_draft1', 'lockstep run tree run_draft1 --json')
}

function treeLines({ children, run }: RunTree, indent = ''): string[] {
  const lane = run.actor?.lane_id ? `  ${run.actor.lane_id}` : ''
  const line = `${indent}${run.run_id}  ${run.run_kind}  ${run.status}${lane}`
  return [line, ...children.flatMap((child) => treeLines(child, `${indent}  `))]
}

interface ListFlags {
  byActor?: string
  case?: string
  cursor?: string
  kind?: string
  lane?: string
  limit: number
  since?: string
  state?: string
  until?: string
}

function listCommand(): Command {
  const command = new Command('list')
    .description('List runs in the order of their creation.')
    .option('--state <state>', 'only this state: created, running, completed, failed, denied or cancelled')
    .option('--kind <kind>', 'only this kind')
    .option('--case <case_id>', 'only this case')
    .option('--lane <lane_id>', 'only this lane')
    .option('--by-actor <actor_id>', 'only runs of this actor')
    .option('--since <time>', 'only runs created at or after this time, such as 2026-02-02T12:00:00Z')
    .option('--until <time>', 'only runs created before this time')
    .option('--limit <n>', 'the maximum number of runs to list', wholeNumber, 100)
    .option('--cursor <run_id>', 'list the runs after this one; the page before prints it as "more"')
    .action(async (flags: ListFlags, self: Command) => {
      const globals = globalsOf(self)
      const listing = await askLedger(globals, 'run list', (ledger) =>
        ledger.runs.list({
          actor_id: flags.byActor,
          case_id: flags.case,
          cursor: flags.cursor,
          lane_id: flags.lane,
          limit: flags.limit,
          run_kind: flags.kind as 'agent' | undefined,
          since: flags.since,
          status: flags.state as 'created' | undefined,
          until: flags.until,
        }),
      )
      const rows = listing.runs.map(({ actor, created_at_utc, run_id, run_kind, status }) => [
        run_id,
        run_kind,
        listing.lease_expired.includes(run_id) ? `${status}, lease expired` : status,
        actor?.actor_id ?? '',
        relativeTime(created_at_utc),
      ])
      const text = rows.length === 0 ? 'no runs' : await table(['RUN', 'KIND', 'STATE', 'ACTOR', 'CREATED'], rows)
      print(globals, listing, () => [text, ...(listing.next === null ? [] : [`more: --cursor ${listing.next}`])])
    })
  return examples(command, 'lockstep run list --state running', 'lockstep run list --case CASE-17 --limit 20 --json')
}
