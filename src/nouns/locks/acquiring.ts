import type { z } from 'zod'
import type * as shapes from '../../api/shapes/locks.ts'
import type { Acquire, PathsWanted } from '../../domain/lock/commands.ts'
import { nameOfPath, pathLine, streamOf } from '../../domain/lock/names.ts'
import { LockstepError } from '../../errors.ts'
import { given } from '../../kernel/given.ts'
import type { Actor } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { after, all, type Maybe } from '../../kernel/maybe.ts'
import { type Core, lockRefOf, submit } from '../../writer/core.ts'
import { gaveUp } from '../../writer/gave-up.ts'
import { deathOfHolder, evidenceFor } from '../../writer/holders.ts'
import type { Line, Outcome } from '../../writer/submission.ts'
import type { KnownCallOptions } from '../served.ts'
import type { Deliverables } from './deliverables.ts'
import { Grants } from './grants.ts'
import { namingGrants } from './named-grants.ts'
import type { PathLocks } from './paths.ts'
import type { Projects } from './projects.ts'
import { demandScope } from './write-scope.ts'

/** How often a waiting caller probes the lock's holder, and how often it checks a lock file of another tool. */
const probeMillis = 1_000
const pollMillis = 250

type Given<Schema extends z.ZodType> = z.output<Schema>
type Signal = AbortSignal | undefined

/** What acquires the kinds of locks that have files or places of their own. */
interface Kinds {
  deliverables: Deliverables
  paths: PathLocks
  projects: Projects
}

/** The ways to acquire a lock. Each turns the caller's input into a command, and the resulting entry into a grant. */
export class Acquiring {
  readonly #core: Core
  readonly #deliverables: Deliverables
  readonly #paths: PathLocks
  readonly #projects: Projects
  readonly grants: Grants

  constructor(core: Core, { deliverables, paths, projects }: Kinds) {
    this.#core = core
    this.#deliverables = deliverables
    this.#paths = paths
    this.#projects = projects
    this.grants = new Grants(core)
  }

