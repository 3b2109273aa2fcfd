import type { Command } from 'commander'
import type { RunList, RunTree } from '../api/shapes/runs.ts'
import type { RunRecord } from '../domain/run/run-record.ts'
import { whoText } from './audit-text.ts'
import { table, timeText } from './output.ts'
import { authorizeVerb, recordVerb } from './run-actions.ts'
import { execCommand } from './run-exec.ts'
import { runLines, whyLines } from './run-text.ts'
import { noun, toggle, verb } from './verb.ts'

export function runsCommand(asked?: string): Command {
  const verbs = {
    create: createVerb,
    start: startVerb,
    heartbeat: heartbeatVerb,
    complete: completeVerb,
    fail: failVerb,
    deny: denyVerb,
    cancel: cancelVerb,
    recover: recoverVerb,
    retry: retryVerb,
    authorize: authorizeVerb,
    record: recordVerb,
    exec: execCommand,
    show: showVerb,
    why: whyVerb,
    tree: treeVerb,
    list: listVerb,
  }
  return noun('run', verbs, asked, [
    'lockstep run create --kind orchestrator --case CASE-17',
    'lockstep run why run_draft1',
  ])
}

function createVerb(): Command {
  return verb('create', 'runs.create', {
    expand: ['inputs'],
    flags: {
      data_classification: false,
      'inputs.parameters_hash_sha256': false,
      'inputs.artifact_refs': { about: 'the inputs: an array of artifact refs', name: 'inputs' },
      lane_id: { about: 'the lane of the run; every kind except orchestrator needs one to start' },
      root_run_id: false,
      role_id: { about: 'the role that the actor claims; every kind except orchestrator needs one to start' },
      run_actor: { about: 'the actor of the run (default: the actor that creates it)' },
      tags: { about: 'a tag' },
      workflow_state: false,
    },
    more: 'It cannot act before "run start".',
    lines: runLines,
    examples: [
      'lockstep run create --kind orchestrator --case CASE-17',
      'lockstep run create --kind tool_gateway --parent run_draft1 --lane shell --role agent',
    ],
  })
}

function startVerb(): Command {
  return verb('start', 'runs.start', {
    arguments: ['run_id'],
    expand: ['policy_versions'],
    flags: {
      contract_version: false,
      lease_duration_s: { about: 'mark the run as failed if no heartbeat arrives within this time' },
      'policy_versions.lanes': { about: 'the pin of lanes.yaml that the caller expects', name: 'pin-lanes' },
      'policy_versions.roles': { about: 'the pin of roles.yaml that the caller expects', name: 'pin-roles' },
      taxonomy_versions: { about: 'the version of a taxonomy that the run uses' },
    },
    more: 'A run that the policy does not allow is denied.',
    lines: runLines,
    examples: ['lockstep run start run_draft1 --lease 10m', 'lockstep run start run_draft1 --pid 4711 --lock reports'],
  })
}

function heartbeatVerb(): Command {
  return verb('heartbeat', 'runs.heartbeat', {
    arguments: ['run_id'],
    lines: runLines,
    examples: ['lockstep run heartbeat run_draft1', 'lockstep run heartbeat "$RUN_ID" --json'],
  })
}

function completeVerb(): Command {
  return verb('complete', 'runs.complete', {
    arguments: ['run_id'],
    flags: { outcome_reason: { about: 'the result of the run (outcome_reason)' } },
    lines: runLines,
    examples: [
      'lockstep run complete run_draft1 --reason "interview captured"',
      'lockstep run complete run_draft1 --reason done --release-lock',
    ],
  })
}

function failVerb(): Command {
  return verb('fail', 'runs.fail', {
    arguments: ['run_id'],
    expand: ['error'],
    flags: {
      'error.message': { about: 'the text of the error, without private data' },
      'error.retryable': { about: 'allow the run to be retried', fallback: false },
      'error.stack_ref': false,
      outcome_reason: { about: 'the reason for the outcome (default: the error code)', isOptional: true },
      output_artifacts: { about: 'partial outputs, if the lane allows them' },
    },
    input: (values) => ({ outcome_reason: (values.error as { error_code?: string })?.error_code, ...values }),
    lines: runLines,
    examples: [
      'lockstep run fail run_draft1 --error-code TIMEOUT --message "no answer in 30 s" --retryable',
      'lockstep run fail run_draft1 --error-code BAD_INPUT --message "the recording is empty" --reason empty',
    ],
  })
}

