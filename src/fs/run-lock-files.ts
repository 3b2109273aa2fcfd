import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Config } from '../core/config.ts'
import { limits } from '../core/limits.ts'
import { type RunLock, runLockFileName, runLockSchema, runLockText } from '../core/lock/run-lock-file.ts'
import { readIfThere, writeDurably } from './durable.ts'

/** A RUN_LOCK.json that was found; `content` is undefined where it cannot be read as one. */
export interface FoundRunLock {
  path: string
  run_id: string
  content: RunLock | undefined
  text: string
}

/** Every RUN_LOCK.json below the root's runs directories, its own and those of project folders. */
export function findRunLocks(root: string, config: Config): FoundRunLock[] {
  return runsDirectories(root, config).flatMap((runs) =>
    subfolders(runs).flatMap((runId) => readRunLock(join(runs, runId, runLockFileName)) ?? []),
  )
}

/** The file at a path, or undefined if there is none. One that cannot be read counts as there, and unreadable. */
export function readRunLock(path: string): FoundRunLock | undefined {
  const run_id = dirname(path).slice(dirname(dirname(path)).length + 1)
  let text: string | undefined
  try {
    if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > limits.lockFileBytes)
      return { path, run_id, content: undefined, text: '' }
    text = readIfThere(path)
  } catch {
    return { path, run_id, content: undefined, text: '' }
  }
  if (text === undefined) return undefined
  return { path, run_id, content: parse(text), text }
}

/** Where a run's file is, or is to be: in the project folder that has it already, otherwise below the root's own. */
export function runLockPath(root: string, config: Config, runId: string): string {
  const candidates = runsDirectories(root, config).map((runs) => join(runs, runId, runLockFileName))
  const existing = candidates.find((path) => statSync(path, { throwIfNoEntry: false }) !== undefined)
  return existing ?? join(root, config.runs_dir, runId, runLockFileName)
}

export async function writeRunLock(path: string, file: RunLock): Promise<void> {
  mkdirSync(dirname(path), { recursive: true })
  await writeDurably(path, runLockText(file))
}

function parse(text: string): RunLock | undefined {
  try {
    const parsed = runLockSchema.safeParse(JSON.parse(text.replace(/^\ufeff/, '')))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  }
}

/** `runs_dir`, and `projects/<client>/<type>/<slug>/runtime/runs`. */
function runsDirectories(root: string, config: Config): string[] {
  const projects = join(root, 'projects')
  const inProjects = subfolders(projects).flatMap((client) =>
    subfolders(join(projects, client)).flatMap((type) =>
      subfolders(join(projects, client, type)).map((slug) => join(projects, client, type, slug, 'runtime', 'runs')),
    ),
  )
  return [join(root, config.runs_dir), ...inProjects]
}

function subfolders(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort()
  } catch {
    return []
  }
}
