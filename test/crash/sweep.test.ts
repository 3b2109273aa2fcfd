// limit: 120
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { caller } from '../../fixtures/crash/asks.ts'
import { folderNameOf, places } from '../../fixtures/crash/places.ts'
import type { openLedger } from '../../src/open.ts'
import { compiled, importCompiled } from '../support/compiled.ts'
import { copyLedger, temporaryRoot } from '../support/ledger.ts'
import { findingsAfterCrash } from './after-crash.ts'
import { askedIn } from './lines.ts'
import { chosenPoints } from './points.ts'
import { makeDeliverables, runWriter } from './writers.ts'

const sweep = suite('a crash at a step of the script')

sweep('is finished by the next open, wherever it happens', async () => {
  const { openLedger } = await importCompiled<{ openLedger: typeof import('../../src/open.ts').openLedger }>(
    'src/index.ts',
  )
  const prepared = await preparedRoot(openLedger)
  const points = chosenPoints('sweep', await stepsOf(prepared))
  const findings: string[] = []
  for (const { phase, step, text } of points) {
    const root = copyOf(prepared)
    const ended = await run(root, [String(step), phase])
    is(ended.signal, 'SIGKILL', `${phase} step ${step} (${text}): it ended with ${ended.code}: ${ended.stderr}`)
    const found = await findingsAfterCrash({ root, asked: askedIn(ended.lines), openLedger }).catch(
      (error: unknown) => [String(error)],
    )
    for (const finding of found) console.log(`${phase} step ${step} (${text}): ${finding}`)
    findings.push(...found.map((finding) => `${phase} step ${step} (${text}): ${finding}`))
  }
  equal(findings, [])
})

/** The steps of the script, as it lists them where nothing stops it. */
async function stepsOf(prepared: string): Promise<string[]> {
  const { code, lines, stderr } = await run(copyOf(prepared), [])
  is(code, 0, stderr)
  const steps = lines.flatMap((line) => ('step' in line ? [line.step] : []))
  ok(steps.length > 60, `the script has ${steps.length} steps`)
  return steps
}

async function preparedRoot(open: typeof openLedger): Promise<string> {
  const root = temporaryRoot()
  makeDeliverables(root, places.map(folderNameOf))
  await (await open({ dir: root, create: true, policy: false, actor: caller })).close()
  const acquired = new Date().toISOString()
  const orphan = { deliverable_id: 'DEL-02-03', holder: 'another tool', acquired, lease_duration_s: 600, pid: 2 ** 30 }
  writeFileSync(join(root, folderNameOf('foreign'), '.lock'), JSON.stringify(orphan))
  const hung = { ...orphan, deliverable_id: 'DEL-02-09', holder: 'a hung tool', acquired: '2099-01-01T00:00:00Z' }
  writeFileSync(join(root, folderNameOf('hung'), '.lock'), JSON.stringify({ ...hung, pid: process.pid }))
  writeFileSync(join(root, folderNameOf('unreadable'), '.lock'), 'no JSON')
  const { code, stderr } = await runWriter(compiled('fixtures/crash/script.ts'), [root, 'prepare'], {})
  is(code, 0, stderr)
  return root
}

function copyOf(prepared: string): string {
  const root = temporaryRoot()
  copyLedger(prepared, root)
  return root
}

function run(root: string, point: string[]) {
  return runWriter(compiled('fixtures/crash/script.ts'), [root, 'run', ...point], {})
}

sweep.run()
