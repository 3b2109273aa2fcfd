import type { z } from 'zod'
import type { StageTurn, stageSchema } from '../core/turn/commands.ts'
import { type Measure, Proposal } from '../core/turn/proposal.ts'
import { type Core, sha256Hex } from './core.ts'

/** A proposal as it goes to the sequencer, and the objects that are stored before. */
export interface ToStage {
  proposal: StageTurn['proposal']
  objects?: ReadonlyMap<string, string>
  /** Keeps what validation and promotion read, once it is staged. */
  keep: () => void
}

/** How long a proposal is read before others get their turn. */
const readMillisMax = 8

/** Reads what a caller proposes, in turns with whatever else there is to do. What is wrong with it is its answer. */
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
      core.sovereign.keep(manifest.digest, set, manifest.text.length)
      for (const [digest, { text, value }] of links) core.sovereign.keep(digest, value, text.length)
    },
  }
}

const measure: Measure = (text) => ({ bytes: Buffer.byteLength(text), digest: sha256Hex(text) })
