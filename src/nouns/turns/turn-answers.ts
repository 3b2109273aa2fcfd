import type { z } from 'zod'
import type { PromotedTurn, StagedTurn, TurnList, TurnState, TurnVerdict } from '../../api/shapes/turns.ts'
import type { RunState } from '../../domain/run/state.ts'
import { lastPromotedTurnId, noTurns, type OpenTurn, phaseOf, turnIdOf, turnNumberOf } from '../../domain/run/turns.ts'
import type { listTurnsSchema } from '../../domain/turn/commands.ts'
import type { IssueList, TurnEventData } from '../../domain/turn/events.ts'
import type { Issue } from '../../domain/turn/issue.ts'
import type { StagedSet } from '../../domain/turn/triplet.ts'
import { workspaceOf } from '../../domain/turn/workspace.ts'
import { LockstepError } from '../../errors.ts'
import type { Entry } from '../../kernel/entry.ts'
import type { Core } from '../../writer/core.ts'
import type { Outcome } from '../../writer/submission.ts'
import { stateOfRun } from '../runs/run-status.ts'

export async function stagedOf(core: Core, outcome: Outcome): Promise<StagedTurn> {
  const { data, of } = await answerOf<'turn.staged'>(core, outcome)
  const { bytes, counts, manifest_digest } = data
  return { ...of, bytes, counts, manifest_digest, outcome: 'PASS' }
}

export async function verdictOf(core: Core, outcome: Outcome): Promise<TurnVerdict> {
  const { data, entry, of } = await answerOf<'turn.rejected' | 'turn.validated'>(core, outcome)
  return { ...of, manifest_digest: data.manifest_digest, outcome: entry.type === 'turn.validated' ? 'PASS' : 'FAIL' }
}

export async function promotedOf(core: Core, outcome: Outcome): Promise<PromotedTurn> {
  const { entry, of } = await answerOf<'turn.promoted'>(core, outcome)
  return { ...of, ...(await resultOf(core, entry)) }
}

/** The result of a promotion, from its entry and its manifest object. */
async function resultOf(core: Core, { data }: Entry<'turn.promoted', TurnEventData<'turn.promoted'>>) {
  const { delta_digest, manifest_digest, outcome } = data
  const set = manifest_digest === null ? undefined : ((await core.views.object(manifest_digest)) as StagedSet)
  const promoted_stems = set?.triplets.map(({ stem }) => stem) ?? []
  const unknown = (await issuesOf(core, data.issues)).filter(({ code }) => code === 'I_TOMBSTONE_UNKNOWN_STEM')
  const kept = new Set([...promoted_stems, ...unknown.map(({ details }) => String(details.stem))])
  const deleted_stems = set?.tombstones.map(({ stem }) => stem).filter((stem) => !kept.has(stem)) ?? []
  return { deleted_stems, delta_digest, outcome, promoted_stems }
}

async function answerOf<Type extends 'turn.staged' | 'turn.validated' | 'turn.rejected' | 'turn.promoted'>(
  core: Core,
  { entries, replayed }: Outcome,
) {
  const entry = entries.at(-1) as Entry<Type, TurnEventData<Type>>
  const { data, event_id, seq } = entry
  const of = {
    event_id,
    issues: await issuesOf(core, data.issues),
    replayed,
    run_id: data.run_id,
    seq,
    turn_id: data.turn_id,
  }
  return { data, entry, of }
}

/**
 * All issues of an event. They are read from an object if the entry does not list them all, unless the object was erased.
 */
async function issuesOf(core: Core, { digest, listed }: IssueList): Promise<Issue[]> {
  const isErased = digest !== null && (await core.log.objects.erasedAt(digest)) !== undefined
  return digest === null || isErased ? listed : ((await core.views.object(digest)) as Issue[])
}

/** Errors: NOT_FOUND, INVALID_INPUT. */
export async function turnOf(core: Core, { run_id, turn_id }: { run_id: string; turn_id: string }): Promise<TurnState> {
  const number = turnNumberOf(turn_id)
  if (number === undefined)
    throw new LockstepError('INVALID_INPUT', `${turn_id} is not a valid turn_id`, { details: { turn_id } })
  const run = await stateOfRun(core, run_id)
  const chain = run.turns ?? noTurns
  if (chain.open?.number === number) return openStatus(core, run, chain.open)
  let at = number > chain.last ? null : chain.last_seq
  for (let turn = chain.last; at !== null; turn -= 1) {
    const entry = await promotedAt(core, at)
    if (turn === number) return promotedStatus(core, entry)
    at = entry.data.previous
  }
  throw new LockstepError('NOT_FOUND', `the run ${run_id} has no turn ${turn_id}`, { details: { run_id, turn_id } })
}

/** Errors: NOT_FOUND, INVALID_INPUT (a cursor that did not come from this list). */
export async function turnsOf(
  core: Core,
  { cursor, limit, run_id }: z.output<typeof listTurnsSchema>,
): Promise<TurnList> {
  const run = await stateOfRun(core, run_id)
  const chain = run.turns ?? noTurns
  const turns: TurnList['turns'] = []
  if (chain.open !== null && cursor === undefined) {
    const { event_id, seq, status, time, turn_id } = await openStatus(core, run, chain.open)
    turns.push({ event_id, seq, status, time, turn_id })
  }
  let at = cursor ?? chain.last_seq
  while (at !== null && turns.length < limit) {
    const { data, event_id, seq, time, type } = await promotedAt(core, at)
    if (type !== 'turn.promoted' || data.run_id !== run_id)
      throw new LockstepError('INVALID_INPUT', `entry ${at} is not a promotion of ${run_id}`, {
        details: { cursor: at },
      })
    turns.push({ event_id, seq, status: 'promoted', time, turn_id: data.turn_id })
    at = data.previous
  }
  return {
    run_id,
    workspace: workspaceOf({ run_id, workflow_id: run.manifest.workflow_id }),
    phase: phaseOf(run),
    last_promoted_turn_id: lastPromotedTurnId(run.turns),
    next: at,
    turns: turns.reverse(),
  }
}

async function openStatus(
  core: Core,
  { run_id }: RunState,
  { number, seq, staged, status }: OpenTurn,
): Promise<TurnState> {
  const entry = await entryAt(core, seq)
  const issues = await issuesOf(core, entry.data.issues as unknown as IssueList)
  const manifest_digest = staged?.manifest_digest ?? null
  const { event_id, time } = entry
  return { event_id, issues, manifest_digest, run_id, seq, status, time, turn_id: turnIdOf(number) }
}

async function promotedStatus(core: Core, entry: Awaited<ReturnType<typeof promotedAt>>): Promise<TurnState> {
  const { data, event_id, seq, time } = entry
  const { manifest_digest, run_id, turn_id } = data
  const issues = await issuesOf(core, data.issues)
  return {
    event_id,
    issues,
    manifest_digest,
    promotion: await resultOf(core, entry),
    run_id,
    seq,
    status: 'promoted',
    time,
    turn_id,
  }
}

async function promotedAt(core: Core, seq: number): Promise<Entry<'turn.promoted', TurnEventData<'turn.promoted'>>> {
  return (await entryAt(core, seq)) as Entry<'turn.promoted', TurnEventData<'turn.promoted'>>
}

async function entryAt(core: Core, seq: number): Promise<Entry> {
  const entry = await core.views.entry(seq)
  if (entry !== undefined) return entry
  throw new LockstepError('NOT_FOUND', `there is no entry ${seq}`, { details: { seq } })
}
