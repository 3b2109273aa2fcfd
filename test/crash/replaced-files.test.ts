import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { dropTemporaries, writeDurably } from '../../src/disk/durable.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { readHeadFile } from '../../src/log/head-file.ts'
import { readOwner, writeOwner } from '../../src/log/level/owner/owner.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const replaced = suite('a file that is replaced whole')

replaced('has the new text and mode, and no temporary file is left', async () => {
  const folder = temporaryRoot()
  const path = join(folder, 'head')
  await writeDurably(path, 'one', 0o600)
  await writeDurably(path, 'two', 0o600)
  is(readFileSync(path, 'utf8'), 'two')
  is(lstatSync(path).mode & 0o777, 0o600)
  equal(readdirSync(folder), ['head'])
})

replaced('replaces what a crash left beside it, and follows no link there', async () => {
  const folder = temporaryRoot()
  const elsewhere = join(folder, 'elsewhere')
  writeFileSync(elsewhere, 'kept')
  symlinkSync(elsewhere, join(folder, 'head.tmp'))
  await writeDurably(join(folder, 'head'), 'text')
  is(readFileSync(elsewhere, 'utf8'), 'kept')
  equal(readdirSync(folder).sort(), ['elsewhere', 'head'])
})

replaced('stays unchanged if the new file cannot take its place, and no temporary file is left', async () => {
  const folder = temporaryRoot()
  const path = join(folder, 'head')
  mkdirSync(path)
  const error = await writeDurably(path, 'text').catch((thrown: { code: string }) => thrown)
  is(error?.code, 'FILE_FAILED')
  equal(readdirSync(folder), ['head'])
})

replaced('is cleared of files that dead processes left beside it, and of nothing else', () => {
  const folder = temporaryRoot()
  const kept = ['head', 'head.txt', 'other.0123abcd.tmp', 'owner.word.tmp']
  for (const name of [...kept, 'head.tmp', 'owner.0123abcd.tmp']) writeFileSync(join(folder, name), '')
  dropTemporaries([join(folder, 'head'), join(folder, 'owner')])
  equal(readdirSync(folder).sort(), kept.sort())
})

replaced('that is the head file is cleared of what crashes left when the ledger is opened', async () => {
  const root = temporaryRoot()
  await (await openLedger({ dir: root, create: true, policy: false, actor: testActor })).close()
  const left = ['head.tmp', 'owner.0123abcd.tmp'].map((name) => join(root, '.lockstep', name))
  for (const path of left) writeFileSync(path, 'half')
  const ledger = await openLedger({ dir: root, actor: testActor })
  equal(left.map(existsSync), [false, false])
  await ledger.close()
  await endsWithVerify(root)
})

replaced('that is a hint is removed if it cannot be rewritten', () => {
  const folder = temporaryRoot()
  // With what is added to it for the file beside, the name is longer than a name may be.
  const path = join(folder, 'o'.repeat(250))
  writeFileSync(path, JSON.stringify({ state: 'closed', files: {} }))
  is(readOwner(path)?.state, 'closed')
  writeOwner(path, { state: 'open', pid: process.pid, since: '2026-01-02T03:04:05.000Z', command: 'test' })
  is(readOwner(path), undefined)
  is(existsSync(path), false)
})

replaced('that is the head file is written again at close only if entries were appended since', async () => {
  const root = temporaryRoot()
  const { head } = layoutOf(root)
  const closed = async (work: (ledger: LocalLedger) => Promise<unknown> = async () => {}) => {
    const ledger = await openLedger({ dir: root, create: 'if-missing', policy: false, actor: testActor })
    await work(ledger)
    await ledger.close()
    return lstatSync(head, { bigint: true }).ino
  }
  const first = await closed()
  is(await closed(), first)
  const event = { action_type: 'system', outcome: 'success' } as const
  ok((await closed((ledger) => ledger.audit.append({ events: [event] }))) !== first)
  is(readHeadFile(head)?.size, 2)
  await endsWithVerify(root)
})

replaced.run()
