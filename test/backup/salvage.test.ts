// limit: 240
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { randomFrom } from '../../fixtures/random.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { lockstep } from '../support/command.ts'
import { built, contentsOf, copyOf, damageable, dropCopy, filesIn } from '../support/damage.ts'
import { type Damage, damagesOf } from '../support/damages.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { printedSeed } from '../support/seed.ts'

// Whatever is done to the files of a database: a salvage keeps every entry before the first that cannot be read, puts the
// readable ones after it into a file, changes no entry, and leaves the damaged ledger as it is.

const { openLedger } = await built<typeof import('../../src/open.ts')>('open.js')
const { salvageLedger } = await built<typeof import('../../src/backup/salvage.ts')>('backup/salvage.js')

const seed = printedSeed('salvage')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
const random = randomFrom(seed)
const chosenMax = rounds > 1 ? Number.POSITIVE_INFINITY : 3
const whole = await damageable()
const { entries } = whole.facts
const files = filesIn(layoutOf(whole.root).ledger)

const salvage = suite('a salvage')

for (const file of [...files, 'all files']) {
  salvage(`keeps every entry before the first bad one where ${file} is damaged`, async () => {
    for (const damage of chosenOf(damagesOf(whole, file, { random, rounds }))) {
      await salvaged(damage).catch((error: Error) => {
        throw new Error(`LOCKSTEP_SEED=${seed}, ${damage.file} ${damage.what}: ${error.message}`, { cause: error })
      })
    }
  })
}

salvage('needs neither CURRENT nor a MANIFEST', async () => {
  const lost = { file: 'both', what: 'deleted', isLoss: true, isRot: false }
  const apply = (database: string) => {
    for (const name of filesIn(database)) if (/^(?:CURRENT|MANIFEST)/.test(name)) rmSync(join(database, name))
  }
  const { after, head_file, size } = await salvaged({ ...lost, apply })
  equal([after, head_file, size], [0, 'matches', entries.length])
})

salvage('is refused while a process has the ledger open, and where a ledger is', async () => {
  const copy = copyOf(whole.root)
  const ledger = await openLedger({ dir: copy, actor: testActor })
  const target = temporaryRoot()
  const busy = await lockstep(['--dir', copy, 'salvage', '--to', target])
  equal([busy.status, busy.json.code], [7, 'LEDGER_UNAVAILABLE'])
  await ledger.close()
  const there = await lockstep(['--dir', copy, 'salvage', '--to', copy])
  equal([there.status, there.json.code], [5, 'LEDGER_EXISTS'])
  const made = await lockstep(['--dir', copy, 'salvage', '--to', target])
  equal([made.status, made.json.problem, made.json.head_file], [0, null, 'matches'], made.stdout)
  await endsWithVerify(target)
  await endsWithVerify(copy)
})

salvage.run()

interface Salvaged {
  after: number
  head_file: string
  size: number
}

/** Damages a copy, salvages it, and checks the result against the entries of the whole ledger. */
async function salvaged(damage: Damage): Promise<Salvaged> {
  const copy = copyOf(whole.root)
  const layout = layoutOf(copy)
  const to = temporaryRoot()
  try {
    damage.apply(layout.ledger)
    const before = contentsOf(layout.ledger)
    const result = await salvageLedger(layout, { actor: testActor, to }).catch((error) => error)
    equal(contentsOf(layout.ledger), before, 'the damaged ledger is as it was')
    if (result instanceof Error) {
      ok(/^entry 0 cannot be salvaged/.test(result.message), result.message)
      equal(await readableIn(copy, 1), [], 'its first entry is not readable')
      return { after: 0, head_file: 'none', size: 0 }
    }
    const { after, after_file, head_file, previous } = result
    const kept = await entriesOf(to)
    equal(kept.slice(0, previous.size), entries.slice(0, previous.size), 'the prefix is the entries as they were')
    is(kept.length, previous.size + 1)
    const lines = after_file === null ? [] : readFileSync(after_file, 'utf8').trimEnd().split('\n')
    is(lines.length, after)
    for (const line of lines) ok(entries.indexOf(line) >= previous.size, 'what stands after the gap is as it was')
    const { length } = await readableIn(copy, entries.length)
    // The end of a request that is not complete is left out.
    ok(previous.size >= length - requestMax, `${previous.size} entries were kept, but ${length} are readable`)
    is(head_file === 'matches', previous.size === entries.length, head_file)
    is((await endsWithVerify(to)).size, previous.size + 1)
    return { after, head_file, size: previous.size }
  } finally {
    dropCopy(copy)
    dropCopy(to)
  }
}

/** The largest request of the damaged ledger. */
const requestMax = 7

/** The entries that the ledger itself reads, from the first to the first bad one; none if it does not open. */
async function readableIn(root: string, to: number): Promise<string[]> {
  const ledger = await openLedger({ dir: root, actor: testActor }).catch(() => undefined)
  const found: string[] = []
  if (ledger === undefined) return found
  try {
    for await (const entry of ledger.log.read({ to })) found.push(JSON.stringify(entry))
  } catch {
    // The first bad entry ends it.
  } finally {
    await ledger.close()
  }
  return found
}

async function entriesOf(root: string): Promise<string[]> {
  const found = await readableIn(root, Number.MAX_SAFE_INTEGER)
  ok(found.length > 0)
  return found
}

function chosenOf(damages: readonly Damage[]): Damage[] {
  if (damages.length <= chosenMax) return [...damages]
  const step = damages.length / chosenMax
  return Array.from({ length: chosenMax }, (_, at) => damages[Math.floor(at * step + random() * step)] as Damage)
}
