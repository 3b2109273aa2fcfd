import { renameSync } from 'node:fs'
import { basename, relative, resolve } from 'node:path'
import type { z } from 'zod'
import { isoTime } from '../core/clock.ts'
import { isAuthority } from '../core/config.ts'
import type { Entry } from '../core/entry.ts'
import type { Actor } from '../core/ids.ts'
import type {
  Acquire,
  acquireProjectSchema,
  checkSchema,
  importSchema,
  releaseProjectSchema,
} from '../core/lock/commands.ts'
import { isEvaluable } from '../core/lock/decide-project.ts'
import { judgeRunId, parseTarget, projectNameOf, streamOf, type Target } from '../core/lock/names.ts'
import type { Grant, LockState } from '../core/lock/state.ts'
import { LockstepError } from '../errors.ts'
import { fileError } from '../fs/durable.ts'
import { findRunLocks, readRunLock, runLockPath } from '../fs/run-lock-files.ts'
import { type Core, lockRefOf, submit } from './core.ts'
import { historyOf } from './history.ts'
import type { Outcome } from './submission.ts'

/** Project run locks: who works on a project, across runs. The ledger decides; RUN_LOCK.json follows. */
export class Projects {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /**
   * Errors: INVALID_INPUT, LOCK_OWNER_MISMATCH, RUN_LOCK_RELEASED, LOCK_CONTENTION (a grant, or a LOCKED or
   * unreadable file that the ledger does not know), IDEMPOTENCY_MISMATCH (the same run_id for another target).
   */
  async acquire(
    input: z.output<typeof acquireProjectSchema>,
    actor: Actor,
  ): Promise<{ outcome: Outcome; warning?: string }> {
    const { run_id, target_name, lock_owner = run_id } = input
    const target = this.#target(target_name)
    const { problem, warning } = judgeRunId(run_id, target)
    if (problem !== undefined) throw new LockstepError('INVALID_INPUT', problem, { details: { run_id, target_name } })
    if (lock_owner !== run_id) {
      throw new LockstepError('LOCK_OWNER_MISMATCH', `lock_owner is ${lock_owner}, run_id is ${run_id}`, {
        details: { run_id, lock_owner },
      })
    }
    if (!input.release_conditions.some(isEvaluable)) {
      throw new LockstepError('INVALID_INPUT', 'none of the release conditions can be evaluated', {
        details: { release_conditions: input.release_conditions },
        hint: 'Use "state == COMPLETE" or "manual override by <AUTHORITY>".',
      })
    }
    const name = projectNameOf(target)
    await this.#refuseBlocked(name, target, run_id)
    const command = this.#acquireCommand(name, input)
    const request = {
      key: command.lock_ref,
      content: { command: command.type, release_conditions: input.release_conditions, run_id, target_name },
    }
    const outcome = await submit(this.#core, command, { actor, request })
    if (outcome.replayed && this.#grantOf(name)?.run_id !== run_id) throw alreadyReleased(run_id)
    return { outcome, ...(warning === undefined ? {} : { warning }) }
  }

  async release(input: z.output<typeof releaseProjectSchema>, actor: Actor): Promise<Outcome> {
    const { run_id, final_status, override, reason } = input
    const name = await this.#nameOfRun(run_id)
    return submit(this.#core, { type: 'lock.release_project', name, run_id, final_status, override, reason }, { actor })
  }

  /** The preflight before a role acts: this run holds this target's lock. Errors: LOCK_CHECK_FAILED. */
  check({ run_id, target_name }: z.output<typeof checkSchema>): { run_id: string; target_name: string; token: number } {
    const name = projectNameOf(this.#target(target_name))
    const grant = this.#grantOf(name)
    const problem =
      grant === null
        ? `nobody holds the lock of ${name}`
        : grant.run_id !== run_id
          ? `the lock of ${name} is held by ${grant.run_id}`
          : grant.target_name !== target_name
            ? `the run ${run_id} locked the target "${grant.target_name}"`
            : undefined
    if (problem === undefined && grant !== null) return { run_id, target_name, token: grant.token }
    throw new LockstepError('LOCK_CHECK_FAILED', problem ?? '', {
      details: { name, run_id, target_name, holder: grant?.holder ?? null },
    })
  }

  /** Takes over a RUN_LOCK.json that the ledger does not know, or sets one aside that blocks. */
  async importFile(input: z.output<typeof importSchema>, actor: Actor): Promise<Outcome> {
    const path = resolve(input.file)
    const found = readRunLock(path)
    if (found === undefined) throw new LockstepError('NOT_FOUND', `there is no file ${path}`)
    if (input.set_aside) return this.#setAside(path, found.text, input.reason, actor)
    const { content } = found
    if (content === undefined) {
      throw new LockstepError('INVALID_INPUT', `${path} is not a RUN_LOCK.json`, {
        hint: 'If it blocks a project, the release authority can set it aside: lock import --set-aside FILE --reason TEXT.',
      })
    }
    const name = projectNameOf(this.#target(content.target_name))
    if (content.status === 'RELEASED') {
      this.#demandAuthority(actor, 'import a RELEASED file')
      const isComplete = content.final_status === 'COMPLETE'
      return submit(
        this.#core,
        {
          type: 'lock.release_project',
          name,
          run_id: content.run_id,
          final_status: content.final_status,
          override: !isComplete,
          reason: input.reason ?? `imported from ${basename(path)}: ${content.released_by}`,
          from_file: true,
        },
        { actor },
      )
    }
    const project = {
      run_id: content.run_id,
      target_name: content.target_name,
      lock_reason: content.lock_reason,
      release_conditions: content.release_conditions,
      source: 'import' as const,
      lock_time: new Date(content.lock_time).toISOString(),
    }
    const command: Acquire = { ...this.#acquireCommand(name, { ...project, reason: project.lock_reason }), project }
    return submit(this.#core, command, { actor })
  }

  /** Files that `import --all` would take over: LOCKED ones the ledger does not know. */
  unknownFiles(): string[] {
    return findRunLocks(this.#core.layout.root, this.#core.config)
      .filter(
        ({ content }) =>
          content?.status === 'LOCKED' && this.#knownName(content.target_name, content.run_id) === undefined,
      )
      .map(({ path }) => path)
  }

  /** LOCKED though its run folder is gone, or file and ledger say different things. */
  orphanFinding(grant: Grant): string | undefined {
    const found = readRunLock(runLockPath(this.#core.layout.root, this.#core.config, grant.run_id ?? ''))
    if (found === undefined) return 'its RUN_LOCK.json is gone'
    if (found.content?.status !== 'LOCKED')
      return `its RUN_LOCK.json is ${found.content?.status ?? 'unreadable'}, the ledger says LOCKED`
    return undefined
  }

  #acquireCommand(
    name: string,
    input: { run_id: string; target_name: string; reason: string; release_conditions: string[] },
  ): Acquire {
    const { reason, release_conditions, run_id, target_name } = input
    return {
      type: 'lock.acquire',
      name,
      holder: run_id,
      lock_ref: lockRefOf(run_id),
      lease_duration_s: null,
      evidence: [],
      project: { lock_reason: reason, release_conditions, run_id, target_name },
    }
  }

  /** A file of the same project that the ledger does not know blocks too; so does one that cannot be read. */
  async #refuseBlocked(name: string, target: Target, runId: string): Promise<void> {
    for (const { path, content, run_id } of findRunLocks(this.#core.layout.root, this.#core.config)) {
      const inRun = relative(this.#core.layout.root, path)
      if (content === undefined) {
        throw blocked(name, path, `${inRun} cannot be read, so it may lock this project`, {
          holder: 'unreadable',
          blocking_run_id: run_id,
        })
      }
      if (content.status === 'RELEASED') {
        if (content.run_id === runId) throw alreadyReleased(runId)
        continue
      }
      const other = parseTarget(content.target_name, this.#core.config.target_prefix)
      const isSameProject =
        typeof other === 'string' ? content.target_name.includes(target.slug) : projectNameOf(other) === name
      if (!isSameProject || content.run_id === this.#grantOf(name)?.run_id) continue
      if (await this.#isKnown(name, content.run_id)) continue
      throw blocked(name, path, `${inRun} says LOCKED by ${content.run_id}, which the ledger does not know`, {
        holder: content.lock_owner,
        blocking_run_id: content.run_id,
        acquired: content.lock_time,
      })
    }
  }

  async #isKnown(name: string, runId: string): Promise<boolean> {
    const entries: Entry[] = await historyOf(this.#core, name)
    return entries.some((entry) => entry.type === 'lock.acquired' && entry.data.run_id === runId)
  }

  async #setAside(path: string, text: string, reason: string | undefined, actor: Actor): Promise<Outcome> {
    this.#demandAuthority(actor, 'set a file aside')
    if (reason === undefined) throw new LockstepError('INVALID_INPUT', 'setting a file aside needs a reason')
    const content = readRunLock(path)?.content
    const target = content === undefined ? undefined : parseTarget(content.target_name, this.#core.config.target_prefix)
    const name = target === undefined || typeof target === 'string' ? 'unknown' : projectNameOf(target)
    const aside = `${path}.aside.${this.#core.newLockId().slice(4, 16)}`
    try {
      renameSync(path, aside)
    } catch (error) {
      throw fileError(error, `moving ${path} aside`)
    }
    const root = this.#core.layout.root
    const report = {
      fact: 'set_aside' as const,
      aside: relative(root, aside),
      content: text.slice(0, 4_000),
      path: relative(root, path),
      reason,
    }
    return submit(this.#core, { type: 'lock.report_file', name, report }, { actor })
  }

  #demandAuthority(actor: Actor, what: string): void {
    const authority = this.#core.config.release_authority
    if (isAuthority(this.#core.config, actor.actor_id)) return
    throw new LockstepError('RELEASE_DENIED', `only ${authority} may ${what}; you are ${actor.actor_id}`)
  }

  /** Projects are few, so their rows are looked through. Null where no project was locked by that run lately. */
  async #nameOfRun(runId: string): Promise<string | null> {
    for await (const [, row] of this.#core.log.rows(streamOf('project:'))) {
      const { ended, grant, name } = row.state as LockState
      if (grant?.run_id === runId || ended?.run_id === runId) return name
    }
    return null
  }

  #knownName(targetName: string, runId: string): string | undefined {
    const target = parseTarget(targetName, this.#core.config.target_prefix)
    if (typeof target === 'string') return undefined
    const name = projectNameOf(target)
    return this.#grantOf(name)?.run_id === runId ? name : undefined
  }

  #target(targetName: string): Target {
    const target = parseTarget(targetName, this.#core.config.target_prefix)
    if (typeof target === 'string')
      throw new LockstepError('INVALID_INPUT', target, { details: { target_name: targetName } })
    return target
  }

  #grantOf(name: string): Grant | null {
    return (this.#core.rows.get(streamOf(name))?.state as LockState | undefined)?.grant ?? null
  }
}

function blocked(name: string, path: string, message: string, details: Record<string, unknown>): LockstepError {
  return new LockstepError('LOCK_CONTENTION', `${name} is locked: ${message}`, {
    details: {
      name,
      path,
      lease_remaining_s: null,
      contention_time: isoTime(Date.now()),
      holder_alive: 'unknown',
      ...details,
    },
    hint: `P0_INVENTORY must stop. Take it over with "lockstep lock import ${path}", or let the release authority set it aside.`,
  })
}

function alreadyReleased(runId: string): LockstepError {
  return new LockstepError('RUN_LOCK_RELEASED', `the lock of ${runId} was released; a new run needs a new run_id`, {
    details: { run_id: runId },
  })
}
