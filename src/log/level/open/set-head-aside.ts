import { renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { isThere, makeFolderBelow, syncFolder } from '../../../disk/durable.ts'
import type { Layout } from '../../../disk/layout.ts'
import { LockstepError } from '../../../errors.ts'
import { failureOf } from '../../failure.ts'
import { Guard } from '../owner/guard.ts'

/**
 * Moves the head file to the folder of evidence, durably, and returns its name there; null if it is missing. Errors:
 * LEDGER_UNAVAILABLE if another process has the ledger open, or the file cannot be moved.
 */
export async function setHeadAside(layout: Layout, nonce: string): Promise<string | null> {
  const { evidence, head, home } = layout
  const guard = await Guard.take(layout)
  if (guard === undefined) throw new LockstepError('LEDGER_UNAVAILABLE', 'another process has the ledger open')
  try {
    if (!isThere(head)) return null
    const aside = join(evidence, `head-${nonce}`)
    makeFolderBelow(home, evidence, 0o700)
    renameSync(head, aside)
    for (const folder of [evidence, home]) syncFolder(folder)
    return basename(aside)
  } catch (error) {
    throw failureOf(`setting ${head} aside`, error)
  } finally {
    guard.release()
  }
}
