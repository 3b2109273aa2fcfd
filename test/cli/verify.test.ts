import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { suite } from 'uvu'
import { equal, is, not, ok } from 'uvu/assert'
import { encodeEntry } from '../../src/log/keyed/rows/codec.ts'
import { readHead } from '../../src/log/keyed/rows/head-row.ts'
import { entryKey, indexKey, receiptsKey, rowKey } from '../../src/log/keyed/rows/keys.ts'
import { openStore } from '../../src/log/level/store.ts'
import { openLedger } from '../../src/open.ts'
import { postingTail } from '../../src/views/index-keys.ts'
import { root as projectRoot } from '../runner.ts'
import { lockstep } from '../support/command.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'

const verify = suite('lockstep verify')
const event = { action_type: 'system', outcome: 'success' } as const
const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(projectRoot, 'dist'), 'cli/main.js')

async function ledgerOf(size: number): Promise<string> {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true, policy: false, actor: testActor })
  for (let left = size - (await ledger.head.get()).size; left > 0; left -= 500) {
    await ledger.audit.append({ events: Array.from({ length: Math.min(left, 500) }, () => event) })
  }
  await ledger.close()
  return root
}

verify('prints what it read, with --json as one document, and nothing else without a terminal', async () => {
  const root = await ledgerOf(300)
  const { json, status, stderr } = await lockstep(['--dir', root, 'verify'])
  equal([status, json.verified, json.entries, json.warnings, stderr], [0, true, 300, [], ''])
  const plain = spawnSync(process.execPath, [main, '--dir', root, 'verify'], { encoding: 'utf8' })
  equal([plain.status, plain.stderr], [0, ''])
  ok(plain.stdout.startsWith('verified 300 entries and '), plain.stdout)
})

verify('shows its progress in entries on a terminal', async () => {
  if (process.platform !== 'linux' || !existsSync('/usr/bin/script')) return
  const root = await ledgerOf(3_000)
  const words = [process.execPath, main, '--dir', root, 'verify'].map((word) => `'${word}'`)
  const { stdout, status } = spawnSync('script', ['-qec', words.join(' '), '/dev/null'], { encoding: 'utf8' })
  is(status, 0, stdout)
  const shown = [...stripVTControlCharacters(stdout).matchAll(/verify \S+ (\d+)% (\d+)\/(\d+)/g)]
  ok(shown.length > 0, stdout)
  for (const [text, percent, done, total] of shown) {
    equal([Number(total), Math.floor((Number(done) / 3_000) * 100)], [3_000, Number(percent)], text)
  }
  const last = shown.at(-1)
  equal([last?.[1], last?.[2]], ['100', '3000'])
  const switched = [...stdout].map((char, at) => (char === '\x1b' ? stdout.slice(at + 1, at + 6) : '')).filter(isSwitch)
  equal(switched, [], 'Ctrl-C would leave a terminal without cursor or line breaks')
  not(stdout.includes('LLs'), stdout)
})

/** Turns the cursor or the wrapping of lines off. */
const isSwitch = (sequence: string) => ['[?25l', '[?7l'].some((off) => sequence.startsWith(off))

verify('exits with 6 and names the first bad entry', async () => {
  const root = await ledgerOf(600)
  const store = await openStore(join(root, '.lockstep/ledger'), { create: false })
  for (const seq of [17, 400]) {
    const value = Buffer.from(store.get(entryKey(seq)) ?? [])
    value[20] = (value[20] ?? 0) ^ 1
    await store.write({ puts: [{ key: entryKey(seq), value }], deletes: [] })
  }
  await store.close()
  const { json, status } = await lockstep(['--dir', root, 'verify'])
  equal([status, json.seq], [6, 17])
})

