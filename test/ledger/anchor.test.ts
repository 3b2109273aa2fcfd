import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { createKey } from '../../src/disk/key-file.ts'
import { type Layout, layoutOf } from '../../src/disk/layout.ts'
import { openLedger } from '../../src/index.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { readHeadFile, writeHeadFile } from '../../src/log/head-file.ts'
import { openStore } from '../../src/log/level/store.ts'
import { sha256 } from '../../src/log/sha256.ts'
import { signCheckpoint } from '../../src/merkle/checkpoint.ts'
import { toHex } from '../../src/merkle/hash.ts'
import { keyIdOf } from '../../src/merkle/vkey.ts'
import { compareKept } from '../../src/nouns/kept-checkpoints.ts'
import { refusalOf } from '../support/deliverable.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { logOf } from '../support/log-of.ts'

// What somebody does who can write everything in `.lockstep`, but does not have the private key.

const anchor = suite('the signed head against an attacker without the key')
const event = { action_type: 'system', notes: 'paid 10', outcome: 'success' } as const

interface Target {
  entries: Entry[]
  layout: Layout
  /** A copy of the database and of the head file, from when the ledger had half of its entries. */
  earlier: { head: string; ledger: string }
  /** The signed checkpoint of the whole ledger, kept elsewhere. */
  note: string
  vkey: string
}

async function target(): Promise<Target> {
  const layout = layoutOf(temporaryRoot())
  const saved = temporaryRoot()
  const earlier = { head: join(saved, 'head'), ledger: join(saved, 'ledger') }
  const ledger = await openLedger({ dir: layout.root, create: true, policy: false, actor: testActor })
  await ledger.audit.append({ events: [event, event, event] })
  await ledger.close()
  cpSync(layout.ledger, earlier.ledger, { recursive: true })
  cpSync(layout.head, earlier.head)
  const again = await openLedger({ dir: layout.root, actor: testActor })
  await again.audit.append({ events: [event, event, event] })
  const { checkpoint: note, vkey } = await again.head.signed()
  const entries: Entry[] = []
  for await (const entry of again.log.read()) entries.push(entry)
  await again.close()
  return { earlier, entries, layout, note, vkey }
}

/** Puts a database with other entries in place, with everything that is computed from them, and returns its head. */
async function replaced({ entries, layout }: Target, change: (entries: Entry[]) => Entry[]) {
  const [first] = entries
  const meta = { ledger_id: String(first?.data.ledger_id), origin: String(first?.data.origin) }
  for (const path of [layout.ledger, layout.owner]) rmSync(path, { force: true, recursive: true })
  mkdirSync(layout.ledger, { mode: 0o700 })
  const store = await openStore(layout.ledger, { create: true })
  const { log } = await logOf(change(entries), { meta, store })
  const { root, size } = log.head()
  await store.close()
  return { origin: meta.origin, root: toHex(root), size }
}

const edited = (entries: Entry[]) =>
  entries.map((entry) => (entry.seq === 2 ? { ...entry, data: { ...entry.data, notes: 'paid 10000' } } : entry))

const attacks: [what: string, attack: (target: Target) => Promise<unknown>][] = [
  ['edits an entry and computes the rest anew', (target) => replaced(target, edited)],
  [
    'does so and writes the head without a signature',
    async (target) => writeHeadFile(target.layout.head, await replaced(target, edited)),
  ],
  [
    'does so and signs the head with a key of its own',
    async (target) => {
      const { origin, root, size } = await replaced(target, edited)
      const { publicKey, sign } = createKey(join(temporaryRoot(), 'key'))
      const signer = { keyId: keyIdOf({ name: origin, publicKey }, sha256), name: origin, sign }
      const note = await signCheckpoint({ origin, root: Buffer.from(root, 'hex'), size }, [signer])
      await writeHeadFile(target.layout.head, { note, origin, root, size })
    },
  ],
  [
    'does so and keeps the old signature',
    async (target) => {
      const kept = readHeadFile(target.layout.head)
      const { root } = await replaced(target, edited)
      const note = kept?.note?.replace(
        Buffer.from(kept.root, 'hex').toString('base64'),
        Buffer.from(root, 'hex').toString('base64'),
      )
      writeFileSync(target.layout.head, JSON.stringify({ checkpoint: note, format: 2 }))
    },
  ],
  [
    'does so and removes the head',
    async (target) => {
      await replaced(target, edited)
      rmSync(target.layout.head)
    },
  ],
  ['cuts the tail', (target) => replaced(target, (entries) => entries.slice(0, -2))],
  [
    'cuts the tail and removes the head',
    async (target) => {
      await replaced(target, (entries) => entries.slice(0, -2))
      rmSync(target.layout.head)
    },
  ],
  ['rolls the database back', async (target) => rolledBack(target)],
]

async function rolledBack({ earlier, layout }: Target): Promise<void> {
  for (const path of [layout.ledger, layout.owner]) rmSync(path, { recursive: true })
  cpSync(earlier.ledger, layout.ledger, { recursive: true })
}

for (const [what, attack] of attacks) {
  anchor(`finds one who ${what}, at every open and every read`, async () => {
    const attacked = await target()
    await attack(attacked)
    const before = readHead(attacked.layout)
    for (const snapshot of [false, true, false]) {
      const { code, details, hint } = await refusalOf(() =>
        openLedger({ dir: attacked.layout.root, actor: testActor, snapshot }),
      )
      equal([code, details.check], ['LEDGER_CORRUPT', 'head_file'])
      ok(hint?.includes('--accept-missing-head'), hint)
    }
    is(readHead(attacked.layout), before, 'the evidence stays')
  })
}

anchor('does not find one who rolls database and head back together; a kept checkpoint does', async () => {
  const attacked = await target()
  const { earlier, layout, note, vkey } = attacked
  await rolledBack(attacked)
  cpSync(earlier.head, layout.head)
  const ledger = await openLedger({ dir: layout.root, actor: testActor })
  try {
    const { root, size } = await ledger.log.verify()
    const kept = [{ file: 'kept.txt', note }]
    const { code, details } = await refusalOf(() => compareKept(ledger, { kept, key: vkey, root, size }))
    equal([code, details.check], ['VERIFY_FAILED', 'checkpoint'])
  } finally {
    await ledger.close()
  }
})

function readHead({ head }: Layout): string | undefined {
  try {
    return readFileSync(head, 'utf8')
  } catch {
    return undefined
  }
}

anchor.run()
