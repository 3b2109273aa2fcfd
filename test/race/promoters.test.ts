// limit: 1800
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { caller } from '../../fixtures/crash/asks.ts'
import { run_id } from '../../fixtures/crash/turns.ts'
import { openLedger } from '../../src/open.ts'
import { runWriter } from '../crash/writers.ts'
import { compiled } from '../support/compiled.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'
import { startRun, turnId } from '../support/pages.ts'

/** `LOCKSTEP_ROUNDS=100` is the long run: that many turns. */
const turns = Number(process.env.LOCKSTEP_ROUNDS ?? 8)
const promoters = 8

const race = suite('eight processes that promote turns of one run')

race('promote each exactly once, in order; who comes too late or too early is told so', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, actor: caller })
  await startRun(ledger, run_id)
  await ledger.close()
  const program = compiled('fixtures/crash/promoter.ts')
  const ends = await Promise.all(
    Array.from({ length: promoters }, (_, name) =>
      runWriter(program, [root, String(turns), String(name)], { afterMillis: 1_500_000 }),
    ),
  )
  for (const { code, stderr } of ends) is(code, 0, stderr)
  const tries = ends.flatMap(({ lines }) => lines as unknown as { turn_id?: string; seq?: number; code?: string }[])
  const won = tries.filter(({ seq }) => seq !== undefined).sort((one, other) => (one.seq ?? 0) - (other.seq ?? 0))
  const expected = Array.from({ length: turns }, (_, index) => turnId(index + 1))
  equal(
    won.map(({ turn_id }) => turn_id),
    expected,
  )
  const lost = new Set(tries.flatMap(({ code }) => (code === undefined ? [] : [code])))
  for (const code of lost) ok(['E_PROMOTION_ALREADY_APPLIED', 'E_PROMOTION_OUT_OF_ORDER'].includes(code), code)
  const again = await openLedger({ dir: root, actor: caller })
  equal(
    (await again.turns.list({ run_id })).turns.map(({ turn_id }) => turn_id),
    expected,
  )
  is((await again.workspaces.check({ run_id })).files, 3 * turns + 1)
  await again.close()
  await endsWithVerify(root)
  console.log(`${turns} turns, ${tries.length} tries, refused with ${[...lost].join(' and ')}`)
})

race.run()
