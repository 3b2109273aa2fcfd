import type { Exported } from '../../domain/approval/exported.ts'
import { brokenRules } from '../../domain/approval/judge.ts'
import { type ApprovalState, approvalIn, evolve, streamOfApproval } from '../../domain/approval/state.ts'
import type { ApprovalFile } from '../../domain/export/manifest.ts'
import { invariant } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import { given } from '../../kernel/given.ts'
import type { StoredEntry } from '../../log/free-texts.ts'
import { leafHashOfText } from '../../log/leaf.ts'
import { sha256 } from '../../log/sha256.ts'
import { isSignatureOf } from '../../log/signer.ts'
import { inclusionProofsOf, overTiles } from '../../log/tiles.ts'
import { fromHex, toHex } from '../../merkle/hash.ts'
import { type KeyInForce, verifyHeadByKeys } from '../../merkle/keys.ts'
import { consistencyProof, verifyConsistency, verifyInclusion } from '../../merkle/proofs.ts'
import type { Core } from '../../writer/core.ts'
import { disclosedEntry, proofIn, proofLine } from './disclosed-entry.ts'
import { entryIn, failed, parsed } from './export-lines.ts'

/** The approvals that an export used, in the order of the ledger, and the files that prove them. */
export interface ProvenApprovals {
  approvals: readonly ApprovalState[]
  files: ReadonlyMap<ApprovalFile, string>
}

/**
 * The proof that an export used these approvals: the entries that gave and used them, each with its inclusion proof in
 * the tree after the decision, that tree's signed head, and the proof that it continues the exported tree. Undefined
 * if the export names no approval. Errors: those of `signersOf`. Cost: two reads and two proofs for each approval.
 */
export async function proveApprovals(
  { log, views }: Core,
  approvalIds: readonly string[],
  size: number,
): Promise<ProvenApprovals | undefined> {
  if (approvalIds.length === 0) return undefined
  const at = log.head().size
  const approvals: ApprovalState[] = []
  for (const id of approvalIds) {
    const approval = approvalIn(await views.row(streamOfApproval(id)))
    invariant(approval !== undefined && approval.used !== null, `${id} was used by the decision`)
    approvals.push(approval)
  }
  approvals.sort((one, other) => one.seq - other.seq)
  const proofOf = inclusionProofsOf(log, at)
  const lines: { entries: string[]; proofs: string[] } = { entries: [], proofs: [] }
  for (const seq of [
    ...approvals.map(({ seq }) => seq),
    ...approvals.map(({ used }) => used?.seq ?? 0).sort(byValue),
  ]) {
    const [stored] = (await log.load([{ view: 'stored', key: seq }])) as [StoredEntry]
    lines.entries.push(`${stored.text}\n`)
    lines.proofs.push(`${proofLine(stored, { proof: await proofOf(seq), seq, withheld: [] })}\n`)
  }
  const between = (await overTiles(log, (tiles) => consistencyProof(size, at, tiles, sha256))).map(toHex)
  return {
    approvals,
    files: new Map([
      ['approvals/checkpoint', (await log.sign(at)).note],
      ['approvals/consistency.json', `${JSON.stringify({ from: size, proof: between, to: at })}\n`],
      ['approvals/entries.jsonl', lines.entries.join('')],
      ['approvals/inclusion.jsonl', lines.proofs.join('')],
    ]),
  }
}

const byValue = (one: number, other: number) => one - other

/** An approval in a bundle. */
export interface VerifiedApproval {
  approval_id: string
  approval_type: string
  approved_at_utc: string
  approved_by: string
  expires_at: string | null
  notes?: string
  role_id: string
}

/** The tree that a bundle exports, and the keys that may sign heads. */
interface Exporting {
  keys: readonly KeyInForce[]
  origin: string
  root: Uint8Array
  size: number
}

/**
 * Checks the approvals in a bundle without a ledger, and returns them and the tree that they are in. Each was given and used in a tree that continues
 * the exported one, and binds this export; its approvers are distinct humans other than the exporter. Whether they had
 * their roles is the ledger's decision. Errors: VERIFY_FAILED (`approvals`).
 */
