import { sorted } from '../../kernel/canonical.ts'
import { given } from '../../kernel/given.ts'
import type { Pins } from './events.ts'
import type { RunRecord } from './run-record.ts'
import { type RunState, versionsOf } from './state.ts'
import { lastPromotedTurnId, mayHaveTurns, phaseOf } from './turns.ts'

/** The record of a run in Contract v1. It depends only on the row of the run. */
export function recordOf(state: RunState): RunRecord {
  const { actor, metadata, phase: _, pins, run_id, run_kind, ...manifest } = state.manifest
  const { ended, lease, started } = state
  const record: RunRecord = {
    ...manifest,
    actor: {
      actor_id: actor.actor_id,
      actor_type: actor.actor_type,
      ...given({ authn: state.authn }),
      ...(state.lane_id === null ? {} : { lane_id: state.lane_id }),
      ...given({ on_behalf_of: actor.on_behalf_of, role_id: actor.role_id }),
    },
    ...(state.case_id === null ? {} : { case_id: state.case_id }),
    contract_version: 'v1',
    ...(state.correlation_id === null ? {} : { correlation_id: state.correlation_id }),
    created_at_utc: state.created_at,
    ...(mayHaveTurns(run_kind) ? { last_promoted_turn_id: lastPromotedTurnId(state.turns) } : {}),
    ...(metadata ? { metadata } : {}),
    ...(state.parent_run_id === null ? {} : { parent_run_id: state.parent_run_id }),
    ...(state.pins === null ? {} : { pin_evidence: evidenceOf(state.pins) }),
    ...(state.turns === undefined ? {} : { phase: phaseOf(state) }),
    policy_versions: versionsOf(state.pins),
    root_run_id: state.root_run_id,
    run_id,
    run_kind,
    status: state.status,
    ...(started === null ? {} : { started_at_utc: started.at }),
    ...(state.taxonomy_versions ? { taxonomy_versions: state.taxonomy_versions } : {}),
    ...(lease === null
      ? {}
      : { lease: { expires_at_utc: lease.expires_at ?? '', lease_duration_s: lease.lease_duration_s ?? 1 } }),
    ...(state.outputs.length === 0 ? {} : { outputs: { artifact_refs: [...state.outputs] } }),
    ...(ended === null
      ? {}
      : {
          completed_at_utc: ended.at,
          outcome: ended.outcome,
          ...(ended.duration_ms === null ? {} : { duration_ms: ended.duration_ms }),
          ...(ended.error ? { error: ended.error } : {}),
        }),
  }
  return structuredOf(record)
}

function evidenceOf({ lanes, roles }: Pins): RunRecord['pin_evidence'] {
  const of = ({ sha256, source }: Pins['lanes']) => ({ sha256, source })
  return { lanes: of(lanes), roles: of(roles) }
}

/** Members are in canonical order, so that two records of one row have the same bytes. */
function structuredOf(record: RunRecord): RunRecord {
  return sorted(record as never) as RunRecord
}