verify('finds wrong or missing rows and receipts, and with --rebuild derives them again', async () => {
  const root = await ledgerOf(600)
  const store = await openStore(join(root, '.lockstep/ledger'), { create: false })
  await store.write({ puts: [], deletes: [rowKey(1, 'audit'), receiptsKey(1, 1)] })
  await store.close()
  const found = await lockstep(['--dir', root, 'verify'])
  equal([found.status, found.json.code], [6, 'VERIFY_FAILED'])
  const refused = await lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', 'a'])
  equal([refused.status, refused.json.code], [6, 'LEDGER_CORRUPT'], 'a repeated request must not be done twice')
  for (const { json } of [found, refused]) ok(String(json.hint).includes('verify --rebuild'), JSON.stringify(json))
  const rebuilt = await lockstep(['--dir', root, 'verify', '--rebuild'])
  equal([rebuilt.status, rebuilt.json.rows], [0, found.json.rows ?? rebuilt.json.rows])
  const { anchor_size, replaced, replaced_rows } = rebuilt.json.rebuilt as Record<string, unknown>
  equal([anchor_size, replaced_rows], [600, 1])
  const { after, ...missing } = JSON.parse(readFileSync(String(replaced), 'utf8'))
  equal([missing, after.last_seq], [{ view: 'row', key: 'audit', before: null }, 599])
  is((await lockstep(['--dir', root, 'verify'])).status, 0)
  is((await lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', 'a'])).status, 0)
})

verify('compares the ledger with checkpoints that were kept, and finds a folder that was set back', async () => {
  const root = await ledgerOf(300)
  const kept = temporaryRoot()
  const keep = async (name: string) => {
    const { json } = await lockstep(['--dir', root, 'head', '--signed'])
    writeFileSync(join(kept, name), String(json.checkpoint))
    return String(json.vkey)
  }
  const vkey = await keep('first.txt')
  cpSync(join(root, '.lockstep'), join(kept, 'older'), { recursive: true })
  is((await lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', 'a'])).status, 0)
  await keep('second.txt')
  const run = (...words: string[]) =>
    lockstep([
      '--dir',
      root,
      'verify',
      '--checkpoint',
      ...['first.txt', 'second.txt'].map((name) => join(kept, name)),
      ...words,
    ])
  const { json, status } = await run('--key', vkey)
  const sizes = (of: unknown) => (of as { size: number }[]).map(({ size }) => size)
  equal([status, sizes(json.checkpoints)], [0, [300, 301]])
  equal(sizes((await run()).json.checkpoints), [300, 301])
  // The folder is that of an earlier moment, whole and signed. Only what was kept elsewhere tells.
  rmSync(join(root, '.lockstep'), { recursive: true })
  renameSync(join(kept, 'older'), join(root, '.lockstep'))
  is((await lockstep(['--dir', root, 'adopt', '--moved'])).status, 0)
  is((await lockstep(['--dir', root, 'verify'])).status, 0)
  const found = await run('--key', vkey)
  equal([found.status, found.json.check, found.json.kept_size, found.json.size], [6, 'checkpoint', 301, 300])
  const other = await ledgerOf(302)
  const foreign = await lockstep(['--dir', other, 'verify', '--checkpoint', join(kept, 'first.txt'), '--key', vkey])
  equal([foreign.status, foreign.json.check], [6, 'checkpoint'])
  const unsigned = await lockstep(['--dir', other, 'verify', '--checkpoint', join(kept, 'first.txt')])
  equal([unsigned.status, unsigned.json.check], [6, 'checkpoint'])
})

verify('--rebuild with a kept checkpoint changes nothing in a history that is not the kept one', async () => {
  const root = await ledgerOf(300)
  const kept = join(temporaryRoot(), 'later.txt')
  const older = join(temporaryRoot(), 'older')
  cpSync(join(root, '.lockstep'), older, { recursive: true })
  is((await lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', 'a'])).status, 0)
  writeFileSync(kept, String((await lockstep(['--dir', root, 'head', '--signed'])).json.checkpoint))
  const rebuild = ['--dir', root, 'verify', '--rebuild', '--checkpoint', kept]
  const right = await lockstep(rebuild)
  equal([right.status, (right.json.checkpoints as unknown[]).length], [0, 1])
  rmSync(join(root, '.lockstep'), { recursive: true })
  renameSync(older, join(root, '.lockstep'))
  is((await lockstep(['--dir', root, 'adopt', '--moved'])).status, 0)
  const store = await openStore(join(root, '.lockstep/ledger'), { create: false })
  const { generation } = readHead(store)
  await store.close()
  const { json, status } = await lockstep(rebuild)
  equal([status, json.check, json.kept_size, json.size], [6, 'checkpoint', 301, 300])
  const after = await openStore(join(root, '.lockstep/ledger'), { create: false })
  is(readHead(after).generation, generation)
  await after.close()
})

verify('--rebuild derives nothing from entries that do not verify, and replaces no row', async () => {
  const root = await ledgerOf(600)
  const store = await openStore(join(root, '.lockstep/ledger'), { create: false })
  const key = entryKey(17)
  const text = Buffer.from(store.get(key) ?? []).subarray(0, -4)
  const forged = text.toString().replace('"outcome":"success"', '"outcome":"failure"')
  await store.write({ puts: [{ key, value: encodeEntry(key, { text: forged }).value }], deletes: [rowKey(1, 'audit')] })
  await store.close()
  const { json, status } = await lockstep(['--dir', root, 'verify', '--rebuild'])
  equal([status, json.check, json.seq], [6, 'leaves', 17])
  const after = await openStore(join(root, '.lockstep/ledger'), { create: false })
  is(readHead(after).generation, 1)
  await after.close()
  const kept = readdirSync(join(root, '.lockstep')).includes('evidence')
  equal(kept ? readdirSync(join(root, '.lockstep/evidence')).filter((name) => name.startsWith('rebuild')) : [], [])
})

verify('finds a wrong index, which affects no other command, and with --rebuild derives it again', async () => {
  const root = await ledgerOf(600)
  const run = (...words: string[]) => lockstep(['--dir', root, ...words])
  const list = ['audit', 'list', '--by-actor', testActor.actor_id, '--limit', '1000']
  equal((await run(...list)).json.events, (await run('audit', 'list', '--limit', '1000')).json.events)
  is((await run('verify')).json.indexed, 600)
  const store = await openStore(join(root, '.lockstep/ledger'), { create: false })
  const key = indexKey(1, postingTail('actor_id', testActor.actor_id, 1))
  ok(store.get(key) !== undefined)
  await store.write({ puts: [], deletes: [key] })
  await store.close()
  const found = await run('verify')
  equal([found.status, found.json.code, found.json.check, found.json.seq], [6, 'VERIFY_FAILED', 'index', 256])
  ok(String(found.json.hint).includes('verify --rebuild'), JSON.stringify(found.json))
  is((await run('lock', 'acquire', 'a', '--holder', 'a')).status, 0)
  const rebuilt = await run('verify', '--rebuild')
  equal([rebuilt.status, rebuilt.json.indexed], [0, 601])
  is(((await run(...list)).json.events as unknown[]).length, 600)
})

verify.run()
