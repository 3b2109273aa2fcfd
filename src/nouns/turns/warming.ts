import type { RunState } from '../../domain/run/state.ts'
import type { Identity } from '../../domain/turn/links.ts'
import type { StagedSet } from '../../domain/turn/triplet.ts'
import { carriedBy, Workspace, workspaceOf } from '../../domain/turn/workspace.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import type { Core } from '../../writer/core.ts'

/** A turn with fewer stems is not warmed; the sequencer reads its rows itself. */
const stemsMin = 64
const stemsAtOnce = 128

/**
 * Loads the rows that the decision on a large turn will read into memory, in steps. So the sequencer itself need not
 * read them, and other callers can run in between. The decision still uses the state at its own time.
 */
export async function warm({ views }: Core, runId: string): Promise<void> {
  const run = (await views.row(streamOfRun(runId)))?.state as RunState | undefined
  const staged = run?.turns?.open?.staged
  if (run === undefined || !staged || staged.counts.triplets + staged.counts.tombstones < stemsMin) return
  const set = (await views.object(staged.manifest_digest)) as StagedSet
  const { object, state } = views.loaded
  const rows = { get: () => undefined, state, object, digest: () => '' }
  const workspace = new Workspace(workspaceOf({ run_id: runId, workflow_id: run.manifest.workflow_id }), rows)
  const stems = [...set.triplets, ...set.tombstones]
  for (let at = 0; at < stems.length; at += stemsAtOnce) {
    await new Promise(setImmediate)
    await views.untilLoaded(() => {
      for (const triplet of stems.slice(at, at + stemsAtOnce)) read(workspace, triplet)
    })
  }
}

function read(workspace: Workspace, triplet: StagedSet['triplets'][number] | StagedSet['tombstones'][number]): void {
  const identities = (identity: Identity | undefined): void => void (identity && workspace.identity(identity))
  const { dto_type, id, stem } = triplet
  const old = workspace.triplet(stem)
  workspace.twinOf(stem)
  identities(carriedBy({ dto_type, id }))
  if (old !== undefined) identities(carriedBy(old))
  for (const digest of [old?.links_digest, 'links_digest' in triplet ? triplet.links_digest : undefined]) {
    if (digest !== undefined) workspace.refs(digest, stem).forEach(identities)
  }
}
