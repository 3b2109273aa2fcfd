import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** The folder of the built package. */
export const built = new URL('../dist/', import.meta.url)

/** The path of the `lockstep` program. */
export const commandPath = fileURLToPath(new URL('cli/main.js', built))

/**
 * The built library in `dist`, as users get it. The transform that runs the sources on Node 20 adds calls to the hot
 * path and needs memory.
 */
export const { hold, openLedger, readStaging } = (await import(
  new URL('index.js', built).href
)) as typeof import('../src/index.ts')

/** A new ledger in a new folder. No policy is in force unless requested. */
export function newLedger(root: string, { policy = false } = {}) {
  mkdirSync(root, { recursive: true })
  return openLedger({ dir: root, create: true, policy, actor: { actor_id: 'bench', actor_type: 'system' } })
}
