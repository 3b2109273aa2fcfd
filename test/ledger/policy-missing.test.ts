import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, instance, is, match } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { typesAppended } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError, put } from '../support/scene.ts'

const missing = suite('a policy that is not there')
const operator = { actor_id: 'BECCA', actor_type: 'human' } as const
const lanes = readFileSync('examples/policy/case-work/lanes.yaml', 'utf8')
const roles = readFileSync('examples/policy/case-work/roles.yaml', 'utf8')
const changed = `${lanes}# changed\n`

/** The places of a policy: the copies of the shipped files, and the root's own folder. */
const places = ['.lockstep/policy', 'contract/v1/policy']

/** What befalls the files, and what the refusal says. */
const losses: [title: string, lose: (folder: string) => void, says: RegExp][] = [
  ['lanes.yaml is removed', (folder) => rmSync(join(folder, 'lanes.yaml')), /lanes\.yaml is missing/],
  ['roles.yaml is removed', (folder) => rmSync(join(folder, 'roles.yaml')), /roles\.yaml is missing/],
  [
    'both files are removed',
    (folder) => ['lanes', 'roles'].map((name) => rmSync(join(folder, `${name}.yaml`))),
    /is missing/,
  ],
  ['the folder is renamed', (folder) => renameSync(folder, `${folder}-old`), /lanes\.yaml is missing/],
  [
    'a link that leads nowhere is in the place of the folder',
    (folder) => {
      renameSync(folder, `${folder}-old`)
      symlinkSync('nowhere', folder)
    },
    /is missing/,
  ],
  [
    'a folder is in the place of lanes.yaml',
    (folder) => {
      rmSync(join(folder, 'lanes.yaml'))
      mkdirSync(join(folder, 'lanes.yaml'))
    },
    /lanes\.yaml is a folder/,
  ],
  [
    'lanes.yaml is empty',
    (folder) => writeFileSync(join(folder, 'lanes.yaml'), ''),
    /lanes\.yaml:1: the file is empty/,
  ],
  [
    'lanes.yaml has a conflict of Git',
    (folder) =>
      writeFileSync(join(folder, 'lanes.yaml'), `lanes:\n<<<<<<< HEAD\n  - a\n=======\n  - b\n>>>>>>> other\n`),
    /lanes\.yaml:2: .*conflict/,
  ],
  [
    'lanes.yaml begins with a conflict of Git',
    (folder) => writeFileSync(join(folder, 'lanes.yaml'), `<<<<<<< HEAD\n${lanes}=======\n${lanes}>>>>>>> other\n`),
    /lanes\.yaml:1: .*conflict/,
  ],
]

for (const place of places) {
  for (const [title, lose, says] of losses) {
    // The folder in .lockstep is checked at every open, which refuses a link there.
    if (place.startsWith('.lockstep') && title.startsWith('a link')) continue
    missing(`${place}: ${title}: a reload is refused, and the policy in force stays`, async () => {
      await withPolicy(place, async (ledger, root) => {
        const before = await ledger.policy.show()
        lose(join(root, place))
        const types = await typesAppended(ledger, async () => {
          const refused = await ledger.policy.reload({ actor: operator }).catch((error: unknown) => error)
          instance(refused, LockstepError)
          is((refused as LockstepError).code, 'POLICY_INVALID')
          match((refused as LockstepError).message, says)
        })
        equal(types, [])
        const { grants, lanes: file, roles: other, seq } = await ledger.policy.show()
        equal([grants, file.sha256, seq], [before.grants, before.lanes.sha256, before.seq])
        is(
          [file.on_disk, other.on_disk].every((state) => state === 'same'),
          false,
        )
      })
    })
  }
}

missing('a ledger without a policy takes the shipped files only as init wrote them', async () => {
  const root = temporaryRoot()
  const ledger = await openLedger({ actor: testActor, create: true, dir: root, policy: false })
  try {
    rmSync(join(root, '.lockstep/policy/lanes.yaml'))
    const refused = await ledger.policy.reload().catch((error: unknown) => error)
    is((refused as LockstepError).code, 'POLICY_INVALID')
    put(root, '.lockstep/policy/lanes.yaml', lanes)
    is((await ledger.policy.reload()).replayed, false)
  } finally {
    await ledger.close()
    await endsWithVerify(root)
  }
})

/** A ledger with a policy of its own in force, closed and verified at the end. */
async function withPolicy(place: string, work: (ledger: LocalLedger, root: string) => Promise<void>): Promise<void> {
  const root = temporaryRoot()
  const ledger = await openLedger({ actor: testActor, create: true, dir: root, self_check: true })
  try {
    put(root, `${place}/lanes.yaml`, changed)
    put(root, `${place}/roles.yaml`, roles)
    await ledger.policy.reload({ actor: operator, from: place.startsWith('.lockstep') ? 'home' : 'contract' })
    await work(ledger, root).catch(asPlainError)
  } finally {
    await ledger.close()
    await endsWithVerify(root).catch(asPlainError)
  }
}

missing.run()
