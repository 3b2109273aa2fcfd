import { type Context, type Decision, type LoadedState, type Row, refuse } from '../../kernel/decider.ts'
import { type EventDraft, entryOf } from '../../kernel/entry.ts'
import { streamOfRun } from '../../kernel/run-fact.ts'
import { rowOf } from './case.ts'
import type { BeginAction, RunCommand } from './commands.ts'
import { evolve, type RunState } from './state.ts'

type Decide = (command: RunCommand, context: Context, rows: LoadedState) => Decision

/**
 * Creates the run of one action, starts it and authorizes the action, in one append: each step is decided as if the step
 * before it was written. A run that a step denies ends there, with that step. If a step is refused, nothing happens.
 */
export function decideBegin(
  { authorize, create, run_id, start }: BeginAction,
  context: Context,
  rows: LoadedState,
  decide: Decide,
): Decision {
  const events: EventDraft[] = []
  let before = rows
  for (const step of [create, start, authorize]) {
    const decision = decide(step, context, before)
    if (decision.kind !== 'append') {
      // The record of the refusal of a later step would be an entry of a run that was never created.
      return events.length === 0 || decision.kind === 'repeat' ? decision : withoutRecord(decision)
    }
    events.push(...decision.events)
    const row = rowAfter(rowOf(before, run_id), decision.events, context)
    if (row.state.status === 'denied') break
    before = withRow(rows, streamOfRun(run_id), row)
  }
  return { kind: 'append', events: events.map(following) }
}

function withoutRecord({ code, details, message }: Extract<Decision, { kind: 'refuse' }>): Decision {
  return refuse(code, message, details)
}

/** The row of a run after events that are not written yet. Decisions use nothing of it that the writing will add. */
function rowAfter(row: Row<RunState> | undefined, drafts: readonly EventDraft[], context: Context): Row<RunState> {
  const place = {
    actor: context.actor,
    correlationId: undefined,
    eventId: 'undecided',
    previous: null,
    request: undefined,
    seq: 0,
    time: context.time,
    wallTime: undefined,
  }
  let state = row?.state
  for (const draft of drafts) state = evolve(state, entryOf(draft, place))
  return { last_seq: 0, state: state as RunState }
}

function withRow(rows: LoadedState, stream: string, row: Row): LoadedState {
  return {
    digest: (text) => rows.digest(text),
    get: (asked) => (asked === stream ? row : rows.get(asked)),
    object: (digest) => rows.object(digest),
    state: (key) => rows.state(key),
  }
}

/** All events but the first follow the event before them in the history of the run. */
function following(draft: EventDraft, index: number): EventDraft {
  return index === 0 || draft.run === undefined ? draft : { ...draft, run: { ...draft.run, previous: 'event before' } }
}
