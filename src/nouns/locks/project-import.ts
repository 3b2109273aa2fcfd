import { renameSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import type { z } from 'zod'
import { fileError } from '../../disk/durable.ts'
import { realFolder } from '../../disk/layout.ts'
import type { Acquire } from '../../domain/lock/commands.ts'
import { acquireProjectSchema, type importSchema } from '../../domain/lock/inputs.ts'
import { isoMillis } from '../../domain/lock/iso-time.ts'
import { parseTarget, projectNameOf } from '../../domain/lock/names.ts'
import type { ReadRunLock } from '../../domain/lock/run-lock-file.ts'
import { seqOfGrant } from '../../domain/lock/state.ts'
import { LockstepError } from '../../errors.ts'
import { isOutcomeUnknown } from '../../files/deliverable/claims.ts'
import { type FoundRunLock, findRunLocks, isRunLockPath, readRunLock } from '../../files/run-lock/run-lock-files.ts'
import { isoTime } from '../../kernel/clock.ts'
import { isAuthority } from '../../kernel/config.ts'
import { type Actor, lineOf } from '../../kernel/ids.ts'
import { type Core, submit } from '../../writer/core.ts'
import { lockGrantOf } from '../../writer/lock-rows.ts'
import { parse } from '../../writer/parse.ts'
import type { Outcome } from '../../writer/submission.ts'
import {
  alreadyReleased,
  demandEvaluable,
  knowsRun,
  nameOfRun,
  projectCommand,
  submitRelease,
} from './project-grants.ts'

/**
 * Imports a RUN_LOCK.json that the ledger does not know, or a release that was written into one. With `set_aside`,
 * moves a blocking file out of the way. Errors: NOT_FOUND, INVALID_INPUT (not a RUN_LOCK.json, or not at the path of
 * a run's file), LOCK_OWNER_MISMATCH, RUN_LOCK_RELEASED, LOCK_CONTENTION, RELEASE_DENIED, RELEASE_CONDITION_UNMET.
 */
export async function importFile(core: Core, input: z.output<typeof importSchema>, actor: Actor): Promise<Outcome> {
  const path = pathOf(core, input.file)
  const found = readRunLock(path)
  if (found === undefined) throw new LockstepError('NOT_FOUND', `${path} does not exist`)
  if (input.set_aside) return setAside(core, found, input.reason, actor)
  const { content, run_id } = found
  if (content?.status !== 'RELEASED') return takeOver(core, found, actor)
  if (content.run_id !== run_id)
    throw notImportable(path, `belongs to the run ${content.run_id} but is in the folder of ${run_id}`)
  return release(core, path, content, { actor, reason: input.reason })
}

/** Files below the root that are unknown to the ledger, and that say LOCKED or cannot be read. */
export async function unknownFiles(core: Core): Promise<string[]> {
  const unknown: string[] = []
  for (const { content, path, run_id, status } of findRunLocks(core.layout.root, core.config)) {
    if (status === 'RELEASED') continue
    const target = parseTarget(content?.target_name ?? '', core.config.target_prefix)
    const isKnown =
      typeof target === 'string'
        ? content === undefined && (await nameOfRun(core, run_id)) !== null
        : await knowsRun(core, projectNameOf(target), content?.run_id ?? run_id)
    if (!isKnown) unknown.push(path)
  }
  return unknown
}

/** Whether a file can be imported as a lock, as far as the file alone tells. */
export function isImportable(core: Core, found: FoundRunLock): boolean {
  try {
    claimIn(core, found)
    return true
  } catch {
    return false
  }
}

/**
 * The lock that a LOCKED file claims. The form of an old run_id is not checked. Errors: INVALID_INPUT,
 * LOCK_OWNER_MISMATCH.
 */
function claimIn(core: Core, { content, path, run_id: folder }: FoundRunLock) {
  if (content === undefined) throw notImportable(path, 'cannot be read as a RUN_LOCK.json')
  const { lock_owner, lock_reason, lock_time, release_conditions, run_id, target_name } = content
  if (run_id !== folder) throw notImportable(path, `belongs to the run ${run_id} but is in the folder of ${folder}`)
  if (lock_owner !== run_id) {
    throw new LockstepError('LOCK_OWNER_MISMATCH', `${path}: lock_owner is ${lock_owner}, run_id is ${run_id}`, {
      details: { run_id, lock_owner },
      hint: setAsideHint,
    })
  }
  const bounded = parse(acquireProjectSchema, { run_id, target_name, reason: lock_reason, release_conditions }, path)
  demandEvaluable(core, release_conditions)
  const command = projectCommand(nameOf(core, path, target_name), { ...bounded, release_conditions })
  const stated = { source: 'import' as const, lock_time: isoTime(isoMillis(lock_time) ?? 0) }
  return { command, run_id, stated }
}

/** Records the grant that a file states. */
async function takeOver(core: Core, found: FoundRunLock, actor: Actor): Promise<Outcome> {
  const { command, run_id, stated } = claimIn(core, found)
  const { name, project } = command
  const grant = await lockGrantOf(core, name)
  if (grant?.run_id === run_id) {
    const entry = await core.views.entry(seqOfGrant(grant))
    return { entries: entry === undefined ? [] : [entry], replayed: true }
  }
  if (await knowsRun(core, name, run_id)) throw alreadyReleased(run_id)
  return submit(core, { ...command, project: { ...project, ...stated } } as Acquire, { actor })
}

/**
 * Releases the lock of a file that was set to RELEASED. The release authority must confirm it; an attempt by anyone
 * else is recorded.
 */
async function release(
  core: Core,
  path: string,
  content: Extract<ReadRunLock, { status: 'RELEASED' }>,
  { actor, reason }: { actor: Actor; reason: string | undefined },
): Promise<Outcome> {
  const { final_status, released_by, run_id, target_name } = content
  if (final_status === undefined) throw notImportable(path, 'says RELEASED but has no final_status')
  const by = lineOf(120).safeParse(released_by).success ? `: ${released_by}` : ''
  const asked = {
    name: nameOf(core, path, target_name),
    run_id,
    final_status,
    override: final_status !== 'COMPLETE',
    reason: reason ?? `imported from ${basename(path)}${by}`,
    from_file: true,
  }
  return submitRelease(core, asked, actor)
}

async function setAside(
  core: Core,
  { content, path, text }: FoundRunLock,
  reason: string | undefined,
  actor: Actor,
): Promise<Outcome> {
  const { config, layout } = core
  if (!isAuthority(config, actor.actor_id)) {
    const message = `only ${config.release_authority} may set a file aside; you are ${actor.actor_id}`
    throw new LockstepError('RELEASE_DENIED', message, {
      details: { path, release_authority: config.release_authority },
    })
  }
  if (reason === undefined) throw new LockstepError('INVALID_INPUT', 'a reason is required to set a file aside')
  const target = content === undefined ? undefined : parseTarget(content.target_name, config.target_prefix)
  const name = target === undefined || typeof target === 'string' ? undefined : projectNameOf(target)
  if (
    name !== undefined &&
    content?.status === 'LOCKED' &&
    (await lockGrantOf(core, name))?.run_id === content.run_id
  ) {
    throw new LockstepError('LOCK_IS_HELD', `${path} is the lock file of ${content.run_id}, which holds the lock`, {
      details: { name, run_id: content.run_id },
      hint: 'The release authority releases it with `run_id` and `final_status`.',
    })
  }
  const aside = `${path}.aside.${core.newLockId().slice(4, 16)}`
  move(path, aside)
  const report = {
    fact: 'set_aside' as const,
    aside: relative(layout.root, aside),
    content: text.slice(0, contentChars),
    path: relative(layout.root, path),
    reason,
  }
  return submit(core, { type: 'lock.report_file', name: name ?? 'unknown', report }, { actor }).catch((error) => {
    // The move was not recorded, so it is undone.
    if (!isOutcomeUnknown(error)) move(aside, path)
    throw error
  })
}

/** How much of a file's text the record of its move keeps, in UTF-16 code units. */
const contentChars = 4_000

function move(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    throw fileError(error, `moving ${from} to ${to}`)
  }
}

/**
 * The path of the file, if it is a valid path of a run's file; no other file is read or moved. Errors: INVALID_INPUT.
 */
function pathOf({ config, layout: { root } }: Core, file: string): string {
  const real = join(realFolder(dirname(file)), basename(file))
  const path = [file, real].find((candidate) => isRunLockPath(candidate, root, config))
  if (path !== undefined) return path
  throw new LockstepError('INVALID_INPUT', `${file} is not a valid path of a RUN_LOCK.json`, {
    details: { file },
    hint: `Below ${root}: ${config.runs_dir}/<run_id>/RUN_LOCK.json, or projects/<client>/<type>/<slug>/runtime/runs/<run_id>/RUN_LOCK.json.`,
  })
}

function nameOf({ config }: Core, path: string, targetName: string): string {
  const target = parseTarget(targetName, config.target_prefix)
  if (typeof target === 'string') throw notImportable(path, `has an invalid target: ${target}`)
  return projectNameOf(target)
}

const setAsideHint = 'If it blocks a project, the release authority can import it with `set_aside` and a `reason`.'

function notImportable(path: string, why: string): LockstepError {
  return new LockstepError('INVALID_INPUT', `${path} ${why}`, { details: { file: path }, hint: setAsideHint })
}
