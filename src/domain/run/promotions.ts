import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import type { Refusal } from '../../kernel/decider.ts'
import { sharesKnowledge } from '../policy/effects.ts'
import { type RunCase, refused } from './case.ts'
import type { OpenAction } from './state.ts'

// Shared knowledge is put out only by an allowed write to it, which has its ticket, decision and event (ADR 0055).

/**
 * PROMOTION_NOT_RECORDED, recorded: an output with the scope `shared` that no successful write of the run to shared
 * knowledge put out. `action` is the allowed action that the outputs are recorded for.
 */
export function refuseUnshared(
  of: RunCase,
  outputs: readonly ArtifactRef[] = [],
  { action, command }: { action?: OpenAction; command: string },
): Refusal | undefined {
  if (action !== undefined && sharesKnowledge(action)) return undefined
  const invented = outputs.find((output) => output.scope === 'shared' && !isIn(of.run.shared ?? [], output))
  if (invented === undefined) return undefined
  const message = `no write of ${of.run.run_id} to shared knowledge put out ${invented.artifact_id}`
  return refused(of, { code: 'PROMOTION_NOT_RECORDED', command, message })
}

/** PROMOTION_NOT_RECORDED, recorded: a promotion run that promoted nothing cannot complete. */
export function refuseUnpromoted(of: RunCase, command: string): Refusal | undefined {
  const { manifest, run_id, shared = [] } = of.run
  if (manifest.run_kind !== 'promotion' || shared.length > 0) return undefined
  const message = `no promotion of ${run_id} is recorded as a success, so the run cannot complete`
  return refused(of, { code: 'PROMOTION_NOT_RECORDED', command, message })
}

function isIn(outputs: readonly ArtifactRef[], { artifact_id, hash_sha256 }: ArtifactRef): boolean {
  return outputs.some((known) => known.artifact_id === artifact_id && known.hash_sha256 === hash_sha256)
}
