import { linkSync, readdirSync, readFileSync, statSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { lockFileText } from '../../src/domain/lock/lock-file.ts'
import { inspect } from '../../src/files/deliverable/lock-file.ts'
import { dropAside, putBack, setAside } from '../../src/files/deliverable/lock-file-aside.ts'
import { foreignText } from '../support/deliverable.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { facts, there, withCall } from './lock-facts.ts'

const text = lockFileText(facts)

const files = suite('lock files that are set aside')
let folder = ''
let lock = ''
files.before.each(() => {
  folder = temporaryRoot()
  lock = join(folder, '.lock')
})

files('setAside keeps the judged file beside the lock, and putBack restores that file', async () => {
  writeFileSync(lock, text)
  const judged = there(await inspect(lock))
  const removal = await setAside(folder, judged, 'nonce')
  equal(removal, { outcome: 'aside', aside: join(folder, '.lock.aside.nonce') })
  equal(readdirSync(folder), ['.lock.aside.nonce'])
  await putBack(folder, join(folder, '.lock.aside.nonce'))
  equal(readdirSync(folder), ['.lock'])
  is(statSync(lock, { bigint: true }).ino, judged.ino)
})

files('setAside reports an absent file', async () => {
  writeFileSync(lock, text)
  const judged = there(await inspect(lock))
  unlinkSync(lock)
  equal(await setAside(folder, judged, 'nonce'), { outcome: 'absent' })
})

for (const [what, change] of Object.entries({
  'another file': () => {
    unlinkSync(lock)
    writeFileSync(lock, foreignText())
  },
  'the same bytes in another file': () => {
    linkSync(lock, join(folder, 'kept'))
    unlinkSync(lock)
    writeFileSync(lock, text)
  },
  'other bytes of the same length': () => writeFileSync(lock, text.replace('agent-1', 'agent-2')),
  'a dangling link': () => {
    unlinkSync(lock)
    symlinkSync('nowhere', lock)
  },
})) {
  files(`setAside puts ${what} back`, async () => {
    writeFileSync(lock, text)
    const judged = there(await inspect(lock))
    change()
    const before = readdirSync(folder)
    equal(await setAside(folder, judged, 'nonce'), { outcome: 'changed' })
    equal(readdirSync(folder), before)
  })
}

files('setAside keeps both files if a third file took the place, and reports the content of each', async () => {
  writeFileSync(lock, text)
  const judged = there(await inspect(lock))
  writeFileSync(lock, foreignText({ holder: 'second' }))
  const third = foreignText({ holder: 'third' })
  await withCall(
    'rename',
    (original) => async (from: string, to: string) => {
      await original(from, to)
      writeFileSync(lock, third)
    },
    async () => {
      const removal = await setAside(folder, judged, 'nonce')
      is(removal.outcome, 'conflict')
      if (removal.outcome !== 'conflict') return
      ok(removal.asideText.includes('second'))
      is(removal.foundText, third)
    },
  )
  equal(readdirSync(folder).sort(), ['.lock', '.lock.aside.nonce'])
  is(readFileSync(lock, 'utf8'), third)
})

files('putBack keeps an aside if another file took its place, and drops one whose file is already back', async () => {
  const aside = join(folder, '.lock.aside.nonce')
  writeFileSync(aside, text)
  writeFileSync(lock, foreignText())
  await putBack(folder, aside)
  equal(readdirSync(folder).sort(), ['.lock', '.lock.aside.nonce'])
  // A crash between link and unlink leaves two names of one file.
  unlinkSync(lock)
  linkSync(aside, lock)
  await putBack(folder, aside)
  equal(readdirSync(folder), ['.lock'])
  is(readFileSync(lock, 'utf8'), text)
})

files('dropAside can be repeated', async () => {
  const aside = join(folder, '.lock.aside.nonce')
  writeFileSync(aside, text)
  await dropAside(aside)
  await dropAside(aside)
  equal(readdirSync(folder), [])
})

files.run()
