import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match } from 'uvu/assert'
import { settingsOf } from '../../src/backup/write-backup.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import type { LocalLedger } from '../../src/ledger.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { lane, operator, putPolicy, role } from '../support/gated.ts'
import { codeOf } from '../support/governed-runs.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError, put } from '../support/scene.ts'

const test = suite('the places of a policy')
const loose = {
  lanes: [lane('ANYTHING', { tools: ['any.tool'] })],
  roles: [role('GOVERNANCE_AGENT', ['ANYTHING'])],
}
const home = { lanes: '.lockstep/policy/lanes.yaml', roles: '.lockstep/policy/roles.yaml' }
const contract = { lanes: 'contract/v1/policy/lanes.yaml', roles: 'contract/v1/policy/roles.yaml' }

/** A ledger with the shipped policy in force, and a folder with other files that somebody made later. */
function beside(title: string, work: (ledger: LocalLedger, root: string) => Promise<void>): void {
  test(title, async () => {
    const root = temporaryRoot()
    const ledger = await openWithCaseWork({ actor: testActor, dir: root, self_check: true })
    try {
      putPolicy(root, loose)
      await work(ledger, root).catch(asPlainError)
    } finally {
      await ledger.close()
      await endsWithVerify(root)
    }
  })
}

beside('a reload reads the place that the policy in force came from', async (ledger, root) => {
  const types = await typesAppended(ledger, async () => {
    is((await ledger.policy.reload({ actor: operator })).replayed, true)
  })
  equal(types, [])
  const shown = await ledger.policy.show()
  equal([shown.lanes.file, shown.lanes.on_disk, shown.grants.length], [home.lanes, 'same', 6])
  put(root, home.lanes, `${readFileSync(join(root, home.lanes), 'utf8')}# changed\n`)
  is((await ledger.policy.show()).lanes.on_disk, 'changed')
  is((await ledger.policy.reload({ actor: operator })).lanes.file, home.lanes)
})

beside('another place is read if the operator names it, is recorded, and stays', async (ledger, root) => {
  is(await codeOf(ledger.policy.reload({ from: 'contract' })), 'POLICY_DENIED')
  equal((await ledger.policy.reload({ actor: operator, from: 'contract' })).lanes.file, contract.lanes)
  const { data } = await lastOf(ledger, 'policy.loaded')
  const fileOf = (name: 'lanes' | 'roles') => (data[name] as { file: string }).file
  equal({ lanes: fileOf('lanes'), roles: fileOf('roles') }, contract)
  putPolicy(root, { ...loose, roles: [...loose.roles, role('OTHER', [])] })
  equal((await ledger.policy.reload({ actor: operator })).lanes.file, contract.lanes)
  equal((await ledger.policy.reload({ actor: operator, from: 'home' })).lanes.file, home.lanes)
})

beside(
  'a check names its files, what a reload would change, and the files that it does not read',
  async (ledger, root) => {
    const same = await ledger.policy.check()
    equal([same.files, same.in_force, same.changes], [home, true, []])
    equal(same.other_files, Object.values(contract))
    const other = await ledger.policy.check({ from: 'contract' })
    equal([other.files, other.in_force, other.loadable], [contract, false, true])
    equal(other.other_files, Object.values(home))
    const found = other.changes.map(({ change, id, kind }) => `${kind} ${id} ${change}`)
    equal(found.includes('lane ANYTHING added'), true)
    equal(found.includes('lane PROMOTE_SHARED_KNOWLEDGE removed'), true)
    equal(found.includes('role GOVERNANCE_AGENT changed'), true)
    put(root, home.lanes, readFileSync(join(root, home.lanes), 'utf8').replace('transcripts', 'other_table'))
    equal((await ledger.policy.check()).changes, [{ change: 'changed', id: 'WRITE_INTAKE_ARTIFACTS', kind: 'lane' }])
  },
)

beside('a reload can be bound to the texts that were checked', async (ledger, root) => {
  const { sha256 } = await ledger.policy.check({ from: 'contract' })
  const checked = {
    actor: operator,
    from: 'contract',
    lanes_sha256: sha256?.lanes,
    roles_sha256: sha256?.roles,
  } as const
  putPolicy(root, { ...loose, roles: [...loose.roles, role('OTHER', [])] })
  const refused = ledger.policy.reload(checked)
  match(String(await refused.catch((error: Error) => error.message)), /roles\.yaml:1: .*changed after it was checked/)
  is((await ledger.policy.show()).lanes.file, home.lanes)
  putPolicy(root, loose)
  is((await ledger.policy.reload(checked)).replayed, false)
})

beside('a backup keeps the policy files of .lockstep, not those that somebody put beside them', async (_, root) => {
  const kept = settingsOf(layoutOf(root)).find(({ name }) => name === 'policy/lanes.yaml')
  is(kept?.bytes.toString(), readFileSync(join(root, home.lanes), 'utf8'))
})

test.run()
