import * as assert from 'node:assert/strict'
import { evolveRow } from '../../../src/domain/aggregates.ts'
import { lockAggregate } from '../../../src/domain/lock/aggregate.ts'
import type { LockCommand } from '../../../src/domain/lock/commands.ts'
import { inTheWayOf } from '../../../src/domain/lock/paths/decide.ts'
import { PathTree } from '../../../src/domain/lock/paths/tree.ts'
import { defaultConfig } from '../../../src/kernel/config.ts'
import type { Context, Decision, LoadedState, Row } from '../../../src/kernel/decider.ts'
import { type Entry, entryOf } from '../../../src/kernel/entry.ts'
import { changesOf } from '../../../src/views/derived-state.ts'
import { testClock } from '../../support/ledger.ts'

/** One step of a sequence. A `grant` is taken modulo the grants so far. */
export type PathStep =
  | { op: 'acquire'; lease: number; paths: string[]; shared: boolean; stranger: boolean }
  | { op: 'again'; grant: number; twist: boolean }
  | { op: 'release' | 'renew'; grant: number }
  | { op: 'break' | 'recover'; path: string }
  | { op: 'die'; grant: number }
  | { op: 'pass'; seconds: number }

/** A grant of the model: a set of paths, and when it ends by itself. */
interface ModelGrant {
  actor: string
  endsAt: number
  isDead: boolean
  isHeld: boolean
  lease: number
  lockRef: string
  paths: string[]
  shared: boolean
  token: number
}

const authority = 'BECCA'

/**
 * Plays steps against the deciders of locks and against a naive model, which compares every grant with every other. After
 * each step the rows must be those that its entries alone give, and the tree must list exactly the grants of the model.
 */
export class PathSimulation {
  readonly #clock = testClock()
  readonly #grants: ModelGrant[] = []
  readonly #rows = new Map<string, Row>()
  readonly #state = new Map<string, unknown>()
  #seconds = 0
  #seq = 0

  /** Plays a step, and tells the answer. */
  play(step: PathStep): string {
    if (step.op === 'pass') {
      this.#seconds += step.seconds
      this.#clock.advance(step.seconds * 1000)
      return 'pass'
    }
    if (step.op === 'acquire') return this.#acquire(step)
    if ('path' in step) return this.#end(step)
    const grant = this.#grants[step.grant % this.#grants.length]
    if (grant === undefined) return 'nothing'
    if (step.op === 'again') return this.#again(grant, step.twist)
    if (step.op === 'die') grant.isDead = true
    return step.op === 'die' ? 'die' : this.#ofHolder(step.op, grant)
  }

  #acquire({ lease, paths: given, shared, stranger }: Extract<PathStep, { op: 'acquire' }>): string {
    const paths = withoutCovered(given)
    const actor = stranger ? 'agent-2' : 'agent-1'
    const lockRef = this.#grants.length.toString(16).padStart(16, '0')
    const decision = this.#decide(acquire({ lease, lockRef, paths, shared }, this.#grants), actor)
    const inTheWay = this.#held().filter((grant) => isExcluded(grant, { paths, shared }))
    const live = inTheWay.filter((grant) => !this.#isOrphan(grant))
    if (live.length > 0) {
      assert.equal(codeOf(decision), 'LOCK_CONTENTION', `held by ${JSON.stringify(live)}`)
      this.#compareReport(decision, live)
      return 'acquire LOCK_CONTENTION'
    }
    assert.equal(codeOf(decision), 'append', `free: ${paths}`)
    const [token = -1] = this.#append(decision, actor).slice(-1)
    for (const grant of inTheWay) grant.isHeld = false
    const endsAt = this.#seconds + lease
    this.#grants.push({ actor, endsAt, isDead: false, isHeld: true, lease, lockRef, paths, shared, token })
    return inTheWay.length > 0 ? 'acquire append over orphans' : 'acquire append'
  }

