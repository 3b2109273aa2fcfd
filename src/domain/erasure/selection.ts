import type { Entry } from '../../kernel/entry.ts'
import { erasedText } from '../../kernel/free-text.ts'
import { caseOf } from '../audit/events.ts'
import type { ErasedTexts, ErasureEventData, TextSelection } from './events.ts'

/** The facts of an entry that a selection can name. */
export type SelectedEntry = Pick<Entry, 'actor' | 'case_id' | 'data' | 'run_id' | 'seq' | 'type'>

/** Whether an entry meets every condition of a selection. */
export function isSelected({ actor_id, case_id, from, run_id, to }: TextSelection, entry: SelectedEntry): boolean {
  return (
    entry.seq >= from &&
    entry.seq < to &&
    (actor_id === undefined || entry.actor.actor_id === actor_id) &&
    (case_id === undefined || caseOf(entry) === case_id) &&
    (run_id === undefined || entry.run_id === run_id)
  )
}

/** Whether the fields of a selection cover the text at a path. */
export function isField({ fields }: Pick<TextSelection, 'fields'>, path: string): boolean {
  return fields === undefined || fields.some((field) => path === field || path.startsWith(`${field}/`))
}

/** The free texts that an entry erases, in the same batch. */
export function textsErasedBy({ data, type }: Pick<Entry, 'data' | 'type'>): readonly ErasedTexts[] {
  return type === 'text.erased' ? (data as ErasureEventData<'text.erased'>).texts : []
}

/** The entry as readers see it once the texts at these paths are erased. */
export function withoutTexts(entry: Entry, paths: readonly string[]): Entry {
  const copy = structuredClone(entry)
  for (const path of paths) {
    const names = path.split('/').slice(1)
    const last = names.pop() ?? ''
    let at: unknown = copy
    for (const name of names) at = (at as Record<string, unknown>)[name]
    ;(at as Record<string, unknown>)[last] = erasedText
  }
  return copy
}
