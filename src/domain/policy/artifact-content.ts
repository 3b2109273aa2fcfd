import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import { neverShared } from './policy.ts'

/** The prohibited contents that an artifact states: by its kind, however it is written, and by its marks. */
export function contentsOf({ artifact_kind, confidentiality: mark }: ArtifactRef): string[] {
  const contents: string[] = neverShared.filter((content) => isOfKind(artifact_kind, content))
  if (mark?.contains_privileged) contents.push('privileged_notes')
  if (mark?.contains_pii || mark?.contains_phi) contents.push('client_identity')
  return contents
}

/**
 * The contents that an artifact may have because it does not exclude them. An artifact without marks, or of a case, is
 * not sanitized.
 */
export function unknownContentsOf({ confidentiality: mark, ...artifact }: ArtifactRef): string[] {
  const contents: string[] = []
  if (mark?.contains_privileged !== false) contents.push('privileged_notes')
  const isIdentified = mark?.contains_pii !== false || mark.contains_phi !== false || isArtifactOfCase(artifact)
  return isIdentified ? [...contents, 'client_identity'] : contents
}

/** Whether an artifact belongs to a case. */
export function isArtifactOfCase({ case_id, scope }: Pick<ArtifactRef, 'case_id' | 'scope'>): boolean {
  return scope === 'case' || (case_id ?? '').trim() !== ''
}

/** Whether a kind, however it is written, is one of the ledger's: `Raw-Case-Text` is `raw_case_text`. */
export function isOfKind(artifact_kind: string, known: string): boolean {
  return lettersOf(artifact_kind) === lettersOf(known)
}

function lettersOf(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
}
