import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { type Service, type ServeOptions, serveNode } from '../../src/service/serve.ts'
import { openShared, type SharedLedger } from '../../src/shared.ts'
import { newNodesLedger, type NodesLedger } from '../support/nodes.ts'
import { type PostgresServer, postgresMissing, startPostgres } from '../support/postgres.ts'
import { ask, posted, post, until, problemIn } from '../support/service.ts'
import { testActor } from '../support/ledger.ts'

const test = suite('nodes of one ledger')
const token = 'none'

let server: PostgresServer

test.before(async () => {
  server = await startPostgres()
})

test.after(() => server.close())

interface RunningNode {
  service: Service
  shared: SharedLedger
  socket: string
  stop: () => Promise<void>
}

async function started(ledger: NodesLedger, at: number, options: ServeOptions = {}): Promise<RunningNode> {
  const { dirs, engine, ledgerId } = ledger
  const shared = await openShared({ actor: testActor, dir: dirs[at] ?? '', engine, ledgerId, node: `node-${at}` })
  const listen = { host: '127.0.0.1', port: 0 }
  const service = await serveNode(shared, { forward: { token }, listen, log: false, ...options })
  const stop = async () => {
    await service.close()
    await shared.close()
  }
  return { service, shared, socket: service.socket ?? '', stop }
}

const acquire = (name: string, lock_id: string) => {
  return { name: `resource:${name}`, lock_id, lease_duration_s: 60, pids: [process.pid], holder: 'h' }
}

test('the one that comes first writes, and another one reads what it wrote', async () => {
  const ledger = await newNodesLedger(server, 2)
  const one = await started(ledger, 0)
  const other = await started(ledger, 1)
  const granted = await posted(one.socket, '/v1/locks/acquire', acquire('a', 'lck_aaaaaaaaaaaaaaaa'))
  ok(Number(granted.token) > 0)
  const { headers, text } = await ask(other.socket, '/v1/locks/status?name=resource:a')
  is(JSON.parse(text).state, 'held')
  ok(Number(headers['lockstep-size']) > Number(granted.token))
  await other.stop()
  await one.stop()
})

if (postgresMissing === undefined) test.run()
else {
  const without = suite('nodes, without a server')
  without('are not tested', () => console.log(postgresMissing))
  without.run()
}
