// limit: 240
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { lockContentionSchema } from '../../src/core/lock/contention-schema.ts'
import type { Evidence } from '../../src/core/lock/liveness.ts'
import { lockFileText } from '../../src/core/lock/lock-file.ts'
import { thisMachine } from '../../src/fs/process.ts'
import { openLedger } from '../../src/open.ts'
import { type Ended, lockstep, lockstepTogether } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

/**
 * Twelve commands at one moment, by the built command, round after round: exactly one of them gets the lock, and all
 * others get a whole LOCK_CONTENTION report. `LOCKSTEP_ROUNDS` sets the rounds of each case.
 */
const race = suite('twelve processes at once')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const processes = 12
const name = 'deliverable:DEL-08-05'
/** Above any pid that Linux hands out. */
const deadPid = 4_194_305

interface Place {
  root: string
  folder: string
  origin: string
}

async function newPlace(): Promise<Place> {
  const root = temporaryRoot()
  const ledger = await openLedger({ dir: root, create: true })
  const { origin } = ledger.head()
  await ledger.close()
  const config = join(root, '.lockstep/config.json')
  const kept = JSON.parse(readFileSync(config, 'utf8'))
  writeFileSync(config, JSON.stringify({ ...kept, deliverable_lease_s: { min: 1, max: 3600 } }))
  const folder = join(root, 'DEL-08-05_Race')
  mkdirSync(folder)
  return { root, folder, origin }
}

/** All of them at once; returns the winner after its lock was released again. */
async function raceOnce({ root, folder }: Place, words: readonly string[]): Promise<Ended> {
  const commands = Array.from({ length: processes }, (_, index) => [
    '--dir',
    root,
    ...words,
    '--holder',
    `agent-${index}`,
  ])
  const ends = await lockstepTogether(commands)
  const winners = ends.filter(({ status }) => status === 0)
  assert.is(winners.length, 1, ends.map(({ status, stdout, stderr }) => `${status} ${stdout}${stderr}`).join('\n'))
  const [winner] = winners
  for (const { json, status } of ends.filter((end) => end !== winner)) {
    assert.is(status, 75)
    const report = lockContentionSchema.parse(json)
    assert.is(report.token, winner?.json.token)
    for (const field of ['acquired', 'host', 'pid', 'retry_after_s'] as const) assert.ok(field in report, field)
  }
  const released = await lockstep(['--dir', root, 'lock', 'release', String(winner?.json.lock_id)])
  assert.is(released.status, 0, released.stdout)
  assert.equal(readdirSync(folder), [])
  return winner as Ended
}

/** The recovery events since a seq. */
async function recoveriesSince(root: string, from: number) {
  const ledger = await openLedger({ dir: root })
  const found: Record<string, unknown>[] = []
  for await (const { data, type } of ledger.read({ from })) if (type === 'lock.recovered') found.push(data)
  const { size } = ledger.head()
  await ledger.close()
  return { found, size }
}

const acquireFolder = ({ folder }: Place) => ['lock', 'acquire', '--folder', folder, '--pid', String(process.pid)]

race('on a free deliverable have one winner in each round', async () => {
  const place = await newPlace()
  for (let round = 0; round < rounds; round += 1) await raceOnce(place, acquireFolder(place))
  assert.equal((await recoveriesSince(place.root, 0)).found, [])
  await endsWithVerify(place.root)
})

race('on a free resource have one winner in each round', async () => {
  const place = await newPlace()
  for (let round = 0; round < rounds; round += 1) await raceOnce(place, ['lock', 'acquire', 'reports'])
  await endsWithVerify(place.root)
})

/** Each way in which an orphan can stand in place, and the reason that its one recovery must give. */
const orphans: Record<string, { reason: string; plant: (place: Place) => Promise<void> }> = {
  'of a dead process': {
    reason: 'pid_dead',
    plant: async ({ root, folder }) => {
      const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
      const ledger = await openLedger({ dir: root })
      await ledger.locks.acquire({ folder, holder: 'dead', pids: [Number(holder.pid)] })
      await ledger.close()
      holder.kill('SIGKILL')
      await once(holder, 'exit')
    },
  },
  'of an expired lease': {
    reason: 'lease_expired',
    plant: async ({ root, folder }) => {
      const ledger = await openLedger({ dir: root })
      await ledger.locks.acquire({ folder, holder: 'late', lease_duration_s: 1 })
      // Waits for the very moment at which the lease is over, on the clock it runs on.
      for (const until = performance.now() + 10_000; performance.now() < until; ) {
        if (ledger.locks.status(name).state === 'orphan') break
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      assert.is(ledger.locks.status(name).orphan_reason, 'lease_expired')
      await ledger.close()
    },
  },
  'of a crash between claim and append': {
    reason: 'unrecorded',
    plant: async ({ folder, origin }) => {
      const facts = {
        acquired: new Date().toISOString(),
        deliverable_id: 'DEL-08-05',
        evidence: [evidence(process.pid)],
      }
      const text = lockFileText({
        ...facts,
        holder: 'crashed',
        lease_duration_s: 900,
        ledger: origin,
        lock_ref: '0123456789abcdef',
      })
      writeFileSync(join(folder, '.lock'), text)
      writeFileSync(join(folder, '.lock.fedcba9876543210.tmp'), text)
    },
  },
  'of another tool': {
    reason: 'pid_dead',
    plant: async ({ folder }) => {
      const foreign = {
        holder: 'other tool',
        acquired: new Date().toISOString(),
        lease_duration_s: 900,
        pid: deadPid,
        deliverable_id: 'DEL-08-05',
      }
      writeFileSync(join(folder, '.lock'), JSON.stringify(foreign))
    },
  },
}

function evidence(pid: number): Evidence {
  return { ...thisMachine(), pid, start_time: null }
}

for (const [orphan, { reason, plant }] of Object.entries(orphans)) {
  race(`over the orphan ${orphan} have one winner and one recovery in each round`, async () => {
    const place = await newPlace()
    let from = 0
    for (let round = 0; round < rounds; round += 1) {
      await plant(place)
      await raceOnce(place, acquireFolder(place))
      const { found, size } = await recoveriesSince(place.root, from)
      assert.equal(
        found.map(({ recovery_reason }) => recovery_reason),
        [reason],
      )
      from = size
    }
    await endsWithVerify(place.root)
    rmSync(place.root, { recursive: true })
  })
}

race.run()
