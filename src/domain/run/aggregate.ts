import { defineAggregate, stream } from '../../kernel/aggregate.ts'
import type { Entry } from '../../kernel/entry.ts'
import { limits } from '../../kernel/limits.ts'
import { rowsOn, shortened } from '../../kernel/rendering.ts'
import type { RunCommand } from './commands.ts'
import { decide, reads } from './decide.ts'
import { decidedUnder } from './decided-under.ts'
import { runEventSchemas } from './events.ts'
import { evolveRetry } from './retries.ts'
import { evolve, statusAfter } from './state.ts'
import { evolveWorkflow } from './workflows.ts'

const runRow = rowsOn('run', { from: 'run_id' })

/** The codes of refusals for lack of permission. */
const denials = {
  BUNDLE_NOT_RECORDED: 'deny',
  FREE_TEXT_DENIED: 'deny',
  NOT_RUN_ACTOR: 'deny',
  PROMOTION_NOT_RECORDED: 'deny',
  RUN_ANCESTOR_ENDED: 'deny',
  RUN_NOT_ACTIVE: 'deny',
} as const
const decisions = { RUN_ANCESTOR_ENDED: 'authz_decision', RUN_NOT_ACTIVE: 'authz_decision' } as const

/**
 * Runs, each with its own stream, which also has the events of its turns; the retries of failed runs; and the cases of
 * workflows.
 */
export const runAggregate = defineAggregate({
  commands: ['run'],
  streams: {
    retry: stream({ evolve: evolveRetry }),
    run: stream({ evolve, keepsTexts: 'row' }),
    workflow: stream({ evolve: evolveWorkflow }),
  },
  events: runEventSchemas,
  rendering: {
    'run.created': runRow('run.create', 'success', 'info'),
    'run.decided': {
      action_type: 'authz_decision',
      outcome: { from: 'decision' },
      severity: { from: 'decision', cases: { deny: 'warn' }, otherwise: 'info' },
      target: { from: 'target' },
      outcome_reason: ['reason'],
    },
    'run.started': runRow('run.start', 'success', 'info'),
    'run.renewed': runRow('run.heartbeat', 'success', 'info'),
    'run.acted': {
      action_type: { from: 'action_type' },
      outcome: { from: 'outcome' },
      severity: { from: 'outcome', cases: { failure: 'warn' }, otherwise: 'info' },
      target: { from: 'target' },
      outcome_reason: ['outcome_reason'],
    },
    'run.completed': runRow('run.complete', 'success', 'info', 'outcome_reason'),
    'run.failed': runRow('run.fail', 'failure', 'error', 'outcome_reason'),
    'run.denied': runRow('run.deny', 'deny', 'warn', 'outcome_reason'),
    'run.cancelled': runRow('run.cancel', 'failure', 'warn', 'outcome_reason'),
    'run.retried': runRow('run.retry', 'success', 'info'),
    'workflow.claimed': rowsOn('system', { from: 'workflow_id' })('workflow.claim', 'success', 'info'),
    'workflow.governed': rowsOn('system', { from: 'workflow_id' })('workflow.govern', 'success', 'info'),
    'run.refused': {
      action_type: { from: 'code', cases: decisions, otherwise: 'system' },
      outcome: { from: 'code', cases: denials, otherwise: 'failure' },
      severity: 'warn',
      target: { target_type: 'run', name: { from: 'name' }, operation: { from: 'command' } },
      outcome_reason: ['code'],
    },
  },
  facts,
  *objects({ data }) {
    if (data.record_digest !== undefined) yield { digest: String(data.record_digest), kind: 'export_record' }
  },
  reads,
  decide: (command: RunCommand, context, rows) => decidedUnder(decide(command, context, rows), context),
})

/** The facts that audit events have under other names, or that only some events have. */
function facts({ data, event_id, policy_versions, type }: Entry): Readonly<Record<string, unknown>> {
  switch (type) {
    case 'run.created':
      return { input_artifacts: refsIn(data.inputs), notes: data.notes, transition: { from: null, to: 'created' } }
    case 'run.decided': {
      const [rule] = data.rule_ids as string[]
      const authz = {
        decision: data.decision,
        policy_ref: `lanes@${policy_versions.lanes}`,
        rule_id: rule === undefined ? undefined : shortened(rule, ruleCharsMax),
        scope: data.scope,
      }
      return { authz, decision_id: event_id, input_artifacts: data.artifacts }
    }
    case 'run.started':
      return { taxonomy_versions: data.taxonomy_versions, transition: { from: 'created', to: 'running' } }
    case 'run.acted': {
      const { decision_id, error, output_artifacts, request_hash_sha256, response_hash_sha256 } = data
      return { decision_id, error, output_artifacts, request_hash_sha256, response_hash_sha256 }
    }
    case 'run.refused':
      return { transition: data.move }
    case 'run.completed':
    case 'run.failed':
    case 'run.denied':
    case 'run.cancelled': {
      // A run that never started has no duration.
      const transition = { from: data.duration_ms === null ? 'created' : 'running', to: statusAfter[type] }
      return { error: errorOf(data.error), output_artifacts: data.output_artifacts, transition }
    }
    default:
      return {}
  }
}

function refsIn(inputs: unknown): unknown {
  return (inputs as { artifact_refs?: unknown } | null | undefined)?.artifact_refs
}

/** The location of the stack trace is only in the record of the run. */
function errorOf(error: unknown): unknown {
  if (error === null || typeof error !== 'object') return undefined
  const { stack_ref: _, ...rest } = error as Record<string, unknown>
  return rest
}

/** A code unit takes at most three bytes, so the text fits into a line. */
const ruleCharsMax = Math.floor(limits.nameBytes / 3)