  /** A report names a live holder, the path that was asked for, and a path of the holder that excludes it. */
  #compareReport(decision: Decision, live: ModelGrant[]): void {
    assert.ok(decision.kind === 'refuse')
    const { held_name, lock_ref, name } = decision.details
    const holder = live.find((grant) => grant.lockRef === lock_ref)
    assert.ok(holder, `${lock_ref} is in the way`)
    const [asked, held] = [name, held_name ?? name].map((text) => String(text).slice('path:'.length))
    assert.ok(holder.paths.includes(held ?? ''), `${held} is held`)
    assert.ok(overlap(asked ?? '', held ?? ''), `${held} excludes ${asked}`)
  }

  #again({ actor, isHeld, lease, lockRef, paths, shared }: ModelGrant, twist: boolean): string {
    const asked = { lease: twist ? lease + 1 : lease, lockRef, paths, shared }
    const code = codeOf(this.#decide(acquire(asked, this.#grants), actor))
    assert.equal(code, isHeld ? (twist ? 'IDEMPOTENCY_MISMATCH' : 'repeat') : 'LOCK_ENDED')
    const other = codeOf(this.#decide(acquire(asked, this.#grants), 'agent-3'))
    assert.equal(other, 'IDEMPOTENCY_MISMATCH')
    return `again ${code}`
  }

  #ofHolder(op: 'release' | 'renew', grant: ModelGrant): string {
    const { actor, lockRef, paths } = grant
    const command = {
      type: `lock.${op}` as const,
      lock_ref: lockRef,
      name: `path:${paths[0]}`,
      outcome: 'success' as const,
    }
    const decision = this.#decide(command as LockCommand, actor)
    const code = codeOf(decision)
    if (code === 'append') {
      assert.ok(grant.isHeld)
      this.#append(decision, actor)
      if (op === 'release') grant.isHeld = false
      else grant.endsAt = this.#seconds + grant.lease
    } else if (op === 'renew') assert.equal(code, grant.isHeld ? 'LEASE_EXPIRED' : 'STALE_TOKEN')
    else assert.equal(grant.isHeld, false)
    return `${op} ${code}`
  }

  #end({ op, path }: Extract<PathStep, { path: string }>): string {
    const at = this.#held().filter(({ paths }) => paths.some((one) => bare(one) === bare(path)))
    const ended = op === 'break' ? at : at.filter((grant) => this.#isOrphan(grant))
    const name = `path:${path}`
    const command: LockCommand =
      op === 'break'
        ? { type: 'lock.break', name, reason: 'stuck' }
        : { type: 'lock.recover', holders: seen(this.#grants), name, reason: 'gone' }
    const decision = this.#decide(command, authority)
    assert.equal(codeOf(decision), ended.length > 0 ? 'append' : op === 'break' ? 'LOCK_NOT_HELD' : 'LOCK_NOT_ORPHAN')
    if (ended.length > 0) this.#append(decision, authority)
    for (const grant of ended) grant.isHeld = false
    return `${op} ${codeOf(decision)}`
  }

  #decide(command: LockCommand, actor_id: string): Decision {
    const reader: LoadedState = {
      get: (stream) => this.#rows.get(stream),
      state: (key) => this.#state.get(key),
      object: () => undefined,
      digest: () => '',
    }
    const context: Context = {
      actor: { actor_id, actor_type: 'agent' },
      config: defaultConfig,
      guard: undefined,
      now: this.#clock.now(),
      time: '2026-01-02T03:04:05.678Z',
      token_offset: 0,
      waiting: () => 0,
    }
    return lockAggregate.decide(command, context, reader)
  }

  /** Appends the events of a decision, and returns their seqs. */
  #append(decision: Decision, actor_id: string): number[] {
    assert.ok(decision.kind === 'append')
    const changes = new Map<string, unknown>()
    const seqs = decision.events.map((event) => {
      const seq = this.#seq
      this.#seq += 1
      const before = this.#rows.get(event.stream)
      const entry: Entry = entryOf(event, {
        actor: { actor_id, actor_type: 'agent' },
        correlationId: undefined,
        eventId: `evt_${seq}`,
        previous: before?.last_seq ?? null,
        request: undefined,
        seq,
        time: '2026-01-02T03:04:05.678Z',
        wallTime: undefined,
      })
      this.#rows.set(event.stream, evolveRow(before, entry))
      const state = (key: string) => changes.get(key) ?? this.#state.get(key)
      for (const [key, row] of changesOf(entry, state, () => undefined)) changes.set(key, row)
      return seq
    })
    assert.deepEqual(changes, decision.changes, 'a rebuild gives the same rows')
    for (const [key, row] of changes) this.#state.set(key, row)
    this.#compareTree()
    return seqs
  }

  /** The tree lists exactly the grants that the events ended with, each found from the root. */
  #compareTree(): void {
    const tree = new PathTree((key) => this.#state.get(key))
    const listed = [...inTheWayOf(tree, { paths: ['./'], shared: false })].map(({ found }) => found.lock_ref)
    const standing = [...this.#rows].filter(([, { state }]) => (state as { grant: unknown }).grant !== null)
    assert.deepEqual(listed.sort(), standing.map(([stream]) => stream.slice('path/'.length)).sort())
  }

  #held(): ModelGrant[] {
    return this.#grants.filter(({ isHeld }) => isHeld)
  }

  #isOrphan({ endsAt, isDead }: ModelGrant): boolean {
    return isDead || endsAt <= this.#seconds
  }
}

function acquire(
  { lease, lockRef, paths, shared }: { lease: number; lockRef: string; paths: string[]; shared: boolean },
  grants: ModelGrant[],
): LockCommand {
  const facts = { evidence: [], holder: 'holder', lease_duration_s: lease, lock_ref: lockRef }
  return { type: 'lock.acquire', ...facts, name: `path:${paths[0]}`, paths: { holders: seen(grants), paths, shared } }
}

function seen(grants: ModelGrant[]) {
  const reason = 'pid_dead' as const
  return grants.map(({ isDead, token }) => ({
    token,
    ...(isDead ? { alive: 'no' as const, reason } : { alive: 'yes' as const }),
  }))
}

function codeOf(decision: Decision): string {
  return decision.kind === 'refuse' ? decision.code : decision.kind
}

/** A path without its last slash: nothing for the whole tree. */
function bare(path: string): string {
  return path === './' ? '' : path.replace(/\/$/, '')
}

/** Whether one path is the other, or lies below it as a subtree, by comparing their segments. */
function overlap(one: string, other: string): boolean {
  const covers = (tree: string, path: string) => {
    const [above, below] = [tree, path].map((text) => bare(text).split('/').filter(Boolean)) as [string[], string[]]
    return tree.endsWith('/') && above.every((segment, at) => below[at] === segment)
  }
  return bare(one) === bare(other) || covers(one, other) || covers(other, one)
}

function isExcluded(grant: ModelGrant, { paths, shared }: { paths: string[]; shared: boolean }): boolean {
  if (grant.shared && shared) return false
  return grant.paths.some((held) => paths.some((path) => overlap(held, path)))
}

function withoutCovered(paths: string[]): string[] {
  const isCovered = (path: string, at: number) =>
    paths.some((other, index) => {
      if (!overlap(path, other) || !other.endsWith('/') || index === at) return false
      return bare(other).length < bare(path).length || (bare(other) === bare(path) && !path.endsWith('/'))
    })
  return paths.filter((path, at) => !isCovered(path, at)).sort()
}
