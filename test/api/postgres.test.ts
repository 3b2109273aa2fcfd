// limit: 600
import { suite } from 'uvu'
import { Database } from '../../src/log/postgres/database.ts'
import { setUpSchema } from '../../src/log/postgres/setup.ts'
import { openLedger } from '../../src/open.ts'
import { caseWork } from '../support/case-work.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'
import { addApiCases } from './api-suite.ts'

const api = suite('the operations of a ledger in PostgreSQL')

if (postgresMissing !== undefined) console.log(postgresMissing)
else {
  const server = await startPostgres()
  const url = await server.database()
  const database = await Database.of({ connectionString: url })
  await setUpSchema(database, 'lockstep_writer')
  await database.close()

  // One database has the ledgers of all cases.
  addApiCases(api, async ({ actor, config, dir, now }) => {
    const engine = url as `postgres://${string}`
    const ledger = await openLedger({ actor, config, create: true, dir, engine, now, policy: false })
    caseWork(dir)
    return { ledger, close: () => ledger.close() }
  })
  api.after(() => server.close())
}
api.run()
