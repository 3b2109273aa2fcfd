import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { layoutOf } from '../../src/disk/layout.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import { keepFirstHead } from '../../src/log/level/first-head.ts'
import { openStore } from '../../src/log/level/store.ts'
import type { ExportTrust } from '../../src/nouns/exports/export-verify.ts'
import { openLedger } from '../../src/open.ts'
import { human } from '../support/approvals.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { governed } from '../support/exports.ts'
import { copyLedger, temporaryRoot, testActor } from '../support/ledger.ts'
import { editConfig } from '../support/scene.ts'

/** A ledger before any attack, and what honest readers have of it. */
export interface AttackScene {
  /** The bundle of the case, and an older one. */
  bundle: string
  olderBundle: string
  /** The whole folder at an earlier moment. */
  earlier: string
  /** A checkpoint that a reader kept, and the key line. */
  kept: string
  /** The proofs that the kept checkpoint continues the trees of both bundles. */
  growths: ExportTrust['growths']
  root: string
  vkey: string
}

const becca = human('BECCA')
const event = { action_type: 'system', outcome: 'success' } as const
const ofCase = { select: { case_id: 'CASE-17' } }

/** Runs of a case, a refusal, an approval, exports, and a configuration that was loosened around an export. */
export async function attackScene(): Promise<AttackScene> {
  const [root, earlier, folder] = [temporaryRoot(), temporaryRoot(), temporaryRoot()]
  const open = () => openLedger({ actor: testActor, dir: root })
  const strict = { exports: { approvals_required: ['attorney_admin'] } }
  const made = await openWithCaseWork({ actor: testActor, config: strict, dir: root })
  await runOfCase(made, 'run_first_1')
  const olderBundle = await exported(made, join(folder, 'older.tar.gz'))
  await made.close()
  copyLedger(join(root, '.lockstep'), join(earlier, '.lockstep'))

  const ledger = await open()
  await runOfCase(ledger, 'run_hidden_1')
  await ledger.exports.approve({ ...ofCase, actor: testActor, approval_type: 'attorney_admin' }).then(
    () => Promise.reject(new Error('an agent approved')),
    () => undefined,
  )
  await ledger.audit.append({ events: [event, { ...event, outcome: 'failure' }, event] })
  const bundle = await exported(ledger, join(folder, 'bundle.tar.gz'))
  editConfig(root, { exports: { approvals_required: [] } })
  await ledger.config.reload({ actor: becca })
  await ledger.exports.create({ ...governed, ...ofCase, file: join(folder, 'loose.tar.gz') })
  editConfig(root, strict)
  await ledger.config.reload({ actor: becca })
  const { checkpoint, size, vkey } = await ledger.head.signed({})
  const from = (of: { size: number }) => ledger.log.consistency({ from: of.size, to: size })
  const growths = [await from(bundle), await from(olderBundle)]
  await ledger.close()
  return { bundle: bundle.file, earlier, growths, kept: checkpoint, olderBundle: olderBundle.file, root, vkey }
}

type Ledger = Awaited<ReturnType<typeof openLedger>>

async function runOfCase({ runs }: Ledger, run_id: string): Promise<void> {
  await runs.create({ case_id: 'CASE-17', run_id, run_kind: 'orchestrator' })
  await runs.start({ run_id })
  await runs.complete({ outcome_reason: 'done', run_id })
}

/** An export that a human approved. */
async function exported(ledger: Ledger, file: string): Promise<{ file: string; size: number }> {
  const { size } = await ledger.head.get()
  const approving = { ...ofCase, actor: human('ana'), approval_type: 'attorney_admin', size } as const
  const { approval_id } = await ledger.exports.approve(approving)
  await ledger.exports.create({ ...governed, ...ofCase, approvals: [approval_id], file, size })
  return { file, size }
}

/** Signs a head of the database as it is, as somebody can who has the key. */
export async function signAnew(root: string): Promise<void> {
  const layout = layoutOf(root)
  rmSync(layout.head, { force: true })
  const store = await openStore(layout.ledger, { create: false })
  try {
    await keepFirstHead(KeyedLog.open(store), layout)
  } finally {
    await store.close()
  }
}
