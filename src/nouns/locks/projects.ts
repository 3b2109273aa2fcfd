import { dirname, relative } from 'node:path'
import type { z } from 'zod'
import type { acquireProjectSchema, checkSchema, importSchema, releaseProjectSchema } from '../../domain/lock/inputs.ts'
import { judgeRunId, parseTarget, projectNameOf, type Target } from '../../domain/lock/names.ts'
import { lockedFile } from '../../domain/lock/run-lock-file.ts'
import type { Grant } from '../../domain/lock/state.ts'
import { isTerminal } from '../../domain/run/moves.ts'
import { LockstepError } from '../../errors.ts'
import { findRunLocks, isSameRunLock, readRunLock, runLockPath } from '../../files/run-lock/run-lock-files.ts'
import { given } from '../../kernel/given.ts'
import type { Actor } from '../../kernel/ids.ts'
import { type Core, submit } from '../../writer/core.ts'
import { lockGrantOf } from '../../writer/lock-rows.ts'
import type { Outcome } from '../../writer/submission.ts'
import { findRun } from '../runs/run-status.ts'
import { blockingFile, contentionWithRunLock } from './project-files.ts'
import {
  alreadyReleased,
  demandEvaluable,
  knowsRun,
  nameOfRun,
  projectCommand,
  submitRelease,
} from './project-grants.ts'
import { importFile, unknownFiles } from './project-import.ts'

/** Project locks: which run works on a project. The ledger decides; RUN_LOCK.json follows. */
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
    const { release_conditions = this.#templateConditions() } = input
    demandEvaluable(this.#core, release_conditions)
    const name = projectNameOf(target)
    await this.#refuseOtherProject(name, input)
    const grant = await lockGrantOf(this.#core, name)
    if (grant?.run_id !== run_id && (await knowsRun(this.#core, name, run_id))) throw alreadyReleased(run_id)
    // While a run holds the lock, the ledger decides, whatever the files say now.
    if (grant === null) await this.#refuseBlocked(name, target, run_id)
    else await this.#restoreFile(grant, actor)
    const command = projectCommand(name, { ...input, release_conditions })
    const request = {
      key: command.lock_ref,
      content: { command: command.type, release_conditions, run_id, target_name },
    }
    const outcome = await submit(this.#core, command, { actor, request })
    if (outcome.replayed && (await lockGrantOf(this.#core, name))?.run_id !== run_id) throw alreadyReleased(run_id)
    return { outcome, ...given({ warning }) }
  }

  /** The two release conditions of the run lock template. The second names the configured release authority. */
  #templateConditions(): string[] {
    return ['state == COMPLETE', `manual override by ${this.#core.config.release_authority}`]
  }

  async release(input: z.output<typeof releaseProjectSchema>, actor: Actor): Promise<Outcome> {
    const name = await nameOfRun(this.#core, input.run_id)
    return submitRelease(this.#core, { ...input, name }, actor)
  }

  /** Checks that this run holds this target's lock; a role checks it before it acts. Errors: LOCK_CHECK_FAILED. */
  async check({
    run_id,
    target_name,
  }: z.output<typeof checkSchema>): Promise<{ run_id: string; target_name: string; token: number }> {
    const name = projectNameOf(this.#target(target_name))
    const grant = await lockGrantOf(this.#core, name)
    const problem =
      grant === null
        ? `${name} is not locked`
        : grant.run_id !== run_id
          ? `the lock of ${name} is held by ${grant.run_id}`
          : grant.target_name !== target_name
            ? `the run ${run_id} locked the target "${grant.target_name}", not "${target_name}"`
            : undefined
    if (problem === undefined && grant !== null) return { run_id, target_name, token: grant.token }
    throw new LockstepError('LOCK_CHECK_FAILED', problem ?? '', {
      details: { name, run_id, target_name, holder: grant?.holder ?? null },
    })
  }

  importFile(input: z.output<typeof importSchema>, actor: Actor): Promise<Outcome> {
    return importFile(this.#core, input, actor)
  }

  /** The files that `import --all` would import: unknown to the ledger, and LOCKED or not readable. */
  unknownFiles(): Promise<string[]> {
    return unknownFiles(this.#core)
  }

  /** Why a project lock counts as an orphan: its run has ended, its file is gone, or the file and the ledger differ. */
  async orphanFinding(grant: Grant): Promise<string | undefined> {
    const { config, layout } = this.#core
    const status = (await findRun(this.#core, grant.run_id ?? ''))?.status
    if (status !== undefined && isTerminal(status)) return `its run is ${status}`
    const found = readRunLock(runLockPath(layout.root, config, grant.run_id ?? ''))
    if (found === undefined) return 'its RUN_LOCK.json is gone'
    if (found.status !== 'LOCKED' || found.content === undefined)
      return `its RUN_LOCK.json is ${found.status === 'RELEASED' ? found.status : 'unreadable'}, the ledger says LOCKED`
    const isOwn =
      grant.source === 'import'
        ? found.content.run_id === grant.run_id
        : isSameRunLock(found.content, lockedFile(grant))
    return isOwn ? undefined : 'its RUN_LOCK.json was edited by hand'
  }

  /**
   * Restores the file of a current grant after somebody removed it: the removal is recorded, and the reactor writes the
   * file again.
   */
  async #restoreFile({ lock_ref, name, run_id = '', token }: Grant, actor: Actor): Promise<void> {
    const { config, filesDrained, layout } = this.#core
    // The reactor may not have written the file yet, or cannot.
    if ((await filesDrained()) === 'pending') return
    const path = runLockPath(layout.root, config, run_id)
    if (readRunLock(path) !== undefined) return
    const report = { fact: 'restored' as const, lock_ref, token, folder: relative(layout.root, dirname(path)) }
    await submit(this.#core, { type: 'lock.report_file', name, report }, { actor }).catch((error: unknown) => {
      // The grant has ended meanwhile.
      if (!(error instanceof LockstepError) || error.code !== 'LOCK_NOT_HELD') throw error
    })
    await filesDrained()
  }

  /** A run works on only one project. Errors: IDEMPOTENCY_MISMATCH. */
  async #refuseOtherProject(name: string, { run_id, target_name }: { run_id: string; target_name: string }) {
    const other = await nameOfRun(this.#core, run_id)
    if (other === null || other === name) return
    throw new LockstepError('IDEMPOTENCY_MISMATCH', `the run ${run_id} has locked ${other}, not ${name}`, {
      details: { run_id, target_name, name: other },
    })
  }

  /** Refuses a run whose file says RELEASED, and a project that a file blocks. */
  async #refuseBlocked(name: string, target: Target, runId: string): Promise<void> {
    const { config, layout } = this.#core
    for (const { content, run_id, status } of findRunLocks(layout.root, config)) {
      if (status === 'RELEASED' && (content?.run_id ?? run_id) === runId) throw alreadyReleased(runId)
    }
    const blocking = await blockingFile(this.#core, name, target)
    if (blocking !== undefined) throw contentionWithRunLock(this.#core, name, blocking)
  }

  #target(targetName: string): Target {
    const target = parseTarget(targetName, this.#core.config.target_prefix)
    if (typeof target === 'string')
      throw new LockstepError('INVALID_INPUT', target, { details: { target_name: targetName } })
    return target
  }
}
