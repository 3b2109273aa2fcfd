// limit: 120
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { caller } from '../../fixtures/crash/asks.ts'
import { run_id, turns } from '../../fixtures/crash/turns.ts'
import { openLedger } from '../../src/open.ts'
import { compiled, importCompiled } from '../support/compiled.ts'
import { copyLedger, temporaryRoot } from '../support/ledger.ts'
import { chosenPoints } from './points.ts'
import { runWriter } from './writers.ts'

const folder = join('workspace/run', run_id)

type Line = { step?: string; staged?: string; promoted?: string; files?: string; of?: string }

const crash = suite('a crash in a turn')

crash('leaves the old or the new state, in the ledger and on disk, and the next open finishes it', async () => {
  const module = await importCompiled<{ openLedger: typeof openLedger }>('src/index.ts')
  const prepared = temporaryRoot()
  await prepare(prepared)
  const states = await statesOf(prepared, module.openLedger)
  const points = chosenPoints('turns', await stepsOf(prepared))
  const findings: string[] = []
  for (const { phase, step, text } of points) {
    const root = copyOf(prepared)
    const ended = await run(root, [String(step), phase])
    is(ended.signal, 'SIGKILL', `${phase} step ${step} (${text}): it ended with ${ended.code}: ${ended.stderr}`)
    const found = await findingsIn(root, ended.lines as unknown as Line[], {
      openLedger: module.openLedger,
      states,
    }).catch((error) => [String(error)])
    findings.push(...found.map((finding) => `${phase} step ${step} (${text}): ${finding}`))
  }
  equal(findings, [])
})

/** What a root is like after a crash, as its next users meet it: first the disk, then who opens the ledger. */
async function findingsIn(
  root: string,
  lines: readonly Line[],
  { openLedger: open, states }: { openLedger: typeof openLedger; states: string[] },
): Promise<string[]> {
  const findings: string[] = []
  const told = (member: 'promoted' | 'of') =>
    turns.filter(({ turn_id }) => lines.some((line) => line[member] === turn_id)).length
  const [promoted, written] = [told('promoted'), told('of')]
  const onDisk = states.indexOf(digestOf(root))
  // At most one turn more than was told of may be true.
  if (onDisk < written || onDisk > promoted + 1)
    findings.push(`the disk is as after turn ${onDisk}, told was ${written}`)
  const ledger = await open({ dir: root, actor: caller, open_wait_s: 20 })
  const { turns: chain } = await ledger.turns.list({ run_id })
  const count = chain.filter(({ status }) => status === 'promoted').length
  if (count < promoted || count > promoted + 1) findings.push(`${count} turns are promoted, ${promoted} were told of`)
  if (onDisk > count) findings.push(`the disk has turn ${onDisk}, the ledger ${count}`)
  if (states.indexOf(digestOf(root)) !== count)
    findings.push(`opening left the disk at ${states.indexOf(digestOf(root))}, not ${count}`)
  findings.push(...leftIn(root, count))
  await ledger.workspaces.check({ run_id })
  // Every object that no entry names has gone, or this fails.
  await ledger.log.verify()
  await ledger.close()
  const { code, stderr } = await run(root, [])
  if (code !== 0) findings.push(`the script cannot go on: ${stderr}`)
  if (states.indexOf(digestOf(root)) !== turns.length) findings.push('going on led elsewhere')
  const again = await open({ dir: root, actor: caller })
  await again.workspaces.check({ run_id })
  await again.log.verify()
  await again.close()
  return [...findings, ...leftIn(root, turns.length)]
}

function leftIn(root: string, promoted: number): string[] {
  const findings: string[] = []
  const at = join(root, folder)
  if (promoted > 0) {
    const trees = readdirSync(join(at, '.trees'))
    if (trees.length > 3 || trees.includes('building')) findings.push(`trees are left over: ${trees.join(' ')}`)
    for (const name of readdirSync(at))
      if (name !== '.trees' && name !== 'current') findings.push(`${name} is left over`)
  }
  for (const { turn_id } of turns.slice(0, promoted)) {
    if (existsSync(join(root, '.lockstep/staging', run_id, turn_id))) findings.push(`${turn_id} was not cleaned up`)
  }
  return findings
}

/** A digest of every file that is seen through `current`; the same for the same state. */
function digestOf(root: string): string {
  const current = join(root, folder, 'current')
  if (lstatSync(current, { throwIfNoEntry: false }) === undefined) return 'nothing'
  const hash = createHash('sha256')
  for (const name of readdirSync(`${current}/`, { recursive: true, encoding: 'utf8' }).sort()) {
    if (lstatSync(join(current, name)).isFile()) hash.update(`${name}\n${readFileSync(join(current, name), 'utf8')}\n`)
  }
  return hash.digest('hex')
}

/** The disk after each turn, from none on, as it is when nothing goes wrong. */
async function statesOf(prepared: string, open: typeof openLedger): Promise<string[]> {
  const root = copyOf(prepared)
  const ledger = await open({ dir: root, actor: caller })
  const states = [digestOf(root)]
  for (const { turn_id, ...proposal } of turns) {
    await ledger.turns.apply({ ...proposal, run_id, turn_id })
    is((await ledger.workspaces.files()).files, 'current')
    states.push(digestOf(root))
  }
  await ledger.close()
  is(new Set(states).size, turns.length + 1, 'every turn is seen on disk')
  return states
}

/** The steps of the script, as it lists them where nothing stops it. */
async function stepsOf(prepared: string): Promise<string[]> {
  const { code, lines, stderr } = await run(copyOf(prepared), [])
  is(code, 0, stderr)
  const steps = (lines as unknown as Line[]).flatMap(({ step }) => (step === undefined ? [] : [step]))
  ok(steps.length > 100, `the script has ${steps.length} steps`)
  return steps
}

/** A ledger with the shipped policy and a run that is running; only the sources know where that policy is. */
async function prepare(root: string): Promise<void> {
  const ledger = await openLedger({ dir: root, create: true, policy: true, actor: caller })
  await ledger.runs.create({ run_id, run_kind: 'orchestrator' })
  await ledger.runs.start({ run_id })
  await ledger.close()
}

function copyOf(prepared: string): string {
  const root = temporaryRoot()
  copyLedger(prepared, root)
  return root
}

function run(root: string, words: string[]) {
  return runWriter(compiled('fixtures/crash/turn-script.ts'), [root, ...words], {})
}

crash.run()
