import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { codes, LockstepError } from '../errors.ts'
import { Guard } from '../fs/guard.ts'
import { type HeadFile, readHeadFile } from '../fs/head-file.ts'
import type { Layout } from '../fs/layout.ts'
import { type Owner, readOwner, removeOwner, thisOwner, writeOwner } from '../fs/owner.ts'
import { type Examination, type Examined, examine } from './examine.ts'
import { failureOf } from './failure.ts'
import { putBack } from './put-back.ts'
import { readWal } from './wal.ts'

/** What a repair looked at and what it did; paths are absolute. */
export interface Repaired {
  in_place: Found
  evidence: Found[]
  /** What was put in place, and where the files are that stood there. Absent where nothing was changed. */
  put_back?: Found
  set_aside?: string
}

/** A database: how many entries it has if it verifies, and otherwise what is wrong with it. */
export interface Found {
  path: string
  size?: number
  root?: string
  problem?: string
}

/** Evidence that processes kept, one folder each; four of damage are kept at most. */
const candidatesMax = 32

/**
 * Puts a kept database back in place where that verifies and the one in place does not, or is an earlier state of it. A
 * kept database that does not reach the head file, or that differs from it, is never put back, and nothing ever takes the
 * place of a database that verifies and has as many entries. The files that are replaced are kept.
 * Errors: LEDGER_UNAVAILABLE (a process has it open; the system's errors), LEDGER_CORRUPT (the head file is damaged).
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
    // Whatever came of it, the next open reads every byte.
    removeOwner(layout.owner)
    guard.release()
  }
}

async function repairOwned(layout: Layout, nonce: () => string): Promise<Repaired> {
  const headFile = readHeadFile(layout.head)
  const inPlace = await examine(layout, layout.ledger, { nonce: nonce(), sizes: sizesOf(headFile) })
  // Only what was seen to be wrong may be replaced, and an error of the system says nothing of the bytes.
  if ('problem' in inPlace && codes[inPlace.problem.code].exit !== codes.LEDGER_CORRUPT.exit) {
    throw new LockstepError(inPlace.problem.code, inPlace.problem.message, { details: { outcome: 'not_applied' } })
  }
  const before = 'problem' in inPlace ? [] : [inPlace]
  const sizes = [...sizesOf(headFile), ...before.map(({ size }) => size)]
  const evidence: Found[] = []
  let best: { path: string; examined: Examined } | undefined
  for (const path of candidatesIn(layout)) {
    const examined = await examine(layout, path, { nonce: nonce(), sizes })
    evidence.push(foundOf(path, examined))
    if ('problem' in examined || ![...expectedOf(headFile), ...before].every((head) => extendsHead(examined, head)))
      continue
    const isMore = before.every(({ size }) => examined.size > size)
    if (isMore && examined.size > (best?.examined.size ?? -1)) best = { path, examined }
  }
  const report = { in_place: foundOf(layout.ledger, inPlace, headFile), evidence }
  if (best === undefined) return report
  const aside = join(layout.evidence, `replaced-${process.pid}-${nonce()}`)
  if (!putBack(layout.ledger, best.path, readWal(best.path, { isSameBoot: false }), aside)) return report
  return { ...report, put_back: foundOf(best.path, best.examined), set_aside: aside }
}

function sizesOf(headFile: HeadFile | undefined): number[] {
  return headFile === undefined ? [] : [headFile.size]
}

function expectedOf(headFile: HeadFile | undefined): HeadFile[] {
  return headFile === undefined ? [] : [headFile]
}

/** Whether a database begins with the entries of a tree head. */
function extendsHead(
  examined: Examined,
  { origin, root, size }: { origin: string; root: string; size: number },
): boolean {
  return examined.origin === origin && examined.roots[size] === root
}

function foundOf(path: string, examined: Examination, headFile?: HeadFile): Found {
  if ('problem' in examined) return { path, problem: `${examined.problem.code}: ${examined.problem.message}` }
  const { root, size } = examined
  const isBehind = headFile !== undefined && !extendsHead(examined, headFile)
  return {
    path,
    size,
    root,
    ...(isBehind && { problem: `it does not reach .lockstep/head, which has ${headFile.size}` }),
  }
}

/** Folders with a database that was kept, the newest first. */
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
