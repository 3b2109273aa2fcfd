import type { ClaimedByOwner } from '../nouns/exports/export-claims.ts'
import type { ProvenExport, VerifiedExport } from '../nouns/exports/export-verify.ts'
import { timeText } from './output.ts'

/** A verified bundle for people: first how far it can be trusted, then what is proven, then what is claimed. */
export function verifiedLines({ authenticity, claimed, proven, record }: VerifiedExport): string[] {
  const isChecked = authenticity === 'checked'
  const { checkpoints, entries, first_seq, last_seq } = proven
  const first = isChecked
    ? `verified ${entries} entries, seq ${first_seq} to ${last_seq}`
    : `UNAUTHENTICATED: the ${entries} entries agree with themselves. Anyone can have made them, with any key.`
  return [
    first,
    isChecked ? 'Proven:' : 'Proven only if this key is the ledger’s:',
    ...provenLines(proven),
    ...checkpoints.map(
      ({ file, root, size }) => `  agrees with the checkpoint of size ${size}, root ${root}, in ${file}`,
    ),
    'Claimed by the owner of the key, not proven:',
    ...claimedLines(claimed),
    ...(record === null ? [] : [`${record.file} fits this bundle.`]),
    ...(record === null || record.export_reason === null
      ? []
      : [`It alone, and nobody’s signature, says why: ${JSON.stringify(record.export_reason)}`]),
  ]
}

/** What became of the free texts, if the entries have any. */
function textLines({ disclosed, erased, withheld }: ProvenExport['texts']): string[] {
  if (disclosed + erased + withheld === 0) return []
  return [`  free texts: ${disclosed} disclosed and checked, ${withheld} withheld, ${erased} erased before the export`]
}

function provenLines(proven: ProvenExport): string[] {
  return [
    `  bundle ${proven.bundle_id}`,
    `  selection ${selectionText(proven.selection)}`,
    `  origin ${proven.origin}`,
    `  size ${proven.size}`,
    `  root ${proven.root}`,
    `  key ${proven.key_fingerprint_sha256}`,
    `  package ${proven.package_hash_sha256}`,
    ...(proven.witnessed === null ? [] : witnessedLines(proven.witnessed)),
    ...textLines(proven.texts),
    ...proven.approvals.map(({ approval_type, approved_at_utc, approved_by }) => {
      return `  recorded as approved by ${approved_by} (${approval_type}) at ${approved_at_utc}`
    }),
  ]
}

function witnessedLines({ root, size, witnesses }: NonNullable<ProvenExport['witnessed']>): string[] {
  const seen = `  agrees with the tree of size ${size}, root ${root}, that these witnesses saw:`
  return [
    seen,
    ...witnesses.map(({ name, timestamp }) => `    ${name}, ${timeText(new Date(timestamp * 1000).toISOString())}`),
  ]
}

function selectionText(selection: ProvenExport['selection']): string {
  if ('from' in selection) return `range ${selection.from}..${selection.to}, none missing`
  const [[name, value] = []] = Object.entries(selection)
  return `${name} ${value}`
}

function claimedLines(claimed: ClaimedByOwner): string[] {
  const { approver_roles, complete, created_at_utc, created_by, ends, stated } = claimed
  return [
    `  made by ${created_by} from the tree of ${timeText(created_at_utc)}, for ${claimed.bundle_kind}`,
    `  ${ends}`,
    ...(complete === null ? [] : [`  ${complete}`]),
    ...approver_roles.map(({ approved_by, role_id }) => `  ${approved_by} had the role ${role_id}`),
    ...Object.entries(stated).map(([name, value]) => `  ${name} ${JSON.stringify(value)}`),
  ]
}
