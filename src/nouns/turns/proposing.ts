import type { z } from 'zod'
import type { StageTurn, stageSchema } from '../../domain/turn/commands.ts'
import { type Measure, Proposal } from '../../domain/turn/proposal.ts'
import { type Core, sha256Hex } from '../../writer/core.ts'

/** A proposal for the sequencer, and the objects to store before it. */
export interface ToStage {
  proposal: StageTurn['proposal']
  objects?: ReadonlyMap<string, string>
  /** Caches what validation and promotion will read. Called once the proposal is staged. */
  keep: () => void
}

/** The longest time to read a proposal, in milliseconds, before other callers may run. */
const readMillisMax = 8

/**
 * Reads a caller's proposal in short steps, so that other callers can run in between. Problems in the proposal are
 * returned in it as issues.
 */
export async function readProposal(core: Core, asked: z.output<typeof stageSchema>): Promise<ToStage> {
  const { delete_stem, issues, tombstones, triplets, turn_id } = asked
  const proposal = new Proposal(turn_id, { bounds: core.config.turn_limits, issues, measure })
  let until = performance.now() + readMillisMax
  const isTaken = proposal.takes(Math.max(triplets.length + tombstones.length, delete_stem.length))
  if (isTaken) {
    for (const [index, triplet] of triplets.entries()) {
      proposal.add(triplet, index)
      if (performance.now() < until) continue
      await new Promise(setImmediate)
      until = performance.now() + readMillisMax
    }
  }
  const read = isTaken ? proposal.read(tombstones, delete_stem) : proposal.read([], [])
  if ('issues' in read) return { proposal: read, keep: () => {} }
  const { bytes, links, manifest, objects, set } = read
  const counts = {
    delete_stem: set.delete_stem.length,
    tombstones: set.tombstones.length,
    triplets: set.triplets.length,
  }
  return {
    proposal: { bytes, counts, manifest_digest: manifest.digest },
    objects: new Map([...objects, [manifest.digest, manifest.text]]),
    keep: () => {
      core.views.keep(manifest.digest, set, manifest.text.length)
      for (const [digest, { text, value }] of links) core.views.keep(digest, value, text.length)
    },
  }
}

const measure: Measure = (text) => ({ bytes: Buffer.byteLength(text), digest: sha256Hex(text) })
