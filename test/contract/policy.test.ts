import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readPolicy } from '../../src/files/policy/policy-file.ts'
import { caseWorkFiles, caseWorkPolicy, laneTable, roleTable } from '../support/policy-tables.ts'

const test = suite('the policy for case work')

for (const row of laneTable) {
  test(`${row.lane} is what the rulings say`, () => {
    const lane = caseWorkPolicy().lanes.get(row.lane)
    if (lane === undefined) throw new Error(`there is no ${row.lane}`)
    const { allowed_actions, allowed_callers, audit, purpose, scope } = lane
    assert.ok(purpose)
    assert.equal(allowed_callers, { roles: row.roles })
    assert.equal(allowed_actions, {
      ...(row.tools.length === 0 ? {} : { tools: row.tools }),
      ...(row.writes.length === 0 ? {} : { writes: row.writes.map(([table, mode]) => ({ table, mode })) }),
    })
    const { allows, ...others } = scope
    assert.equal(others, { requires: row.requires, prohibits: row.prohibits })
    // Without it no knowledge could be promoted at all; the rulings' table has no column for it.
    assert.equal(allows, row.lane === 'PROMOTE_SHARED_KNOWLEDGE' ? ['shared_knowledge_write'] : undefined)
    assert.equal(audit, { required: true, level: 'full' })
  })
}

test('has exactly these lanes', () => {
  assert.equal(
    [...caseWorkPolicy().lanes.keys()],
    laneTable.map(({ lane }) => lane),
  )
})

test('has the roles of the rulings, each with its lanes', () => {
  const roles = [...caseWorkPolicy().roles.values()]
  assert.equal(
    roles.map((role) => [role.role_id, role.class]),
    Object.entries(roleTable),
  )
  for (const { privileges, role_id } of roles) {
    const lanes = laneTable.filter((row) => row.roles.includes(role_id)).map(({ lane }) => lane)
    assert.equal(privileges.lanes, lanes, role_id)
  }
})

test('has no findings of the linter', () => {
  const file = (path: string) => ({ file: path, bytes: readFileSync(path) })
  const read = readPolicy({ lanes: file(caseWorkFiles.lanes), roles: file(caseWorkFiles.roles) })
  assert.equal('findings' in read ? read.findings : read.problems, [])
})

test.run()
