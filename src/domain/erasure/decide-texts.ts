import { type Context, type Decision, type LoadedRows, type Refusal, refuse } from '../../kernel/decider.ts'
import { limits } from '../../kernel/limits.ts'
import type { ErasureCommand, FoundTexts } from './commands.ts'
import type { ErasedTexts, ErasureEvent, ErasureEventData } from './events.ts'
import { brokenRule, denied, holdOn, nothingLeft, otherConfig } from './rules.ts'
import { erasureIn, streamOfErasure, textsStream } from './state.ts'

type Of<Type extends ErasureCommand['type']> = Extract<ErasureCommand, { type: Type }>

/** The approval is used and all of its texts are erased in one append. */
export function decideTexts(
  command: Of<'erasure.erase_texts'>,
  context: Context,
  rows: LoadedRows,
): Decision<ErasureEvent> {
  const { approval_id, found } = command
  const stream = streamOfErasure(approval_id)
  const approval = erasureIn(rows.get(stream))
  const isBound = approval !== undefined && 'texts' in approval.erasure
  if (isBound && approval.used !== null) return { kind: 'repeat', seq: approval.used }
  const rule = brokenRule(approval, isBound, context)
  if (approval === undefined || rule !== undefined)
    return denied(command, rule ?? '', `the approval ${approval_id} does not allow this erasure: ${rule}`)
  const { texts } = found
  if (texts.length === 0) return nothingLeft()
  const obstacle = obstacleToTexts(found, rows)
  if (obstacle !== undefined) return obstacle
  const { reason } = approval.erasure
  const used = { approval_id, texts: texts.reduce((sum, { paths }) => sum + paths.length, 0) }
  return {
    kind: 'append',
    events: [
      { type: 'erasure.used', stream, data: used },
      ...pagesOf(texts).map((page) => textsEvent({ approval_id, class: null, reason, texts: page })),
    ],
    rows: found.rows,
  }
}

export function decideDueTexts(
  command: Of<'retention.erase_texts'>,
  context: Context,
  rows: LoadedRows,
): Decision<ErasureEvent> {
  const { class: name, config_sha256, found } = command
  if (config_sha256 !== context.config_sha256) return otherConfig()
  const obstacle = obstacleToTexts(found, rows)
  if (obstacle !== undefined) return obstacle
  // A person can have approved the erasure of the same texts meanwhile.
  if (found.texts.length === 0) return { kind: 'append', events: [] }
  const of = { approval_id: null, class: name, reason: 'retention_expired' as const }
  return {
    kind: 'append',
    events: pagesOf(found.texts).map((texts) => textsEvent({ ...of, texts })),
    rows: found.rows,
  }
}

function textsEvent(data: ErasureEventData<'text.erased'>): ErasureEvent {
  return { type: 'text.erased', stream: textsStream, data }
}

/** The texts in parts that one entry can name. */
function pagesOf(texts: readonly ErasedTexts[]): ErasedTexts[][] {
  const pages: ErasedTexts[][] = []
  let left = 0
  for (const { paths, seq } of texts) {
    for (let at = 0; at < paths.length; ) {
      if (left === 0) {
        pages.push([])
        left = limits.erasedPerEntry
      }
      const some = paths.slice(at, at + left)
      pages.at(-1)?.push({ paths: some, seq })
      at += some.length
      left -= some.length
    }
  }
  return pages
}

/** Why texts may not be erased now, by what was found before and by the rows of this moment. */
function obstacleToTexts({ held, retention_seq, texts_seq }: FoundTexts, rows: LoadedRows): Refusal | undefined {
  const obstacle = holdOn({ held, retention_seq }, rows)
  if (obstacle !== undefined || (rows.get(textsStream)?.last_seq ?? null) === texts_seq) return obstacle
  return refuse('OBJECT_IN_USE', 'texts were erased while the request was examined; repeat the request', {
    for: 'erasure',
  })
}
