import { deepStrictEqual } from 'node:assert'
import { aggregateOf, evolveRow, type LedgerCommand } from '../../../src/domain/aggregates.ts'
import { recordedEntrySchema } from '../../../src/domain/event-schemas.ts'
import type { Policy } from '../../../src/domain/policy/policy.ts'
import { policyKey } from '../../../src/domain/policy/state.ts'
import type { RunCommand } from '../../../src/domain/run/commands.ts'
import { recordOf } from '../../../src/domain/run/record.ts'
import { type RunRecord, runRecordSchema } from '../../../src/domain/run/run-record.ts'
import type { RunState } from '../../../src/domain/run/state.ts'
import { assertCanonical } from '../../../src/kernel/canonical.ts'
import { isoTime } from '../../../src/kernel/clock.ts'
import { type Config, defaultConfig } from '../../../src/kernel/config.ts'
import type { Decision, Row } from '../../../src/kernel/decider.ts'
import { type Entry, type EventDraft, entryOf } from '../../../src/kernel/entry.ts'
import { type Actor, eventIdOf } from '../../../src/kernel/ids.ts'
import { streamOfRun } from '../../../src/kernel/run-fact.ts'
import { testClock } from '../../support/ledger.ts'
import { caseWorkPolicy } from '../../support/policy-tables.ts'
import { DeclaredRows } from '../declared-rows.ts'

export const worker: Actor = { actor_id: 'agent-1', actor_type: 'agent' }
export const other: Actor = { actor_id: 'agent-2', actor_type: 'agent' }
const becca: Actor = { actor_id: 'BECCA', actor_type: 'human' }

type Of<Type extends RunCommand['type']> = Extract<RunCommand, { type: Type }>
type Unnoted<Type extends RunCommand['type']> = Omit<Of<Type>, 'policies' | 'type'>

const shipped = caseWorkPolicy()
const pinOf = (digit: string) => digit.repeat(40)

/** Runs without sequencer, log and disk: rows and entries over the pure deciders, each entry held to its schema. */
export class RunWorld {
  readonly #isChecked: boolean
  readonly entries: Entry[] = []
  readonly rows = new Map<string, Row>()
  readonly clock = testClock()
  readonly policies = new Map<string, Policy>()
  config: Config = { ...defaultConfig, operators: ['op'] }

  /** `isChecked` holds every entry to its schema, which takes most of the time. */
  constructor(isChecked = true) {
    this.#isChecked = isChecked
    this.load(shipped, '1')
  }

  /** Puts a policy in force, under pins of one digit. */
  load(policy: Policy, digit: string): void {
    this.policies.set(policyKey(policy.sha256), policy)
    const fileOf = (name: 'lanes' | 'roles') => {
      return { file: `${name}.yaml`, pin: pinOf(digit), sha256: policy.sha256[name], source: 'git-blob' as const }
    }
    this.command({ type: 'policy.load', lanes: fileOf('lanes'), roles: fileOf('roles') }, becca)
  }

  run<Type extends RunCommand['type']>(type: Type, input: Unnoted<Type>, actor = worker) {
    return this.command({ ...input, type, policies: this.policies } as unknown as RunCommand, actor)
  }

  /** Decides, and appends what the decision says: its events, or the record of its refusal. */
  command(command: LedgerCommand, actor: Actor): { decision: Decision; entries: Entry[] } {
    const now = this.clock.now()
    const context = {
      actor,
      config: this.config,
      guard: undefined,
      now,
      time: isoTime(now.wall_ms),
      token_offset: 0,
      waiting: () => 0,
    }
    const rows = new DeclaredRows(command, this.rows)
    const decision = rows.check(aggregateOf(command.type).decide(command, context, rows))
    const record = decision.kind === 'refuse' && decision.record !== undefined ? [decision.record] : []
    const drafts = decision.kind === 'append' ? decision.events : record
    return { decision, entries: drafts.map((draft) => this.#append(draft, actor)) }
  }

  #append(draft: EventDraft, actor: Actor): Entry {
    const seq = this.entries.length
    const entry = entryOf(draft, {
      actor,
      correlationId: undefined,
      eventId: eventIdOf('testledger00', seq),
      previous: this.rows.get(draft.stream)?.last_seq ?? null,
      request: undefined,
      seq,
      time: new Date(this.clock.now().wall_ms).toISOString(),
      wallTime: undefined,
    })
    assertCanonical(entry)
    const plain = JSON.parse(JSON.stringify(entry))
    if (this.#isChecked) deepStrictEqual(JSON.parse(JSON.stringify(recordedEntrySchema.parse(plain))), plain)
    this.entries.push(plain)
    this.rows.set(draft.stream, evolveRow(this.rows.get(draft.stream), plain))
    return plain
  }

  stateOf(runId: string): RunState {
    return this.rows.get(streamOfRun(runId))?.state as RunState
  }

  /** The run's record, held to its schema. */
  recordOf(runId: string): RunRecord {
    const record = recordOf(this.stateOf(runId))
    return this.#isChecked ? runRecordSchema.parse(JSON.parse(JSON.stringify(record))) : record
  }

  create(runId: string, facts: Partial<Unnoted<'run.create'>> = {}, actor = worker) {
    return this.run('run.create', { run_id: runId, run_kind: 'orchestrator', run_actor: actor, ...facts }, actor)
  }

  /** A run of the lane for interviews, running, below an orchestrator. */
  startedTool(lock?: string): void {
    this.create('run_top_1')
    this.run('run.start', { run_id: 'run_top_1' })
    this.create('run_tool1', {
      parent_run_id: 'run_top_1',
      run_kind: 'tool_gateway',
      lane_id: 'TOOL_INTERVIEW_CAPTURE',
      role_id: 'INTERVIEW_AGENT',
      case_id: 'CASE-17',
    })
    this.run('run.start', { run_id: 'run_tool1', lease_duration_s: 60, lock })
  }
}

export const dictation = {
  action_type: 'tool_call' as const,
  lane_id: 'TOOL_INTERVIEW_CAPTURE',
  scope: { case_id: 'CASE-17', client_session_id: 'session-1', run_id: 'run_tool1' },
  target: { name: 'dictation.start' },
}
