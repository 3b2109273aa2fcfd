import fs, { existsSync, renameSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { evidenceOf } from '../../src/disk/process.ts'
import { ExportFiles } from '../../src/files/bundle/export-files.ts'
import { keepPolicyText } from '../../src/files/policy/policy-folder.ts'
import { takeSnapshot } from '../../src/log/level/open/snapshot-files.ts'
import { endsWithVerify } from '../support/ledger.ts'
import { closedLedger, evidenceIn, open, openOnce, refusalAt, refusalOf, size } from '../support/opening.ts'

const moving = suite('a ledger that is moved while it is opened or used')

moving('is not found by an open that found it before, and nothing is made in its place', async () => {
  const layout = await closedLedger()
  const aside = `${layout.home}-aside`
  renameSync(layout.home, aside)
  const { code } = await refusalAt(layout)
  is(code, 'NO_LEDGER')
  is(existsSync(layout.home), false)
  renameSync(aside, layout.home)
  is(await openOnce(layout), size)
  await endsWithVerify(layout.root)
})

moving('is opened if only one read did not find it', async () => {
  const layout = await closedLedger()
  const { openSync } = fs
  let missed = 0
  fs.openSync = (path, ...rest) => {
    if (missed === 0 && path === join(layout.ledger, 'CURRENT')) {
      missed += 1
      renameSync(layout.home, `${layout.home}-aside`)
      try {
        return openSync(path, ...rest)
      } finally {
        renameSync(`${layout.home}-aside`, layout.home)
      }
    }
    return openSync(path, ...rest)
  }
  syncBuiltinESMExports()
  try {
    equal([await openOnce(layout, { openWaitSeconds: 10 }), missed], [size, 1])
  } finally {
    fs.openSync = openSync
    syncBuiltinESMExports()
  }
  equal(evidenceIn(layout), [])
  await endsWithVerify(layout.root)
})

moving('is not created again by what an open ledger writes beside its database', async () => {
  const layout = await closedLedger()
  const log = await open(layout)
  const aside = `${layout.home}-aside`
  renameSync(layout.home, aside)
  const evidence = evidenceOf(process.pid)
  const note = { evidence, file: join(layout.root, 'x'), nonce: 'n', run_id: 'r' }
  const refusals = [
    await refusalOf(takeSnapshot(log, layout, { later, nonce: 'n' })),
    await refusalOf(ExportFiles.note(layout.exports, note)),
    await refusalOf(keepPolicyText(layout, '0'.repeat(64), 'lanes: {}')),
  ]
  const codes = refusals.map(({ code }) => code)
  equal([codes, existsSync(layout.home)], [['LEDGER_MOVED', 'NOT_FOUND', 'NOT_FOUND'], false])
  renameSync(aside, layout.home)
  await log.close()
  is(await openOnce(layout), size)
  await endsWithVerify(layout.root)
})

/** These copies are not asked to sign. */
function later(): never {
  throw new Error('no later copy is needed')
}

moving.run()
