// limit: 240
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { below, randomFrom } from '../../fixtures/random.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import type { LockstepError } from '../../src/errors.ts'
import { fingerprint } from '../../src/log/level/files.ts'
import { writeOwner } from '../../src/log/level/owner/owner.ts'
import { lockstep } from '../support/command.ts'
import {
  built,
  contentsOf,
  copyFiles,
  copyOf,
  damageable,
  dropCopy,
  type Facts,
  factsOf,
  filesIn,
} from '../support/damage.ts'
import { type Damage, damagesOf } from '../support/damages.ts'
import { printedSeed } from '../support/seed.ts'

// Whatever is done to the files of a database: it is refused at open, or `verify` finds it, or everything reads back
// as it was. Silent loss or change is a failure of a test here, and so is the death of any process but the child
// that opens a suspect database.

const seed = printedSeed('damage')
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)
/** By default some cells are looked at less closely, for each look costs a process. */
const isLong = rounds > 1
const chosenMax = 4
const random = randomFrom(seed)

const { verifyInChild } = await built<typeof import('../../src/verify/verify-in-child.ts')>('verify/verify-in-child.js')
const whole = await damageable()
const files = filesIn(layoutOf(whole.root).ledger)

const matrix = suite('a damaged database')

matrix('has every kind of file that LevelDB keeps its data in, and reads back in a copy of them', async () => {
  const kinds = files.map((file) => file.replace(/\d+/, 'N'))
  equal(new Set(kinds), new Set(['N.ldb', 'N.log', 'CURRENT', 'MANIFEST-N']))
  ok(kinds.filter((kind) => kind === 'N.ldb').length >= 2, 'tables at two levels')
  const { entries, index, receipts, rows } = whole.facts
  ok(index.length > 10, `${index.length} rows of the index`)
  ok(entries.length > 512 && rows.length > 50 && receipts[0] !== '' && receipts[1] !== '')
  await inCopy(async (copy) => {
    equal(await factsOf(copy), whole.facts)
    is((await verifyInChild(layoutOf(copy))).entries, entries.length)
  })
})

for (const file of [...files, 'all files']) {
  const damages = chosenOf(damagesOf(whole, file, { random, rounds }))
  matrix(`with ${file} damaged is refused, found out, or as good as whole: ${damages.length} times`, async () => {
    const tally = { refused: 0, found: 0, identical: 0 }
    await eachOf(damages, async (damage, index) => {
      await inCopy(async (copy) => {
        damage.apply(layoutOf(copy).ledger)
        const outcome = await outcomeOf(copy, isLong || index % 3 === 0)
        if (damage.isLoss) not.equal(outcome, 'identical', 'what is gone cannot read back')
        tally[outcome] += 1
      })
    })
    console.log(file, JSON.stringify(tally))
  })
}

/** All of them in the long run; by default some, chosen by the seed. */
function chosenOf(damages: Damage[]): Damage[] {
  const left = [...damages]
  const count = isLong ? left.length : Math.min(left.length, chosenMax)
  return Array.from({ length: count }, () => left.splice(below(left.length, random), 1)).flat()
}

type Outcome = 'refused' | 'found' | 'identical'

/** Opens a copy as the next process would, and once more where that is asked for, and says what came of it. */
async function outcomeOf(copy: string, isTwice: boolean): Promise<Outcome> {
  const layout = layoutOf(copy)
  const met = contentsOf(layout.ledger)
  const first = await opened(copy)
  if ('code' in first) {
    const { evidence, hint } = first
    equal(contentsOf(evidence), met, 'the evidence is what was met')
    ok(hint.includes(evidence), hint)
    const second = isTwice ? await opened(copy) : first
    equal(second, {
      ...first,
      evidence: 'evidence' in second && second.evidence,
      hint: 'hint' in second && second.hint,
    })
    equal(contentsOf(evidence), met, 'the evidence stays what it was')
    return 'refused'
  }
  if (await isFoundByVerify(copy)) return 'found'
  isSame(first)
  if (isTwice) isSame(await opened(copy))
  return 'identical'
}

interface Refused {
  code: string
  message: string
  evidence: string
  hint: string
}

