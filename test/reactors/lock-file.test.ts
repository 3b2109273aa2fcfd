import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import { openLedger } from '../../src/open.ts'
import { copyLedger, endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const reactor = suite('the lock file of a grant that ended')
const folderName = 'DEL-01-01_One'

async function newRoot(): Promise<{ root: string; folder: string; lock: string }> {
  const root = temporaryRoot()
  const folder = join(root, folderName)
  mkdirSync(folder)
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  return { root, folder, lock: join(folder, '.lock') }
}

reactor('is removed at the next open if the release could not remove it', async () => {
  const { folder, lock, root } = await newRoot()
  const ledger = await openLedger({ dir: root, actor: testActor })
  const { lock_id } = await hold(ledger, { folder, holder: 'TASK' })
  const isFrozen = spawnSync('chattr', ['+i', folder]).status === 0
  try {
    if (!isFrozen) console.log('chattr is not permitted here: the file is removed at once')
    is((await ledger.locks.release({ lock_id })).files, isFrozen ? 'pending' : 'current')
    is(existsSync(lock), isFrozen)
  } finally {
    spawnSync('chattr', ['-i', folder])
  }
  await ledger.close()
  await endsWithVerify(root)
  equal(readdirSync(folder), [])
})

reactor('is removed at the next open if a copy of the root still has it', async () => {
  const { folder, lock, root } = await newRoot()
  const ledger = await openLedger({ dir: root, actor: testActor })
  const { lock_id } = await hold(ledger, { folder, holder: 'TASK' })
  const text = readFileSync(lock)
  await ledger.locks.release({ lock_id })
  await ledger.close()
  const copy = temporaryRoot()
  copyLedger(root, copy)
  writeFileSync(join(copy, folderName, '.lock'), text)
  await endsWithVerify(copy)
  equal(readdirSync(join(copy, folderName)), [])
})

reactor('is told from the file of the next grant, however often its end is handled', async () => {
  const { folder, lock, root } = await newRoot()
  const ledger = await openLedger({ dir: root, actor: testActor })
  const first = await hold(ledger, { folder, holder: 'TASK' })
  await first.release()
  const second = await hold(ledger, { folder, holder: 'TASK' })
  await ledger.close()
  for (let opened = 0; opened < 2; opened += 1) await endsWithVerify(root)
  is((JSON.parse(readFileSync(lock, 'utf8')) as { lock_ref: string }).lock_ref, second.lock_ref)
  equal(readdirSync(folder), ['.lock'])
})

reactor('is ignored if its folder was removed', async () => {
  const { folder, root } = await newRoot()
  const other = join(root, 'DEL-01-02_Two')
  mkdirSync(other)
  const ledger = await openLedger({ dir: root, actor: testActor })
  const gone = await hold(ledger, { folder, holder: 'TASK' })
  const { lock_id } = await hold(ledger, { folder: other, holder: 'TASK' })
  spawnSync('rm', ['-rf', folder])
  is((await ledger.locks.release({ lock_id: gone.lock_id })).files, 'current')
  is((await ledger.locks.release({ lock_id })).files, 'current')
  await ledger.close()
  await endsWithVerify(root)
})

reactor.run()
