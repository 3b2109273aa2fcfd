import type { z } from 'zod'
import * as input from '../../domain/lock/commands.ts'
import { streamOf } from '../../domain/lock/names.ts'
import { LockstepError } from '../../errors.ts'
import { writeScopeOf } from '../../kernel/config.ts'
import type { Actor } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { after, all, type Maybe } from '../../kernel/maybe.ts'
import { type Core, lockRefOf, submit } from '../../writer/core.ts'
import { deathOfHolder, evidenceFor } from '../../writer/holders.ts'
import { parse } from '../../writer/parse.ts'
import type { Line, Outcome } from '../../writer/submission.ts'
import { gaveUp } from '../../writer/waiters.ts'
import type { Deliverables } from './deliverables.ts'
import { Grants, type LeaseCalls } from './grants.ts'
import type { Lease } from './lease.ts'
import { namingGrants } from './named-grants.ts'
import type { Projects } from './projects.ts'

/** How often a waiting caller probes the lock's holder, and how often it checks a lock file of another tool. */
const probeMillis = 1_000
const pollMillis = 250

/**
 * The three ways to acquire a lock. Each turns the caller's input into a command, and the resulting entry into a
 * lease.
 */
export class Acquiring {
  readonly #core: Core
  readonly #deliverables: Deliverables
  readonly #projects: Projects
  readonly grants: Grants

