import type { Selection } from '../../domain/approval/exported.ts'
import { type ExportManifest, exportManifestSchema } from '../../domain/export/bundle.ts'
import {
  type BundleFormat,
  bundleFilesOf,
  manifestOf,
  readmeOf,
  selectionIn,
  statedIn,
} from '../../domain/export/manifest.ts'
import { Selected } from '../../domain/export/selection.ts'
import { LockstepError } from '../../errors.ts'
import { openBundle } from '../../files/bundle/bundle-reader.ts'
import { refuseNewerContract } from '../../kernel/format.ts'
import { sha256 } from '../../log/sha256.ts'
import { isSignatureOf } from '../../log/signer.ts'
import { toHex } from '../../merkle/hash.ts'
import { type KeyInForce, keysFrom, verifyHeadByKeys } from '../../merkle/keys.ts'
import { parseVkey } from '../../merkle/vkey.ts'
import type { WitnessPolicy } from '../../merkle/witness-policy.ts'
import { sha256Hex } from '../../writer/core.ts'
import { compareOffline, type Growth, type Kept, type KeptHead, keptHeads } from '../kept-checkpoints.ts'
import { factOf, readOnce, type Texts } from './bundle-read.ts'
import { checkStatement } from './bundle-statement.ts'
import type { TextCounts } from './disclosed-entry.ts'
import { checkApprovals, shownApproval, type VerifiedApproval } from './export-approvals.ts'
import { type ClaimedByOwner, claimedIn } from './export-claims.ts'
import { checkEntries, failed, parsed } from './export-lines.ts'
import { type CheckedRecord, checkRecord } from './export-record.ts'
import { type WitnessOfExport, witnessedIn, witnessesOf } from './export-witnessed.ts'

/** The lists of files that a bundle can have. */
const allBundleFiles = [false, true].flatMap((hasApprovals) =>
  [false, true].map((isWitnessed) => bundleFilesOf({ hasApprovals, isWitnessed })),
)

/** What the reader of a bundle trusts, from another source than the bundle. */
export interface ExportTrust {
  /** The key of the ledger: its line, or the text of key.pub. */
  vkey?: string | undefined
  /** Signed checkpoints of the ledger. Without `vkey`, they show that the bundle's key is the ledger's. */
  checkpoints?: readonly Kept[]
  /** Proofs between the checkpoints and the bundle. They may come from anyone. */
  growths?: readonly Growth[]
  /** Nothing is trusted: only check that the bundle agrees with itself. */
  unauthenticated?: boolean | undefined
  /** The witnesses of the ledger, and how many of them must have cosigned a checkpoint in the bundle. */
  policy?: WitnessPolicy | undefined
}

export interface VerifiedExport {
  verified: true
  /** `unchecked` if the reader trusts nothing: then anyone can have made the bundle, with any key. */
  authenticity: 'checked' | 'unchecked'
  /** What the owner of the key says, and nothing in the bundle shows. */
  claimed: ClaimedByOwner
  /** What the entries, proofs and signatures show, if the key is the ledger's. */
  proven: ProvenExport
  /** What the record beside the archive says besides; null if there is none. No signature covers it. */
  record: CheckedRecord | null
}

/** Everything here is derived from the entries, or follows from the key and the checkpoints that the reader trusts. */
export interface ProvenExport {
  /** Who approved the export, by entries of the ledger. */
  approvals: VerifiedApproval[]
  bundle_id: string
  /** The kept checkpoints that the bundle's tree extends, or that extend it. */
  checkpoints: KeptHead[]
  entries: number
  first_seq: number
  format: BundleFormat
  key_fingerprint_sha256: string
  last_seq: number
  manifest_hash_sha256: string
  origin: string
  package_hash_sha256: string
  root: string
  /** Every entry matches it. */
  selection: Selection
  size: number
  /** The free texts in the entries: disclosed and checked, erased from the ledger before, and withheld. */
  texts: TextCounts
  /** The tree that witnesses saw, and that the exported tree extends or begins; null if no policy was given. */
  witnessed: { root: string; size: number; witnesses: WitnessOfExport[] } | null
}

/**
 * Verifies a bundle without a ledger, as an archive or as an unpacked folder. Everything that can be derived from the
 * entries is derived and compared; everything else is covered by the signature. Errors: VERIFY_FAILED with the check
 * and the place in its details; FORMAT_TOO_NEW, INVALID_INPUT (nothing to check the key with, an invalid key, a missing
 * proof), NOT_FOUND, FILE_DENIED. Cost: three passes over the bundle, and memory for its small files and one entry.
 */
