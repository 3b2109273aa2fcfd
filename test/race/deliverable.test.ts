// limit: 1800
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { uptime } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Entry } from '../../src/kernel/entry.ts'
import { openLedger } from '../../src/open.ts'
import { type Ended, lockstep, lockstepTogether } from '../support/command.ts'
import {
  type Deliverable,
  deadHolder,
  foreignText,
  grantFields,
  makeDeliverable,
  startHolder,
} from '../support/deliverable.ts'
import { entriesOf } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { configure } from '../support/scene.ts'

/** `LOCKSTEP_ROUNDS=100` is the long run; by default one round for a free lock and for each orphan. */
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const orphanRounds = Number(process.env.LOCKSTEP_ORPHAN_ROUNDS ?? process.env.LOCKSTEP_ROUNDS ?? 1)
/** A process costs a fifth of a second: the long run has as many as the protocol is to stand. */
const racers = rounds > 1 || orphanRounds > 1 ? 12 : 4
const lease = '600'

/** A root made by the command, for rounds of one kind. */
interface Track extends Deliverable {
  root: string
  origin: string
}

async function newTrack(): Promise<Track> {
  const root = temporaryRoot()
  const deliverable = makeDeliverable(root)
  const ledger = await openLedger({ dir: root, create: true, policy: false, actor: testActor })
  const { origin } = await ledger.head.get()
  await ledger.close()
  await configure(root, { deliverable_lease_s: { min: 1 } })
  return { root, origin, ...deliverable }
}

/** Read in this process: a command would cost ten times as much. */
async function entriesFrom({ root }: Track, from: number): Promise<Entry[]> {
  const ledger = await openLedger({ dir: root, actor: testActor })
  try {
    return await entriesOf(ledger, from)
  } finally {
    await ledger.close()
  }
}

const sizeOf = async (track: Track) => (await entriesFrom(track, 0)).length

/** Many commands at once for one lock: one wins, all others are told who has it, with every field of the report. */
async function race(track: Track, words: string[], fields: readonly string[]): Promise<Ended> {
  const commands = Array.from({ length: racers }, (_, index) => [
    ...words,
    '--holder',
    `TASK-${index}`,
    '--lease',
    lease,
  ])
  const ended = await lockstepTogether(commands, { cwd: track.root })
  const said = ended.map(({ status, json, stderr }) => `${status} ${json.code ?? json.token} ${stderr}`).join('\n')
  const [winner, ...others] = ended.filter(({ status }) => status === 0)
  if (winner === undefined || others.length > 0) throw new Error(`there is not one winner:\n${said}`)
  for (const { status, json, stdout } of ended) {
    if (status === 0) continue
    equal([status, json.code, json.retryable], [75, 'LOCK_CONTENTION', true], said)
    for (const field of fields) ok(field in json, `${field} in ${stdout}`)
    const { acquired, name, token } = winner.json
    equal(
      [json.name, json.holder, json.acquired, json.token, json.pid, json.holder_alive],
      [name, `TASK-${ended.indexOf(winner)}`, acquired, token, process.pid, 'yes'],
      stdout,
    )
    const remaining = Number(json.lease_remaining_s)
    ok(Number.isInteger(remaining) && remaining >= 1 && remaining <= Number(lease), stdout)
    ok(Number.isInteger(json.retry_after_s) && Number(json.retry_after_s) >= 1, stdout)
    ok(typeof json.host === 'string' && json.host !== '', stdout)
    is(new Date(String(json.contention_time)).toISOString(), json.contention_time)
  }
  return winner
}

/** One round: race, look at what was appended, release, and nothing is left. */
async function round(track: Track, { put }: { put: () => Promise<Expected> | Expected }): Promise<void> {
  const expected = await put()
  const from = await sizeOf(track)
  const words = ['lock', 'acquire', '--folder', track.path, '--pid', String(process.pid)]
  const winner = await race(track, words, grantFields)
  ok(readFileSync(track.lock, 'utf8').includes(String(winner.json.lock_ref)))
  const released = await lockstep(['lock', 'release', String(winner.json.lock_id)], { cwd: track.root })
  equal([released.status, released.json.files], [0, 'current'], released.stdout)
  const entries = await entriesFrom(track, from)
  equal(
    entries.map(({ type }) => type),
    [...(expected === 'free' ? [] : ['lock.recovered']), 'lock.acquired', 'lock.released'],
  )
  if (expected !== 'free') {
    const { recovery_reason, previous_token, previous_holder, mode } = entries[0]?.data ?? {}
    equal({ recovery_reason, previous_token, previous_holder, mode }, { ...expected, mode: 'automatic' })
  }
  equal(
    readdirSync(track.path).filter((name) => name.startsWith('.lock')),
    [],
  )
}

