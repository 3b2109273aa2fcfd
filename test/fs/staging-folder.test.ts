import { mkdirSync } from 'node:fs'
import { suite } from 'uvu'
import { equal } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { stagedTurns, stagingFolder } from '../../src/files/staging/staging-folder.ts'
import { temporaryRoot } from '../support/ledger.ts'

const folders = suite('staging folders')

folders('of a run are listed in the order of their turns, without anything else', () => {
  const layout = layoutOf(temporaryRoot())
  equal(stagedTurns(layout, 'run_draft1'), [])
  const turns = ['turn-10000', 'turn-9999', 'turn-0002', 'turn-100000']
  for (const turn of turns) mkdirSync(stagingFolder(layout, 'run_draft1', turn), { recursive: true })
  mkdirSync(stagingFolder(layout, 'run_draft1', 'turn-0002').replace('0002', '2'))
  equal(stagedTurns(layout, 'run_draft1'), ['turn-0002', 'turn-9999', 'turn-10000', 'turn-100000'])
})

folders.run()
