import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import type { Code } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { built } from '../support/damage.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError, refusalOf } from '../support/opening.ts'

// The files beside the database: head, configuration, key and owner, as a careless hand may leave them.

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const beside = suite('a damaged file beside the database')

type Change = (layout: Layout) => void
type Row = [what: string, code: Code, change: Change]

const cut =
  (name: 'config' | 'head' | 'key'): Change =>
  (layout) => {
    const text = readFileSync(layout[name], 'utf8')
    writeFileSync(layout[name], text.slice(0, text.length / 2))
  }
const emptied =
  (name: 'config' | 'head' | 'key'): Change =>
  (layout) =>
    writeFileSync(layout[name], '')
const folderInstead =
  (name: 'config' | 'head' | 'key'): Change =>
  (layout) => {
    rmSync(layout[name])
    mkdirSync(layout[name], { mode: 0o700 })
  }
const head =
  (members: Record<string, unknown>): Change =>
  (layout) =>
    writeFileSync(layout.head, JSON.stringify({ ...JSON.parse(readFileSync(layout.head, 'utf8')), ...members }))
const config =
  (text: string): Change =>
  (layout) =>
    writeFileSync(layout.config, text)
const key =
  (pem: () => string | Buffer): Change =>
  (layout) =>
    writeFileSync(layout.key, pem(), { mode: 0o600 })

const refusedAtOpen: Row[] = [
  ['a head file that is cut', 'LEDGER_CORRUPT', cut('head')],
  ['an empty head file', 'LEDGER_CORRUPT', emptied('head')],
  ['a head file that is a folder', 'LEDGER_CORRUPT', folderInstead('head')],
  ['a head file of another ledger', 'LEDGER_CORRUPT', head({ origin: 'lockstep.local/another' })],
  ['a head file newer than the database', 'LEDGER_CORRUPT', head({ size: 5 })],
  ['a head file with another root', 'LEDGER_CORRUPT', head({ root: 'ab'.repeat(32) })],
  ['a head file with another root of an earlier size', 'LEDGER_CORRUPT', head({ size: 2, root: 'ab'.repeat(32) })],
  ['a head file of no size', 'LEDGER_CORRUPT', head({ size: -1 })],
  ['a head file with a member too many', 'LEDGER_CORRUPT', head({ more: 1 })],
]

for (const [what, code, change] of refusedAtOpen) {
  beside(`${what} is ${code} at every open, and nothing is lost once it is repaired`, () =>
    withClosed(async (layout, before) => {
      const right = readFileSync(layout.head)
      change(layout)
      for (let time = 0; time < 2; time += 1) is((await refusalOf(open(layout))).code, code)
      rmSync(layout.head, { recursive: true })
      writeFileSync(layout.head, right, { mode: 0o600 })
      equal(await lookedAt(layout), before)
    }),
  )
}

const refusedAtSigning: Row[] = [
  ['a key that is cut', 'LEDGER_CORRUPT', cut('key')],
  ['an empty key', 'LEDGER_CORRUPT', emptied('key')],
  ['a key that is a folder', 'LEDGER_CORRUPT', folderInstead('key')],
  ['a key that is gone', 'NOT_FOUND', (layout) => rmSync(layout.key)],
  ['a key that others can read', 'FILE_DENIED', (layout) => chmodSync(layout.key, 0o644)],
  ['the key of another ledger', 'LEDGER_CORRUPT', key(() => pemOf('ed25519'))],
  ['a key for another purpose', 'LEDGER_CORRUPT', key(() => pemOf('x25519'))],
]

for (const [what, code, change] of refusedAtSigning) {
  beside(`${what} is ${code} when something is signed, and locks still work`, () =>
    withClosed(async (layout) => {
      const right = readFileSync(layout.key)
      change(layout)
      const ledger = await open(layout)
      try {
        is((await refusalOf(Promise.resolve().then(() => ledger.head.signed()))).code, code)
        const { message } = await refusalOf(Promise.resolve().then(() => ledger.log.prove({ seq: 0 })))
        ok(!message.includes('PRIVATE KEY'), message)
        ok((await hold(ledger, { name: 'reports', holder: 'h' })).token > 0)
      } finally {
        await ledger.close()
      }
      rmSync(layout.key, { recursive: true, force: true })
      writeFileSync(layout.key, right, { mode: 0o600 })
      await withOpen(layout, async (again) => match((await again.head.signed()).checkpoint, '— '))
    }),
  )
}

