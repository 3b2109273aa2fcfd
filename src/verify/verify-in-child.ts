import type { Layout } from '../disk/layout.ts'
import { codes } from '../errors.ts'
import { limits } from '../kernel/limits.ts'
import { problemError, programAt, runChild } from '../log/level/open/child.ts'
import { distrust } from '../log/level/open/open.ts'
import type { Progress, Verified } from './verify.ts'

const program = programAt('verify/verify-child')

/**
 * Verifies a ledger in a child process. Some damage makes LevelDB abort its process; here that becomes
 * LEDGER_CORRUPT. The child opens the ledger, so it waits for the present owner, and other processes wait for it. If
 * a service has the ledger open, use its `ledger.verify()` instead. If the verification fails, the next open reads
 * every byte. With `rebuild`, the entries are verified alone first, and rows and receipts are derived from them again.
 * Errors: those of `verifyLog`, and LEDGER_UNAVAILABLE (still busy after the wait; names the owner).
 */
export async function verifyInChild(
  layout: Layout,
  {
    onProgress,
    onSnapshot,
    openWaitSeconds = limits.openWaitSecondsDefault,
    rebuild = false,
  }: {
    onProgress?: (progress: Progress) => void
    onSnapshot?: (size: number) => void
    openWaitSeconds?: number
    rebuild?: boolean
  } = {},
): Promise<Verified> {
  const words = [layout.root, String(openWaitSeconds), ...(rebuild ? ['rebuild'] : [])]
  const { problem, value } = await runChild(program, words, {
    waitSeconds: openWaitSeconds,
    onLine: (line) => {
      const [, size] = /^as of (\d+)$/.exec(line) ?? []
      if (size !== undefined) return onSnapshot?.(Number(size))
      const [done = 0, total = 0] = line.split(' ').map(Number)
      onProgress?.({ done, total })
    },
  })
  if (problem === undefined) return value as Verified
  if (codes[problem.code].exit === codes.VERIFY_FAILED.exit) {
    // What was found matters more than the mark for the next open, which a read-only disk cannot keep.
    await distrust(layout).catch(() => {})
  }
  throw problemError(problem)
}
