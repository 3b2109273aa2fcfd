import type { ArtifactRef } from '../../kernel/artifact-ref.ts'
import { type Context, type LoadedState, type Refusal, refuse } from '../../kernel/decider.ts'
import type { Action } from '../policy/action.ts'
import { type Lane, takesNoText } from '../policy/policy.ts'
import { type Policies, policyInForce } from '../policy/state.ts'
import { caseAt, laneOf, notRunActor, type RunCase, refused } from './case.ts'

// A lane that prohibits raw case text, or may write shared knowledge, also prohibits free text. Reasons and the values of a scope are single words
// there, and everything else that a caller names is an identifier.

type Text = string | null | undefined

const word = /^[A-Za-z0-9_.:-]{1,80}$/
/** It has no white space, and only the signs of names, paths, content types and URIs. */
const identifier = /^[A-Za-z0-9_.:@/+;=#~-]{1,600}$/

/** The first text that is not a single word, if the lane takes no raw text. */
export function freeTextIn(lane: Lane | undefined, texts: readonly Text[]): string | undefined {
  if (lane === undefined || !takesNoText(lane)) return undefined
  return texts.find((text) => typeof text === 'string' && !word.test(text)) ?? undefined
}

/** The texts that are not identifiers. */
export function unfitIn(texts: readonly Text[]): string[] {
  return texts.filter((text) => typeof text === 'string' && !identifier.test(text)) as string[]
}

/** The free text in references to artifacts: notes, and members that are not identifiers. */
export function textsIn(refs: readonly ArtifactRef[] = []): Text[] {
  return refs.flatMap(
    ({ artifact_id, artifact_kind, case_id, confidentiality, content_type, lineage, storage_locator }) => [
      confidentiality?.notes,
      ...unfitIn([artifact_id, artifact_kind, case_id, content_type, storage_locator]),
      ...unfitIn([lineage?.run_id, lineage?.transformation, ...(lineage?.derived_from ?? [])]),
    ],
  )
}

/** Whether an action has free text that its lane prohibits. Blank members of a scope count as missing. */
export function hasFreeText({ artifacts, bundle, lane_id, scope, target }: Action, lane: Lane | undefined): boolean {
  const stated = Object.values(scope).filter((value) => typeof value === 'string' && value.trim() !== '') as string[]
  const texts = [
    ...stated,
    ...unfitIn([lane_id, target.name, target.mode]),
    ...textsIn(artifacts),
    bundle?.redaction?.notes,
  ]
  return freeTextIn(lane, texts) !== undefined
}

/** The rule that denies free text: of the lane, or of shared knowledge. */
export function freeTextRule(lane: Lane | undefined): string {
  const isListed = lane?.scope.prohibits.includes('raw_case_text')
  return isListed ? `lane:${lane?.lane_id}/prohibits/raw_case_text` : 'prohibits/raw_case_text'
}

/**
 * FREE_TEXT_DENIED, recorded, if the lane of the run allows only single words. If the policy of a run cannot be read,
 * its lane is taken to prohibit text.
 */
export function refuseText(of: RunCase, texts: readonly Text[], command: string): Refusal | undefined {
  const { policy, run } = of
  const isUnknown = policy === undefined && run.pins !== null && run.lane_id !== null
  const lane = isUnknown ? textless : laneOf(of)
  if (freeTextIn(lane, texts) === undefined) return undefined
  const { code, message } = refuseFreeText(run.lane_id)
  return refused(of, { code, command, message })
}

/**
 * FREE_TEXT_DENIED if a name that the entries of a command repeat is text that the lane of its run prohibits. It is not
 * recorded, because that entry would repeat the text too. The id of a caller who may act on the run is on record.
 */
export function refuseNames(
  { policies, run_id, type }: { policies: Policies; run_id: string; type: string },
  { context, names, rows }: { context: Context; names?: readonly Text[]; rows: LoadedState },
): Refusal | undefined {
  const { actor, stated = [] } = context
  const texts = unfitIn([actor.on_behalf_of, actor.role_id, ...stated, ...(names ?? [])])
  if (texts.length === 0 && unfitIn([actor.actor_id]).length === 0) return undefined
  const of = caseAt(run_id, { context, inForce: policyInForce(rows, policies), policies, rows })
  if (of === undefined) return undefined
  const isKnown = notRunActor(of, type) === undefined
  const all = isKnown ? texts : [...texts, ...unfitIn([actor.actor_id])]
  return refuseText(of, all, type) && refuseFreeText(of.run.lane_id)
}

const textless = { allowed_actions: {}, scope: { prohibits: ['raw_case_text'], requires: [] } } as unknown as Lane

/** FREE_TEXT_DENIED. The refusal does not repeat the text. */
export function refuseFreeText(laneId: string | null): Refusal {
  return refuse(
    'FREE_TEXT_DENIED',
    `the lane ${laneId} prohibits raw_case_text: a reason must be one word, names must be identifiers, and notes are not allowed`,
    {
      lane_id: laneId,
    },
  )
}
