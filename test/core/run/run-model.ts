import { isTerminal } from '../../../src/domain/run/moves.ts'
import type { RunStatus } from '../../../src/kernel/vocabulary.ts'

/** A run as the model keeps it. */
export interface ModelRun {
  id: string
  actor: string
  attempt: number
  parent: string | null
  /** The run above it in the tree of ancestors, which for a retry is the first attempt. */
  root: string
  pin: string | null
  status: RunStatus
  retryable: boolean
  allowed: number
  lease: boolean
  /** When its lease is over, on the test's clock. */
  until: number
  of: string | null
  isRetried?: boolean
}

export type Answer = 'append' | { refuse: string } | 'expired' | 'denied' | 'nothing'

/**
 * Governed runs in a plain map and the words of runs.md, for one lane and two policies that differ in content. It says
 * what must come of every command; the deciders have to say the same.
 */
export class RunModel {
  readonly runs = new Map<string, ModelRun>()
  policy = '1'
  time = 0

  mayAct(run: ModelRun, actor: string): boolean {
    if (actor === 'op' || actor === 'BECCA') return true
    for (let at: ModelRun | undefined = run; at !== undefined; at = this.runs.get(at.parent ?? '')) {
      if (at.actor === actor) return true
    }
    return false
  }

  isOver(run: ModelRun): boolean {
    return run.status === 'running' && run.lease && this.time >= run.until
  }

  /** What stands before any command's own decision; undefined where nothing does. */
  before(id: string, actor: string): Answer | undefined {
    const run = this.runs.get(id)
    if (run === undefined) return { refuse: 'NOT_FOUND' }
    if (!this.mayAct(run, actor)) return { refuse: 'NOT_RUN_ACTOR' }
    if (!this.isOver(run)) return undefined
    this.end(run, 'failed', true)
    return 'expired'
  }

  /** The ledger's own look at a lease: any actor, and no trace unless the lease is over. */
  expire(id: string): Answer {
    const run = this.runs.get(id)
    if (run === undefined || !this.isOver(run)) return 'nothing'
    this.end(run, 'failed', true)
    return 'expired'
  }

  create(id: string, parent: string | null, actor: string): Answer {
    const taken = this.runs.get(id)
    if (taken !== undefined) {
      return { refuse: this.mayAct(taken, actor) ? 'INVALID_STATE_TRANSITION' : 'NOT_RUN_ACTOR' }
    }
    if (parent !== null) {
      const first = this.before(parent, actor)
      if (first !== undefined) return first
    }
    const above = parent === null ? undefined : this.runs.get(parent)
    if (above !== undefined && isTerminal(above.status)) return { refuse: 'RUN_ANCESTOR_ENDED' }
    const stopped = above && this.#stoppedAbove(above)
    if (stopped !== undefined) return stopped
    this.#add(id, { actor, parent, root: above?.root ?? id, pin: above?.pin ?? null, attempt: 0, of: null })
    return 'append'
  }

  retry(id: string, next: string, actor: string): Answer {
    const first = this.before(id, actor)
    if (first !== undefined) return first
    const run = this.runs.get(id) as ModelRun
    if (run.status !== 'failed' || !run.retryable) return { refuse: 'RUN_NOT_RETRYABLE' }
    if (run.isRetried) return { refuse: 'RUN_ALREADY_RETRIED' }
    const stopped = this.#stoppedAbove(run)
    if (stopped !== undefined) return stopped
    const taken = this.runs.get(next)
    if (taken !== undefined) {
      return { refuse: this.mayAct(taken, actor) ? 'INVALID_STATE_TRANSITION' : 'NOT_RUN_ACTOR' }
    }
    const parent = run.attempt === 0 ? run.id : run.parent
    run.isRetried = true
    this.#add(next, { actor: run.actor, parent, root: run.root, pin: run.pin, attempt: run.attempt + 1, of: run.id })
    return 'append'
  }

  start(id: string, lease: number | null, actor: string): Answer {
    const first = this.before(id, actor)
    if (first !== undefined) return first
    const run = this.runs.get(id) as ModelRun
    if (run.status !== 'created') return { refuse: 'INVALID_STATE_TRANSITION' }
    const stopped = this.#stoppedAbove(run)
    if (stopped !== undefined) return stopped
    const above = this.runs.get(run.parent ?? '')
    if (above?.status === 'created') return { refuse: 'INVALID_STATE_TRANSITION' }
    const pin = run.pin ?? above?.pin ?? null
    if (pin !== null && pin !== this.policy) {
      this.end(run, 'denied', false)
      return 'denied'
    }
    Object.assign(run, {
      status: 'running',
      pin: pin ?? this.policy,
      lease: lease !== null,
      until: this.time + (lease ?? 0),
    })
    return 'append'
  }

