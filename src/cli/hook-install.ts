import { existsSync, realpathSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { makeFolder, writeDurably } from '../disk/durable.ts'
import { inPackage } from '../disk/package-folder.ts'
import { readTextFile } from '../disk/regular-file.ts'
import { LockstepError } from '../errors.ts'
import type { HarnessName } from '../hooks/forms.ts'
import { parsedJson } from '../kernel/json.ts'
import { limits } from '../kernel/limits.ts'
import { isEmpty, places, withHooks, withoutHooks } from './hook-settings.ts'

export type Scope = 'project' | 'user'

/** What became of the settings of a harness. */
export interface Changed {
  /** The settings as they were before the first install; null if there were none. */
  backup: string | null
  file: string
  is_changed: boolean
}

/** The file of the settings of a harness: of the user, or of the project that a folder is in. */
export function settingsFile(harness: HarnessName, scope: Scope, dir: string): string {
  const { folder, folderVariable, project, user } = places[harness]
  if (scope === 'project') return join(projectOf(dir), project)
  const configured = folderVariable === undefined ? undefined : process.env[folderVariable]
  return join(configured || join(homedir(), folder), user)
}

/** The innermost folder with `.git` at or above a folder; the folder itself if there is none. */
function projectOf(dir: string): string {
  const from = resolve(dir)
  for (let [at, above] = [from, dirname(from)]; ; [at, above] = [above, dirname(above)]) {
    if (existsSync(join(at, '.git'))) return at
    if (at === above) return from
  }
}

/**
 * Adds the hooks to the settings of a harness, and keeps the settings that were there as a backup. Doing so again changes
 * nothing. Errors: INVALID_INPUT (the settings are not a JSON object), those of files.
 */
export async function installHooks(harness: HarnessName, file: string, isEnforced: boolean): Promise<Changed> {
  const programs = { isEnforced, node: process.execPath, script: inPackage('dist/cli/hook.sh') }
  const { place, settings, text } = readSettings(file)
  const next = textOf(withHooks(harness, settings, programs))
  const backup = backupOf(place)
  if (text === next) return { backup: existsSync(backup) ? backup : null, file: place, is_changed: false }
  makeFolder(dirname(place))
  // The backup is what was there before the first install, and a later one does not replace it.
  if (text !== undefined && !existsSync(backup)) await writeDurably(backup, text, 0o600)
  await writeDurably(place, next, 0o600)
  return { backup: text === undefined && !existsSync(backup) ? null : backup, file: place, is_changed: true }
}

/**
 * Takes the hooks out of the settings of a harness. If nothing else changed since the install, the file is again what it
 * was, byte for byte. Errors: as for `installHooks`.
 */
export async function uninstallHooks(harness: HarnessName, file: string): Promise<Changed> {
  const { place, settings, text } = readSettings(file)
  const backup = backupOf(place)
  const before = readSettings(backup)
  const left = withoutHooks(settings)
  const isSame = text === undefined || textOf(left) === textOf(settings)
  if (!isSame) {
    const isAsBefore = before.text !== undefined && textOf(left) === textOf(withoutHooks(before.settings))
    if (isAsBefore) await writeDurably(place, before.text ?? '', 0o600)
    else if (before.text === undefined && isEmpty(harness, left)) rmSync(place)
    else await writeDurably(place, textOf(left), 0o600)
  }
  rmSync(backup, { force: true })
  return { backup: null, file: place, is_changed: !isSame }
}

const backupOf = (file: string) => `${file}.before-lockstep`
const textOf = (settings: object) => `${JSON.stringify(settings, null, 2)}\n`

/** The settings in a file; a link is followed, because many people keep their settings elsewhere. */
export function readSettings(file: string): { place: string; settings: Record<string, unknown>; text?: string } {
  const place = existsSync(file) ? realpathSync(file) : file
  const unusable = (is: string) => new LockstepError('INVALID_INPUT', `${place} ${is}`, { details: { file: place } })
  const text = readTextFile(place, limits.homeFileBytes, unusable)
  if (text === undefined) return { place, settings: {} }
  const settings = text.trim() === '' ? {} : parsedJson(text, place)
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings))
    throw unusable('is not a JSON object')
  return { place, settings: settings as Record<string, unknown>, text }
}
