import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { withServiceProcess } from '../client/service-process.ts'
import { until } from '../ledger/stage.ts'
import { root as project } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { startOwner } from '../support/owner.ts'
import { appendEvents, checkTiles, sameFiles, tilesIn } from '../support/tiles.ts'

const tiles = suite('lockstep tiles')
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')

tiles('exports beside the process that has the ledger open, as often as it is asked', async () => {
  const owner = await startOwner({ first: 1_000 })
  const dir = join(temporaryRoot(), 'served', 'tiles')
  for (const entries of [[], ['--entries'], ['--entries']]) {
    const least = owner.acknowledged()
    const { json, status, stderr, stdout } = await lockstep(['--dir', owner.root, 'tiles', 'export', dir, ...entries])
    is(status, 0, stdout)
    is(stderr, `as of size ${json.size}\n`)
    ok(Number(json.size) >= least)
    is(await checkTiles(tilesIn(dir), { entries: entries.length > 0 }), json.size)
  }
  await owner.end()
  await endsWithVerify(owner.root)
})

tiles('exports over the service, without a right that reading does not need', async () => {
  await withServiceProcess(async ({ root, start }) => {
    const ledger = await openLedger({ dir: root, actor: testActor })
    await appendEvents(ledger, 600)
    await ledger.close()
    const [own, served] = [temporaryRoot(), temporaryRoot()]
    await lockstep(['--dir', root, 'tiles', 'export', own, '--entries'])
    await start()
    const { json, status, stdout } = await lockstep(['--dir', root, 'tiles', 'export', served, '--entries'])
    is(status, 0, stdout)
    equal(
      [json.size, json.tiles, json.bundles, json.previous_size],
      [await checkTiles(tilesIn(own), { entries: true }), 4, 3, null],
    )
    sameFiles(served, own)
    const again = await lockstep(['--dir', root, 'tiles', 'export', served], { isForPeople: true })
    match(again.stdout, /entries of lockstep\.local\/\S+, after \d+\n0 tiles and 0 bundles of entries written\nroot /)
  })()
})

tiles('that is killed leaves nothing wrong, and the next one ends right', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, policy: false, actor: testActor })
  await appendEvents(ledger, 20_000)
  await ledger.close()
  const [dir, whole] = [temporaryRoot(), temporaryRoot()]
  for (const path of ['tile/0/000', 'tile/entries/007', 'tile/0/050']) {
    const argv = [main, '--dir', root, 'tiles', 'export', dir, '--entries']
    const child = spawn(process.execPath, argv, { stdio: 'ignore' })
    const exited = once(child, 'exit')
    await until('it writes', () => existsSync(join(dir, path)) || child.exitCode !== null)
    child.kill('SIGKILL')
    await exited
    if (existsSync(join(dir, 'checkpoint'))) break
  }
  for (const target of [dir, whole]) {
    const { status, stdout } = await lockstep(['--dir', root, 'tiles', 'export', target, '--entries'])
    is(status, 0, stdout)
  }
  sameFiles(dir, whole)
  equal(readdirSync(dir).sort(), ['checkpoint', 'tile'])
  await checkTiles(tilesIn(dir), { entries: true })
  await endsWithVerify(root)
})

tiles.run()
