import { renameSync } from 'node:fs'
import { basename, join } from 'node:path'
import { isThere, makeFolderBelow, syncFolder } from '../disk/durable.ts'
import type { Layout } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import { failureOf } from '../log/failure.ts'
import { type OpenOptions, openLog } from '../log/level/open/open.ts'
import { Guard } from '../log/level/owner/guard.ts'

/** Why a ledger was refused because of its head file, and the name of that file in the folder of evidence, if it was there. */
export interface HeadSetAside {
  kept: string | null
  problem: string
}

/**
 * Opens the ledger. If it is refused because of its head file, moves that file to the folder of evidence, durably. The
 * ledger then counts as one whose head file is missing, and the next open reads every byte. Undefined if it opens.
 * Errors: those of `openLog` that do not concern the head file.
 */
export async function setHeadAside(
  options: Pick<OpenOptions, 'command' | 'layout' | 'nonce' | 'openWaitSeconds'>,
): Promise<HeadSetAside | undefined> {
  const { layout, nonce } = options
  try {
    const log = await openLog(options)
    await log.close()
    return undefined
  } catch (error) {
    if (!(error instanceof LockstepError) || error.details.check !== 'head_file') throw error
    return { kept: await moveAside(layout, nonce()), problem: error.message.slice(0, problemCharsMax) }
  }
}

const problemCharsMax = 1_000

async function moveAside(layout: Layout, nonce: string): Promise<string | null> {
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
