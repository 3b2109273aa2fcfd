import { link, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { lockFileName } from '../core/lock/lock-file.ts'
import { systemCodeOf } from '../errors.ts'
import { fileError, syncFolder } from './durable.ts'
import { inodeIfThere, inspect, type Seen, unlinkIfThere } from './lock-file.ts'

/** What became of taking a file away: gone, not there any more, or two files claim the place. */
export type Removal =
  | { outcome: 'aside'; aside: string }
  | { outcome: 'absent' }
  | { outcome: 'changed' }
  | { outcome: 'conflict'; aside: string; asideText: string; foundText: string }

/**
 * Takes the judged file out of its place: renamed aside, compared with what was judged, and kept aside for the
 * caller to drop once the log says so. Another file than the judged one is put back; if a third stands there by
 * then, both are kept and it is a conflict.
 */
export async function setAside(folder: string, judged: Seen, nonce: string): Promise<Removal> {
  const lock = join(folder, lockFileName)
  const aside = join(folder, `${lockFileName}.aside.${nonce}`)
  try {
    await rename(lock, aside)
    // What cannot be read here (a link or a folder that took its place meanwhile) is another file.
    const seen = await inspect(aside).catch(() => undefined)
    if (seen !== undefined && isSame(seen, judged)) {
      await syncedOrBack(folder, aside)
      return { outcome: 'aside', aside }
    }
    await link(aside, lock)
    await unlink(aside)
    return { outcome: 'changed' }
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return { outcome: 'absent' }
    if (systemCodeOf(error) !== 'EEXIST') throw fileError(error, `moving ${lock} aside`)
    const [asideText, foundText] = await Promise.all([textOf(aside), textOf(lock)])
    return { outcome: 'conflict', aside, asideText, foundText }
  }
}

/** Makes the rename of a file durable, or takes it back. */
async function syncedOrBack(folder: string, aside: string): Promise<void> {
  try {
    syncFolder(folder)
  } catch (error) {
    await putBack(folder, aside).catch(() => {})
    throw fileError(error, `syncing ${folder}`)
  }
}

/** Drops a file that was set aside. */
export async function dropAside(aside: string): Promise<void> {
  await unlinkIfThere(aside).catch((error: unknown) => {
    throw fileError(error, `removing ${aside}`)
  })
}

/** Puts a file that was set aside back, if its place is free or has it already (a crash between link and unlink). */
export async function putBack(folder: string, aside: string): Promise<void> {
  const lock = join(folder, lockFileName)
  for (let tries = 0; tries < putBackTries; tries += 1) {
    try {
      await link(aside, lock)
      await unlink(aside)
      return
    } catch (error) {
      if (systemCodeOf(error) !== 'EEXIST') throw fileError(error, `putting ${aside} back`)
    }
    const [mine, theirs] = await Promise.all([aside, lock].map(inodeIfThere))
    if (mine === theirs) await dropAside(aside)
    // Another tool may have had the place for a moment only; then it is tried again.
    if (theirs !== undefined) return
  }
}

/** How often a place that was taken and is free again is tried; what is left aside then is found by the next look. */
const putBackTries = 16

function isSame(seen: Seen, judged: Seen): boolean {
  return (
    seen.ino === judged.ino && seen.size === judged.size && seen.mtimeNs === judged.mtimeNs && seen.text === judged.text
  )
}

/** What a file says, for a record of it; empty where it cannot be read. */
async function textOf(path: string): Promise<string> {
  return (await inspect(path).catch(() => undefined))?.text ?? ''
}
