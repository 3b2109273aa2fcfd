import { suite } from 'uvu'
import { equal, ok } from 'uvu/assert'
import { grantsTo, schemaName, schemaSteps, schemaVersion, writerRoleDefault } from '../../src/log/postgres/schema.ts'

const test = suite('the schema of the PostgreSQL engine')
const steps = schemaSteps.slice(0, schemaVersion).join('\n')

test('ledger_id is the first column of every table, and begins every primary key', () => {
  const tables = [...steps.matchAll(/CREATE TABLE (\S+) \(\s*(\w+)/g)].map(([, name, column]) => [name, column])
  const ofLedgers = tables.filter(([name]) => name !== `${schemaName}.version`)
  equal(
    ofLedgers.filter(([, column]) => column !== 'ledger_id'),
    [],
  )
  const keys = [...steps.matchAll(/PRIMARY KEY \((\w+)/g)].map(([, column]) => column)
  equal([...new Set(keys)], ['ledger_id'])
  ok(ofLedgers.length > 5)
})

test('the writer gets no right to change or delete what is hashed', () => {
  const grants = grantsTo(writerRoleDefault).split('\n')
  for (const table of ['batch', 'tile']) {
    const rights = grants.filter((line) => line.includes(`${schemaName}.${table}`)).join()
    ok(rights.startsWith('GRANT SELECT, INSERT ON '), rights)
  }
})

test.run()
