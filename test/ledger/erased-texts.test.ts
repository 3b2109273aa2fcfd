import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { erasedText } from '../../src/kernel/free-text.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { verifyProof } from '../../src/verify.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { remainsOf } from '../support/remains.ts'

const erasures = suite('an erasure of free texts')
const ann = { actor_id: 'ann', actor_type: 'human' } as const
const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const reason = 'data_subject_request' as const
const secret = 'the witness lives at 17 Elm Street'

const create = (dir: string) =>
  openLedger({ actor: testActor, config: { operators: ['ann'] }, create: true, dir, self_check: true })

async function erase(ledger: LocalLedger, texts: object) {
  const { approval_id } = await ledger.erasures.approve({ actor: becca, reason, texts })
  return ledger.erasures.erase({ actor: ann, approval_id, texts: true })
}

/** Records the secret in as many kinds of entries as there are, and returns the runs. */
async function scatter(ledger: LocalLedger) {
  const open = 'run_open_1'
  const ended = 'run_ended_1'
  const case_id = 'CASE-17'
  for (const run_id of [open, ended]) {
    await ledger.runs.create({
      case_id,
      notes: `${secret} (notes)`,
      run_id,
      run_kind: 'orchestrator',
      run_name: secret,
    })
    await ledger.runs.start({ run_id })
  }
  await ledger.runs.fail({
    error: { error_code: 'E_1', message: `${secret} (error)`, retryable: false },
    outcome_reason: 'it_failed',
    run_id: ended,
  } as never)
  await ledger.audit.append({
    events: [{ action_type: 'system', case_id, notes: secret, outcome: 'success', outcome_reason: 'told' }],
  })
  return { case_id, ended, open }
}

erasures('leaves nothing of a text in any file of the ledger, and every proof of before verifies', async () => {
  const root = temporaryRoot()
  const ledger = await create(root)
  await ledger.policy.reload()
  const { ended, open } = await scatter(ledger)
  const { size } = await ledger.head.get()
  const before = await ledger.head.signed()
  const preview = await ledger.erasures.preview({ texts: {} })
  is(preview.selection.to, size)
  ok(preview.count >= 7, String(preview.count))
  const answer = await erase(ledger, {})
  equal([answer.texts, answer.files, answer.may_remain], [preview.count, 'current', []])
  for (const { paths, seq } of preview.texts) {
    const proof = await ledger.log.prove({ seq, size })
    equal([proof.disclosures, proof.root], [[], before.root])
    is((await verifyProof(proof, { vkey: before.vkey })).ok, true)
    const read = JSON.stringify(await ledger.log.entry({ seq }))
    is(read.split(erasedText).length - 1, paths.length)
  }
  is((await ledger.runs.get({ run_id: open })).run_name, erasedText)
  is((await ledger.runs.get({ run_id: ended })).error?.message, erasedText)
  await ledger.runs.complete({ outcome_reason: 'done', run_id: open })
  await ledger.close()
  equal(await remainsOf(root, secret), [])
  await endsWithVerify(root)
})

erasures.run()
