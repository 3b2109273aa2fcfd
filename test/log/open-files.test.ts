import { generateKeyPairSync } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { createKey } from '../../src/disk/key-file.ts'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import type { Code } from '../../src/errors.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { readHeadFile } from '../../src/log/head-file.ts'
import { sha256 } from '../../src/log/sha256.ts'
import { signCheckpoint } from '../../src/merkle/checkpoint.ts'
import { formatVkey, keyIdOf } from '../../src/merkle/vkey.ts'
import { built } from '../support/damage.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError, refusalOf } from '../support/opening.ts'

// The files beside the database: head, configuration, key and owner, as a careless hand may leave them.

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const beside = suite('a damaged file beside the database')

type Change = (layout: Layout) => void | Promise<void>
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
const hex = 'ab'.repeat(32)
const note = (change: (text: string) => string): Change => {
  return (layout) => {
    const { checkpoint, format } = JSON.parse(readFileSync(layout.head, 'utf8'))
    writeFileSync(layout.head, JSON.stringify({ checkpoint: change(checkpoint), format }))
  }
}
const unsigned: Change = (layout) => {
  const { note: _, ...head } = readHeadFile(layout.head) ?? {}
  writeFileSync(layout.head, JSON.stringify({ ...head, time: '' }))
}
/** The same head of the same ledger, by a key that anybody can make. */
const signedByOther: Change = async (layout) => {
  const { origin = '', root = '', size = 0 } = readHeadFile(layout.head) ?? {}
  const { publicKey, sign } = createKey(join(temporaryRoot(), 'key'))
  const signer = { keyId: keyIdOf({ name: origin, publicKey }, sha256), name: origin, sign }
  const checkpoint = await signCheckpoint({ origin, root: Buffer.from(root, 'hex'), size }, [signer])
  writeFileSync(layout.head, JSON.stringify({ checkpoint, format: 2 }))
}
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
  ['a head file that is missing', 'LEDGER_CORRUPT', (layout) => rmSync(layout.head)],
  ['a head file without a signature', 'LEDGER_CORRUPT', note((text) => `${text.split('\n\n')[0]}\n\n`)],
  ['a head file as format 1 had it', 'LEDGER_CORRUPT', unsigned],
  ['a head file with a wrong signature', 'LEDGER_CORRUPT', note((text) => text.replace('\n4\n', '\n3\n'))],
  ['a head file that another key signed', 'LEDGER_CORRUPT', signedByOther],
  ['a head file that the database does not reach', 'LEDGER_CORRUPT', head({ reached: { root: hex, size: 5 } })],
  ['a head file with another root', 'LEDGER_CORRUPT', head({ reached: { root: hex, size: 4 } })],
  ['a head file with another root of an earlier size', 'LEDGER_CORRUPT', head({ reached: { root: hex, size: 2 } })],
  ['a head file of no size', 'LEDGER_CORRUPT', head({ reached: { root: hex, size: -1 } })],
  ['a head file with a member too many', 'LEDGER_CORRUPT', head({ more: 1 })],
]

for (const [what, code, change] of refusedAtOpen) {
  beside(`${what} is ${code} at every open, and nothing is lost once it is repaired`, () =>
    withClosed(async (layout, before) => {
      const right = readFileSync(layout.head)
      await change(layout)
      for (const snapshot of [false, true, false]) {
        const opening = openLedger({ dir: layout.root, actor: testActor, open_wait_s: 0, snapshot })
        const { hint = '', ...refused } = await refusalOf(opening)
        is(refused.code, code)
        ok(hint.includes('lockstep verify --accept-missing-head'), hint)
      }
      rmSync(layout.head, { force: true, recursive: true })
      writeFileSync(layout.head, right, { mode: 0o600 })
      equal(await lookedAt(layout), before)
    }),
  )
}

const refusedAtSigning: Row[] = [
  ['a key that is cut', 'LEDGER_CORRUPT', cut('key')],
  ['an empty key', 'LEDGER_CORRUPT', emptied('key')],
  ['a key that is a folder', 'LEDGER_CORRUPT', folderInstead('key')],
  ['a key that is gone', 'KEY_MISSING', (layout) => rmSync(layout.key)],
  ['a key that others can read', 'FILE_DENIED', (layout) => chmodSync(layout.key, 0o644)],
  ['a key for another purpose', 'LEDGER_CORRUPT', key(() => pemOf('x25519'))],
]

for (const [what, code, change] of refusedAtSigning) {
  beside(`${what} is ${code} when something is signed, and locks still work`, () =>
    withClosed(async (layout) => {
      const right = readFileSync(layout.key)
      await change(layout)
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

for (const name of ['key', 'vkey'] as const) {
  const what = name === 'key' ? 'the private key' : 'the public key'
  beside(`${what} of another ledger is LEDGER_CORRUPT at every open, and the message names the file`, () =>
    withClosed(async (layout, before) => {
      const right = readFileSync(layout[name])
      const { publicKey } = createKey(join(temporaryRoot(), 'key'))
      const other = name === 'key' ? pemOf('ed25519') : `${formatVkey({ name: 'other', publicKey }, sha256)}\n`
      writeFileSync(layout[name], other)
      for (const snapshot of [false, true]) {
        const opening = openLedger({ dir: layout.root, actor: testActor, open_wait_s: 0, snapshot })
        const { code, message } = await refusalOf(opening)
        is(code, 'LEDGER_CORRUPT')
        ok(message.includes(layout[name]), message)
      }
      writeFileSync(layout[name], right)
      equal(await lookedAt(layout), before)
    }),
  )
}

beside('without its public key the ledger opens: the entry that names it has the line', () =>
  withClosed(async (layout, before) => {
    rmSync(layout.vkey)
    equal(await lookedAt(layout), before)
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
