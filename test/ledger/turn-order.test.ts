import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Code } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { testClock } from '../support/ledger.ts'
import { startRuns } from '../support/turns.ts'
import { refusal, withStage } from './stage.ts'

const test = suite('the order of a promotion’s checks')
const run_id = 'run_one_1'
const lock = { name: 'state', holder: 'agent-1' }
const note = (stem: string, id: string, links = {}) => ({ stem, body: { dto_type: 'note', id }, links })
const grave = (stem: string, id: string, deleted_by_turn_id: string) => ({
  kind: 'tombstone',
  stem,
  dto_type: 'note',
  id,
  deleted_by_turn_id,
})

type Named = { stem: string }

/** With the digest of the promoted body, where there is one. */
async function based<Item extends Named>(ledger: LocalLedger, items: readonly Item[]) {
  const digests = new Map<string, string>()
  for await (const { body_digest, stem } of ledger.workspaces.triplets({ run_id })) digests.set(stem, body_digest)
  return items.map((item) => ({ ...item, base_digest: digests.get(item.stem) ?? null }))
}

type Promote = Parameters<LocalLedger['turns']['promote']>[0]

test('is that of the rulings: whatever else is wrong, the first that fails decides, and is recorded', async () => {
  const clock = testClock()
  await withStage(
    async (ledger) => {
      await startRuns(ledger, ['run_two_1'], 'flow-1')
      const stale = await hold(ledger, lock)
      await ledger.runs.create({ run_id, run_kind: 'orchestrator', workflow_id: 'flow-1' })
      await ledger.runs.start({ run_id, lock: 'state' })
      const first = { run_id, turn_id: 'turn-0001', guard: { name: 'state', token: stale.token } }
      await ledger.turns.apply({ ...first, triplets: [note('one', '1'), note('target', 'T')] })
      await ledger.locks.release({ lock_id: stale.lock_id })
      const { token } = await hold(ledger, lock)
      const guard = { name: 'state', token }
      const second = { run_id, turn_id: 'turn-0002', guard }
      await refusal(ledger.turns.stage({ ...second, triplets: [note('../x', '1')] }), 'E_STEM_INVALID')

      // Each time one thing is mended and the next check decides.
      const codes: Code[] = []
      const refused = async (code: Code, more: Partial<Promote>) => {
        codes.push(code)
        // So long that the same refusal again is recorded again.
        clock.advance(11_000)
        return (await refusal(ledger.turns.promote({ run_id, turn_id: 'turn-0002', ...more }), code)).details
      }
      await refused('E_PROMOTION_FAILED', { turn_id: 'turn-1', guard: first.guard })
      await refused('E_PROMOTION_ALREADY_APPLIED', { turn_id: 'turn-0001', guard: first.guard })
      await refused('GUARD_REQUIRED', { turn_id: 'turn-0009' })
      await refused('STALE_TOKEN', { turn_id: 'turn-0009', guard: first.guard })
      const { expected, last, requested } = await refused('E_PROMOTION_OUT_OF_ORDER', { turn_id: 'turn-0009', guard })
      assert.equal([requested, expected, last], ['turn-0009', 'turn-0002', 'turn-0001'])
      await refused('E_PROMOTION_FAILED', { guard })
      const three = note('three', '3', { 'a/b~': [{ type: 'note', id: 'T' }] })
      await ledger.turns.stage({
        ...second,
        triplets: [{ ...note('two', '2'), base_digest: null }, three],
        tombstones: await based(ledger, [grave('one', '1', 'turn-0002')]),
      })
      await refused('E_PROMOTION_NOT_VALIDATED', { guard })
      assert.is((await ledger.turns.validate(second)).outcome, 'PASS')

      // The other run of the workflow takes away what this turn was validated over, all at once.
      let turns = 0
      const other = async ({ tombstones = [], triplets = [] }: { tombstones?: Named[]; triplets?: Named[] }) => {
        turns += 1
        const what = { tombstones: await based(ledger, tombstones), triplets: await based(ledger, triplets) }
        return ledger.turns.apply({ run_id: 'run_two_1', turn_id: `turn-000${turns}`, ...what })
      }
      await other({
        triplets: [note('one', '7'), note('two', '22'), note('THREE', '33'), note('four', '3')],
        tombstones: [grave('target', 'T', 'turn-0001')],
      })
      await refused('E_TOMBSTONE_INVALID', { guard })
      await other({ triplets: [note('one', '1')] })
      await refused('E_PROMOTION_CONFLICT', { guard })
      await other({ tombstones: [grave('two', '22', 'turn-0003')] })
      await refused('E_STEM_COLLISION', { guard })
      await other({ tombstones: [grave('THREE', '33', 'turn-0004')] })
      await refused('E_LSI_DUPLICATE_IDENTITY', { guard })
      await other({ tombstones: [grave('four', '3', 'turn-0005')] })
      const { issues } = await refused('E_LSI_ORPHAN_TARGET', { guard })
      const [issue] = issues as { details: object; location: string; stage: string }[]
      assert.equal(
        [issue?.stage, issue?.location, issue?.details],
        ['lsi', '/links/a~1b~0/0/id', { id: 'T', stem: 'three', type: 'note' }],
      )
      await other({ triplets: [note('target', 'T')] })
      const keyed = { ...second, idempotency_key: 'p' }
      const promoted = await ledger.turns.promote(keyed)
      assert.equal([promoted.promoted_stems, promoted.deleted_stems], [['three', 'two'], ['one']])

      await ledger.runs.cancel({ run_id, outcome_reason: 'done' })
      assert.equal(await ledger.turns.promote(keyed), { ...promoted, replayed: true }, 'a repeat is no promotion')
      await refusal(ledger.turns.promote({ ...keyed, require_staged: true }), 'IDEMPOTENCY_MISMATCH')
      await refused('E_PROMOTION_FAILED', { turn_id: 'turn-02', guard: first.guard })
      await refused('E_PROMOTION_ALREADY_APPLIED', { guard: first.guard })
      await refused('RUN_NOT_ACTIVE', { turn_id: 'turn-0009', guard: first.guard })

      const recorded: unknown[] = []
      for await (const { data, type } of ledger.log.read())
        if (type === 'turn.promotion_rejected') recorded.push(data.code)
      assert.equal(recorded, codes)
    },
    { now: clock.now },
  )
})

test.run()