type Expected = 'free' | { recovery_reason: string; previous_token: number | null; previous_holder: string }

/** A grant of ours that nobody holds any more. */
async function orphanOfOurs(track: Track, words: string[]): Promise<number> {
  const acquired = await lockstep(['lock', 'acquire', '--folder', track.path, '--holder', 'lost', ...words], {
    cwd: track.root,
  })
  is(acquired.status, 0, acquired.stdout)
  return Number(acquired.json.token)
}

const free = suite(`${racers} processes, one deliverable`)

free(`a free lock: exactly one wins (${rounds} rounds)`, async () => {
  const track = await newTrack()
  for (let at = 0; at < rounds; at += 1) await round(track, { put: () => 'free' })
  await endsWithVerify(track.root)
})

const orphans: Record<string, (track: Track, at: number) => Promise<Expected> | Expected> = {
  'a dead holder': async (track) => {
    const holder = startHolder()
    const previous_token = await orphanOfOurs(track, ['--pid', String(holder.pid)])
    await holder.kill()
    return { recovery_reason: 'pid_dead', previous_token, previous_holder: 'lost' }
  },
  'an expired lease': async (track) => {
    const previous_token = await orphanOfOurs(track, ['--pid', String(process.pid), '--lease', '1'])
    const expired = uptime() + 1.1
    while (uptime() < expired) await new Promise((resolve) => setTimeout(resolve, 20))
    return { recovery_reason: 'lease_expired', previous_token, previous_holder: 'lost' }
  },
  'the debris of a crash': ({ lock, path, origin }) => {
    writeFileSync(lock, foreignText({ ledger: origin, lock_ref: 'f'.repeat(16), holder: 'crashed' }))
    writeFileSync(join(path, `.lock.${'e'.repeat(16)}.tmp`), 'cut')
    writeFileSync(join(path, '.lock.aside.left'), foreignText({ ledger: origin, lock_ref: 'd'.repeat(16) }))
    return { recovery_reason: 'unrecorded', previous_token: null, previous_holder: 'crashed' }
  },
  'a foreign file': ({ lock }, at) => {
    const isDead = at % 2 === 0
    const expired = { acquired: new Date(Date.now() - 2_000_000).toISOString(), lease_duration_s: 1_800 }
    writeFileSync(lock, foreignText(isDead ? deadHolder() : expired))
    const recovery_reason = isDead ? 'pid_dead' : 'lease_expired'
    return { recovery_reason, previous_token: null, previous_holder: 'foreign-tool' }
  },
}

for (const [what, put] of Object.entries(orphans)) {
  free(`${what} in place: exactly one wins, exactly one lock.recovered (${orphanRounds} rounds)`, async () => {
    const track = await newTrack()
    for (let at = 0; at < orphanRounds; at += 1) await round(track, { put: () => put(track, at) })
    await endsWithVerify(track.root)
  })
}

free(`a resource, free and with a dead holder: exactly one wins (${orphanRounds} rounds)`, async () => {
  const track = await newTrack()
  const resourceFields = grantFields.filter((field) => field !== 'deliverable_id')
  for (let at = 0; at < orphanRounds; at += 1) {
    const from = await sizeOf(track)
    const words = ['lock', 'acquire', 'reports', '--pid', String(process.pid)]
    const winner = await race(track, words, resourceFields)
    is((await lockstep(['lock', 'release', String(winner.json.lock_id)], { cwd: track.root })).status, 0)
    const holder = startHolder()
    const held = ['lock', 'acquire', 'reports', '--holder', 'lost', '--pid', String(holder.pid)]
    is((await lockstep(held, { cwd: track.root })).status, 0)
    await holder.kill()
    const second = await race(track, words, resourceFields)
    is((await lockstep(['lock', 'release', String(second.json.lock_id)], { cwd: track.root })).status, 0)
    const types = (await entriesFrom(track, from)).map(({ type }) => type)
    const pair = ['lock.acquired', 'lock.released']
    equal(types, [...pair, 'lock.acquired', 'lock.recovered', ...pair])
    ok(Number(second.json.token) > Number(winner.json.token))
  }
  ok(!existsSync(track.lock))
  await endsWithVerify(track.root)
})

free.run()
