import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { renderedEvent } from '../../src/domain/rendered-event.ts'
import { readStaging } from '../../src/files/staging/staging.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { page, startRun } from '../support/pages.ts'
import { configure } from '../support/scene.ts'
import { stageStem } from '../support/staging.ts'
import { promote, run_id } from './promoted-turns.ts'

const cleaned = suite('the staging folder of a turn')

/** Stages and promotes one turn from its own folder, completes the run, and says what was left at each step. */
async function cleanedUnder(
  staging_cleanup: string,
): Promise<{ afterPromotion: boolean; afterEnd: boolean; events: object[] }> {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, actor: testActor })).close()
  await configure(root, { staging_cleanup })
  const ledger = await openLedger({ dir: root, actor: testActor })
  await startRun(ledger, run_id)
  const folder = (await ledger.staging.folder({ run_id, turn_id: 'turn-0001' })).folder
  stageStem(folder, 'a', { body: { dto_type: 'page', id: 'a' } })
  await promote(ledger, [await readStaging(folder, { bounds: ledger.settings.turn_limits })])
  await ledger.workspaces.files()
  const afterPromotion = existsSync(folder)
  await ledger.runs.complete({ run_id, outcome_reason: 'done' })
  await ledger.workspaces.files()
  const afterEnd = existsSync(join(root, '.lockstep/staging', run_id))
  const events: object[] = []
  for await (const { actor, data, type } of ledger.log.read())
    if (type === 'turn.staging_cleaned') events.push({ by: actor.actor_id, ...data })
  await ledger.close()
  for (let opened = 0; opened < 2; opened += 1) await endsWithVerify(root)
  const again = await openLedger({ dir: root, actor: testActor })
  let count = 0
  for await (const { type } of again.log.read()) if (type === 'turn.staging_cleaned') count += 1
  await again.close()
  is(count, events.length, 'what is handled again is not recorded again')
  return { afterEnd, afterPromotion, events }
}

cleaned('is removed and recorded as the configuration has it', async () => {
  const of = { by: 'lockstep', bytes: 44, files: 3, run_id, turn_id: 'turn-0001' }
  equal(await cleanedUnder('on_promotion'), {
    afterPromotion: false,
    afterEnd: false,
    events: [{ ...of, reason: 'promoted' }],
  })
  equal(await cleanedUnder('on_run_end'), {
    afterPromotion: true,
    afterEnd: false,
    events: [{ ...of, reason: 'run_ended' }],
  })
  equal(await cleanedUnder('never'), { afterPromotion: true, afterEnd: true, events: [] })
})

cleaned('is not removed through a link in its path, because what is there is not Lockstep’s', async () => {
  await withLedger(async (ledger, root) => {
    await startRun(ledger, run_id)
    const mine = temporaryRoot()
    stageStem(join(mine, 'turn-0001'), 'a', { body: { dto_type: 'page', id: 'a' } })
    mkdirSync(join(root, '.lockstep/staging'), { recursive: true })
    symlinkSync(mine, join(root, '.lockstep/staging', run_id))
    await promote(ledger, [{ triplets: [page('a')] }])
    is((await ledger.workspaces.files()).files, 'current')
    equal(readdirSync(join(mine, 'turn-0001')).length, 3)
    for await (const { type } of ledger.log.read()) ok(type !== 'turn.staging_cleaned')
  })
})

cleaned('of the caller is cleaned only on request, and only of files that are still as staged', async () => {
  await withLedger(async (ledger, root) => {
    await startRun(ledger, run_id)
    const directory = join(root, 'out')
    stageStem(directory, 'a', { body: { dto_type: 'page', id: 'a' } })
    stageStem(directory, 'deep/b', { body: { dto_type: 'page', id: 'b' } })
    await promote(ledger, [await readStaging(directory, { bounds: ledger.settings.turn_limits })])
    await ledger.workspaces.files()
    equal(readdirSync(directory).length, 4)
    writeFileSync(join(directory, 'a.links.json'), '{"changed":[]}')
    writeFileSync(join(directory, 'a.body.json'), '{ "id": "a", "dto_type": "page" }')
    writeFileSync(join(directory, 'notes.txt'), 'mine')
    equal(await ledger.staging.consume({ directory, run_id, turn_id: 'turn-0001' }), { bytes: 80, files: 5 })
    equal(readdirSync(directory, { recursive: true, encoding: 'utf8' }).sort(), ['a.links.json', 'deep', 'notes.txt'])
    const last = await ledger.log.entry({ seq: (await ledger.head.get()).size - 1 })
    equal(
      [last.type, last.stream, last.data],
      [
        'turn.staging_cleaned',
        `staging/${run_id}`,
        { bytes: 80, files: 5, reason: 'consumed', run_id, turn_id: 'turn-0001' },
      ],
    )
    match(String(renderedEvent(last).target?.operation), 'turn.clean_staging')
  })
})
cleaned.run()