  constructor(core: Core, deliverables: Deliverables, projects: Projects, calls: LeaseCalls) {
    this.#core = core
    this.#deliverables = deliverables
    this.#projects = projects
    this.grants = new Grants(core, calls)
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
    const line: Line | undefined = wait_s ? { mode: 'grant', waitMillis: wait_s * 1000, signal } : undefined
    const asked = this.#resourceCommand({ holder, lease_duration_s, lock_id, name, pids })
    const answer = after(asked, (command) => {
      const content = { command: command.type, holder, lease_duration_s, name }
      const submitted = submit(this.#core, command, { actor, line, request: { key: command.lock_ref, content } })
      return line === undefined ? submitted : this.#watched(command, submitted)
    })
    const outcome = await Promise.resolve(answer).catch(namingGrants(this.#core, [{ lock_id, name }]))
    return this.grants.lease(outcome, lock_id, requestedAt, actor)
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
    const wanted = namesWithIds(names, lock_ids, this.#core.newLockId)
    const sorted = wanted.map(({ name }) => name)
    const ids = wanted.map(({ lock_id }) => lock_id)
    const asked = wanted.map(({ name, lock_id }) =>
      this.#resourceCommand({ holder, lease_duration_s, lock_id, name, pids }),
    )
    const content = { command: 'lock.acquire_all', holder, lease_duration_s, names: sorted }
    const answer = after(all(asked), (locks) => {
      const request = { key: locks[0]?.lock_ref ?? '', content }
      return submit(this.#core, { type: 'lock.acquire_all', locks }, { actor, request })
    })
    const { entries, replayed } = await Promise.resolve(answer).catch(namingGrants(this.#core, wanted))
    const grants = entries.filter((entry) => entry.type === 'lock.acquired')
    return Promise.all(
      grants.map((entry, index) => this.grants.leaseOf(entry, ids[index] ?? '', { requestedAt, actor, replayed })),
    )
  }

  async deliverable(request: input.AcquireDeliverable, requestedAt: number): Promise<Lease> {
    const parsed = parse(input.acquireDeliverableSchema, request, 'lock')
    const { min, max } = this.#core.config.deliverable_lease_s
    const {
      actor = this.#core.actor,
      folder,
      holder,
      lease_duration_s = Math.max(min, Math.min(max, limits.leaseSecondsDefault)),
      lock_id = this.#core.newLockId(),
      pids = [process.pid],
      signal,
      wait_s = 0,
    } = parsed
    this.#demandScope(actor)
    if (lease_duration_s < min || lease_duration_s > max) {
      throw new LockstepError(
        'INVALID_INPUT',
        `lease_duration_s of a deliverable must be ${min} to ${max}, not ${lease_duration_s}`,
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
    const ended = await this.grants.ended(command, actor)
    if (ended !== undefined) return this.grants.leaseOf(ended, lock_id, { requestedAt, actor, replayed: true })
    const waited = this.#deliverables.acquire(command, place, actor).catch((error: unknown) => {
      if (wait_s === 0 || !(error instanceof LockstepError) || error.code !== 'LOCK_CONTENTION') throw error
      return this.#waitForTurn({ command, actor, waitMillis: wait_s * 1000, signal }, (line) =>
        this.#deliverables.acquire(command, place, actor, line),
      )
    })
    const outcome = await waited.catch(namingGrants(this.#core, [{ lock_id, name: place.name }]))
    return this.grants.lease(outcome, lock_id, requestedAt, actor)
  }

  async project(request: input.AcquireProject, requestedAt: number): Promise<Lease> {
    // The two release conditions of the run lock template. The second names the configured release authority.
    const release_conditions = ['state == COMPLETE', `manual override by ${this.#core.config.release_authority}`]
    const parsed = parse(input.acquireProjectSchema, { release_conditions, ...request }, 'project lock')
    const { actor = this.#core.actor, run_id } = parsed
    const { outcome, warning } = await this.#projects.acquire(parsed, actor)
    const files = await this.#core.filesDrained()
    const lease = await this.grants.lease(outcome, run_id, requestedAt, actor)
    return Object.assign(lease, { files }, warning === undefined ? {} : { warning })
  }

  /**
   * Waits in line until called in, then claims the file. A lock file of another tool is waited for within the same
   * time.
   */
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
    const line: Line = { mode: 'call', waitMillis, signal }
    try {
      await this.#watched(command, submit(this.#core, command, { actor, line }))
      for (;;) {
        try {
          return await claim(line)
        } catch (error) {
          if (!(error instanceof LockstepError) || error.code !== 'LOCK_CONTENTION') throw error
          if (signal?.aborted) throw gaveUp('ABORTED', error, waitMillis)
          if (performance.now() + pollMillis > until) throw gaveUp('TIMED_OUT', error, waitMillis)
          await new Promise((resolve) => setTimeout(resolve, pollMillis))
        }
      }
    } finally {
      this.#core.waiters.endTurn(streamOf(command.name), line)
    }
  }

  /** Probes the holder while a caller waits for its lock. A death is passed to the next decision. */
  async #watched(command: input.Acquire, answer: Promise<Outcome>): Promise<Outcome> {
    const probe = async () => {
      const { death } = await deathOfHolder(this.#core, command.name)
      if (death === undefined) return
      command.death = death
      this.#core.poke(streamOf(command.name))
    }
    // A ledger that cannot be read answers the waiting caller itself.
    const timer = setInterval(() => void probe().catch(() => {}), probeMillis)
    return answer.finally(() => clearInterval(timer))
  }

  #resourceCommand(facts: {
    holder: string
    lease_duration_s: number
    lock_id: string
    name: string
    pids: number[] | undefined
  }): Maybe<input.Acquire> {
    const { holder, lease_duration_s, lock_id, name, pids = [process.pid] } = facts
    const evidence = evidenceFor(pids)
    const lock_ref = lockRefOf(lock_id)
    const command = { type: 'lock.acquire' as const, name, holder, lock_ref, lease_duration_s, evidence }
    return after(deathOfHolder(this.#core, name), (found) => ({ ...command, ...found }))
  }

  #demandScope(actor: Actor): void {
    const { config } = this.#core
    if (config.write_scopes === undefined) return
    const scope = writeScopeOf(config, actor.actor_id, actor.role_id)
    if (scope === 'deliverable-local') return
    throw new LockstepError(
      'WRITE_SCOPE_DENIED',
      `${actor.actor_id} has the write scope ${scope ?? 'none'}; a deliverable’s lock needs deliverable-local`,
      {
        details: { actor_id: actor.actor_id, write_scope: scope ?? null },
      },
    )
  }
}

/** Sorts names by their UTF-8 bytes and drops duplicates. Each name keeps the lock_id given at its position. */
function namesWithIds(names: readonly string[], lockIds: readonly string[] | undefined, newLockId: () => string) {
  const byName = new Map(names.map((name, index) => [name, lockIds?.[index] ?? newLockId()]))
  return [...byName]
    .map(([name, lock_id]) => ({ name, lock_id }))
    .sort((left, right) => Buffer.compare(Buffer.from(left.name), Buffer.from(right.name)))
}