  heartbeat(id: string, lease: number, actor: string): Answer {
    const first = this.before(id, actor)
    if (first !== undefined) return first
    const run = this.runs.get(id) as ModelRun
    if (run.status !== 'running') return { refuse: 'RUN_NOT_ACTIVE' }
    const stopped = this.#stoppedAbove(run)
    if (stopped !== undefined) return stopped
    if (!run.lease) return { refuse: 'INVALID_INPUT' }
    run.until = this.time + lease
    return 'append'
  }

  authorize(id: string, isGood: boolean, actor: string): Answer {
    const first = this.before(id, actor)
    if (first !== undefined) return first
    const run = this.runs.get(id) as ModelRun
    if (run.status !== 'running') return { refuse: 'RUN_NOT_ACTIVE' }
    const stopped = this.#stoppedAbove(run)
    if (stopped !== undefined) return stopped
    if (isGood && run.pin === this.policy) {
      run.allowed += 1
      return 'append'
    }
    this.end(run, 'denied', false)
    return 'denied'
  }

  record(id: string, actor: string): Answer {
    const first = this.before(id, actor)
    if (first !== undefined) return first
    const run = this.runs.get(id) as ModelRun
    if (run.status !== 'running') return { refuse: 'RUN_NOT_ACTIVE' }
    if (run.allowed === 0) return { refuse: 'DECISION_NOT_OPEN' }
    run.allowed -= 1
    return 'append'
  }

  finish(id: string, to: 'cancelled' | 'completed' | 'denied' | 'failed', retryable: boolean, actor: string): Answer {
    const first = this.before(id, actor)
    if (first !== undefined) return first
    const run = this.runs.get(id) as ModelRun
    const isAllowed = run.status === 'running' || (run.status === 'created' && (to === 'denied' || to === 'cancelled'))
    if (!isAllowed) return { refuse: 'INVALID_STATE_TRANSITION' }
    const stopped = to === 'completed' ? this.#stoppedAbove(run) : undefined
    if (stopped !== undefined) return stopped
    if (to === 'completed' && run.allowed > 0) return { refuse: 'RUN_HAS_OPEN_ACTION' }
    this.end(run, to, retryable)
    return 'append'
  }

  /** Cancels what is below an ended run; a run whose lease is over fails instead. */
  cancelBelow(id: string, ids: readonly string[], actor: string): Answer {
    const first = this.before(id, actor)
    if (first !== undefined) return first
    let answer: Answer = 'nothing'
    if (!isTerminal((this.runs.get(id) as ModelRun).status)) return answer
    for (const other of ids) {
      const run = this.runs.get(other)
      if (run === undefined || isTerminal(run.status) || !this.#isBelow(run, id)) continue
      answer = this.isOver(run) ? 'expired' : 'append'
      if (answer === 'expired') this.end(run, 'failed', true)
      else this.end(run, 'cancelled', false)
    }
    return answer
  }

  #isBelow(run: ModelRun, id: string): boolean {
    return run.parent !== null && (run.parent === id || this.#isBelow(this.runs.get(run.parent) as ModelRun, id))
  }

  end(run: ModelRun, status: RunStatus, retryable: boolean): void {
    Object.assign(run, { status, retryable, allowed: 0 })
  }

  /** What an ended run above does to new work; undefined where all runs above go on. A retry replaces its parent. */
  #stoppedAbove(run: ModelRun): Answer | undefined {
    let below = run
    for (let at = this.runs.get(run.parent ?? ''); at !== undefined; at = this.runs.get(at.parent ?? '')) {
      if (this.isOver(at)) {
        this.end(at, 'failed', true)
        return 'expired'
      }
      if (isTerminal(at.status) && below.of === null) return { refuse: 'RUN_ANCESTOR_ENDED' }
      below = at
    }
    return undefined
  }

  #add(id: string, facts: Pick<ModelRun, 'actor' | 'attempt' | 'of' | 'parent' | 'pin' | 'root'>): void {
    this.runs.set(id, { id, status: 'created', retryable: false, allowed: 0, lease: false, until: 0, ...facts })
  }
}
