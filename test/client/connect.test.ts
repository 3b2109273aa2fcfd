import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import { connect } from '../../src/client.ts'
import { createLedger } from '../../src/nouns/create.ts'
import { serve } from '../../src/service/serve.ts'
import { all, becca, refused } from '../api/stage.ts'
import { root } from '../runner.ts'
import { certificate } from '../support/certificate.ts'
import { temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { asPlainError } from '../support/scene.ts'
import { importsIn } from '../tidy.ts'
import { staged } from './go-between.ts'

const test = suite('connect()')
const event = { action_type: 'system', outcome: 'success' } as const

test('loads no package but undici: no schemas and no database', () => {
  const packages = new Set<string>()
  const done = new Set<string>()
  const visit = (path: string) => {
    if (done.has(path)) return
    done.add(path)
    for (const to of importsIn(readFileSync(path, 'utf8'))) {
      if (to.startsWith('.')) visit(join(dirname(path), to))
      else if (!to.startsWith('node:')) packages.add(to)
    }
  }
  visit(join(root, 'dist/client.js'))
  ok(done.size > 10)
  equal([...packages], ['undici'])
})

test('rejects unknown options, options that exclude each other, and a URL that is none', async () => {
  for (const options of [
    { dir: '.', socket: '/s' },
    { socket: '/s', url: 'http://localhost:1' },
    { url: 'ftp://localhost' },
    { url: 'localhost' },
    { dir: '.', tls: {} },
    { socket: '/s', start: true },
    { folder: '.' } as object,
  ]) {
    await refused(connect(options), 'INVALID_INPUT')
  }
})

test('says that no service answers, and how to start one', async () => {
  const dir = temporaryRoot()
  await refused(connect({ dir }), 'NO_LEDGER')
  await createLedger({ dir, actor: testActor })
  for (const options of [{ dir }, { socket: join(dir, 's') }, { url: 'http://127.0.0.1:1' }]) {
    const { details, hint } = await refused(connect(options), 'LEDGER_UNAVAILABLE')
    is(details.outcome, 'not_applied')
    ok(hint?.includes('lockstep serve'))
  }
})

test('finds the service of the innermost ledger, also below a long path', () =>
  withLedger(async (ledger, dir) => {
    const service = await serve(ledger, { log: false })
    const below = join(dir, 'x'.repeat(100), 'y y'.repeat(30))
    mkdirSync(below, { recursive: true })
    const client = await connect({ dir: below })
    is((await client.head.get()).origin, (await ledger.head.get()).origin)
    await client.close()
    await service.close()
  }).catch(asPlainError))

test(
  'gives every command the actor of the connection, unless the call names another',
  staged(async ({ connect: open, ledger }) => {
    const client = await open({ actor: becca })
    const { size } = await ledger.head.get()
    await client.audit.append({ events: [event] })
    await client.audit.append({ actor: testActor, events: [event] })
    await client.audit.append({ actor: undefined, events: [event] })
    equal(
      (await all(client.log.read({ from: size }))).map(({ actor }) => actor.actor_id),
      [becca.actor_id, testActor.actor_id, becca.actor_id],
    )
  }),
)

test('trusts only the authority that it is told, and tells a wrong token', () =>
  withLedger(async (ledger) => {
    const tls = certificate()
    const grants = new Set(['agent'] as const)
    const caller = { actor: testActor, grants, roles: new Set<string>(), token_id: 't' }
    const authenticate = async (token: string) => (token === 'right' ? caller : undefined)
    const service = await serve(ledger, { authenticate, listen: { host: '127.0.0.1', port: 0, tls }, log: false })
    const { url } = service
    const { message } = await refused(connect({ token: 'right', url }), 'LEDGER_UNAVAILABLE')
    ok(/certificate/i.test(message), message)
    const clients = await Promise.all(
      ['right', 'wrong', undefined].map((token) => connect({ tls: { ca: tls.cert }, token, url })),
    )
    const [right, wrong, without] = clients as [(typeof clients)[0], (typeof clients)[0], (typeof clients)[0]]
    await right.audit.append({ events: [event] })
    await refused(right.audit.append({ actor: becca, events: [event] }), 'FORBIDDEN')
    await refused(wrong.head.get(), 'UNAUTHENTICATED')
    await refused(without.log.verify(), 'UNAUTHENTICATED')
    for (const client of clients) await client.close()
    await service.close()
  }).catch(asPlainError))

test.run()
