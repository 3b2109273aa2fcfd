import type { Command } from 'commander'
import type { DecidedAction } from '../api/shapes/runs.ts'
import { codes, LockstepError } from '../errors.ts'
import { runLines } from './run-text.ts'
import { verb } from './verb.ts'

/** The members of an action as options: the same for every verb that takes an action. */
export const actionFlags = {
  'action.action_type': { name: 'action' },
  'action.artifacts': { name: 'artifacts' },
  'action.command': {
    about: 'what a tool call runs: {"argv": […], "program": {"found": …, "real": …}}',
    name: 'command',
  },
  'action.bundle': { about: 'what an export hands out, with its approvals: {"bundle_kind": …}', name: 'bundle' },
  'action.effects': { about: 'an effect of the action, in the words that lanes use to prohibit effects' },
  'action.lane_id': { about: 'the lane of the action' },
  'action.scope': { about: 'a member of the scope', isOptional: true },
  'action.target.mode': { about: 'the kind of access to a table, such as append' },
  'action.target.name': { about: 'the name of the tool or table', name: 'target' },
}
export const actionMembers = ['action', 'action.target']

/** An action without options for its scope has an empty scope. */
export function withScope<Values extends { action?: unknown }>(values: Values): Values {
  return { ...values, action: { scope: {}, ...(values.action as object) } }
}

export function authorizeVerb(): Command {
  return verb('authorize', 'runs.authorize', {
    arguments: ['run_id'],
    expand: actionMembers,
    flags: actionFlags,
    input: withScope,
    more: 'The exit code is 0 for allow, and 4 for deny, which ends the run as denied.',
    lines: decidedLines,
    exit: exitOf,
    examples: [
      'lockstep run authorize run_draft1 --action tool_call --lane shell --target test.unit --scope run_id=run_draft1',
      'lockstep run authorize run_draft2 --action db_write --lane edit --target agent_notes --mode append --scope run_id=run_draft2',
    ],
  })
}

/** The exit code of a decision. */
export function exitOf({ decision }: { decision: 'allow' | 'deny' }): number {
  return decision === 'deny' ? codes.RUN_DENIED.exit : 0
}

/** A decision, for people. An explanation has no decision_id. A repeated request says when it was decided. */
export function decidedLines(
  decided: Omit<DecidedAction, 'decision_id' | 'replayed'> & { decision_id?: string; replayed?: boolean },
): string[] {
  const { decision, decision_id = '', missing, reason, replayed = false, rule_ids } = decided
  return [
    `${decision}${reason === null ? '' : `: ${reason}`} by ${rule_ids.join(', ')}`,
    ...(missing.length === 0 ? [] : [`missing: ${missing.join(', ')}`]),
    ...(decision_id === '' ? [] : [`decision_id ${decision_id}`]),
    // The decision_id ends with the seq of its entry.
    ...(replayed ? [`decided earlier, in entry ${decision_id.split('_').at(-1)}; nothing was decided now`] : []),
  ]
}

export function recordVerb(): Command {
  return verb('record', 'runs.record', {
    arguments: ['run_id'],
    expand: ['error'],
    flags: {
      action_type: false,
      'error.error_code': { about: 'a code for the error; add --message to explain it' },
      'error.message': { about: 'the text of the error, without private data' },
      outcome_reason: { about: 'the reason for the outcome (outcome_reason)' },
      target: false,
    },
    more: 'Each action is recorded once.',
    input: (values) => {
      if (values.error === undefined) return values
      const { error_code, message = error_code, retryable = false } = values.error as Record<string, unknown>
      if (error_code === undefined)
        throw new LockstepError('INVALID_INPUT', '--message and --retryable need --error-code')
      return { ...values, error: { error_code, message, retryable } }
    },
    lines: runLines,
    examples: [
      'lockstep run record run_draft1 --decision evt_abc_7 --outcome success --outputs refs.json',
      'lockstep run record run_draft1 --decision evt_abc_7 --outcome failure --error-code TIMEOUT --message "no answer"',
    ],
  })
}
