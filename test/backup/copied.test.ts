import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { adoptLedger } from '../../src/backup/adopt.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { hold } from '../../src/lease.ts'
import { openLog } from '../../src/log/level/open/open.ts'
import { openLedger } from '../../src/open.ts'
import { lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const copied = suite('a copied or moved root')

async function newLedger(): Promise<string> {
  const root = join(temporaryRoot(), 'original')
  const ledger = await openLedger({ dir: root, create: true, actor: testActor })
  await hold(ledger, { name: 'reports', holder: 'holder', lease_duration_s: 600 })
  await ledger.close()
  return root
}

function copy(root: string, words: readonly string[]): string {
  const to = join(temporaryRoot(), 'copy')
  is(spawnSync('cp', [...words, root, to]).status, 0)
  spawnSync('chmod', ['700', join(to, '.lockstep')])
  return to
}

const codeOf = async (dir: string) => (await lockstep(['--dir', dir, 'lock', 'list'])).json.code

/** Changes members of the record of a place. */
function change(root: string, members: object): void {
  const { place } = layoutOf(root)
  writeFileSync(place, JSON.stringify({ ...JSON.parse(readFileSync(place, 'utf8')), ...members }))
}

copied('that was copied grants nothing, and becomes a ledger of its own', async () => {
  const root = await newLedger()
  for (const words of [['-r'], ['-a']]) {
    const to = copy(root, words)
    for (const command of [['lock', 'acquire', 'more', '--holder', 'x'], ['verify'], ['head']]) {
      const { json, status } = await lockstep(['--dir', to, ...command])
      equal([status, json.code], [5, 'LEDGER_COPIED'], command.join(' '))
    }
    const adopted = await lockstep(['--dir', to, 'adopt', '--copied', '--origin', 'example.com/copy'])
    equal([adopted.status, adopted.json.origin, adopted.json.token_offset], [0, 'example.com/copy', 2 ** 20])
    const { json } = await lockstep(['--dir', to, 'lock', 'acquire', 'more', '--holder', 'x'])
    ok(Number(json.token) > 2 ** 20)
    is((await lockstep(['--dir', to, 'head', '--signed'])).json.origin, 'example.com/copy')
    await endsWithVerify(to)
  }
  is(await codeOf(root), undefined, 'the original goes on')
  await endsWithVerify(root)
})

copied('that was moved to another file system goes on once somebody says so', async () => {
  const root = await newLedger()
  const { origin } = (await lockstep(['--dir', root, 'head'])).json
  const to = copy(root, ['-a'])
  rmSync(root, { recursive: true })
  is(await codeOf(to), 'LEDGER_COPIED')
  const { json } = await lockstep(['--dir', to, 'adopt', '--moved'])
  equal([json.adopted, json.origin], ['moved', origin])
  equal((await lockstep(['--dir', to, 'adopt', '--moved'])).status, 0, 'again')
  is(await codeOf(to), undefined)
  await endsWithVerify(to)
})

copied('that was renamed, rebooted or left without a record raises nothing', async () => {
  const root = await newLedger()
  const to = join(temporaryRoot(), 'renamed')
  renameSync(root, to)
  is(await codeOf(to), undefined)
  // The record knows no host name, no boot and no device, so none of them can change it.
  equal(Object.keys(JSON.parse(readFileSync(layoutOf(to).place, 'utf8'))), ['born_ns', 'host_id', 'inode'])
  for (const unknown of [{ born_ns: null }, { host_id: null }]) {
    change(to, unknown)
    is(await codeOf(to), undefined, JSON.stringify(unknown))
  }
  rmSync(layoutOf(to).place)
  is(await codeOf(to), undefined)
  ok(existsSync(layoutOf(to).place), 'it is recorded at the next open')
  await endsWithVerify(to)
})

copied('is noticed by each fact alone', async () => {
  const root = await newLedger()
  const { place } = layoutOf(root)
  const text = readFileSync(place, 'utf8')
  for (const other of [{ inode: '1' }, { born_ns: '1' }, { host_id: 'f'.repeat(32) }]) {
    // Where a fact cannot be read, it cannot differ.
    const [[name = '']] = Object.entries(other) as [[string, string]]
    const isKnown = JSON.parse(text)[name] !== null
    change(root, other)
    is(await codeOf(root), isKnown ? 'LEDGER_COPIED' : undefined, name)
    writeFileSync(place, text)
  }
  writeFileSync(place, 'cut')
  is(await codeOf(root), 'LEDGER_COPIED')
  is((await lockstep(['--dir', root, 'adopt', '--moved'])).status, 0)
  await endsWithVerify(root)
})

copied('can be adopted again after an interrupted adoption', async () => {
  const root = await newLedger()
  const to = copy(root, ['-a'])
  const { json } = await lockstep(['--dir', to, 'adopt'])
  is(json.code, 'INVALID_INPUT')
  // As after a crash behind the new key: the ledger does not name it yet.
  const other = await newLedger()
  writeFileSync(layoutOf(to).key, readFileSync(layoutOf(other).key))
  equal((await lockstep(['--dir', to, 'adopt', '--moved'])).json.code, 'LEDGER_CORRUPT')
  is(await codeOf(to), 'LEDGER_COPIED')
  is((await lockstep(['--dir', to, 'adopt', '--copied'])).status, 0)
  is((await lockstep(['--dir', to, 'head', '--signed'])).status, 0)
  await endsWithVerify(to)
})

copied('can be adopted again after a crash before the entry of its new name', async () => {
  const root = await newLedger()
  const { origin } = (await lockstep(['--dir', root, 'head'])).json
  const to = copy(root, ['-a'])
  const opening = { layout: layoutOf(to), command: 'test', openWaitSeconds: 5, isAdopting: true }
  const log = await openLog({ ...opening, nonce: () => 'nonce' })
  const restored = [{ seq: log.head().size, token_offset: 2 ** 20 }]
  await log.rename({ format: log.meta.format, ledger_id: 'interrupted00000', origin: 'example.com/lost', restored })
  await log.close()
  is(await codeOf(to), 'LEDGER_COPIED')
  const adopted = await adoptLedger(layoutOf(to), { actor: testActor, as: 'copied', openWaitSeconds: 5 })
  is(adopted.token_offset, 2 ** 20)
  const ledger = await openLedger({ dir: to, actor: testActor })
  const entry = await ledger.log.entry({ seq: restored[0]?.seq ?? 0 })
  await ledger.close()
  is((entry.data as { previous: { origin: string } }).previous.origin, origin)
  await endsWithVerify(to)
})

copied.run()
