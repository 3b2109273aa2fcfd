import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { put, type Scene } from './scene.ts'

/** The target, the runs and the actors of the tests of project locks. */
export const target_name = 'IAMBECCA | TEST001 | GOVERNANCE | iambecca-test-run | NEO'
export const run_id = 'run_TEST001_iambecca-test-run_2026-02-02_001'
export const name = 'project:TEST001/GOVERNANCE/iambecca-test-run'
export const secondRun = 'run_TEST001_iambecca-test-run_2026-02-02_002'
export const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
export const stranger = { actor_id: 'agent-9', actor_type: 'agent' } as const
export const fileOf = (run: string) => `runtime/runs/${run}/RUN_LOCK.json`

/** The members of RUN_LOCK.json while it is locked, and those that a release adds. */
export const seven = {
  status: 'LOCKED',
  target_name,
  run_id,
  lock_owner: run_id,
  lock_time: '2026-02-02T12:00:00Z',
  lock_reason: 'P0_INVENTORY initialization',
  release_conditions: ['state == COMPLETE', 'manual override by BECCA'],
}
export const three = {
  released_at: '2026-02-02T14:30:00Z',
  released_by: 'BECCA (VERIFICATION)',
  final_status: 'COMPLETE',
}

/** Locks the project for the first run, unless said otherwise. */
export const lock = ({ ledger }: Pick<Scene, 'ledger'>, request = {}) =>
  ledger.locks.acquire({ target_name, run_id, ...request })
export const release = ({ ledger }: Pick<Scene, 'ledger'>, request = {}) =>
  ledger.locks.release({ run_id, final_status: 'COMPLETE', actor: becca, ...request })
export const read = (root: string, run = run_id) => JSON.parse(readFileSync(join(root, fileOf(run)), 'utf8'))
export const warningsOf = async ({ ledger }: Pick<Scene, 'ledger'>) => (await ledger.log.verify()).warnings

/** What a person may do to the file by hand. */
export const edits: Record<string, (root: string) => void> = {
  'another reason': (root) => put(root, fileOf(run_id), JSON.stringify({ ...read(root), lock_reason: 'mine' })),
  'another owner': (root) => put(root, fileOf(run_id), JSON.stringify({ ...read(root), lock_owner: secondRun })),
  'a cut file': (root) => put(root, fileOf(run_id), '{"status": "LOCK'),
  'RELEASED by hand': (root) =>
    put(root, fileOf(run_id), JSON.stringify({ ...read(root), ...three, status: 'RELEASED' })),
}
