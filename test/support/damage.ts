import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Level } from 'level'
import { layoutOf } from '../../src/disk/layout.ts'
import { hold } from '../../src/lease.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import type { KeyedLog } from '../../src/log/keyed/log.ts'
import { Views } from '../../src/views/views.ts'
import { root as project } from '../runner.ts'
import { temporaryRoot, testActor } from './ledger.ts'

const dist = process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist')

/** A built module of ours: what it starts needs no loader then, and a damaged ledger is opened in many children. */
export async function built<Module>(path: string): Promise<Module> {
  return (await import(pathToFileURL(join(dist, path)).href)) as Module
}

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const { openLog } = await built<typeof import('../../src/log/level/open/open.ts')>('log/level/open/open.js')

/**
 * Whoever opens LevelDB's own lock file takes the lock from the process that has it; what it tells nobody needs. Without
 * the record of its place, a copy is opened as the ledger that it is a copy of.
 */
const neverCopied = /^(?:LOCK|LOG|LOG\.old|place)$/
const sessionsMin = 8
const sessionsMax = 24
const roundsPerSession = 8

/** A closed ledger to be damaged, and how its database looked before. */
export interface Damageable {
  root: string
  /** All that can be read of it. */
  facts: Facts
  /** The files of its database in the middle of the last session. */
  inSession: string
  /** The same as the session before left them. */
  sessionBefore: string
}

/** Everything that a log answers with. */
export interface Facts {
  head: string
  entries: string[]
  index: string[]
  receipts: string[]
  rows: string[]
}

/**
 * A ledger of some hundred entries and several sessions: tables at two levels, a log of more than one block with the
 * newest entries, full tiles and receipts. Small, and real.
 */
export async function damageable(): Promise<Damageable> {
  const root = temporaryRoot()
  const { ledger: database } = layoutOf(root)
  for (let session = 0; session < sessionsMax; session += 1) {
    const [inSession, sessionBefore] = [temporaryRoot(), temporaryRoot()]
    if (session > 0) copyFiles(database, sessionBefore)
    const ledger = await openLedger({
      dir: root,
      actor: testActor,
      create: session === 0,
      policy: false,
      command: 'before',
    })
    for (let round = 0; round < roundsPerSession; round += 1) {
      if (round === roundsPerSession / 2) copyFiles(database, inSession)
      await work(ledger, session, round)
    }
    // In two of three sessions somebody asks what the index is for.
    if (session % 3 > 0) await ledger.audit.list({ actor_id: testActor.actor_id })
    await ledger.close()
    if (session + 1 >= sessionsMin && (await hasTwoLevels(copyOf(root)))) {
      return { root, facts: await factsOf(copyOf(root)), inSession, sessionBefore }
    }
  }
  throw new Error(`${sessionsMax} sessions did not leave tables at two levels`)
}

/** Whether there are tables at level 0 and deeper; opening makes one more at level 0, of the log. */
async function hasTwoLevels(copy: string): Promise<boolean> {
  const level = new Level(layoutOf(copy).ledger)
  await level.open()
  const filesAt = (depth: number) =>
    Number(
      (level as unknown as { getProperty(name: string): string }).getProperty(`leveldb.num-files-at-level${depth}`),
    )
  const hasBoth = filesAt(0) >= 2 && filesAt(1) + filesAt(2) > 0
  await level.close()
  return hasBoth
}

/** Ten entries: locks that come and go, some that stay, and notes that do not compress. */
async function work(ledger: LocalLedger, session: number, round: number): Promise<void> {
  const key = `${session}-${round}`
  const grant = await hold(ledger, { name: `lock-${session % 3}-${round % 5}`, holder: 'holder' })
  const events = Array.from({ length: 7 }, (_, index) => ({
    action_type: 'system' as const,
    outcome: 'success' as const,
    notes: noise(`${key}-${index}`),
  }))
  await ledger.audit.append({ events, idempotency_key: key })
  await grant.release()
  await hold(ledger, { name: `kept-${key}`, holder: 'holder' })
}

function noise(key: string): string {
  return createHash('sha512').update(key).digest('base64').repeat(3)
}

/** A copy of a ledger that nobody has open, in a folder of its own, which `dropCopy` removes. */
export function copyOf(root: string): string {
  const copy = temporaryRoot()
  const [from, to] = [layoutOf(root), layoutOf(copy)]
  mkdirSync(to.home, { mode: 0o700 })
  copyFiles(from.home, to.home)
  copyFiles(from.ledger, to.ledger)
  return copy
}

export function dropCopy(copy: string): void {
  rmSync(copy, { recursive: true, force: true })
}

/** Copies the files of a folder, not those in folders below. */
export function copyFiles(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o700 })
  for (const name of filesIn(from)) copyFileSync(join(from, name), join(to, name))
}

/** The content of each file of a folder, by its name. */
export function contentsOf(folder: string): Record<string, string> {
  return Object.fromEntries(filesIn(folder).map((name) => [name, readFileSync(join(folder, name), 'base64')]))
}

export function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((file) => file.isFile() && !neverCopied.test(file.name))
    .map(({ name }) => name)
    .sort()
}

let nonces = 0

/** Opens a log as the next process does, at once or not at all. */
function openLogOf(root: string): Promise<KeyedLog> {
  nonces += 1
  const nonce = `n${nonces}`
  return openLog({ layout: layoutOf(root), openWaitSeconds: 0, command: 'damage', nonce: () => nonce })
}

/** Opens a ledger, reads all there is and closes it. */
export async function factsOf(root: string): Promise<Facts> {
  const log = await openLogOf(root)
  try {
    const { root: hash, ...head } = log.head()
    const facts: Facts = {
      head: JSON.stringify({ ...head, hash: [...hash] }),
      entries: [],
      index: [],
      receipts: [],
      rows: [],
    }
    for await (const page of log.entries(0)) facts.entries.push(...page.map((entry) => JSON.stringify(entry)))
    for await (const row of new Views(log).rows('')) facts.rows.push(JSON.stringify(row))
    for await (const page of log.index.pages(Buffer.of(0), Buffer.of(0xff))) {
      facts.index.push(...page.map((row) => row.map((bytes) => bytes.toString('hex')).join()))
    }
    for (let block = 0; block < head.size / 256; block += 1) {
      facts.receipts.push(
        Buffer.from((log.get({ view: 'receipts', key: block }) as Uint8Array | undefined) ?? []).toString('base64'),
      )
    }
    return facts
  } finally {
    await log.close()
  }
}
