// limit: 240

import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { caller } from '../../fixtures/crash/asks.ts'
import { below, randomFrom } from '../../fixtures/random.ts'
import { hold } from '../../src/lease.ts'
import type { openLedger } from '../../src/open.ts'
import { compiled, importCompiled } from '../support/compiled.ts'
import { temporaryRoot } from '../support/ledger.ts'
import { printedSeed } from '../support/seed.ts'
import { diskAfter, type Model, models } from './disk-models.ts'
import { preload } from './preloaded.ts'
import { type Recording, readRecording } from './recording.ts'

/** The long run takes 1,000 states; by default each model is met a few times. */
const states = Number(process.env.LOCKSTEP_ROUNDS ?? 12)
type Open = typeof openLedger

const power = suite('a power failure')

power('loses no acknowledged entry, whatever the disk kept of unsynced data', async () => {
  const life = recordedLife()
  if (life === undefined) return
  const { openLedger: open } = await importCompiled<{ openLedger: Open }>('src/index.ts')
  const seed = printedSeed('power failure')
  const random = randomFrom(seed)
  const { events } = life.recording
  const whole = await entriesOf(life.root, open)
  const findings: string[] = []
  for (let state = 0; state < states; state += 1) {
    const model = models[state % models.length] as Model
    const at = pointIn(life.recording, random)
    const folder = temporaryRoot()
    diskAfter(life.recording, { at, model, random }).writeTo(folder)
    startAnew(folder)
    const found = await findingsIn(folder, { open, size: sizeSaid(life.recording, at), whole })
    const where = `state ${state} (${model}, before event ${at} of ${events.length})`
    findings.push(...found.map((finding) => `${where}: ${finding}`))
    for (const finding of found) console.log(`${where}: ${finding}`)
    if (found.length === 0 || process.env.LOCKSTEP_KEEP === undefined) rmSync(folder, { recursive: true, force: true })
    else console.log(`${where} is kept in ${folder}`)
  }
  equal(findings, [])
})

power.run()

/** A life with all its changes of the disk; undefined where nothing can be recorded. */
function recordedLife(): { root: string; recording: Recording } | undefined {
  const record = join(temporaryRoot(), 'record')
  const loaded = preload({ CALLS_RECORD: record })
  if (loaded === undefined) return undefined
  const { env, folder, state } = loaded
  const words = [compiled('fixtures/crash/recorded-life.ts'), folder, state]
  const { status, stderr } = spawnSync(process.execPath, words, { encoding: 'utf8', env: { ...process.env, ...env } })
  is(status, 0, stderr)
  const recording = readRecording(readFileSync(record), folder)
  const logs = new Set(recording.events.flatMap((event) => (event.is === 'names' ? event.change.names : [])))
  const made = [...logs].filter(({ name, node }) => node !== undefined && /^\d+\.log$/.test(name))
  ok(made.length >= 4, `there were ${made.length} logs`)
  return { root: folder, recording }
}

/** Most power failures come right after something was said or in the middle of a write; some come anywhere. */
function pointIn({ events }: Recording, random: () => number): number {
  const anywhere = below(events.length + 1, random)
  if (random() < 0.5) return anywhere
  const next = events.findIndex(({ is }, index) => index >= anywhere && (is === 'said' || is === 'names'))
  return next < 0 ? anywhere : next + 1
}

/** A power failure ends the boot in which the files were written. It does not move them to this folder. */
function startAnew(root: string): void {
  const place = join(root, '.lockstep/place')
  if (existsSync(place)) {
    is(typeof JSON.parse(readFileSync(place, 'utf8')).inode, 'string', 'the record of the place is whole')
    rmSync(place)
  }
  const path = join(root, '.lockstep/owner')
  if (!existsSync(path)) return
  const text = readFileSync(path, 'utf8')
  writeFileSync(path, text.replace(/("boot_id": ?")[0-9a-f-]+/, '$100000000-0000-4000-8000-000000000000'))
}

/** How large the ledger was, as far as anybody had been told before an event. */
function sizeSaid({ events }: Recording, at: number): number {
  let size = 0
  for (const event of events.slice(0, at)) {
    if (event.is !== 'said') continue
    for (const line of event.text.trim().split('\n')) size = Math.max(size, (JSON.parse(line) as { size: number }).size)
  }
  return size
}

async function entriesOf(root: string, open: Open): Promise<string[]> {
  const ledger = await open({ dir: root, actor: caller })
  try {
    await ledger.log.verify()
    const entries: string[] = []
    for await (const entry of ledger.log.read()) entries.push(JSON.stringify(entry))
    return entries
  } finally {
    await ledger.close()
  }
}

/** The next open finds every acknowledged entry as it was, verifies, and goes on. */
async function findingsIn(
  root: string,
  { open, size, whole }: { open: Open; size: number; whole: string[] },
): Promise<string[]> {
  try {
    const isMade = existsSync(join(root, '.lockstep'))
    if (!isMade && size > 0) return ['there is no ledger']
    const ledger = await open({ dir: root, actor: caller, create: !isMade })
    try {
      await ledger.log.verify()
      const entries: string[] = []
      for await (const entry of ledger.log.read()) entries.push(JSON.stringify(entry))
      if (entries.length < size) return [`${size} entries were acknowledged, ${entries.length} are there`]
      const changed = entries.slice(0, size).findIndex((entry, seq) => entry !== whole[seq])
      if (changed >= 0) return [`entry ${changed} is another than it was`]
      const { lock_id } = await hold(ledger, { name: 'afterwards', holder: 'next' })
      await ledger.locks.release({ lock_id })
      return []
    } finally {
      await ledger.close()
    }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return [`${size} entries were acknowledged: ${code}: ${message}`]
  }
}
