import { equal, is, ok } from 'uvu/assert'
import { type MovedLedger, type MoveSource, moveLedger } from '../../src/backup/move.ts'
import { folderTarget } from '../../src/backup/move-to-folder.ts'
import { governingLayout } from '../../src/disk/permissions.ts'
import { type Code, LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLog } from '../../src/log/engines.ts'
import { isMark } from '../../src/log/keyed/objects.ts'
import { ranges } from '../../src/log/keyed/rows/keys.ts'
import type { LevelLog } from '../../src/log/level/level-log.ts'
import { openLedger } from '../../src/open.ts'
import { endsWithVerify, temporaryRoot, testActor } from './ledger.ts'
import { startRuns } from './turns.ts'

const ann = { actor_id: 'ann', actor_type: 'human' } as const
export const becca = { actor_id: 'BECCA', actor_type: 'human' } as const
const run_id = 'run_one_1'
/** A text that was erased before the move, and one that can still be erased. */
export const secrets = { before: 'the witness lives at 17 Elm Street', later: 'and works in Oak Lane' }

/** `engine` opens the files that a ledger left for a database. */
export const opened = (dir: string, engine?: 'level'): Promise<LocalLedger> =>
  openLedger({ actor: testActor, dir, self_check: true, ...(engine === undefined ? {} : { engine }) })

/** Works with the ledger of a folder, and closes it. */
export async function reading<T>(dir: string, work: (ledger: LocalLedger) => Promise<T>, engine?: 'level'): Promise<T> {
  const ledger = await opened(dir, engine)
  return work(ledger).finally(() => ledger.close())
}

/** Audit events with free text, ten to a request. */
export async function append(ledger: LocalLedger, count: number): Promise<void> {
  const events = Array.from({ length: 10 }, (_, at) => {
    return { action_type: 'system' as const, notes: `note ${at}`, outcome: 'success' as const }
  })
  await Promise.all(Array.from({ length: count / 10 }, () => ledger.audit.append({ events })))
}

/** Erases promoted bodies that others have replaced. */
export async function erase(ledger: LocalLedger, digests: string[]): Promise<void> {
  const reason = 'data_subject_request'
  const { approval_id } = await ledger.erasures.approve({ actor: becca, digests, reason })
  await ledger.erasures.erase({ actor: ann, approval_id, digests, reason })
}

/**
 * A closed ledger with locks that are held and released, a run with promoted turns, one erased body, free texts, requests
 * and more than a full tile. `body` is the digest of a body that can be erased.
 */
export async function filledLedger(entries = 600): Promise<{ body: string; root: string }> {
  const root = temporaryRoot()
  const ledger = await openLedger({ actor: testActor, config: { operators: ['ann'] }, create: true, dir: root })
  await startRuns(ledger, [run_id])
  const digests: string[] = []
  for (const [at, text] of [secrets.before, secrets.later, 'stays'].entries()) {
    await ledger.turns.apply({ run_id, triplets: [{ body: { text }, stem: 'note' }], turn_id: `turn-000${at + 1}` })
    for await (const { body_digest } of ledger.workspaces.triplets({ run_id })) digests.push(body_digest)
  }
  await erase(ledger, digests.slice(0, 1))
  for (const name of ['kept', 'free']) {
    const { lock_id } = await ledger.locks.acquire({ holder: 'agent-1', lease_duration_s: 86_400, name })
    if (name === 'free') await ledger.locks.release({ lock_id })
  }
  await append(ledger, entries)
  await ledger.close()
  return { body: digests[1] ?? '', root }
}

/** The ledger of a folder as a source, as the command makes it. */
export function sourceOf(root: string): MoveSource {
  const layout = governingLayout(root)
  return {
    root,
    snapshot: async () =>
      (await openLog({ layout, command: 'test', nonce: () => 'test', openWaitSeconds: 0, snapshot: 'always' })).log,
    seal: (to) => reading(root, (ledger) => ledger.log.seal({ actor: becca, to })),
  }
}

export const moved = async (from: string, to: string): Promise<MovedLedger> =>
  moveLedger(sourceOf(from), folderTarget(to, governingLayout(from)))

/** Everything that the log of a folder stores, in hex, without what belongs to a place. */
export async function pairsOf(root: string): Promise<Map<string, string>> {
  const log = (await sourceOf(root).snapshot()) as LevelLog
  const stored = log.stored()
  const pairs = new Map<string, string>()
  for await (const page of stored.scan(ranges.all)) {
    for (const [key, value] of page) {
      // The mark of an erased object counts the pieces that its text had in this place.
      const told = isMark(value) ? value.subarray(0, 7) : value
      pairs.set(Buffer.from(key).toString('latin1'), Buffer.from(told).toString('hex'))
    }
  }
  await stored.close()
  await log.close()
  for (const own of ['h', 'm']) pairs.delete(own)
  return pairs
}

/** The old place of a ledger can be read, and changes no more. */
export async function refusesCommands(dir: string, engine?: 'level'): Promise<void> {
  const refuses = async (ledger: LocalLedger) => {
    const before = await ledger.head.get()
    await refused(append(ledger, 10), 'LEDGER_SEALED')
    await refused(ledger.locks.acquire({ holder: 'agent-1', name: 'other' }), 'LEDGER_SEALED')
    await refused(ledger.turns.stage({ run_id, triplets: [], turn_id: 'turn-0009' }), 'LEDGER_SEALED')
    equal(await ledger.head.get(), before)
    is((await ledger.locks.status({ name: 'kept' })).state, 'held')
    await ledger.log.verify()
  }
  await reading(dir, refuses, engine)
}

/** A place goes on with a ledger after a size: its locks, requests, runs and turns are as they were. */
export async function goesOn(dir: string, size: number): Promise<void> {
  await reading(dir, async (ledger) => {
    // A writer in a database begins with an entry that says so.
    const before = (await ledger.head.get()).size
    ok(before === size || before === size + 1, `${before} entries, not ${size}`)
    await refused(ledger.locks.acquire({ holder: 'agent-2', name: 'kept' }), 'LOCK_CONTENTION')
    const { lock_id } = await ledger.locks.acquire({ holder: 'agent-2', name: 'free' })
    await ledger.locks.release({ lock_id })
    const { next } = await turnAfter(ledger)
    await ledger.turns.apply({ run_id, triplets: [{ body: { text: next }, stem: 'other' }], turn_id: next })
    ok((await ledger.audit.list({ actor_id: testActor.actor_id })).events.length > 0)
    is((await ledger.head.get()).size, before + 5)
  })
  await endsWithVerify(dir)
}

async function turnAfter(ledger: LocalLedger): Promise<{ next: string }> {
  const { turns } = await ledger.turns.list({ run_id })
  return { next: `turn-${String(turns.length + 1).padStart(4, '0')}` }
}

export async function refused(call: Promise<unknown>, code: Code): Promise<LockstepError> {
  const error = await call.then(
    () => new Error(`${code} was expected, and not an answer`),
    (thrown: unknown) => thrown,
  )
  if (error instanceof LockstepError && error.code === code) return error
  throw error
}
