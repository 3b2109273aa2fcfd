import { cpSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import type { Now } from '../../src/kernel/clock.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { type OpenLedgerOptions, openLedger } from '../../src/open.ts'
import type { Verified } from '../../src/verify/verify.ts'
import { openWithCaseWork } from './case-work.ts'

const folders: string[] = []
process.once('exit', () => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** An empty folder of its own, removed with all in it when the test file ends. */
export function temporaryRoot(): string {
  const folder = mkdtempSync(join(tmpdir(), 'lockstep-test-'))
  folders.push(folder)
  return folder
}

/** The folder for temporary files that every user can reach: the usual one may lie below one that only its owner enters. */
export function reachablePlace(): string {
  const isReachable = (path: string): boolean =>
    ((statSync(path, { throwIfNoEntry: false })?.mode ?? 0) & 0o001) !== 0 &&
    (path === dirname(path) || isReachable(dirname(path)))
  return [tmpdir(), '/tmp', '/var/tmp'].find((path) => isReachable(resolve(path))) ?? tmpdir()
}

/** An empty folder of its own like `temporaryRoot`, in a place that every user can reach. */
export function reachableRoot(): string {
  const folder = mkdtempSync(join(reachablePlace(), 'lockstep-test-'))
  folders.push(folder)
  return folder
}

/**
 * Copies a folder of a ledger, or all of it. The record of its place stays behind, so that the copy is opened as the
 * ledger that it is a copy of.
 */
export function copyLedger(from: string, to: string): void {
  const filter = (path: string) => basename(path) !== 'place'
  cpSync(from, to, { filter, preserveTimestamps: true, recursive: true, verbatimSymlinks: true })
}

/** A clock that stands still until it is told otherwise; wall clock and lease clock move together. */
export function testClock(wallMillis = Date.UTC(2026, 0, 2, 3, 4, 5)) {
  let moved = 0
  return {
    now: (): Now => ({
      wall_ms: wallMillis + moved,
      lease_clock: {
        boot_id: 'test-boot',
        boot_ms: 1_000_000 + moved,
        monotonic_ms: 1_000_000 + moved,
        time_ns: 'time:[4026531834]',
      },
      host_id: 'test-host',
    }),
    advance: (millis: number) => {
      moved += millis
    },
  }
}

/** Who calls, in tests that do not care. */
export const testActor = { actor_id: 'agent-1', actor_type: 'agent' } as const

/**
 * A new ledger in a folder of its own for the time of the work; then it is closed and verified. `self_check` is
 * on, so every append proves that what is stored reads back as what is hashed. Its policy is the one for case work,
 * once the work loads it or if `policy` is set.
 */
export async function withLedger<T>(
  work: (ledger: LocalLedger, root: string) => Promise<T>,
  options: Omit<OpenLedgerOptions, 'create' | 'dir'> = {},
): Promise<T> {
  const root = temporaryRoot()
  const ledger = await openWithCaseWork({
    actor: testActor,
    self_check: true,
    policy: false,
    ...options,
    dir: root,
  })
  try {
    return await work(ledger, root)
  } finally {
    await ledger.close()
    await endsWithVerify(root)
  }
}

/** Opens the ledger of a folder, verifies it and closes it: how every test ends that wrote one. */
export async function endsWithVerify(dir: string): Promise<Verified> {
  const ledger = await openLedger({ dir, actor: testActor })
  try {
    return await ledger.log.verify()
  } finally {
    await ledger.close()
  }
}
