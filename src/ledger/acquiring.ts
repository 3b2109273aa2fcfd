import type { z } from 'zod'
import type { Entry } from '../core/entry.ts'
import type { Actor } from '../core/ids.ts'
import * as input from '../core/lock/commands.ts'
import { streamOf } from '../core/lock/names.ts'
import type { LockState } from '../core/lock/state.ts'
import { invariant, LockstepError } from '../errors.ts'
import { type Core, lockRefOf, submit } from './core.ts'
import type { Deliverables } from './deliverables.ts'
import { deathOfHolder, evidenceFor } from './holders.ts'
import { grantFacts, type Lease, leaseOf } from './lease.ts'
import { parse } from './parse.ts'
import type { Projects } from './projects.ts'
import type { Line, Outcome } from './submission.ts'

/** How often the holder a caller waits behind is probed, and a lock file of another tool looked at. */
const probeMillis = 1_000
const pollMillis = 250

/** What a lease does when its holder renews or releases it. */
export interface LeaseCalls {
  renew: (request: z.input<typeof input.renewSchema>) => Promise<{ acquired: string; expires_at: string }>
  release: (request: z.input<typeof input.releaseSchema>) => Promise<unknown>
}

/** The three ways to acquire, from the caller's words to a command with its facts, and from its entry to a lease. */
export class Acquiring {
  readonly #core: Core
  readonly #deliverables: Deliverables
  readonly #projects: Projects
  readonly #calls: LeaseCalls

  constructor(core: Core, deliverables: Deliverables, projects: Projects, calls: LeaseCalls) {
    this.#core = core
    this.#deliverables = deliverables
    this.#projects = projects
    this.#calls = calls
  }

