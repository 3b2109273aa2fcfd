import { cpSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import type { LocalLedger } from '../../src/ledger.ts'
import { type OpenLedgerOptions, openLedger } from '../../src/open.ts'
import { root as project } from '../runner.ts'

/** The policy of a law firm, an example that the tests know line by line. */
const caseWorkFolder = join(project, 'examples/policy/case-work')

/**
 * Puts the case-work policy where the next load of a ledger reads it: in its `.lockstep`, or for a ledger that is not
 * made yet, in the root. Returns the root.
 */
export function caseWork(root: string): string {
  const home = join(root, '.lockstep')
  const place = existsSync(home) ? join(home, 'policy') : join(root, 'contract/v1/policy')
  for (const name of ['lanes.yaml', 'roles.yaml']) cpSync(join(caseWorkFolder, name), join(place, name))
  return root
}

/** Makes a ledger with the case-work policy in its `.lockstep`, and puts it in force unless `policy` is false. */
export async function openWithCaseWork({
  policy = true,
  ...options
}: OpenLedgerOptions & { dir: string }): Promise<LocalLedger> {
  const ledger = await openLedger({ ...options, create: true, policy: false })
  caseWork(options.dir)
  if (policy) await ledger.policy.reload()
  return ledger
}
