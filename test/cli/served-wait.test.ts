import { createServer } from 'node:http'
import { suite } from 'uvu'
import { equal, is } from 'uvu/assert'
import { serviceAt } from '../../src/cli/service.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { socketToListenAt } from '../../src/disk/service-socket.ts'
import { createLedger } from '../../src/nouns/create.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const test = suite('a command that waits over a service')

test('a repeated acquire asks only for the time that is left of its wait', async () => {
  const root = temporaryRoot()
  await createLedger({ dir: root, actor: testActor, policy: false })
  const waits: number[] = []
  const busy = JSON.stringify({ code: 'QUEUE_FULL', detail: 'made up', details: {} })
  const service = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk)
    waits.push(JSON.parse(String(Buffer.concat(chunks))).wait_s)
    if (waits.length > 1) outgoing.end('{}')
    // The wait is in whole seconds, so the first answer must take one.
    else setTimeout(() => outgoing.writeHead(503).end(busy), 1_050)
  })
  await new Promise<void>((resolve) => service.listen(socketToListenAt(layoutOf(root)), resolve))
  try {
    const ledger = await serviceAt(root, { actor: testActor, token: undefined })
    await ledger?.locks.acquire({ name: 'a', holder: 'h', wait_s: 1_000 })
  } finally {
    service.closeAllConnections()
    service.close()
  }
  const [first = 0, second = 0] = waits
  equal([waits.length, first], [2, 1_000])
  is(second < 1_000 && second > 900, true, `${second}`)
  await endsWithVerify(root)
})

test.run()
