import type { WitnessedFile } from '../../domain/export/manifest.ts'
import { sha256 } from '../../log/sha256.ts'
import { isSignatureOf } from '../../log/signer.ts'
import { overTiles } from '../../log/tiles.ts'
import { toHex } from '../../merkle/hash.ts'
import { consistencyProof } from '../../merkle/proofs.ts'
import { verifyQuorum, type WitnessPolicy } from '../../merkle/witness-policy.ts'
import { newestQuorum } from '../../witness/kept-notes.ts'
import { configuredPolicy } from '../../witness/sync.ts'
import type { Core } from '../../writer/core.ts'
import type { Growth, Kept, KeptHead } from '../kept-checkpoints.ts'
import type { Texts } from './bundle-read.ts'
import { failed, parsed } from './export-lines.ts'

/**
 * The files about witnesses for a bundle of the tree of `size`: the newest checkpoint that a quorum of the configured
 * policy cosigned, and the proof between both trees. Undefined without witnesses or without a quorum. Errors:
 * INVALID_INPUT (the policy), NOT_FOUND, FILE_DENIED.
 */
export async function witnessedFilesOf(core: Core, size: number): Promise<Map<WitnessedFile, string> | undefined> {
  const { config, layout, log } = core
  if (config.witness === undefined) return undefined
  const { origin } = log.meta
  const kept = await newestQuorum(layout, { origin, policy: await configuredPolicy(layout, config.witness.policy) })
  const head = log.head()
  if (kept === undefined || kept.checkpoint.size > head.size) return undefined
  const [from = 0, to = 0] = [kept.checkpoint.size, size].sort((left, right) => left - right)
  const proof = await overTiles(log, (tiles) => consistencyProof(from, to, tiles, sha256))
  return new Map<WitnessedFile, string>([
    ['witnessed/checkpoint', kept.note],
    ['witnessed/consistency.json', `${JSON.stringify({ from, proof: proof.map(toHex), to })}\n`],
  ])
}

/** A witness that cosigned, and the time in seconds since 1970. */
export interface WitnessOfExport {
  name: string
  timestamp: number
}

/** What a bundle says about witnesses: its cosigned checkpoint, and the proof between it and the exported tree. */
export interface WitnessedInBundle {
  growth: Growth
  kept: Kept
}

/** The files about witnesses in a bundle; undefined if it has none. Errors: VERIFY_FAILED (`witnesses`). */
export function witnessedIn(texts: Texts): WitnessedInBundle | undefined {
  const note = texts.get('witnessed/checkpoint')
  if (note === undefined) return undefined
  const growth = parsed(texts.get('witnessed/consistency.json') ?? '') as Partial<Growth> | undefined
  const { from, proof, to } = growth ?? {}
  const isGrowth = Number.isSafeInteger(from) && Number.isSafeInteger(to) && Array.isArray(proof)
  if (!isGrowth || !proof.every((hash) => typeof hash === 'string'))
    throw failed('witnesses', 'witnessed/consistency.json is not a proof')
  return { growth: growth as Growth, kept: { file: 'witnessed/checkpoint', note } }
}

/** The tree that a quorum of a policy saw. Errors: VERIFY_FAILED (`witnesses`). */
export async function witnessesOf(
  witnessed: (WitnessedInBundle & { head: KeptHead }) | undefined,
  policy: WitnessPolicy,
): Promise<{ root: string; size: number; witnesses: WitnessOfExport[] }> {
  if (witnessed === undefined) throw failed('witnesses', 'the bundle has no checkpoint that witnesses cosigned')
  const quorum = await verifyQuorum(witnessed.kept.note, policy, isSignatureOf)
  if (!quorum.ok) throw failed('witnesses', quorum.reason)
  const { root, size } = witnessed.head
  return { root, size, witnesses: quorum.value.map(({ key, timestamp }) => ({ name: key.name, timestamp })) }
}