/** All that can be read of a ledger, or how it is refused. Anything but LEDGER_CORRUPT is a failure. */
async function opened(copy: string): Promise<Facts | Refused> {
  try {
    return await factsOf(copy)
  } catch (error) {
    const { code, details, hint = '', message } = error as LockstepError
    is(code, 'LEDGER_CORRUPT', `${code}: ${message}`)
    return { code, message, evidence: String(details.evidence), hint }
  }
}

function isSame(facts: Facts | Refused): void {
  for (const part of ['head', 'entries', 'rows', 'receipts', 'index'] as const) {
    equal((facts as Facts)[part], whole.facts[part], `the ${part} read back as they were`)
  }
}

async function isFoundByVerify(copy: string): Promise<boolean> {
  try {
    await verifyInChild(layoutOf(copy), { openWaitSeconds: 0 })
    return false
  } catch (error) {
    const { code, message } = error as LockstepError
    ok(['LEDGER_CORRUPT', 'VERIFY_FAILED'].includes(code), `${code}: ${message}`)
    return true
  }
}

matrix('that changed behind the back of the file system is found by a verification, or as good as whole', async () => {
  const rotOf = (file: string) => damagesOf(whole, file, { random, rounds }).filter(({ isRot }) => isRot)
  const damages = files.flatMap((file) => rotOf(file).slice(0, isLong ? undefined : 1))
  await eachOf(damages, async (damage) => {
    await inCopy(async (copy) => {
      const layout = layoutOf(copy)
      damage.apply(layout.ledger)
      // As if size and time had stayed: the next open has no reason to doubt the files.
      writeOwner(layout.owner, { state: 'closed', files: fingerprint(layout.ledger) })
      const { json, signal, status, stderr } = await lockstep(['--dir', copy, 'verify', '--open-wait', '0'])
      is(signal, null, stderr)
      if (status === 0) isSame(await opened(copy))
      else
        equal([status, /^(?:LEDGER_CORRUPT|VERIFY_FAILED)$/.test(String(json.code))], [6, true], JSON.stringify(json))
    })
  })
})

matrix('ends every command with 6 and names the evidence, and reads again once that is put right', async () => {
  const log = files.find((file) => file.endsWith('.log')) ?? ''
  await inCopy(async (copy) => {
    const layout = layoutOf(copy)
    const missing = damagesOf(whole, log, { random, rounds: 0 }).find(({ what }) => what === 'deleted')
    missing?.apply(layout.ledger)
    for (const words of [['lock', 'acquire', 'reports', '--holder', 'h'], ['verify']]) {
      const { json, signal, status, stdout } = await lockstep(['--dir', copy, ...words, '--open-wait', '0'])
      equal([status, signal, json.code], [6, null, 'LEDGER_CORRUPT'], stdout)
      match(String(json.hint), /kept in .*evidence\/damaged-/)
    }
    dropCopy(layout.ledger)
    copyFiles(layoutOf(whole.root).ledger, layout.ledger)
    isSame(await opened(copy))
  })
})

matrix('never becomes an empty one, though all its files are gone', async () => {
  await inCopy(async (copy) => {
    const layout = layoutOf(copy)
    dropCopy(layout.ledger)
    for (let time = 0; time < 2; time += 1) is((await refusedIn(copy)).code, 'LEDGER_CORRUPT')
    equal(filesIn(layout.home).includes('head'), true)
  })
})

async function refusedIn(copy: string): Promise<Refused> {
  const outcome = await opened(copy)
  if ('code' in outcome) return outcome
  throw new Error(`it was opened, with ${outcome.entries.length} entries`)
}

matrix.run()

/** Works on two damages at a time; a failure names the one it is about. */
async function eachOf(
  damages: readonly Damage[],
  work: (damage: Damage, index: number) => Promise<void>,
): Promise<void> {
  const queue = damages.entries()
  const worker = async () => {
    for (const [index, damage] of queue) {
      await work(damage, index).catch((error: Error) => {
        throw new Error(`LOCKSTEP_SEED=${seed}, ${damage.file} ${damage.what}: ${error.message}`, { cause: error })
      })
    }
  }
  await Promise.all([worker(), worker()])
}

async function inCopy(work: (copy: string) => Promise<void>): Promise<void> {
  const copy = copyOf(whole.root)
  try {
    await work(copy)
  } finally {
    dropCopy(copy)
  }
}