export async function verifyExport(path: string, trust: ExportTrust = {}): Promise<VerifiedExport> {
  const { checkpoints = [], growths = [], vkey } = trust
  refuseWithoutTrust(trust)
  const files = await openBundle(path, allBundleFiles)
  const { facts, package_hash_sha256, texts } = await readOnce(files)
  const keys = await keysIn(texts, vkey)
  const { origin, root, size } = await checkpointIn(texts, keys)
  const manifest = manifestIn(texts)
  const of = { bundle_id: manifest.bundle_id, origin, root: toHex(root), size }
  const { format, key } = checkStatement(texts, facts, keys, of)

  const stated = selectionIn(manifest)
  if (stated?.size !== size) throw failed('manifest', 'it does not state a selection from the checkpoint’s tree')
  const { selection } = stated
  const selected = new Selected(selection)
  const { bundle_kind, redaction } = manifest
  const text_counts = await checkEntries(files, selected, { root, size, withheld: redaction?.withheld ?? [] })
  const selectedFacts = selected.facts()
  if (selectedFacts === undefined) throw failed('entries', 'the bundle has no entries')
  const exported = { bundle_kind, ...(redaction ? { redaction } : {}), select: selection, size }
  const approved = texts.has('approvals/checkpoint')
    ? await checkApprovals(texts, { keys, origin, root, size }, exported)
    : undefined
  const approvals = approved?.approvals ?? []
  const derived = manifestOf(
    {
      approvals,
      bundle_kind,
      entries: factOf(facts, 'entries.jsonl'),
      format,
      // `created_by` contains the ledger id. The ledger is authenticated by the name of its key.
      ledger_id: manifest.created_by.replace(/^ledger:/, ''),
      origin,
      policy_versions: manifest.policy_versions,
      proofs: factOf(facts, 'proofs/inclusion.jsonl'),
      root: toHex(root),
      selected: selectedFacts,
      selection,
      size,
      stated: statedIn(manifest),
      time: manifest.created_at_utc,
    },
    (bytes) => toHex(sha256(bytes)),
  )
  const text = JSON.stringify(derived)
  if (`${text}\n` !== texts.get('manifest.json')) throw failed('manifest', 'it is not the manifest of these entries')
  const witnessed = witnessedIn(texts)
  const parts = { hasApprovals: approved !== undefined, isWitnessed: witnessed !== undefined }
  if (readmeOf(derived.bundle_id, parts) !== texts.get('README.txt'))
    throw failed('manifest', 'README.txt belongs to another bundle')
  const hashes = { manifest_hash_sha256: sha256Hex(text), package_hash_sha256 }
  const record = checkRecord(path, derived, hashes) ?? null
  const kept = await keptHeads(checkpoints, keys)
  const tree = { root: toHex(root), size }
  const trees = approved === undefined ? [tree] : [tree, approved.tree]
  await compareOffline(kept, trees, growths)
  const [seen] = witnessed === undefined ? [] : await keptHeads([witnessed.kept], keys)
  if (witnessed !== undefined && seen !== undefined) await compareOffline([seen], [tree], [witnessed.growth])
  const shown = witnessed && seen && { ...witnessed, head: seen }
  const { entries, first_seq, last_seq } = selectedFacts
  return {
    verified: true,
    authenticity: trust.unauthenticated ? 'unchecked' : 'checked',
    claimed: claimedIn(derived, { approvals, selected: selectedFacts, selection, size }),
    proven: {
      approvals: approvals.map(shownApproval),
      bundle_id: derived.bundle_id,
      checkpoints: kept,
      entries,
      first_seq,
      format,
      key_fingerprint_sha256: toHex(sha256(key.publicKey)),
      last_seq,
      ...hashes,
      origin,
      root: toHex(root),
      selection,
      size,
      texts: text_counts,
      witnessed: trust.policy === undefined ? null : await witnessesOf(shown, trust.policy),
    },
    record,
  }
}

/** Errors: INVALID_INPUT, unless there is a key or a checkpoint, or the caller says that there is neither. */
function refuseWithoutTrust({ checkpoints = [], unauthenticated = false, vkey }: ExportTrust): void {
  const isTrusting = vkey !== undefined || checkpoints.length > 0
  if (isTrusting !== unauthenticated) return
  if (isTrusting)
    throw new LockstepError('INVALID_INPUT', '--unauthenticated cannot be combined with a key or a checkpoint')
  throw new LockstepError('INVALID_INPUT', 'nothing shows who made the bundle: its own key proves nothing', {
    hint: 'Pass the ledger’s key line with --key or a signed checkpoint with --checkpoint, from another source than the bundle. --unauthenticated only checks that the bundle agrees with itself.',
  })
}

/**
 * The keys that may sign the bundle: those that follow from the caller's key, or else from the key in the bundle. The
 * bundle's statements about keys are followed either way.
 */
async function keysIn(texts: Texts, vkey: string | undefined): Promise<readonly KeyInForce[]> {
  const own = texts.get('key.pub') ?? ''
  const brought = vkey === undefined ? undefined : await parseVkey(vkey.trim().split('\n')[0] ?? '', sha256)
  if (brought?.ok === false) throw new LockstepError('INVALID_INPUT', `this is not a valid key: ${brought.reason}`)
  if (brought !== undefined && !own.includes(vkey?.trim().split('\n')[0] ?? '')) {
    throw failed('key', 'the bundle’s key is not the key that you gave')
  }
  const keys = await keysFrom(vkey ?? own, { hash: sha256, verify: isSignatureOf }, own)
  if (!keys.ok) throw failed('key', keys.reason)
  return keys.value
}

async function checkpointIn(texts: Texts, keys: readonly KeyInForce[]) {
  const checkpoint = await verifyHeadByKeys(texts.get('checkpoint') ?? '', keys, isSignatureOf)
  if (!checkpoint.ok) throw failed('checkpoint', checkpoint.reason)
  return checkpoint.value
}

function manifestIn(texts: Texts): ExportManifest {
  const document = parsed(texts.get('manifest.json') ?? '')
  refuseNewerContract('the manifest', document)
  const manifest = exportManifestSchema.safeParse(document)
  if (!manifest.success) throw failed('manifest', 'it is not an export_bundle of Contract v1')
  return manifest.data
}
