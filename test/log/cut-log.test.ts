import {
  copyFileSync,
  cpSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate as immediate } from 'node:timers/promises'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { hold } from '../../src/lease.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { refusalOf } from '../support/opening.ts'

const cut = suite('a write-ahead log that is changed while a process has it open')

const event = { action_type: 'system', outcome: 'success' } as const

/** What other programs do to the newest log; `older` is a copy of the database that was made before. */
const changes: Record<string, (log: string, older: string) => void> = {
  'is removed': (log) => rmSync(log),
  'is emptied': (log) => truncateSync(log, 0),
  'is cut': (log) => truncateSync(log, 300),
  'is overwritten with an older copy': (log, older) => writeFileSync(log, readFileSync(older)),
  'is replaced by an older copy': (log, older) => {
    copyFileSync(older, `${older}.beside`)
    renameSync(`${older}.beside`, log)
  },
}

for (const [title, change] of Object.entries(changes)) {
  cut(`loses nothing that was acknowledged when it ${title}, and no token goes back`, async () => {
    const layout = layoutOf(temporaryRoot())
    const ledger = await openLedger({ dir: layout.root, actor: testActor, create: true, policy: false })
    const older = join(layout.root, 'older')
    for (let at = 0; at < 10; at += 1) {
      await ledger.audit.append({ events: [event] })
      if (at === 4) cpSync(layout.ledger, older, { recursive: true, filter: (path) => !path.endsWith('/LOCK') })
    }
    const held = await hold(ledger, { name: 'reports', holder: 'agent-1' })
    const { size } = await ledger.head.get()
    const name = readdirSync(layout.ledger).find((file) => file.endsWith('.log')) ?? ''
    // A write that follows the last look within a millisecond does without a look of its own before it.
    for (const from = performance.now(); performance.now() < from + 5; ) await immediate()
    change(join(layout.ledger, name), join(older, name))

    is((await refusalOf(ledger.audit.append({ events: [event] }))).code, 'LEDGER_MOVED')
    await ledger.close()
    const next = await openLedger({ dir: layout.root, actor: testActor, policy: false })
    ok((await next.head.get()).size >= size, `${(await next.head.get()).size} entries of ${size}`)
    equal((await next.locks.status({ name: 'reports' })).token, held.token)
    ok((await hold(next, { name: 'another', holder: 'agent-1' })).token > held.token)
    await next.close()
    await endsWithVerify(layout.root)
  })
}

cut.run()
