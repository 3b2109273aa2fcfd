import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { entryKey } from '../../src/log/keyed/rows/keys.ts'
import { openStore } from '../../src/log/level/store.ts'
import { built } from '../support/damage.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { startRuns } from '../support/turns.ts'

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const { salvageLedger } = await built<typeof import('../../src/backup/salvage.ts')>('backup/salvage.js')

const salvage = suite('a salvage of a ledger with erased texts')
const [ann, becca] = ['ann', 'BECCA'].map((actor_id) => ({ actor_id, actor_type: 'human' as const }))
const [run_id, reason] = ['run_one_1', 'court_order' as const]

for (const [where, offset, isKept] of [
  ['behind the entry of the erasure', 1, true],
  ['at the entry of the erasure', 0, false],
  ['before the entry of the erasure', -1, false],
] as const) {
  salvage(`verifies where the ledger is damaged ${where}`, async () => {
    const [root, to] = [temporaryRoot(), temporaryRoot()]
    const ledger = await openLedger({ actor: testActor, config: { operators: ['ann'] }, create: true, dir: root })
    await startRuns(ledger as never, [run_id])
    const digests: string[] = []
    for (const turn_id of ['turn-0001', 'turn-0002']) {
      await ledger.turns.apply({ run_id, triplets: [{ body: { text: turn_id }, stem: 'note' }], turn_id })
      for await (const { body_digest } of ledger.workspaces.triplets({ run_id })) digests.push(body_digest)
    }
    const erasure = { digests: digests.slice(0, 1), reason }
    const { approval_id } = await ledger.erasures.approve({ ...erasure, actor: becca })
    const { seq } = await ledger.erasures.erase({ ...erasure, actor: ann, approval_id })
    for (let at = 0; at < 3; at += 1)
      await ledger.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
    await ledger.close()
    const store = await openStore(layoutOf(root).ledger, { create: false })
    await store.write({ deletes: [entryKey(seq + offset)], puts: [] })
    await store.close()
    const { previous } = await salvageLedger(layoutOf(root), { actor: testActor, to })
    is(previous.size > seq, isKept)
    await endsWithVerify(to)
    const again = await openLedger({ actor: testActor, dir: to })
    const code = await again.workspaces.object({ digest: digests[0] ?? '' }).catch(({ code }) => code)
    await again.close()
    equal(code, 'OBJECT_ERASED')
  })
}

salvage.run()
