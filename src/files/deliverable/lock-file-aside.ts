import { link, rename, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileError, syncFolder } from '../../disk/durable.ts'
import { lockFileName } from '../../domain/lock/lock-file.ts'
import { systemCodeOf } from '../../errors.ts'
import { inodeIfThere, inspect, type Seen, unlinkIfThere } from './lock-file.ts'

/** The outcome of removing a file: it was set aside, it no longer existed, or two files claim the same place. */
export type Removal =
  | { outcome: 'aside'; aside: string }
  | { outcome: 'absent' }
  | { outcome: 'changed' }
  | { outcome: 'conflict'; aside: string; asideText: string; foundText: string }

/**
 * Moves the judged file out of its place: renames it aside, compares it with what was judged, and keeps it there. The
 * caller drops it after the log has recorded the fact. If a different file was moved, it is put back. If a third file
 * has taken the place by then, both files are kept and the result is a conflict.
 */
export async function setAside(folder: string, judged: Seen, nonce: string): Promise<Removal> {
  const lock = join(folder, lockFileName)
  const aside = join(folder, `${lockFileName}.aside.${nonce}`)
  try {
    await rename(lock, aside)
    // If the file cannot be read, something else took its place, such as a link or a folder. It counts as a different
    // file.
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

/** Makes the rename of a file durable, or undoes it. */
async function syncedOrBack(folder: string, aside: string): Promise<void> {
  try {
    syncFolder(folder)
  } catch (error) {
    await putBack(folder, aside).catch(() => {})
    throw fileError(error, `syncing ${folder}`)
  }
}

/** Deletes a file that was set aside. */
export async function dropAside(aside: string): Promise<void> {
  await unlinkIfThere(aside).catch((error: unknown) => {
    throw fileError(error, `removing ${aside}`)
  })
}

/**
 * Puts back a file that was set aside, if its place is free or already holds the same file (after a crash between link
 * and unlink).
 */
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
    // Another tool may have held the place only briefly, so this tries again.
    if (theirs !== undefined) return
  }
}

/**
 * How often to retry if the place was taken and is free again. After that, the next inspection finds the file that was
 * set aside.
 */
const putBackTries = 16

function isSame(seen: Seen, judged: Seen): boolean {
  return (
    seen.ino === judged.ino && seen.size === judged.size && seen.mtimeNs === judged.mtimeNs && seen.text === judged.text
  )
}

/** The text of a file, for a record; empty if it cannot be read. */
async function textOf(path: string): Promise<string> {
  return (await inspect(path).catch(() => undefined))?.text ?? ''
}
