import { canonicalText, type Json, sorted } from '../../kernel/canonical.ts'
import type { HexDigest } from '../../kernel/digest.ts'
import { given } from '../../kernel/given.ts'
import { type Selection, selectionSchema } from '../approval/exported.ts'
import type { ApprovalState } from '../approval/state.ts'
import { type ExportManifest, type Stated, statedSchema } from './bundle.ts'
import type { SelectedFacts } from './selection.ts'

type Approval = NonNullable<ExportManifest['approvals']>[number]

/** The files of a bundle, in the order of the archive, which is the byte order of their names. */
export const bundleFiles = [
  'README.txt',
  'checkpoint',
  'entries.jsonl',
  'key.pub',
  'manifest.json',
  'proofs/inclusion.jsonl',
  'statement.json',
] as const

/** The files that a bundle has besides, if its export used approvals. */
export const approvalFiles = [
  'approvals/checkpoint',
  'approvals/consistency.json',
  'approvals/entries.jsonl',
  'approvals/inclusion.jsonl',
] as const
export type ApprovalFile = (typeof approvalFiles)[number]
/** The files that a bundle has besides, if witnesses cosigned a checkpoint of its ledger. */
export const witnessedFiles = ['witnessed/checkpoint', 'witnessed/consistency.json'] as const
export type WitnessedFile = (typeof witnessedFiles)[number]
export type BundleFile = (typeof bundleFiles)[number] | ApprovalFile | WitnessedFile

/** What a bundle has besides its entries. */
export interface BundleParts {
  hasApprovals: boolean
  isWitnessed: boolean
}

/** All files of a bundle, in the order of the archive. */
export function bundleFilesOf({ hasApprovals, isWitnessed }: BundleParts): BundleFile[] {
  return [...bundleFiles, ...(hasApprovals ? approvalFiles : []), ...(isWitnessed ? witnessedFiles : [])].sort()
}

/** The format of a bundle. From 2 on, the bundle_id depends on the root of the tree. The statement names the format. */
export type BundleFormat = 1 | 2
export const bundleFormat: BundleFormat = 2

/** A file in the manifest and the statement. */
export interface FileFacts {
  bytes: number
  sha256: string
}

/**
 * The input of a manifest: the selection, the tree, the time and pins of the tree's last entry, and the caller's
 * statements.
 */
export interface ManifestFacts {
  /** The approvals that the export used. The manifest depends on them too. */
  approvals: readonly ApprovalState[]
  bundle_kind: ExportManifest['bundle_kind']
  entries: FileFacts
  format: BundleFormat
  ledger_id: string
  origin: string
  policy_versions: ExportManifest['policy_versions']
  proofs: FileFacts
  root: string
  selected: SelectedFacts
  selection: Selection
  size: number
  stated: Stated
  time: string
}

/**
 * The manifest of a bundle. It depends only on the selection, the tree, the kind, the caller's statements and the
 * approvals. So two exports at one size that need no approval have the same manifest, and anyone with the entries can rebuild the manifest and compare.
 */
export function manifestOf(facts: ManifestFacts, sha256: HexDigest): ExportManifest {
  const { approvals, bundle_kind, entries, ledger_id, origin, proofs, root, selected, selection, size, stated } = facts
  const named = canonicalText({
    ...(stated as Record<string, Json>),
    ...(approvals.length === 0 ? {} : { approvals: approvals.map(({ approval_id }) => approval_id) }),
    bundle_kind,
    origin,
    ...(facts.format === 1 ? {} : { root }),
    selection: selection as Json,
    size,
  })
  const bundle_id = `bnd_${sha256(new TextEncoder().encode(named)).slice(0, 32)}`
  const { case_id } = selected
  const ofCase = case_id === null ? {} : { case_id }
  const artifact = (file: BundleFile, artifact_kind: string, { bytes, sha256 }: FileFacts) => ({
    artifact_id: `${bundle_id}/${file}`,
    artifact_kind,
    byte_size: bytes,
    content_type: 'application/jsonl',
    hash_sha256: sha256,
    hash_source: 'bytes' as const,
    storage_locator: file,
    ...ofCase,
  })
  const filtered = {
    ...selection,
    ...selectedText(selected),
    ends: endOf(selection, selected, size),
    origin,
    root,
    size,
  }
  const filters = Object.entries(filtered).map(([key, value]) => ({ key, value: String(value) }))
  const manifest: ExportManifest = {
    ...stated,
    ...(approvals.length === 0 ? {} : { approvals: approvals.map(approvalOf) }),
    ...(selected.run_ids.length === 0 || selected.run_ids.length > runIdsMax
      ? {}
      : { audit: { run_ids: [...selected.run_ids] } }),
    bundle_id,
    bundle_kind,
    ...ofCase,
    completed_at_utc: facts.time,
    contents: {
      artifacts: [
        artifact('entries.jsonl', 'ledger_entries', entries),
        artifact('proofs/inclusion.jsonl', 'inclusion_proofs', proofs),
      ],
      filters,
      included_tables: [{ format: 'json', hash_sha256: entries.sha256, name: 'entries', row_count: selected.entries }],
    },
    contract_version: 'v1',
    created_at_utc: facts.time,
    created_by: `ledger:${ledger_id}`,
    policy_versions: facts.policy_versions,
    status: 'completed',
  }
  return sorted(manifest as never) as ExportManifest
}

