import { statSync } from 'node:fs'
import type { Layout } from '../../src/disk/layout.ts'

const waitMillisMax = 60_000

/**
 * Resolves when somebody else wants the ledger that this process has open: the process that has it counts who asks, in
 * a map that every copy of the package shares.
 */
export function asked({ ledger }: Pick<Layout, 'ledger'>): Promise<void> {
  const { dev, ino } = statSync(ledger, { bigint: true })
  const globals = globalThis as { [key: symbol]: Map<string, { asked: number }> | undefined }
  const count = () => globals[Symbol.for('lockstep.open-ledgers')]?.get(`${dev}:${ino}`)?.asked ?? 0
  const before = count()
  return new Promise((resolve, reject) => {
    const until = performance.now() + waitMillisMax
    const look = setInterval(() => {
      if (count() === before && performance.now() < until) return
      clearInterval(look)
      if (count() > before) resolve()
      else reject(new Error('nobody wanted the ledger'))
    }, 5)
  })
}