  async resource(request: input.AcquireResource, requestedAt: number): Promise<Lease> {
    const {
      actor = this.#core.actor,
      holder,
      lease_duration_s,
      lock_id = this.#core.newLockId(),
      name,
      pids,
      signal,
      wait_s,
    } = parse(input.acquireResourceSchema, request, 'lock')
    const command = this.#resourceCommand({ holder, lease_duration_s, lock_id, name, pids })
    const content = { command: command.type, holder, lease_duration_s, name }
    const line: Line | undefined = wait_s ? { mode: 'grant', waitMillis: wait_s * 1000, signal } : undefined
    const submitted = submit(this.#core, command, { actor, line, request: { key: command.lock_ref, content } })
    const outcome = await (line === undefined ? submitted : this.#watched(command, submitted))
    return this.#lease(outcome, lock_id, requestedAt, actor)
  }

  async all(request: z.input<typeof input.acquireAllSchema>, requestedAt: number): Promise<Lease[]> {
    const {
      actor = this.#core.actor,
      holder,
      lease_duration_s,
      lock_ids,
      names,
      pids,
    } = parse(input.acquireAllSchema, request, 'locks')
    const sorted = [...new Set(names)].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
    const ids = sorted.map((_, index) => lock_ids?.[index] ?? this.#core.newLockId())
    const locks = sorted.map((name, index) =>
      this.#resourceCommand({ holder, lease_duration_s, lock_id: ids[index] ?? '', name, pids }),
    )
    const key = locks[0]?.lock_ref ?? ''
    const content = { command: 'lock.acquire_all', holder, lease_duration_s, names: sorted }
    const { entries, replayed } = await submit(
      this.#core,
      { type: 'lock.acquire_all', locks },
      { actor, request: { key, content } },
    )
    const grants = entries.filter((entry) => entry.type === 'lock.acquired')
    return grants.map((entry, index) => this.#leaseOf(entry, ids[index] ?? '', { requestedAt, actor, replayed }))
  }

  async deliverable(request: input.AcquireDeliverable, requestedAt: number): Promise<Lease> {
    const parsed = parse(input.acquireDeliverableSchema, request, 'lock')
    const {
      actor = this.#core.actor,
      folder,
      holder,
      lease_duration_s,
      lock_id = this.#core.newLockId(),
      pids = [process.pid],
      signal,
      wait_s = 0,
    } = parsed
    this.#demandScope(actor)
    const { min, max } = this.#core.config.deliverable_lease_s
    if (lease_duration_s < min || lease_duration_s > max) {
      throw new LockstepError(
        'INVALID_INPUT',
        `lease_duration_s of a deliverable is ${min} … ${max}, not ${lease_duration_s}`,
      )
    }
    const place = this.#deliverables.folderOf(folder)
    const lock_ref = lockRefOf(lock_id)
    const command: input.Acquire = {
      type: 'lock.acquire',
      name: place.name,
      holder,
      lock_ref,
      lease_duration_s,
      evidence: evidenceFor(pids),
    }
    const outcome = await this.#deliverables.acquire(command, place, actor).catch((error: unknown) => {
      if (wait_s === 0 || !(error instanceof LockstepError) || error.code !== 'LOCK_CONTENTION') throw error
      return this.#waitForTurn({ command, actor, waitMillis: wait_s * 1000, signal }, (line) =>
        this.#deliverables.acquire(command, place, actor, line),
      )
    })
    return this.#lease(outcome, lock_id, requestedAt, actor)
  }

  async project(request: input.AcquireProject, requestedAt: number): Promise<Lease> {
    const parsed = parse(input.acquireProjectSchema, request, 'project lock')
    const { actor = this.#core.actor, run_id } = parsed
    const { outcome, warning } = await this.#projects.acquire(parsed, actor)
    const files = await this.#core.filesDrained()
    const lease = this.#lease(outcome, run_id, requestedAt, actor)
    return Object.assign(lease, { files }, warning === undefined ? {} : { warning })
  }

  /** Stands in line until called in, then claims; a file of another tool is waited out within the same time. */
  async #waitForTurn(
    {
      command,
      actor,
      waitMillis,
      signal,
    }: { command: input.Acquire; actor: Actor; waitMillis: number; signal: AbortSignal | undefined },
    claim: (line: Line) => Promise<Outcome>,
  ): Promise<Outcome> {
    const until = performance.now() + waitMillis
    const line: Line = { mode: 'turn', waitMillis, signal }
    try {
      await this.#watched(command, submit(this.#core, command, { actor, line }))
      for (;;) {
        try {
          return await claim(line)
        } catch (error) {
          const isOver = performance.now() + pollMillis > until || signal?.aborted === true
          if (isOver || !(error instanceof LockstepError) || error.code !== 'LOCK_CONTENTION') throw error
          await new Promise((resolve) => setTimeout(resolve, pollMillis))
        }
      }
    } finally {
      this.#core.waiters.endTurn(streamOf(command.name), line)
    }
  }

  /** Probes the holder while a caller waits behind it; a death is handed to the next decision. */
  async #watched(command: input.Acquire, answer: Promise<Outcome>): Promise<Outcome> {
    const timer = setInterval(() => {
      const { death } = deathOfHolder(this.#core, command.name)
      if (death === undefined) return
      command.death = death
      this.#core.poke(streamOf(command.name))
    }, probeMillis)
    return answer.finally(() => clearInterval(timer))
  }

  #resourceCommand(facts: {
    holder: string
    lease_duration_s: number
    lock_id: string
    name: string
    pids: number[] | undefined
  }): input.Acquire {
    const { holder, lease_duration_s, lock_id, name, pids = [process.pid] } = facts
    const evidence = evidenceFor(pids)
    return {
      type: 'lock.acquire',
      name,
      holder,
      lock_ref: lockRefOf(lock_id),
      lease_duration_s,
      evidence,
      ...deathOfHolder(this.#core, name),
    }
  }

  #demandScope(actor: Actor): void {
    const scopes = this.#core.config.write_scopes
    if (scopes === undefined) return
    const scope = scopes[actor.actor_id] ?? scopes[actor.role_id ?? '']
    if (scope === 'deliverable-local') return
    throw new LockstepError(
      'WRITE_SCOPE_DENIED',
      `${actor.actor_id} has the write scope ${scope ?? 'none'}; a deliverable’s lock needs deliverable-local`,
      {
        details: { actor_id: actor.actor_id, write_scope: scope ?? null },
      },
    )
  }

  #lease(outcome: Outcome, lockId: string, requestedAt: number, actor: Actor): Lease {
    const entry = outcome.entries.find(({ type }) => type === 'lock.acquired')
    invariant(entry !== undefined, 'an acquire is answered with its grant')
    return this.#leaseOf(entry, lockId, { requestedAt, actor, replayed: outcome.replayed })
  }

  #leaseOf(
    entry: Entry,
    lock_id: string,
    { requestedAt, actor, replayed }: { requestedAt: number; actor: Actor; replayed: boolean },
  ): Lease {
    const current = !replayed || this.#currentToken(String(entry.data.name)) === entry.seq
    const facts = grantFacts(entry, lock_id, { replayed, current })
    return leaseOf(facts, requestedAt, {
      renew: () => this.#calls.renew({ actor, lock_id }),
      release: (outcome) => this.#calls.release({ actor, lock_id, outcome }),
    })
  }

  #currentToken(name: string): number | undefined {
    return (this.#core.rows.get(streamOf(name))?.state as LockState | undefined)?.grant?.token
  }
}
