import type { Selection } from '../../domain/approval/exported.ts'
import type { ApprovalState } from '../../domain/approval/state.ts'
import type { ExportManifest, Stated } from '../../domain/export/bundle.ts'
import { statedIn } from '../../domain/export/manifest.ts'
import type { SelectedFacts } from '../../domain/export/selection.ts'

/** What the owner of the key says about a bundle, and nothing in it shows. The owner could have said otherwise. */
export interface ClaimedByOwner {
  /** The role that each approver had, by the decision of the ledger. */
  approver_roles: { approved_by: string; role_id: string }[]
  bundle_kind: ExportManifest['bundle_kind']
  /** That no selected entry is left out; null if the entries show it, as in a range. */
  complete: string | null
  /** The time of the last entry of the tree, and the ledger that wrote the bundle. */
  created_at_utc: string
  created_by: string
  /** Why the selection ends with its last entry. */
  ends: string
  /** How many runs had not ended: the entries of their ends may have been left out. */
  open_runs: number
  policy_versions: ExportManifest['policy_versions']
  /** What the exporter stated: name, description, matter, redaction. */
  stated: Stated
}

/** Tells what is claimed from what is proven. The manifest must be the one that follows from the entries. */
export function claimedIn(
  manifest: ExportManifest,
  of: { approvals: readonly ApprovalState[]; selected: SelectedFacts; selection: Selection; size: number },
): ClaimedByOwner {
  const { bundle_kind, created_at_utc, created_by, policy_versions } = manifest
  return {
    approver_roles: of.approvals.map(({ actor }) => ({ approved_by: actor.actor_id, role_id: actor.role_id ?? '' })),
    bundle_kind,
    complete: completeness(of.selection, of.size),
    created_at_utc,
    created_by,
    ends: manifest.contents.filters?.find(({ key }) => key === 'ends')?.value ?? '',
    open_runs: of.selected.open_runs,
    policy_versions,
    stated: statedIn(manifest),
  }
}

/**
 * What nothing in the bundle shows. Each entry names the one before it in its run and lock, and a range has every seq, so
 * a gap shows. An end that was left out does not show, and neither does a whole run.
 */
function completeness(selection: Selection, size: number): string | null {
  if ('from' in selection) return null
  if ('lock' in selection) return `no later entry of the lock below size ${size} was left out`
  if ('case_id' in selection) return `no run of the case, and no end of a run, below size ${size} was left out`
  return `no run below this run, and no end of a run, below size ${size} was left out`
}
