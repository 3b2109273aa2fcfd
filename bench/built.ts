import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The built package's folder. */
export const built = new URL('../dist/', import.meta.url)

/** The program that `lockstep` is. */
export const commandPath = fileURLToPath(new URL('cli/main.js', built))

/**
 * The library as its users get it, from `dist`: the transform that lets Node 20 run our sources adds calls of its own
 * to the hot path, and a program that loads it is larger.
 */
export const { openLedger } = (await import(new URL('index.js', built).href)) as typeof import('../src/index.ts')

/** A new ledger in a folder that is made for it; without a policy in force unless one is asked for. */
export function newLedger(root: string, { policy = false } = {}) {
  mkdirSync(root, { recursive: true })
  return openLedger({ dir: root, create: true, policy, actor: { actor_id: 'bench', actor_type: 'system' } })
}
