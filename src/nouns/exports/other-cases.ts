import type { Selection } from '../../domain/approval/exported.ts'
import { Selected } from '../../domain/export/selection.ts'
import type { Core } from '../../writer/core.ts'
import { entriesToSelect } from './export-entries.ts'

/**
 * Whether a selection has entries of another case than the export, so that the decision can deny it. Cost: reads the
 * selected entries up to the first of another case; none for the selection of a case.
 */
export async function selectsOtherCase(
  core: Core,
  { case_id, select, size }: { case_id: string | undefined; select: Selection; size: number },
): Promise<boolean> {
  if ('case_id' in select) return select.case_id !== case_id
  const selected = new Selected(select)
  for await (const page of entriesToSelect(core, select, size)) {
    for (const entry of page) {
      if (!selected.has(entry)) continue
      selected.take(entry)
      if (entry.case_id !== undefined && entry.case_id !== case_id) return true
    }
    await new Promise(setImmediate)
  }
  return false
}