/** An approval in the words of the contract. Its entry is in the bundle. */
function approvalOf({ actor, approval_type, notes, time }: ApprovalState): Approval {
  return { approval_type, approved_at_utc: time, approved_by: actor.actor_id, ...given({ notes }) }
}

/** The caller's statements in a manifest. */
export function statedIn(manifest: ExportManifest): Stated {
  const members = Object.keys(statedSchema.shape) as (keyof Stated)[]
  return Object.fromEntries(members.flatMap((name) => (name in manifest ? [[name, manifest[name]]] : []))) as Stated
}

/** The selection and the tree size in a manifest; undefined if they are missing. */
export function selectionIn({ contents }: ExportManifest): { selection: Selection; size: number } | undefined {
  const stated = new Map((contents.filters ?? []).map(({ key, value }) => [key, value]))
  const [run_id, case_id, lock] = [stated.get('run_id'), stated.get('case_id'), stated.get('lock')]
  const range = { from: Number(stated.get('from') ?? Number.NaN), to: Number(stated.get('to') ?? Number.NaN) }
  const parsed = selectionSchema.safeParse(run_id ? { run_id } : case_id ? { case_id } : lock ? { lock } : range)
  const size = Number(stated.get('size'))
  return parsed.success && Number.isSafeInteger(size) ? { selection: parsed.data, size } : undefined
}

function selectedText({ entries, first_seq, last_seq, open_runs }: SelectedFacts): Record<string, number> {
  return { entries, first_seq, last_seq, open_runs }
}

/** The reason why the selection ends with its last entry. */
function endOf(selection: Selection, { open_runs }: SelectedFacts, size: number): string {
  if ('from' in selection) return 'the range ends there'
  if ('lock' in selection) return `the lock has no later entry below size ${size}`
  if (open_runs === 0) return `every run has ended, and has no later entry below size ${size}`
  return `${open_runs === 1 ? 'one run' : `${open_runs} runs`} had not ended at size ${size}`
}

/** The number of runs that a record can name. Further runs are only in the entries. */
const runIdsMax = 1_000

/** What the statement of a bundle says beside its files. */
export interface StatedBundle {
  bundle_id: string
  format: BundleFormat
  origin: string
  root: string
  size: number
}

/** The in-toto Statement over the files of a bundle, in canonical form. It is signed as a DSSE envelope. */
export function statementOf(
  { bundle_id, format, origin, root, size }: StatedBundle,
  files: ReadonlyMap<string, FileFacts>,
): string {
  return JSON.stringify({
    _type: 'https://in-toto.io/Statement/v1',
    predicate: { bundle_id, origin, root, size },
    predicateType: `${predicateOf}${format}`,
    subject: [...files].map(([name, { sha256 }]) => ({ digest: { sha256 }, name })),
  })
}

/** The type of the predicate, without the format. */
const predicateOf = 'urn:lockstep:export:v'

/** The format that a statement names; undefined if it names none. */
export function formatStated(predicateType: unknown): number | undefined {
  const [, digits] =
    /^urn:lockstep:export:v([1-9]\d{0,8})$/.exec(typeof predicateType === 'string' ? predicateType : '') ?? []
  return digits === undefined ? undefined : Number(digits)
}

export const statementType = 'application/vnd.in-toto+json'

/** The bytes that a DSSE signature is made over (DSSE v1, pre-authentication encoding). The payload is in UTF-8. */
export function signedBytes(payload: string): Uint8Array {
  const bytes = new TextEncoder().encode(payload).length
  return new TextEncoder().encode(`DSSEv1 ${statementType.length} ${statementType} ${bytes} ${payload}`)
}

/** The README in the archive, for readers without Lockstep. */
export function readmeOf(bundleId: string, { hasApprovals, isWitnessed }: BundleParts): string {
  const more = `${hasApprovals ? approvalsText : ''}${isWitnessed ? witnessedText : ''}`
  return `Lockstep export bundle ${bundleId}

entries.jsonl            one entry of the ledger a line: RFC 8785 JSON, the text that its leaf hash is made over
proofs/inclusion.jsonl   for each line: seq, leaf hash and the hashes of its RFC 6962 inclusion proof
checkpoint               the ledger's tree head, signed with its Ed25519 key (C2SP signed note)
key.pub                  that key; it proves nothing unless you have it from elsewhere too
manifest.json            what was selected, and why it stops there (export_bundle of Contract v1, without integrity)
statement.json           the SHA-256 of every other file, signed with the same key (in-toto Statement in DSSE)
${more}
Leaf hash of a line, with common tools:
  line() { sed -n "$1p" entries.jsonl | tr -d '\\n'; }
  { printf '\\000'; line 1; } | sha256sum

All of it: lockstep export verify <this archive, or the folder it was unpacked to> --key <key from elsewhere>
`
}

const approvalsText = `
Who approved this export:
approvals/entries.jsonl     the entries that gave the approvals and used them, in the form of entries.jsonl
approvals/inclusion.jsonl   their inclusion proofs, in the tree after the decision on this export
approvals/checkpoint        that tree's head, signed with the same key
approvals/consistency.json  the RFC 6962 proof that this tree continues the exported one
`

const witnessedText = `
What witnesses elsewhere saw of this ledger:
witnessed/checkpoint        the newest tree head that a quorum of the ledger's witnesses cosigned, with the cosignatures
witnessed/consistency.json  the RFC 6962 proof that one of this tree and the exported one continues the other
`