function denyVerb(): Command {
  return verb('deny', 'runs.deny', {
    arguments: ['run_id'],
    lines: runLines,
    examples: ['lockstep run deny run_draft1 --reason "no consent"', 'lockstep run deny "$RUN_ID" --reason held'],
  })
}

function cancelVerb(): Command {
  return verb('cancel', 'runs.cancel', {
    arguments: ['run_id'],
    call: async ({ runs }, input, { given }): Promise<{ cancelled_below?: number; run: RunRecord }> =>
      given.tree ? runs.cancelTree(input) : { run: await runs.cancel(input) },
    document: ({ run, ...more }) => ({ ...run, ...more }),
    lines: ({ cancelled_below, run }) => [
      ...runLines(run),
      ...(cancelled_below === undefined ? [] : [`${cancelled_below} runs below it have ended with it`]),
    ],
    own: { tree: toggle('--tree', 'also cancel every run below it that has not ended; safe to repeat') },
    examples: [
      'lockstep run cancel run_draft1 --reason "client left"',
      'lockstep run cancel run_draft1 --reason over --tree',
    ],
  })
}

function recoverVerb(): Command {
  return verb('recover', 'runs.recover', {
    arguments: ['run_id'],
    more: 'A run whose processes are alive, or may be, is refused. A run with a lease ends with its lease.',
    lines: runLines,
    examples: [
      'lockstep run recover run_draft1 --reason "the machine was switched off"',
      'lockstep run recover "$RUN_ID" --reason killed',
    ],
  })
}

function retryVerb(): Command {
  return verb('retry', 'runs.retry', {
    arguments: ['run_id'],
    more: 'The failed run must be marked as retryable.',
    lines: runLines,
    examples: [
      'lockstep run retry run_draft1 --reason "the tool answers again"',
      'lockstep run retry run_draft1 --reason again --new-run-id run_draft2',
    ],
  })
}

function showVerb(): Command {
  return verb('show', 'runs.get', {
    arguments: ['run_id'],
    lines: runLines,
    examples: ['lockstep run show run_draft1', 'lockstep run show run_draft1 --json'],
  })
}

function whyVerb(): Command {
  return verb('why', 'runs.why', {
    arguments: ['run_id'],
    more: 'It names the last event, missing events, the denying rule, lock, lease and possible moves.',
    lines: whyLines,
    examples: ['lockstep run why run_draft1', 'lockstep run why run_draft1 --json | jq .denied'],
  })
}

function treeVerb(): Command {
  return verb('tree', 'runs.tree', {
    arguments: ['run_id'],
    isLong: true,
    lines: (tree) => treeLines(tree),
    examples: ['lockstep run tree run_draft1', 'lockstep run tree run_draft1 --json'],
  })
}

function treeLines({ children, run }: RunTree, indent = ''): string[] {
  const lane = run.actor?.lane_id ? `  ${run.actor.lane_id}` : ''
  const line = `${indent}${run.run_id}  ${run.run_kind}  ${run.status}${lane}  ${whoText(run.actor ?? {})}`
  return [line, ...children.flatMap((child) => treeLines(child, `${indent}  `))]
}

function listVerb(): Command {
  return verb('list', 'runs.list', {
    flags: {
      cursor: { about: 'list the runs after this one; the page before prints it as "more"' },
      status: { name: 'state' },
    },
    isLong: true,
    items: ({ runs }) => runs,
    lines: listLines,
    examples: ['lockstep run list --orphans', 'lockstep run list --case CASE-17 --limit 20 --json'],
  })
}

async function listLines({ lease_expired, next, process_dead, runs }: RunList): Promise<string[]> {
  if (runs.length === 0) return ['no runs']
  const rows = runs.map(({ actor, created_at_utc, run_id, run_kind, status }) => [
    run_id,
    run_kind,
    `${status}${lease_expired.includes(run_id) ? ', lease expired' : process_dead.includes(run_id) ? ', process dead' : ''}`,
    whoText(actor ?? {}),
    timeText(created_at_utc),
  ])
  const more = next === null ? [] : [`more: --cursor ${next}`]
  return [...(await table(['RUN', 'KIND', 'STATE', 'ACTOR', 'CREATED'], rows)), ...more]
}
