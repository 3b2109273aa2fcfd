import type { Client } from 'pg'
import pg from 'pg'
import { suite } from 'uvu'
import type { Log } from '../../src/log/log.ts'
import { Database } from '../../src/log/postgres/database.ts'
import { openWriter } from '../../src/log/postgres/open.ts'
import { createInDatabase, setUpSchema } from '../../src/log/postgres/setup.ts'
import { sampleMeta } from '../support/log-of.ts'
import { postgresMissing, startPostgres } from '../support/postgres.ts'
import { addEngineCases } from './engine-suite.ts'

const engine = suite('the engine of PostgreSQL')

/** A connection that is lost at its next append, before or after the server has it; then none is to be had. */
class FailingConnections {
  #when: 'before' | 'after' | undefined
  #isDown = false
  #executed: Promise<unknown> | undefined

  failNext(when: 'before' | 'after'): void {
    this.#when = when
  }

  readonly connect = async (config: pg.ClientConfig): Promise<Client> => {
    if (this.#isDown) throw Object.assign(new Error('a test lets it fail'), { code: 'ECONNREFUSED' })
    const client = new pg.Client(config)
    client.on('error', () => {})
    await client.connect()
    const query = client.query.bind(client) as (...all: unknown[]) => Promise<unknown>
    const failing = async (...all: unknown[]) => {
      if (this.#when === undefined) return query(...all)
      this.#isDown = true
      this.#executed ??= this.#when === 'after' ? query(...all) : Promise.resolve()
      await this.#executed
      client.connection.stream.destroy()
      throw Object.assign(new Error('a test lets it fail'), { code: 'ECONNRESET' })
    }
    return Object.assign(client, { query: failing })
  }
}

if (postgresMissing !== undefined) console.log(postgresMissing)
else {
  const server = await startPostgres()
  const opened = new Map<Log, { connections: FailingConnections; url: string }>()

  const open = async (url: string) => {
    const connections = new FailingConnections()
    const file = { engine: url, ledger_id: sampleMeta.ledger_id, node: 'test' }
    const { connect } = connections
    const log = await openWriter({ connect, file, openWaitSeconds: 5, process: 'test', recoverMillisMax: 0 })
    opened.set(log, { connections, url })
    return log
  }

  addEngineCases(engine, {
    begin: async () => {
      const url = await server.database()
      const database = await Database.of({ connectionString: url })
      await setUpSchema(database, 'lockstep_writer')
      await createInDatabase(database, sampleMeta)
      await database.close()
      return open(url)
    },
    failNextWrite: (log, when) => opened.get(log)?.connections.failNext(when),
    reopened: async (log) => {
      await log.close().catch(() => {})
      return open(opened.get(log)?.url ?? '')
    },
  })
  engine.after(() => server.close())
}
engine.run()
