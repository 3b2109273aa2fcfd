import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { openLedger } from '../../src/index.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { formatVersion } from '../../src/kernel/format.ts'
import { readHeadFile } from '../../src/log/head-file.ts'
import { entryKey, metaKey } from '../../src/log/keyed/rows/keys.ts'
import type { StoreBatch } from '../../src/log/keyed/store.ts'
import { verifyStored } from '../../src/log/level/repair/verify.ts'
import { readWal } from '../../src/log/level/wal/wal.ts'
import { toHex } from '../../src/merkle/hash.ts'
import { EntryVerification } from '../../src/verify/verify-entries.ts'
import { refusalOf } from '../support/deliverable.ts'
import { goldenLedger } from '../support/golden.ts'
import { testActor } from '../support/ledger.ts'
import { logOf, sampleEntries, sampleMeta } from '../support/log-of.ts'

const raise = suite('a ledger of an older format')

raise('is raised by one batch with the entry and the meta row, once', async () => {
  const { facts, root } = goldenLedger('format-1')
  const batches: StoreBatch[] = []
  const open = () =>
    openLedger({
      dir: root,
      actor: testActor,
      wrapStore: (store) => ({
        ...store,
        write: (batch) => {
          batches.push(batch)
          return store.write(batch)
        },
      }),
    })
  const ledger = await open()
  const puts = (batch: StoreBatch, key: Uint8Array) => batch.puts.some((put) => Buffer.compare(put.key, key) === 0)
  equal(
    batches
      .filter((batch) => puts(batch, metaKey))
      .map((batch) => [puts(batch, entryKey(facts.size)), batches.indexOf(batch)]),
    [[true, 0]],
  )
  is(readWal(layoutOf(root).ledger, { isSameBoot: true }).hasBeginning, false)
  await ledger.close()
  batches.length = 0
  const again = await open()
  is((await again.log.verify()).size, facts.size + 2)
  await again.close()
  equal(batches, [])
})

raise(
  'is raised by the next open if the first one ends at any step, and keeps a head that is signed or of format 1',
  async () => {
    for (const step of ['before the batch', 'after the batch', 'before the next batch'] as const) {
      const { facts, root } = goldenLedger('format-1')
      let writes = 0
      const failing = openLedger({
        dir: root,
        actor: testActor,
        wrapStore: (store) => ({
          ...store,
          write: async (batch) => {
            writes += 1
            if (step === 'before the batch' || (step === 'before the next batch' && writes === 2))
              throw new Error('ended')
            await store.write(batch)
            if (step === 'after the batch') throw new Error('ended')
          },
        }),
      })
      is((await refusalOf(() => failing)).code, 'LEDGER_UNAVAILABLE')
      const { head } = layoutOf(root)
      is(readHeadFile(head)?.note !== undefined, true, 'the head was signed first')
      const ledger = await openLedger({ dir: root, actor: testActor })
      is((await ledger.log.verify()).size, facts.size + 2, step)
      const { data, type } = await ledger.log.entry({ seq: facts.size })
      equal([type, data.root, data.size], ['ledger.upgraded', facts.root, facts.size])
      await ledger.close()
    }
  },
)

raise('waits for its key: without it a ledger keeps its format, and an unsigned head', async () => {
  const { facts, root } = goldenLedger('format-1')
  const { head, key } = layoutOf(root)
  const pem = readFileSync(key)
  rmSync(key)
  const reader = await openLedger({ dir: root, actor: testActor })
  is((await reader.log.verify()).size, facts.size + 1, 'only its configuration')
  await reader.close()
  is(readHeadFile(head)?.note, undefined)
  writeFileSync(key, pem, { mode: 0o600 })
  const ledger = await openLedger({ dir: root, actor: testActor })
  const { data, type } = await ledger.log.entry({ seq: facts.size + 1 })
  equal([type, data.size], ['ledger.upgraded', facts.size + 1])
  await ledger.log.verify()
  await ledger.close()
  is(readHeadFile(head)?.size, facts.size + 2)
})

raise('is not raised by a reader of a snapshot, which verifies it as it is', async () => {
  const { facts, root } = goldenLedger('format-1')
  const reader = await openLedger({ dir: root, actor: testActor, snapshot: true })
  is((await reader.log.verify()).size, facts.size)
  await reader.close()
})

raise('is found out if the entry and the formats or the tree disagree', async () => {
  const verified = async (change: Record<string, unknown>, format: number) => {
    const entries = sampleEntries(7)
    const data = { from: 1, head_size: null, root: '', size: 4, to: formatVersion, ...change }
    const made = entries.map((entry): Entry => {
      if (entry.seq === 0) return { ...entry, data: { ...entry.data, format: 1 } }
      if (entry.seq !== 4) return entry.seq === 5 ? { ...entry, prev: { stream: 3 } } : entry
      return { ...entry, type: 'ledger.upgraded', stream: 'ledger', prev: { stream: 0 }, data }
    })
    const prefix = await logOf(made.slice(0, 4))
    if (data.root === '') data.root = toHex(prefix.log.head().root)
    const { store } = await logOf(made)
    const checks = [new EntryVerification({ format, ...sampleMeta })]
    return verifyStored(store, { checks, headFile: undefined })
  }
  is((await verified({}, formatVersion)).head.size, 7)
  const broken: [Record<string, unknown>, number][] = [
    [{}, 1],
    [{ from: 2 }, formatVersion],
    [{ to: 1 }, formatVersion],
    [{ size: 3 }, formatVersion],
    [{ root: 'ab'.repeat(32) }, formatVersion],
  ]
  for (const [change, format] of broken) {
    const { code, details } = await refusalOf(() => verified(change, format))
    equal([code, details.check], ['VERIFY_FAILED', 'origin'])
  }
})

raise.run()
