import { dirname, relative } from 'node:path'
import type { LockState } from '../../api/shapes/locks.ts'
import { quoted } from '../../disk/permissions.ts'
import { isoMillis } from '../../domain/lock/iso-time.ts'
import { judgeRunId, namesProject, parseTarget, projectNameOf, streamOf, type Target } from '../../domain/lock/names.ts'
import { LockstepError } from '../../errors.ts'
import { type FoundRunLock, findRunLocks, projectFolderOf } from '../../files/run-lock/run-lock-files.ts'
import { isoSeconds, isoTime } from '../../kernel/clock.ts'
import type { Core } from '../../writer/core.ts'
import { knowsRun, nameOfRun } from './project-grants.ts'
import { isImportable } from './project-import.ts'

/** What the parts of a target say that identify its project. */
type Project = Omit<Target, 'codename'>

/**
 * The first RUN_LOCK.json that blocks a project: the ledger does not know its run, and it says LOCKED or cannot be
 * read.
 */
export async function blockingFile(core: Core, name: string, project: Project): Promise<FoundRunLock | undefined> {
  const { config, layout } = core
  for (const found of findRunLocks(layout.root, config)) {
    const { content, run_id, status } = found
    if (status === 'RELEASED') continue
    if (content === undefined) {
      if (!mayLock(found, project, layout.root) || (await nameOfRun(core, run_id)) !== null) continue
      if (!(await knowsRun(core, name, run_id))) return found
      continue
    }
    const target = parseTarget(content.target_name, config.target_prefix)
    const isSameProject =
      typeof target === 'string' ? content.target_name.includes(project.slug) : projectNameOf(target) === name
    if (isSameProject && !(await knowsRun(core, name, content.run_id))) return found
  }
  return undefined
}

/**
 * Whether a file that cannot be read may lock this project: its own, by the run_id in its path. Where that names no
 * project, the file may belong to every project that has its runs in the same directory.
 */
function mayLock({ path, run_id }: FoundRunLock, project: Project, root: string): boolean {
  if (namesProject(run_id)) {
    const { problem, warning } = judgeRunId(run_id, { ...project, codename: '' })
    return problem === undefined && warning === undefined
  }
  const folder = projectFolderOf(path, root)
  const words = [project.client, project.type, project.slug].join('/').toLowerCase()
  return folder === undefined || folder.join('/').toLowerCase() === words
}

/** LOCK_CONTENTION with a file. The hint is a command that ends the block. */
export function contentionWithRunLock(core: Core, name: string, found: FoundRunLock): LockstepError {
  const { content, path, run_id } = found
  const inRun = relative(core.layout.root, path)
  const authority = quoted(core.config.release_authority)
  const setAside = `lockstep --actor ${authority} lock import --set-aside ${quoted(path)} --reason TEXT`
  const ways = isImportable(core, found)
    ? `Import the file with "lockstep lock import ${quoted(path)}", or let the release authority move it away: "${setAside}".`
    : `The file cannot be imported. The release authority moves it away: "${setAside}".`
  const why =
    content === undefined
      ? `${inRun} cannot be read, so it may lock this project`
      : `${inRun} is LOCKED by ${content.run_id}, which is unknown to the ledger`
  return new LockstepError('LOCK_CONTENTION', `${name} is locked: ${why}`, {
    details: {
      name,
      path,
      holder: content?.lock_owner ?? 'unreadable',
      blocking_run_id: content?.run_id ?? run_id,
      lease_remaining_s: content === undefined ? 0 : null,
      contention_time: isoTime(core.now().wall_ms),
      acquired: content === undefined ? null : lockedAt(content),
      host: null,
      pid: null,
      holder_alive: 'unknown',
      token: null,
      retry_after_s: 60,
    },
    hint: `P0_INVENTORY must stop. ${ways}`,
  })
}

/** The status of a project without a grant that a file blocks; undefined if none does. */
export async function runLockStatus(core: Core, name: string, lastSeq: number | null): Promise<LockState | undefined> {
  const [client = '', type = '', slug = ''] = name.slice('project:'.length).split('/')
  const found = await blockingFile(core, name, { client, type, slug })
  if (found === undefined) return undefined
  const { content, path, run_id } = found
  return {
    name,
    kind: 'project',
    ...(content === undefined ? { state: 'orphan', orphan_reason: 'unreadable' } : { state: 'held' }),
    holder: content?.lock_owner ?? 'unreadable',
    ...(content === undefined ? {} : { acquired: lockedAt(content), target_name: content.target_name }),
    lease_remaining_s: null,
    holder_alive: 'unknown',
    pids: [],
    folder: relative(core.layout.root, dirname(path)),
    run_id: content?.run_id ?? run_id,
    ...core.waiters.lineOf(streamOf(name)),
    last_seq: lastSeq,
  }
}

function lockedAt({ lock_time }: { lock_time: string }): string {
  return isoSeconds(isoTime(isoMillis(lock_time) ?? 0))
}
