// limit: 180

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { hold } from '../../src/lease.ts'
import { readHeadFile } from '../../src/log/head-file.ts'
import { readLogBlocks } from '../../src/log/level/wal/log-blocks.ts'
import { copyOfCrashed, crashedLedger } from '../support/crashed.ts'
import { built, contentsOf } from '../support/damage.ts'
import { endsWithVerify, testActor } from '../support/ledger.ts'
import { asPlainError, openOnce, refusalAt } from '../support/opening.ts'
import { randomBelow } from '../support/seed.ts'

// A ledger whose process was killed before the head file was written anew, so that only the write-ahead log knows of what
// was acknowledged; `log/wal` flips each of its bytes, and here some of them meet a whole open: each of them, if there are
// as many rounds as bytes.

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const damage = suite('a damaged write-ahead log after a crash')
const random = randomBelow('damaged log')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 6)
const crashed = await crashedLedger()
const { bytes, log, size, token } = crashed
const layout = copyOfCrashed(crashed)
const path = join(layout.ledger, log)
const owner = readFileSync(layout.owner)

damage('is refused without changes, and loses nothing that was acknowledged once it is repaired', async () => {
  const before = contentsOf(layout.ledger)
  const head = readFileSync(layout.head)
  const isEach = rounds >= bytes.length
  const places = Array.from({ length: Math.min(rounds, bytes.length) }, (_, at) => (isEach ? at : random(bytes.length)))
  for (const at of [0, bytes.length - 1, ...places]) {
    const flipped = Buffer.from(bytes)
    flipped[at] = (flipped[at] as number) ^ (1 << random(8))
    if (at % 32_768 > 32_768 - 7) continue
    writeFileSync(path, flipped)
    writeFileSync(layout.owner, owner)
    const { code, details } = await refusalAt(layout)
    equal([code, details.file], ['LEDGER_CORRUPT', log], `byte ${at}`)
    writeFileSync(path, bytes)
    equal(contentsOf(layout.ledger), before)
    equal(readFileSync(layout.head), head)
  }
  writeFileSync(layout.owner, owner)
  await isAllThere()
})

damage('may end in an unfinished record, as a crash leaves it: everything before it is kept', async () => {
  const torn = copyOfCrashed(crashed)
  writeFileSync(join(torn.ledger, log), Buffer.concat([bytes, bytes.subarray(0, 300)]))
  is(await openOnce(torn), size)
  await endsWithVerify(torn.root)
})

damage('may end in zeros after a power failure, but not if this boot wrote it', async () => {
  const { at = 0 } = readLogBlocks(bytes).records.at(-1) ?? {}
  const zeroed = Buffer.from(bytes).fill(0, at)
  const written = JSON.parse(owner.toString()) as Record<string, unknown>
  for (const [left, opened] of [
    [written, undefined],
    [{ ...written, boot_id: 'another' }, size - 1],
    [{ ...written, boot_id: null }, size - 1],
    [{ ...written, suspect: 'checking' }, size - 1],
  ] as const) {
    const torn = copyOfCrashed(crashed)
    writeFileSync(join(torn.ledger, log), zeroed)
    writeFileSync(torn.owner, JSON.stringify(left))
    if (opened === undefined) is((await refusalAt(torn)).code, 'LEDGER_CORRUPT')
    else is(await openOnce(torn), opened, JSON.stringify(left))
  }
})

damage('raises the head file if it is whole, so that every later open knows how far the ledger had come', async () => {
  const again = copyOfCrashed(crashed)
  await openOnce(again)
  is(readHeadFile(again.head)?.size, size)
})

damage.run()

async function isAllThere(): Promise<void> {
  const ledger = await openLedger({ dir: layout.root, actor: testActor }).catch(asPlainError)
  try {
    is((await ledger.head.get()).size, size)
    const held = await hold(ledger, { name: 'reports', holder: 'another' }).catch((error) => error)
    equal([held.code, held.details?.token], ['LOCK_CONTENTION', token])
    const next = await hold(ledger, { name: 'others', holder: 'another' })
    ok(next.token > token)
    await ledger.log.verify()
  } finally {
    await ledger.close()
  }
}
