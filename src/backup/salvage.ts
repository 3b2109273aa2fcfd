import { copyFileSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { nanoid } from 'nanoid'
import { fileError, makeFolder, syncFolder } from '../disk/durable.ts'
import { type Layout, realFolder } from '../disk/layout.ts'
import { LockstepError } from '../errors.ts'
import type { RecordedActor } from '../kernel/ids.ts'
import { readHeadFile } from '../log/head-file.ts'
import { databaseFiles } from '../log/level/files.ts'
import { problemError, programAt, runChild } from '../log/level/open/child.ts'
import { Guard } from '../log/level/owner/guard.ts'
import { examine } from '../log/level/repair/examine.ts'
import { newIdentity, type Placing, placeHome } from '../nouns/create.ts'
import { type ContinuedLedger, continueLedger } from './continued.ts'
import { afterName, type Found } from './salvaged.ts'
import { settingsOf } from './write-backup.ts'

export interface SalvageOptions extends Omit<Placing, 'name'> {
  actor: RecordedActor
  onProgress?: ((done: number, total: number) => void) | undefined
  /** The new name of the ledger. Default: `lockstep.local/<ledger_id>`. */
  origin?: string | undefined
  /** The folder of the new ledger. It is made if it is missing. */
  to: string
}

/** A salvaged ledger, and what was found of the damaged one. `previous` is the prefix. */
export interface SalvagedLedger extends ContinuedLedger, Omit<Found, 'size'> {
  /** The file with the readable entries after the prefix; null if there are none. */
  after_file: string | null
  dir: string
  /** How the prefix compares with `.lockstep/head` of the damaged ledger. `shorter`: entries are lost for certain. */
  head_file: 'differs' | 'matches' | 'missing' | 'shorter'
}

const program = programAt('backup/salvage-child')

/**
 * Copies the longest provable prefix of a damaged ledger to a new ledger in another folder, and the readable entries after
 * it to a file there. The damaged ledger is not changed. CURRENT and MANIFEST may be lost. The new ledger has a new name
 * and a new key, because entries that others have seen may be missing in it.
 * Errors: LEDGER_CORRUPT (not even the first entry is readable), LEDGER_UNAVAILABLE (open elsewhere), LEDGER_EXISTS,
 * DISK_FULL, FILE_DENIED.
 * Cost: three passes over the database, and the space of two copies of it.
 */
export async function salvageLedger(layout: Layout, options: SalvageOptions): Promise<SalvagedLedger> {
  const { acceptPermissions, actor, nested, onProgress, to } = options
  const identity = newIdentity(options.origin)
  const guard = await Guard.take(layout)
  if (guard === undefined) throw openElsewhere(layout)
  try {
    makeFolder(resolve(to))
    const dir = realFolder(to)
    return await placeHome(to, { acceptPermissions, name: identity.ledger_id, nested }, async (home, withoutModes) => {
      copyDamaged(layout, join(home, 'damaged'))
      const found = await salvageIn(home, onProgress)
      const after_file = placeAfter(home, dir, found)
      if (found.size === 0) throw nothingFound(layout, found, after_file)
      rmSync(join(home, 'damaged'), { recursive: true })
      const head = headOf(layout)
      const sizes = head === undefined ? [] : [head.size]
      const examined = await examine(home, join(home, 'ledger'), { nonce: nanoid(12), onProgress, sizes })
      if ('problem' in examined) throw problemError({ details: {}, ...examined.problem })
      copySettings(layout, home)
      const continued = await continueLedger(home, { actor, by: 'salvage', identity, withoutModes })
      const root = head === undefined ? undefined : examined.roots[head.size]
      const head_file =
        head === undefined ? 'missing' : root === undefined ? 'shorter' : root === head.root ? 'matches' : 'differs'
      const { after, end, problem } = found
      return { ...continued, after, after_file, dir, end, head_file, problem }
    })
  } finally {
    guard.release()
  }
}

function copyDamaged({ ledger }: Layout, folder: string): void {
  mkdirSync(folder, { mode: 0o700 })
  try {
    for (const name of databaseFiles(ledger)) copyFileSync(join(ledger, name), join(folder, name))
  } catch (error) {
    throw fileError(error, `copying ${ledger}`)
  }
}

async function salvageIn(home: string, onProgress: SalvageOptions['onProgress']): Promise<Found> {
  const { problem, value } = await runChild(program, [home], {
    onLine: (line) => {
      const [done = 0, total = 0] = line.split(' ').map(Number)
      onProgress?.(done, total)
    },
  })
  if (problem !== undefined) throw problemError(problem)
  return value as Found
}

/** Puts the entries after the gap beside the new ledger. Nothing else writes a file with this name. */
function placeAfter(home: string, dir: string, { after }: Found): string | null {
  if (after === 0) {
    rmSync(join(home, afterName))
    return null
  }
  const path = join(dir, afterName)
  renameSync(join(home, afterName), path)
  syncFolder(dir)
  return path
}

/** The head file of the damaged ledger; undefined if it is damaged too. */
function headOf({ head }: Layout): { root: string; size: number } | undefined {
  try {
    return readHeadFile(head)
  } catch {
    return undefined
  }
}

function copySettings(layout: Layout, home: string): void {
  for (const folder of ['policy', 'policy/objects']) mkdirSync(join(home, folder), { mode: 0o700 })
  for (const { bytes, name } of settingsOf(layout)) {
    writeFileSync(join(home, name), bytes, { flush: true, mode: 0o600 })
  }
}

function nothingFound({ ledger }: Layout, { after, problem }: Found, after_file: string | null): LockstepError {
  return new LockstepError('LEDGER_CORRUPT', `entry 0 cannot be salvaged from ${ledger}: ${problem}`, {
    details: { after, after_file, check: 'entries', seq: 0 },
    hint: 'Without its first entry no ledger can be made. Restore a backup instead.',
  })
}

function openElsewhere({ root }: Layout): LockstepError {
  return new LockstepError('LEDGER_UNAVAILABLE', `another process has the ledger in ${root} open`, {
    details: { busy: true, outcome: 'not_applied' },
    hint: 'End that process, then run this again.',
  })
}
