import fs, { readdirSync, statSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { suite } from 'uvu'
import { is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const logs = suite('a new write-ahead log')

/** More than LevelDB's write buffer of 4 MiB, after which it begins a new log. */
const bytesMin = 5 * 1024 * 1024
const batchEntries = 100
const notesChars = 1_000

logs('has its name synced before anything in it is acknowledged', async () => {
  const layout = layoutOf(temporaryRoot())
  const ledger = await openLedger({ dir: layout.root, actor: testActor, create: true, policy: false })
  const folder = statSync(layout.ledger).ino
  const logsNow = () => readdirSync(layout.ledger).filter((name) => name.endsWith('.log'))
  const known = new Set(logsNow())
  let syncs = 0
  const original = fs.fsyncSync
  fs.fsyncSync = (descriptor) => {
    if (fs.fstatSync(descriptor).ino === folder) syncs += 1
    original(descriptor)
  }
  syncBuiltinESMExports()
  try {
    const event = { action_type: 'system', outcome: 'success', notes: 'x'.repeat(notesChars) } as const
    let begun = 0
    for (let bytes = 0; bytes < bytesMin; bytes += batchEntries * notesChars) {
      const before = syncs
      await ledger.audit.append({ events: Array.from({ length: batchEntries }, () => event) })
      const isNew = logsNow().some((name) => !known.has(name))
      for (const name of logsNow()) known.add(name)
      begun += isNew ? 1 : 0
      is(syncs - before, isNew ? 1 : 0)
    }
    ok(begun > 0, 'LevelDB began a new log')
  } finally {
    fs.fsyncSync = original
    syncBuiltinESMExports()
  }
  await ledger.close()
  await endsWithVerify(layout.root)
})

logs.run()
