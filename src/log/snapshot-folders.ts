import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { limits } from '../core/limits.ts'
import { evidenceSchema } from '../core/lock/liveness.ts'
import { evidenceOf, probeLiveness } from '../fs/process.ts'

const holderName = 'holder'

/** Makes the folder of a snapshot, which says whose it is. Errors: those of the file system. */
export function makeSnapshotFolder(snapshots: string, nonce: string): string {
  const folder = join(snapshots, nonce)
  mkdirSync(snapshots, { recursive: true, mode: 0o700 })
  mkdirSync(folder, { mode: 0o700 })
  writeFileSync(join(folder, holderName), JSON.stringify(evidenceOf(process.pid)), { mode: 0o600 })
  return folder
}

export function dropSnapshotFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

/**
 * Removes the snapshots whose process is known to be dead, and where that cannot be known those that are older than a
 * day: their links keep the space of tables that are gone. For the process that has the ledger open; a snapshot is
 * made under that too, so that one that does not say whose it is was left in the middle of being made.
 */
export function dropStaleSnapshots(snapshots: string): void {
  for (const name of namesIn(snapshots)) {
    const folder = join(snapshots, name)
    if (isStale(folder)) dropSnapshotFolder(folder)
  }
}

function isStale(folder: string): boolean {
  try {
    const holder = evidenceSchema.parse(JSON.parse(readFileSync(join(folder, holderName), 'utf8')))
    const { alive } = probeLiveness(holder)
    if (alive !== 'unknown') return alive === 'no'
    return Date.now() - statSync(join(folder, holderName)).mtimeMs > limits.snapshotMillisMax
  } catch {
    return true
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
