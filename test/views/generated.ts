import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { isoTime } from '../../src/kernel/clock.ts'
import { defaultConfig } from '../../src/kernel/config.ts'
import type { Row } from '../../src/kernel/decider.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { formatVersion } from '../../src/kernel/format.ts'
import { KeyedLog } from '../../src/log/keyed/log.ts'
import type { Store } from '../../src/log/keyed/store.ts'
import { type Verified, verifyLog } from '../../src/verify/verify.ts'
import { Receipts } from '../../src/views/receipts.ts'
import { Views } from '../../src/views/views.ts'
import { ConfigInForce } from '../../src/writer/config-in-force.ts'
import { Sequencer } from '../../src/writer/sequencer.ts'
import * as steps from '../core/lock/steps.ts'
import type { World } from '../core/lock/world.ts'
import { StageClock } from '../ledger/stage.ts'
import { temporaryRoot, testActor } from '../support/ledger.ts'
import { sampleMeta } from '../support/log-of.ts'
import { asPlainError } from '../support/scene.ts'
import type { Random } from '../support/seed.ts'

/** A sequencer at work over a store: rows and receipts are written along the way, as in a ledger. */
export interface Written {
  log: KeyedLog
  receipts: Receipts
  sequencer: Sequencer
  /** Does so many steps, chosen at random, some of them several times. */
  go: (count: number) => Promise<void>
}

/** A log with its entry 0, over which random work can be done. */
export async function writtenOver(store: Store, random: Random): Promise<Written> {
  const log = await KeyedLog.create(store, sampleMeta, true)
  const clock = new StageClock()
  const receipts = new Receipts(log)
  const sequencer = new Sequencer({
    log,
    views: new Views(log),
    receipts,
    config: new ConfigInForce(defaultConfig),
    forked: () => undefined,
    now: clock.now,
    cursors: () => ({ files: log.head().size }),
    published: () => {},
  })
  const data = { format: formatVersion, ...sampleMeta, vkey: 'sample' }
  await sequencer.submit({ command: { type: 'ledger.create', data }, actor: testActor })
  let requests = 0
  const submit = (step: steps.Step) => {
    const world = { now: clock.now(), time: isoTime(clock.wall) } as World
    const isRequest = random(3) > 0
    if (isRequest && random(4) > 0) requests += 1
    const request = isRequest ? { key: `request-${requests}`, sha256: 'ab'.repeat(32) } : undefined
    return sequencer.submit({ command: step.command(world), actor: step.actor, request }).catch(ignoreRefusal)
  }
  const go = async (count: number) => {
    for (let done = 0; done < count; ) {
      const together = Math.min(1 + random(40), count - done)
      await Promise.all(Array.from({ length: together }, () => submit(stepFrom(random))))
      if (random(3) === 0) clock.pass(random(400_000))
      done += together
    }
    await sequencer.settled()
  }
  return { log, receipts, sequencer, go }
}

function ignoreRefusal(error: unknown): void {
  const isRefusal = error instanceof LockstepError && !['INVARIANT_VIOLATED', 'LEDGER_CORRUPT'].includes(error.code)
  if (!isRefusal) throw error
}

/** One of everything that changes a row, on few names, so that much of it meets. */
function stepFrom(random: Random): steps.Step {
  const number = random(6)
  const [name, lock, id] = [`resource:name-${number}`, `lock ${random(12)}`, `DEL-01-0${number}`]
  const choices: (() => steps.Step)[] = [
    () => steps.acquire(name, { lock, lease_s: 60 + random(600) }),
    () => steps.acquire(`resource:own-${random(2 ** 20)}`, { lock: `own ${random(2 ** 20)}` }),
    () => steps.acquireAll([`resource:name-${number}`, `resource:other-${number}`], { lock }),
    () => steps.acquireDeliverable(id, { lock }),
    () => steps.acquireProject(1 + random(3)),
    () => steps.renew(name, { lock }),
    () => steps.release(name, { lock }),
    () => steps.release(null, { lock }),
    () => steps.release(`deliverable:${id}`, { lock }),
    () => steps.releaseProject(1 + random(3)),
    () => steps.recover(name),
    () => steps.breakLock(name),
    () => steps.retire(id),
    () => steps.record(),
    () => steps.record({ name, token: random(50) }),
  ]
  return (choices[random(choices.length)] ?? steps.record)()
}

/** Everything that derives from the entries, as it is stored. */
export interface Derived {
  rows: [string, Row][]
  receipts: (string | undefined)[]
}

export async function viewsOf(log: KeyedLog): Promise<Derived> {
  const views: Derived = { rows: [], receipts: [] }
  for await (const row of new Views(log).rows('')) views.rows.push(row)
  const { size } = log.head()
  for (let block = 0; block <= size / 256; block += 1) {
    const stored = log.get({ view: 'receipts', key: block }) as Uint8Array | undefined
    views.receipts.push(stored === undefined ? undefined : Buffer.from(stored).toString('hex'))
  }
  return views
}

/** What a repeated request would find, for each request and grant of the log. */
export async function foundIn(log: KeyedLog, receipts = new Receipts(log)): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {}
  await receipts.loaded()
  for await (const page of log.entries(0)) {
    for (const entry of page) {
      const key = keyOf(entry)
      if (key !== undefined) found[`${entry.actor.actor_id} ${key}`] = receipts.candidates(entry.actor.actor_id, key)
    }
  }
  return found
}

/** What an entry is found again by, if anything: the lock_ref of a grant, or the key of a request's first entry. */
export function keyOf({ data, request, type }: Entry): string | undefined {
  if (type === 'lock.acquired') return String(data.lock_ref)
  return request?.index === 0 ? request.key : undefined
}

/** Verifies a log, wherever it is stored. What is found is thrown as an error that uvu can print. */
export function verified(log: KeyedLog): Promise<Verified> {
  return verifyLog(log, layoutOf(temporaryRoot()), defaultConfig).catch(asPlainError)
}

/** Sets a bound to another value for the time of the work. */
export async function withLimit<T>(bounds: object, name: string, value: number, work: () => Promise<T>): Promise<T> {
  const changeable = bounds as Record<string, unknown>
  const before = changeable[name]
  changeable[name] = value
  try {
    return await work()
  } finally {
    changeable[name] = before
  }
}