function pemOf(type: 'ed25519' | 'x25519'): string | Buffer {
  const options = { type: 'pkcs8', format: 'pem' } as const
  return type === 'ed25519'
    ? generateKeyPairSync('ed25519').privateKey.export(options)
    : generateKeyPairSync('x25519').privateKey.export(options)
}

beside('without its head file the ledger opens, and writes a new one when it is closed', () =>
  withClosed(async (layout, before) => {
    const text = JSON.parse(readFileSync(layout.head, 'utf8'))
    rmSync(layout.head)
    equal(await lookedAt(layout), before)
    const { root, size } = JSON.parse(readFileSync(layout.head, 'utf8'))
    equal([root, size], [text.root, text.size])
  }),
)

const ofConfiguration: [what: string, change: (layout: Layout) => void][] = [
  ['that is cut', cut('config')],
  ['that is empty', emptied('config')],
  ['that is a folder', folderInstead('config')],
  ['of another program', config('{"editor":"vi"}')],
  ['that is a list', config('[]')],
  ['in NUL bytes', config('\0'.repeat(100))],
  ['that is gone', (layout) => rmSync(layout.config)],
]

for (const [what, change] of ofConfiguration) {
  beside(`a configuration file ${what} has no effect: the last good one stays in force`, () =>
    withClosed(async (layout, before) => {
      const { operators } = JSON.parse(readFileSync(layout.config, 'utf8'))
      change(layout)
      equal(await lookedAt(layout), before)
      await withOpen(layout, async (ledger) => equal(ledger.settings.operators, operators))
    }),
  )
}

for (const [what, text] of [
  ['nonsense', '{"state":'],
  ['another process that is long gone', JSON.stringify({ state: 'open', pid: 2 ** 22, since: 'x', command: 'x' })],
  ['files that are not these', JSON.stringify({ state: 'closed', files: { CURRENT: '1:2:3' } })],
] as const) {
  beside(`an owner file that names ${what} only makes the next open check more`, () =>
    withClosed(async (layout, before) => {
      writeFileSync(layout.owner, text)
      equal(await lookedAt(layout), before)
      is(JSON.parse(readFileSync(layout.owner, 'utf8')).state, 'closed')
    }),
  )
}

beside('a home without its folder for evidence gets one', () =>
  withClosed(async (layout, before) => {
    rmSync(layout.evidence, { recursive: true })
    equal(await lookedAt(layout), before)
    ok(existsSync(layout.evidence))
  }),
)

beside.run()

const open = ({ root }: Layout) => openLedger({ dir: root, actor: testActor, open_wait_s: 0 })

async function withOpen<T>(layout: Layout, work: (ledger: LocalLedger) => Promise<T>): Promise<T> {
  const ledger = await open(layout).catch(asPlainError)
  return work(ledger)
    .finally(() => ledger.close())
    .catch(asPlainError)
}

/** A closed ledger of four entries. It is verified at the end, whatever came before. */
async function withClosed(work: (layout: Layout, before: unknown) => Promise<void>): Promise<void> {
  const layout = layoutOf(temporaryRoot())
  const ledger = await openLedger({ dir: layout.root, actor: testActor, create: true, policy: false })
  const event = { action_type: 'system', outcome: 'success' } as const
  await ledger.audit.append({ events: [event, event, event] })
  await ledger.close()
  await work(layout, await lookedAt(layout))
}

/** The head of a ledger and its entries, after a verification. */
function lookedAt(layout: Layout): Promise<unknown> {
  return withOpen(layout, async (ledger) => {
    await ledger.log.verify()
    const entries = []
    for await (const entry of ledger.log.read()) entries.push(entry)
    return { head: await ledger.head.get(), entries }
  })
}
