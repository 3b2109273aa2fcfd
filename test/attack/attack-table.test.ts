// limit: 600
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { layoutOf } from '../../src/disk/layout.ts'
import { LockstepError } from '../../src/errors.ts'
import { verifyExport } from '../../src/nouns/exports/export-verify.ts'
import { root as project } from '../runner.ts'
import { pack, unpack } from '../support/bundle.ts'
import { lockstep } from '../support/command.ts'
import { copyLedger, temporaryRoot } from '../support/ledger.ts'
import { killWitnesses, startWitness } from '../support/witness-process.ts'
import { onBundles } from './on-bundles.ts'
import { onLedgers } from './on-ledgers.ts'
import { type AttackScene, attackScene, signAnew } from './scene.ts'

const attacks = suite('the attack table')

/** What finds an attack. Each finds what the ones before it find, too. */
type Found = 'a kept checkpoint' | 'a witness' | 'not found' | 'verify'
interface Row {
  export: Found
  folder: Found
  key: Found
}

const row = (exported: Found, folder: Found, key: Found): Row => ({ export: exported, folder, key })
const kept = 'a kept checkpoint'

/** The table of docs/explanation/security.md. */
const table: Readonly<Record<string, Row>> = {
  'edit and recompute': row('verify', 'verify', kept),
  'cut the tail': row('verify', 'verify', kept),
  'roll back': row('not found', kept, kept),
  'database and head together': row('verify', kept, kept),
  drop: row('verify', 'verify', kept),
  swap: row('verify', 'verify', kept),
  replay: row('verify', 'verify', kept),
  fork: row('verify', 'a witness', 'a witness'),
  'hide a run': row('verify', 'verify', kept),
  'hide a refusal': row('verify', 'verify', kept),
  'change approvals': row('verify', 'verify', kept),
  'change the configuration around an export': row('verify', 'verify', kept),
}

/** What the page says of each attack that nothing finds. */
const notFound: Readonly<Record<string, string>> = {
  'roll back': 'An older bundle is genuine. Its size and the time of its tree say how old it is.',
}

let scene: AttackScene
let policy: string

attacks.before(async () => {
  scene = await attackScene()
  // The witness has seen the ledger as the readers have.
  const witness = await startWitness({ logs: [scene.vkey] })
  policy = join(temporaryRoot(), 'policy.txt')
  writeFileSync(policy, `${witness.policyLine}\nquorum witness.example/w1\n`)
  is((await lockstep(['--dir', scene.root, 'witness', 'sync', '--policy', policy])).status, 0)
})
attacks.after(() => killWitnesses())

/** What finds the attack on a ledger, by commands as an auditor runs them. */
async function findsOnLedger(root: string, keptNotes: readonly string[]): Promise<Found> {
  const run = (...words: string[]) => lockstep(['--dir', root, ...words])
  const plain = await run('verify')
  if (plain.status !== 0) return mustBe(plain, ['VERIFY_FAILED', 'LEDGER_CORRUPT'], 'verify')
  for (const note of keptNotes) {
    const file = join(temporaryRoot(), 'kept.txt')
    writeFileSync(file, note)
    const compared = await run('verify', '--checkpoint', file, '--key', scene.vkey)
    if (compared.status !== 0) return mustBe(compared, ['VERIFY_FAILED'], kept)
  }
  const synced = await run('witness', 'sync', '--policy', policy)
  return synced.status === 0 ? 'not found' : mustBe(synced, ['LEDGER_FORKED'], 'a witness')
}

function mustBe({ json, stdout }: { json: Record<string, unknown>; stdout: string }, codes: string[], found: Found) {
  ok(codes.includes(String(json.code)), stdout)
  return found
}

/** A copy of the ledger under attack. */
async function attacked(name: string): Promise<string> {
  const root = temporaryRoot()
  copyLedger(join(scene.root, '.lockstep'), join(root, '.lockstep'))
  await onLedgers[name]?.(root, scene)
  return root
}

/** A reader who sees one side of a fork alone has a checkpoint of that side alone. */
const keptBy = async (name: string, root: string) => {
  if (name !== 'fork') return [scene.kept]
  return [String((await lockstep(['--dir', root, 'head', '--signed'])).json.checkpoint)]
}

for (const [name, { export: byExport, folder, key }] of Object.entries(table)) {
  attacks(`${name}, by somebody who can only change an export: ${byExport}`, async () => {
    const change = onBundles[name]
    if (change === undefined) throw new Error(`${name} is no attack on a bundle`)
    const file = await pack(change(unpack(scene.bundle), scene), join(temporaryRoot(), 'bundle.tar.gz'))
    const { growths = [], kept: note, vkey } = scene
    const trusts = { verify: { vkey }, [kept]: { checkpoints: [{ file: 'kept.txt', note }], growths, vkey } }
    const codes: (string | undefined)[] = []
    for (const trust of Object.values(trusts)) codes.push(await failure(verifyExport(file, trust)))
    const at = codes.findIndex((code) => code !== undefined)
    is(at === -1 ? 'not found' : Object.keys(trusts)[at], byExport)
    ok(
      codes.every((code) => code === undefined || code === 'VERIFY_FAILED'),
      codes.join(),
    )
  })

  attacks(`${name}, by somebody who can write the folder: ${folder}`, async () => {
    // Without the key nobody can sign a head. The old one can only stay, or go.
    for (const headStays of folder === 'verify' ? [true, false] : [true]) {
      const root = await attacked(name)
      if (!headStays) withoutHead(root)
      is(await findsOnLedger(root, await keptBy(name, root)), folder, headStays ? 'the head stays' : 'without a head')
    }
  })

  attacks(`${name}, by somebody who has the key, too: ${key}`, async () => {
    const root = await attacked(name)
    if (name !== 'fork') await signAnew(root)
    is(await findsOnLedger(root, await keptBy(name, root)), key)
  })
}

attacks('stands in docs/explanation/security.md in the same words', () => {
  const page = readFileSync(join(project, 'docs/explanation/security.md'), 'utf8')
  const [, section = ''] = page.split('\n## Attacks, and what finds them\n')
  const rows = [...section.matchAll(/^\| (?!attack )(.+?) \| (.+?) \| (.+?) \| (.+?) \|$/gm)]
  equal(
    Object.fromEntries(
      rows.map(([, name, exported, folder, key]) => [name, row(exported as Found, folder as Found, key as Found)]),
    ),
    table,
  )
  for (const sentence of Object.values(notFound)) ok(section.replace(/\s+/g, ' ').includes(sentence), sentence)
  const cells = Object.entries(table).flatMap(([name, found]) =>
    Object.values(found).includes('not found') ? [name] : [],
  )
  equal(Object.keys(notFound), cells)
})

attacks.run()

/** Without a head file, as somebody leaves a ledger who cannot sign one. */
function withoutHead(root: string): void {
  rmSync(layoutOf(root).head)
}

/** The code of a refusal; undefined for a call that succeeds. */
async function failure(call: Promise<unknown>): Promise<string | undefined> {
  const error = await call.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  if (error !== undefined && !(error instanceof LockstepError)) throw error
  return error?.code
}