export async function checkApprovals(
  texts: ReadonlyMap<string, string>,
  tree: Exporting,
  bundle: Exported,
): Promise<{ approvals: ApprovalState[]; tree: { root: string; size: number } }> {
  const text = (name: ApprovalFile) => texts.get(name) ?? ''
  const later = await laterTree(text, tree)
  const proofs = linesOf(text('approvals/inclusion.jsonl'))
  const entries: Entry[] = []
  for (const [index, line] of linesOf(text('approvals/entries.jsonl')).entries()) {
    const recorded = entryIn(line)
    const leafHash = leafHashOfText(line)
    const proof = recorded && proofIn(proofs[index] ?? '', toHex(leafHash), recorded.seq)
    const claim = { leafHash, proof: proof?.hashes ?? [], root: later.root, seq: recorded?.seq ?? 0, size: later.size }
    if (recorded === undefined || proof === undefined || !(await verifyInclusion(claim, sha256))) {
      throw failed('approvals', `line ${index + 1} is not an entry of the tree of size ${later.size}`, {
        line: index + 1,
      })
    }
    const entry = disclosedEntry(recorded, proof.disclosures, {
      counts: { disclosed: 0, erased: 0, withheld: 0 },
      withheld: [],
    })
    if (typeof entry === 'string') throw failed('approvals', entry, { line: index + 1 })
    entries.push(entry)
  }
  if (proofs.length !== entries.length)
    throw failed('approvals', `there are more proofs than the ${entries.length} entries`)
  return { approvals: judged(entries, bundle), tree: { root: toHex(later.root), size: later.size } }
}

/** The tree after the decision. It must be signed with the same key, and continue the exported tree. */
async function laterTree(text: (name: ApprovalFile) => string, { keys, origin, root, size }: Exporting) {
  const checkpoint = await verifyHeadByKeys(text('approvals/checkpoint'), keys, isSignatureOf)
  if (!checkpoint.ok) throw failed('approvals', checkpoint.reason)
  const { value: later } = checkpoint
  const stated = text('approvals/consistency.json')
  const { proof } = (parsed(stated) ?? {}) as { proof?: unknown }
  const hashes = Array.isArray(proof) ? proof.map((hash) => fromHex(String(hash))) : [undefined]
  const known = hashes.filter((hash) => hash !== undefined)
  const isAsWritten = `${JSON.stringify({ from: size, proof, to: later.size })}\n` === stated
  const claim = { from: size, fromRoot: root, proof: known, to: later.size, toRoot: later.root }
  const isLater = later.origin === origin && isAsWritten && known.length === hashes.length
  if (isLater && (await verifyConsistency(claim, sha256))) return later
  throw failed('approvals', `their tree does not continue the tree of size ${size}`)
}

/** Follows the entries as the ledger does: all are given before they are used, each is used once, by one export. */
function judged(entries: readonly Entry[], bundle: Exported): ApprovalState[] {
  const given = new Map<string, ApprovalState>()
  const uses: Entry[] = []
  let last = -1
  for (const entry of entries) {
    const { prev, seq, stream, type } = entry
    if (seq <= last) throw failed('approvals', `entry ${seq} comes after entry ${last}`)
    last = seq
    const before = given.get(stream)
    const isGiven = type === 'approval.given' && before === undefined && uses.length === 0
    const isUsed = type === 'approval.used' && before?.used === null && prev.stream === before.seq
    const after = isGiven || isUsed ? evolve(before, entry) : null
    if (after === null || stream !== streamOfApproval(after.approval_id)) {
      throw failed('approvals', `entry ${seq} neither gives nor uses an approval of this export`)
    }
    given.set(stream, after)
    if (isUsed) uses.push(entry)
  }
  const [first] = uses
  const isOne = uses.every(({ actor, run_id }) => run_id === first?.run_id && actor.actor_id === first?.actor.actor_id)
  if (first === undefined || uses.length !== given.size || !isOne) {
    throw failed('approvals', 'not every approval was used by this export')
  }
  const approvals = [...given.values()]
  const named = approvals.map((approval) => {
    return { approval: { ...approval, used: null }, approval_id: approval.approval_id }
  })
  const [broken] = brokenRules(named, { bundle, exporters: [first.actor], mayHold: () => true, time: first.time })
  if (broken !== undefined) throw failed('approvals', `an approval is not of this export: ${broken}`)
  return approvals
}

function linesOf(text: string): string[] {
  if (text !== '' && !text.endsWith('\n')) throw failed('approvals', 'the last line does not end with a newline')
  return text.split('\n').slice(0, -1)
}

/** An approval as the verification of a bundle shows it. */
export function shownApproval({
  actor,
  approval_id,
  approval_type,
  expires_at,
  notes,
  time,
}: ApprovalState): VerifiedApproval {
  const by = { approved_at_utc: time, approved_by: actor.actor_id, role_id: actor.role_id ?? '' }
  return { approval_id, approval_type, ...by, expires_at, ...given({ notes }) }
}