  async resource(input: Given<typeof shapes.acquireResource>, signal: Signal): Promise<shapes.Grant> {
    const { actor = this.#core.actor, holder, lease_duration_s, name, pids, reason, wait_s } = input
    const { lock_id = this.#core.newLockId() } = input
    const line = lineFor(wait_s, signal)
    const asked = this.#resourceCommand({ holder, lease_duration_s, lock_id, name, pids, reason })
    const answer = after(asked, (command) => {
      const content = { command: command.type, holder, lease_duration_s, name, ...given({ reason }) }
      const submitted = submit(this.#core, command, { actor, line, request: { key: command.lock_ref, content } })
      return line === undefined ? submitted : this.#watched(command, submitted)
    })
    const outcome = await Promise.resolve(answer).catch(namingGrants(this.#core, [{ lock_id, name }]))
    return this.grants.answer(outcome, lock_id, actor)
  }

  async paths(
    input: Given<typeof shapes.acquirePaths>,
    { isRemote = false, signal }: KnownCallOptions,
  ): Promise<shapes.Grant> {
    const { actor = this.#core.actor, holder, lease_duration_s, pids, reason, shared, wait_s } = input
    const { lock_id = this.#core.newLockId() } = input
    const { paths, worktree } = this.#paths.named(input.paths, !isRemote)
    const name = nameOfPath(paths[0] ?? '')
    const [lock_ref, line] = [lockRefOf(lock_id), lineFor(wait_s, signal)]
    const holders = await this.#paths.holdersInTheWay({ paths, shared })
    const wanted = { holders, paths, shared, worktree }
    const evidence = evidenceFor(pids)
    const command: Acquire = {
      type: 'lock.acquire',
      name,
      holder,
      lock_ref,
      lease_duration_s,
      evidence,
      paths: wanted,
      reason,
    }
    const content = { command: command.type, holder, lease_duration_s, paths, shared, ...given({ reason }) }
    const submitted = submit(this.#core, command, { actor, line, request: { key: lock_ref, content } })
    const answer = line === undefined ? submitted : this.#watched(command, submitted)
    const outcome = await answer.catch(namingGrants(this.#core, [{ lock_id, name }]))
    return this.grants.answer(outcome, lock_id, actor)
  }

  async all(input: Given<typeof shapes.acquireAll>): Promise<shapes.GrantList> {
    const { actor = this.#core.actor, holder, lease_duration_s, lock_ids, names, pids, reason } = input
    const wanted = namesWithIds(names, lock_ids, this.#core.newLockId)
    const sorted = wanted.map(({ name }) => name)
    const ids = wanted.map(({ lock_id }) => lock_id)
    const asked = wanted.map(({ name, lock_id }) =>
      this.#resourceCommand({ holder, lease_duration_s, lock_id, name, pids, reason }),
    )
    const content = { command: 'lock.acquire_all', holder, lease_duration_s, names: sorted, ...given({ reason }) }
    const answer = after(all(asked), (locks) => {
      const request = { key: locks[0]?.lock_ref ?? '', content }
      return submit(this.#core, { type: 'lock.acquire_all', locks }, { actor, request })
    })
    const { entries, replayed } = await Promise.resolve(answer).catch(namingGrants(this.#core, wanted))
    const granted = entries.filter((entry) => entry.type === 'lock.acquired')
    const answers = granted.map((entry, at) => this.grants.answerOf(entry, ids[at] ?? '', { actor, replayed }))
    return { grants: await Promise.all(answers) }
  }

  async deliverable(input: Given<typeof shapes.acquireDeliverable>, signal: Signal): Promise<shapes.Grant> {
    const { min, max } = this.#core.config.deliverable_lease_s
    const { actor = this.#core.actor, folder, holder, lock_id = this.#core.newLockId(), pids, reason, wait_s } = input
    const { lease_duration_s = Math.max(min, Math.min(max, limits.leaseSecondsDefault)) } = input
    demandScope(this.#core, actor)
    if (lease_duration_s < min || lease_duration_s > max) {
      throw new LockstepError(
        'INVALID_INPUT',
        `lease_duration_s of a deliverable must be ${min} to ${max}, not ${lease_duration_s}`,
      )
    }
    const place = this.#deliverables.folderOf(folder)
    const lock_ref = lockRefOf(lock_id)
    const command: Acquire = {
      type: 'lock.acquire',
      name: place.name,
      holder,
      lock_ref,
      lease_duration_s,
      evidence: evidenceFor(pids),
      reason,
    }
    const ended = await this.grants.ended(command, actor)
    if (ended !== undefined) return this.grants.answerOf(ended, lock_id, { actor, replayed: true })
    const waited = this.#deliverables.acquire(command, place, actor).catch((error: unknown) => {
      if (wait_s === 0 || !isWorthWaiting(error)) throw error
      return this.#waitForTurn({ command, actor, waitMillis: wait_s * 1000, signal }, (line) =>
        this.#deliverables.acquire(command, place, actor, line),
      )
    })
    const outcome = await waited.catch(namingGrants(this.#core, [{ lock_id, name: place.name }]))
    return this.grants.answer(outcome, lock_id, actor)
  }

  async project(input: Given<typeof shapes.acquireProject>): Promise<shapes.Grant> {
    const { actor = this.#core.actor, run_id } = input
    const { outcome, warning } = await this.#projects.acquire(input, actor)
    const files = await this.#core.filesDrained()
    const grant = await this.grants.answer(outcome, run_id, actor)
    return { ...grant, files, ...(warning === undefined ? {} : { warning }) }
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
    }: { command: Acquire; actor: Actor; waitMillis: number; signal: AbortSignal | undefined },
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
          if (!isWorthWaiting(error)) throw error
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
  async #watched(command: Acquire, answer: Promise<Outcome>): Promise<Outcome> {
    const probe = async () => {
      if (command.paths !== undefined) return this.#probePaths(command, command.paths)
      const { death } = await deathOfHolder(this.#core, command.name)
      if (death === undefined) return
      command.death = death
      this.#core.poke(streamOf(command.name))
    }
    // A ledger that cannot be read answers the waiting caller itself.
    const timer = setInterval(() => void probe().catch(() => {}), probeMillis)
    return answer.finally(() => clearInterval(timer))
  }

  async #probePaths(command: Acquire, wanted: PathsWanted): Promise<void> {
    const holders = await this.#paths.holdersInTheWay(wanted)
    if (!holders.some(({ alive }) => alive === 'no')) return
    command.paths = { ...wanted, holders }
    this.#core.poke(pathLine)
  }

  #resourceCommand(facts: {
    holder: string
    lease_duration_s: number
    lock_id: string
    name: string
    pids: number[]
    reason: string | undefined
  }): Maybe<Acquire> {
    const { holder, lease_duration_s, lock_id, name, pids, reason } = facts
    const evidence = evidenceFor(pids)
    const lock_ref = lockRefOf(lock_id)
    const command = { type: 'lock.acquire' as const, name, holder, lock_ref, lease_duration_s, evidence, reason }
    return after(deathOfHolder(this.#core, name), (found) => ({ ...command, ...found }))
  }
}

function lineFor(waitSeconds: number, signal: Signal): Line | undefined {
  return waitSeconds > 0 ? { mode: 'grant', waitMillis: waitSeconds * 1000, signal } : undefined
}

/** Whether a lock may become free by waiting. */
function isWorthWaiting(error: unknown): error is LockstepError {
  return error instanceof LockstepError && error.code === 'LOCK_CONTENTION' && error.retryable
}

/** Sorts names by their UTF-8 bytes and drops duplicates. Each name keeps the lock_id given at its position. */
function namesWithIds(names: readonly string[], lockIds: readonly string[] | undefined, newLockId: () => string) {
  const byName = new Map(names.map((name, index) => [name, lockIds?.[index] ?? newLockId()]))
  return [...byName]
    .map(([name, lock_id]) => ({ name, lock_id }))
    .sort((left, right) => Buffer.compare(Buffer.from(left.name), Buffer.from(right.name)))
}
