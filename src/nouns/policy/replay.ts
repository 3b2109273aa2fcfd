import type { Action } from '../../domain/policy/action.ts'
import { authorizeStart, type PolicyVerdict } from '../../domain/policy/authorize.ts'
import type { RunFacts } from '../../domain/policy/checks.ts'
import type { Policy } from '../../domain/policy/policy.ts'
import { programRule } from '../../domain/policy/programs.ts'
import type { RunEventData } from '../../domain/run/events.ts'
import type { Entry } from '../../kernel/entry.ts'
import { erasedText } from '../../kernel/free-text.ts'
import type { PrivilegedAction } from '../../kernel/vocabulary.ts'
import { imaginedVerdict } from './imagined.ts'

/** Runs that have not ended are kept, at most so many. Decisions in a run that was dropped are not replayed. */
const openRunsMax = 100_000
const ends: ReadonlySet<string> = new Set(['run.cancelled', 'run.completed', 'run.denied', 'run.failed'])

type Decided = RunEventData<'run.decided'>
type Created = RunEventData<'run.created'>

/** A recorded decision that two policies make in different ways. */
export interface ReplayedDifference {
  seq: number
  run_id: string
  lane_id: string | null
  role_id: string | null
  /** `start`, or the type of the action. */
  on: string
  target: string
  before: ShownVerdict
  after: ShownVerdict
}
interface ShownVerdict {
  decision: 'allow' | 'deny'
  rule_ids: readonly string[]
}

/** What a replay has found so far. */
export interface Replayed {
  /** Decisions that both policies made again. */
  decisions: number
  /** Of these, those that only the policy before, or only the one after, allows. */
  newly_denied: number
  newly_allowed: number
  /** Of these, those that get the same decision by other rules. */
  other_rules: number
  /** Decisions that cannot be made again: facts that were withheld, erased, or never recorded, such as an argv. */
  unknown: number
}

/**
 * Makes the recorded decisions of a log again, under two policies. Each decision is judged on the facts that its entry
 * and the creation of its run record. Rules of the configuration, about actors and approvals, are no part of a policy.
 * Memory: the runs that have not ended.
 */
export class Replay {
  readonly found: Replayed = { decisions: 0, newly_denied: 0, newly_allowed: 0, other_rules: 0, unknown: 0 }
  readonly #after: Policy
  readonly #before: Policy
  readonly #runs = new Map<string, Created>()

  constructor({ after, before }: { after: Policy; before: Policy }) {
    this.#after = after
    this.#before = before
  }

  /** Takes the next entry of the log. Answers with the difference, if it is a decision that differs. */
  take(entry: Entry): ReplayedDifference | undefined {
    const { data, type } = entry
    if (type === 'run.created') this.#keep(data as Created)
    else if (type === 'run.decided') return this.#decide(entry as Entry<'run.decided', Decided>)
    else if (ends.has(type)) this.#runs.delete((data as { run_id: string }).run_id)
    return undefined
  }

  #keep(created: Created): void {
    const [oldest] = this.#runs.keys()
    if (this.#runs.size >= openRunsMax && oldest !== undefined) this.#runs.delete(oldest)
    this.#runs.set(created.run_id, created)
  }

  #decide(entry: Entry<'run.decided', Decided>): ReplayedDifference | undefined {
    const { found } = this
    const { data, seq } = entry
    const run = this.#runs.get(data.run_id)
    const question = run && questionOf(entry, run)
    const before = question && verdictOn(question, this.#before)
    const after = question && verdictOn(question, this.#after)
    if (run === undefined || before === undefined || after === undefined) {
      found.unknown += 1
      return undefined
    }
    found.decisions += 1
    // The configuration denies such an action under any policy.
    if (data.rule_ids.some((rule) => /^(?:approval|config):|^bundle\/|^scope\/approval_|^role:.*\/actors$/.test(rule)))
      return undefined
    if (before.decision === after.decision && before.rule_ids.join() === after.rule_ids.join()) return undefined
    if (before.decision === after.decision) found.other_rules += 1
    else if (after.decision === 'deny') found.newly_denied += 1
    else found.newly_allowed += 1
    return {
      seq,
      run_id: data.run_id,
      lane_id: entry.lane_id ?? null,
      role_id: run.actor.role_id ?? null,
      on: data.on,
      target: data.target.name,
      before: shown(before),
      after: shown(after),
    }
  }
}

const shown = ({ decision, rule_ids }: PolicyVerdict): ShownVerdict => ({ decision, rule_ids: [...rule_ids] })

/** What a decision was about. The start of a run has no action. */
interface RecordedQuestion {
  action: Action | undefined
  run: RunFacts
}

/** The pins are no part of the question: the run is pinned to the policy that judges it. */
const pin = '0'.repeat(40)
const policy_versions = { lanes: pin, roles: pin }

/** The question of a decision; undefined if what is recorded of it does not say enough. */
function questionOf(entry: Entry<'run.decided', Decided>, created: Created): RecordedQuestion | undefined {
  const { actor, case_id, data, lane_id } = entry
  const { inputs, run_id, run_kind } = created
  if (data.on === 'outputs') return undefined
  const action = data.on === 'start' ? undefined : actionOf(entry, data.on)
  if (data.on !== 'start' && action === undefined) return undefined
  const run: RunFacts = {
    run_id,
    run_kind,
    status: action === undefined ? 'created' : 'running',
    actor_type: actor.actor_type,
    role_id: created.actor.role_id ?? null,
    lane_id: lane_id ?? null,
    case_id: case_id ?? null,
    inputs: inputs?.artifact_refs,
    contract_version: 'v1',
    policy_versions,
    policy_sha256: null,
  }
  return { action, run }
}

/** The verdict of a policy; undefined if it binds the tool to a program and the command is not on record. */
function verdictOn({ action, run: facts }: RecordedQuestion, policy: Policy): PolicyVerdict | undefined {
  const run = { ...facts, policy_sha256: policy.sha256 }
  if (action === undefined) return authorizeStart({ policy, run })
  const lane = policy.lanes.get(action.lane_id)
  const isBound = lane !== undefined && programRule(lane, action) !== undefined
  return isBound && action.command?.argv === undefined ? undefined : imaginedVerdict(action, policy, run)
}

/** The action of a decision. Values are recorded as texts: `true` counts as the boolean, as a sign-off must be. */
function actionOf({ data, lane_id }: Entry<'run.decided', Decided>, action_type: PrivilegedAction): Action | undefined {
  const { artifacts, effects, scope, target } = data
  const { name, operation } = target
  // A decision without a scope withheld its free text.
  if (scope === undefined || scope.some(({ value }) => value === erasedText)) return undefined
  return {
    action_type,
    artifacts,
    command: commandIn(data.command),
    effects,
    lane_id: lane_id ?? '',
    scope: Object.fromEntries(scope.map(({ key, value }) => [key, value === 'true' ? true : value])),
    target: operation === action_type ? { name } : { mode: operation, name },
  }
}

function commandIn(command: Decided['command']): Action['command'] {
  const { argv, argv_sha256, found, real } = command ?? {}
  if (argv_sha256 === undefined) return undefined
  if (argv === undefined || argv === erasedText || found === undefined || real === undefined) return { argv_sha256 }
  return { argv: JSON.parse(argv) as string[], program: { found, real } }
}
