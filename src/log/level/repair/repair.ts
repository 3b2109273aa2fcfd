import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Layout } from '../../../disk/layout.ts'
import { codes, LockstepError } from '../../../errors.ts'
import { failureOf } from '../../failure.ts'
import { readHeadFile } from '../../head-file.ts'
import type { TreeHead, TreeHeadFile } from '../../log.ts'
import { Guard } from '../owner/guard.ts'
import { type Owner, readOwner, removeOwner, thisOwner, writeOwner } from '../owner/owner.ts'
import { putBack } from '../wal/put-back.ts'
import { readWal } from '../wal/wal.ts'
import { type Examination, type Examined, examine } from './examine.ts'

/** The databases that a repair examined, and the changes it made. All paths are absolute. */
export interface Repaired {
  in_place: Found
  evidence: Found[]
  /**
   * The database that was put in place, and the folder that now holds the replaced files. Both are absent if nothing
   * was changed.
   */
  put_back?: Found
  set_aside?: string
}

/** A database: its number of entries if it verifies, or its problem. */
export interface Found {
  path: string
  size?: number
  root?: string
  problem?: string
}

/**
 * How many kept databases to examine. Each process keeps one folder, and at most four folders hold evidence of damage.
 */
const candidatesMax = 32

/**
 * Puts a kept database back if it verifies and the one in place either does not verify or is an earlier state of it. A
 * kept database must reach the head file and agree with it. A database that verifies is only replaced by one with more
 * entries. The replaced files are kept.
 * Errors: LEDGER_UNAVAILABLE (another process has it open, or a system error), LEDGER_CORRUPT (the head file is
 * damaged).
 * Cost: a pass over each of the databases.
 */
export async function repair(layout: Layout, nonce: () => string): Promise<Repaired> {
  const guard = await Guard.take(layout).catch((error: unknown) => {
    throw failureOf(`repairing the ledger in ${layout.home}`, error)
  })
  if (guard === undefined) throw heldOpen(readOwner(layout.owner))
  const own = thisOwner({ ...guard.here, command: 'lockstep doctor --repair', nonce: nonce() })
  writeOwner(layout.owner, { ...own, suspect: 'checking' })
  try {
    return await repairOwned(layout, nonce)
  } catch (error) {
    throw failureOf(`repairing the ledger in ${layout.home}`, error)
  } finally {
    // The next open reads every byte, whatever the result of the repair.
    removeOwner(layout.owner)
    guard.release()
  }
}

async function repairOwned(layout: Layout, nonce: () => string): Promise<Repaired> {
  const heads = headsIn(readHeadFile(layout.head))
  const headSizes = heads.map(({ size }) => size)
  const inPlace = await examine(layout.evidence, layout.ledger, { nonce: nonce(), sizes: headSizes })
  // Only data that was seen to be wrong may be replaced. A system error says nothing about the bytes.
  if ('problem' in inPlace && codes[inPlace.problem.code].exit !== codes.LEDGER_CORRUPT.exit) {
    throw new LockstepError(inPlace.problem.code, inPlace.problem.message, { details: { outcome: 'not_applied' } })
  }
  const before = 'problem' in inPlace ? [] : [inPlace]
  const sizes = [...headSizes, ...before.map(({ size }) => size)]
  const evidence: Found[] = []
  let best: { path: string; examined: Examined } | undefined
  for (const path of candidatesIn(layout)) {
    const examined = await examine(layout.evidence, path, { nonce: nonce(), sizes })
    evidence.push(foundOf(path, examined))
    if ('problem' in examined || ![...heads, ...before].every((head) => extendsHead(examined, head))) continue
    const isMore = before.every(({ size }) => examined.size > size)
    if (isMore && examined.size > (best?.examined.size ?? -1)) best = { path, examined }
  }
  const report = { in_place: foundOf(layout.ledger, inPlace, heads), evidence }
  if (best === undefined) return report
  const aside = join(layout.evidence, `replaced-${process.pid}-${nonce()}`)
  if (!putBack(layout.ledger, best.path, readWal(best.path, { isSameBoot: false }), aside)) return report
  return { ...report, put_back: foundOf(best.path, best.examined), set_aside: aside }
}

/** The signed head, and the newer one that is not signed yet. */
function headsIn(file: TreeHeadFile | undefined): TreeHead[] {
  if (file === undefined) return []
  return file.reached === undefined ? [file] : [file, { origin: file.origin, ...file.reached }]
}

/** Whether a database begins with the entries that a tree head covers. */
function extendsHead(
  examined: Examined,
  { origin, root, size }: { origin: string; root: string; size: number },
): boolean {
  return examined.origin === origin && examined.roots[size] === root
}

function foundOf(path: string, examined: Examination, heads: readonly TreeHead[] = []): Found {
  if ('problem' in examined) return { path, problem: `${examined.problem.code}: ${examined.problem.message}` }
  const { root, size } = examined
  const missed = heads.find((head) => !extendsHead(examined, head))
  return {
    path,
    size,
    root,
    ...(missed && { problem: `it does not reach the size ${missed.size} in .lockstep/head` }),
  }
}

/** The folders that contain a kept database, newest first. */
function candidatesIn({ evidence }: Layout): string[] {
  const born = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return readdirSync(evidence)
    .filter((name) => /^(?:damaged-)?(?:\d+|open)-/.test(name))
    .map((name) => join(evidence, name))
    .filter((path) => statSync(join(path, 'CURRENT'), { throwIfNoEntry: false })?.isFile() === true)
    .sort((left, right) => born(right) - born(left))
    .slice(0, candidatesMax)
}

function heldOpen(owner: Owner | undefined): LockstepError {
  const who = owner?.state === 'open' ? `process ${owner.pid} (${owner.command})` : 'another process'
  const facts = owner?.state === 'open' ? { owner_pid: owner.pid, owner_command: owner.command } : {}
  return new LockstepError('LEDGER_UNAVAILABLE', `${who} has the ledger open`, {
    details: { outcome: 'not_applied', busy: true, ...facts },
    hint: 'End that process, then run this again.',
  })
}
