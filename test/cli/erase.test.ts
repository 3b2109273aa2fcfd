import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { remainsOf } from '../support/remains.ts'
import { startRuns } from '../support/turns.ts'

const erase = suite('lockstep erase and lockstep retention')
const run_id = 'run_one_1'
const secret = 'the witness lives at 17 Elm Street'

/** A ledger with a body that is not needed any more, and the digest of the body. */
async function withSecret(): Promise<{ digest: string; root: string }> {
  const root = temporaryRoot()
  const config = { operators: ['ann'] }
  const ledger = await openLedger({ actor: testActor, config, create: true, dir: root })
  await startRuns(ledger, [run_id])
  const digests: string[] = []
  for (const [at, text] of [secret, 'harmless'].entries()) {
    await ledger.turns.apply({ run_id, triplets: [{ body: { text }, stem: 'note' }], turn_id: `turn-000${at + 1}` })
    for await (const { body_digest } of ledger.workspaces.triplets({ run_id })) digests.push(body_digest)
  }
  await ledger.close()
  return { digest: digests[0] ?? '', root }
}

erase('erase what two people agree on, and leave nothing of it', async () => {
  const { digest, root } = await withSecret()
  const as = (actor: string, words: string[], isForPeople = false) =>
    lockstep(['--dir', root, '--actor', actor, ...words], { isForPeople })
  const asked = ['--digest', digest, '--reason', 'court_order']
  const approved = await as('human:BECCA', ['erasure', 'approve', ...asked, '--expires', '2h'])
  is(approved.status, 0, approved.stdout)
  const approval = ['--approval', String(approved.json.approval_id)]
  equal(
    [
      (await as('human:BECCA', ['erase', ...asked, ...approval])).json.rule_id,
      (await as('eve', ['erase', ...asked, ...approval])).status,
    ],
    ['approval/not_self', 4],
  )
  const erased = await as('human:ann', ['erase', ...asked, ...approval])
  equal([erased.status, erased.json.files, erased.json.may_remain], [0, 'current', []], erased.stdout)
  match((await as('human:ann', ['erase', ...asked, ...approval], true)).stdout, /1 object had been erased already/)
  equal(await remainsOf(root, secret), [])
  await endsWithVerify(root)
})

erase('erase free texts that a person looked at and another one approved', async () => {
  const { root } = await withSecret()
  const ledger = await openLedger({ actor: testActor, dir: root })
  await ledger.audit.append({ events: [{ action_type: 'system', notes: secret, outcome: 'success', run_id }] })
  await ledger.close()
  const as = (actor: string, words: string[], isForPeople = false) =>
    lockstep(['--dir', root, '--actor', actor, ...words], { isForPeople })
  const selected = ['--run-id', run_id, '--field', '/data/notes']
  match((await as('human:BECCA', ['erasure', 'preview', ...selected], true)).stdout, /\/data\/notes\n1 free text/)
  const approved = await as('human:BECCA', ['erasure', 'approve', ...selected, '--reason', 'secret_leaked'])
  is(approved.status, 0, approved.stdout)
  const { to, ...texts } = approved.json.texts as { to: number }
  equal([texts, to > 0], [{ fields: ['/data/notes'], from: 0, run_id }, true])
  const approval = ['erase', '--texts', '--approval', String(approved.json.approval_id)]
  const own = await as('human:BECCA', approval)
  is(own.json.rule_id, 'approval/not_self', own.stdout)
  match((await as('human:ann', approval, true)).stdout, /1 free text erased/)
  is((await as('human:ann', ['erasure', 'approve', '--reason', 'secret_leaked'])).status, 2)
  await endsWithVerify(root)
})

erase('hold, lift, show and sweep', async () => {
  const { root } = await withSecret()
  const as = (words: string[], isForPeople = false) =>
    lockstep(['--dir', root, '--actor', 'human:BECCA', 'retention', ...words], { isForPeople })
  const held = await as(['hold', '--run-id', run_id, '--reason', 'litigation'])
  equal([held.status, held.json.covers], [0, { run_id }], held.stdout)
  match((await as(['show'], true)).stdout, /every text is kept for at least[\s\S]*run_one_1/)
  is((await as(['lift', String(held.json.hold_id)])).status, 0)
  const all = await as(['hold', '--all', '--reason', 'audit'])
  equal(all.json.covers, { all: true }, all.stdout)
  is((await as(['lift', String(all.json.hold_id)])).status, 0)
  equal((await as(['sweep', '--dry-run'])).json.classes, [])
  is((await as(['hold', '--reason', 'litigation'])).status, 2)
  await endsWithVerify(root)
})

erase.run()
