import { cpSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { openApi } from '../../contract/open-api.ts'
import { everyOperation } from '../../src/api/operations.ts'
import { pathOf, paths } from '../../src/api/wire.ts'
import { withLedger as fromCommand } from '../../src/cli/context.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { socketOf } from '../../src/disk/service-socket.ts'
import { LockstepError } from '../../src/errors.ts'
import { openLedger } from '../../src/open.ts'
import { serve } from '../../src/service/serve.ts'
import { endsWithVerify, temporaryRoot, testActor, testClock } from '../support/ledger.ts'
import { ask, post, posted, until, withService } from '../support/service.ts'

const operating = suite('operating the service')

operating('shows readiness with its figures, and metrics without ids in labels', async () => {
  await withService(async ({ address }) => {
    equal(JSON.parse((await ask(address, paths.live)).text), { live: true })
    await posted(address, '/v1/locks/acquire', { holder: 'h', name: 'reports' })
    await post(address, '/v1/locks/acquire', { holder: 'h', name: 'reports' })
    const { status, text } = await ask(address, paths.ready)
    is(status, 200)
    const { head_size, is_draining, ready, requests_in_flight } = JSON.parse(text)
    equal([ready, is_draining, head_size, requests_in_flight], [true, false, 2, 1])
    const metrics = (await ask(address, paths.metrics)).text
    match(metrics, /^lockstep_entries_total 1$/m)
    match(metrics, /^lockstep_head_size 2$/m)
    match(metrics, /^lockstep_requests_total\{operation="locks.acquire",status="200"\} 1$/m)
    match(metrics, /^lockstep_requests_total\{operation="locks.acquire",status="409"\} 1$/m)
    const labels = [...metrics.matchAll(/^lockstep_\w+\{([^}]*)\}/gm)].map(([, label = '']) => label)
    for (const label of labels) {
      match(label, /^(?:operation="[\w./-]+",status="\d{3}"|(?:code|reason|result|state)="\w+"|le="[\d.+Inf]+")$/)
    }
    ok(!metrics.includes('reports'))
  })
})

operating('describes every route, and nothing else, in OpenAPI', async () => {
  await withService(async ({ address }) => {
    const document = JSON.parse((await ask(address, paths.openApi)).text)
    equal(document, JSON.parse(JSON.stringify(openApi())))
    const routes = everyOperation().map(({ noun, verb }) => pathOf(noun, verb))
    equal(Object.keys(document.paths).sort(), [...routes, ...Object.values(paths)].sort())
    const known = Object.keys(document.components.schemas)
    for (const [, name = ''] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]*)"/g))
      ok(known.includes(name), name)
    ok(!JSON.stringify(document).includes('#/$defs/'))
  })
})

operating('recovers locks whose lease has expired', async () => {
  const clock = testClock()
  await withService(
    async ({ address }, ledger) => {
      await posted(address, '/v1/locks/acquire', { holder: 'h', name: 'short', lease_duration_s: 5 })
      await posted(address, '/v1/locks/acquire', { holder: 'h', name: 'long', lease_duration_s: 500 })
      clock.advance(10_000)
      await until('the lease is swept', async () => (await ledger.locks.status({ name: 'short' })).state === 'free')
      is((await ledger.locks.status({ name: 'long' })).state, 'held')
      const entry = await ledger.log.entry({ seq: 3 })
      equal([entry.type, entry.data.recovery_reason], ['lock.recovered', 'lease_expired'])
    },
    { ledger: { now: clock.now }, sweep_s: 0.02 },
  )
})

/** Opens a new ledger below a folder, for the time of the work. */
async function withLedgerIn(dir: string, work: (ledger: Awaited<ReturnType<typeof openLedger>>) => Promise<void>) {
  const ledger = await openLedger({ actor: testActor, create: true, dir, policy: false })
  try {
    await work(ledger)
  } finally {
    await ledger.close()
  }
  await endsWithVerify(dir)
}

operating('listens at a socket for its owner alone, and removes it at the end', async () => {
  await withService(async (service, ledger) => {
    is(service.socket, socketOf(layoutOf(ledger.dir)))
    const stat = lstatSync(service.address)
    ok(stat.isSocket())
    is(stat.mode & 0o777, 0o600)
    await service.close()
    await service.close()
    ok(!existsSync(service.address))
  })
})

operating('replaces a stale socket, but neither a live one nor a file', async () => {
  await withLedgerIn(temporaryRoot(), async (ledger) => {
    const layout = layoutOf(ledger.dir)
    const first = await serve(ledger, { log: false })
    const path = first.address
    await refused(serve(ledger, { log: false }), 'LEDGER_SERVED')
    is((await ask(path, paths.live)).status, 200)
    await first.close()
    // A process that dies leaves its socket. Closing a server removes it, so here it is put back.
    writeFileSync(path, '')
    await refused(serve(ledger, { log: false }), 'FILE_FAILED')
    rmSync(path)
    await leaveStale(path)
    const next = await serve(ledger, { log: false })
    is((await ask(next.address, paths.live)).status, 200)
    await next.close()
    ok(path === layout.socket || existsSync(layout.socketName))
  })
})

/** Leaves a socket at which nobody listens, as a killed process does. */
async function leaveStale(path: string): Promise<void> {
  const { linkSync } = await import('node:fs')
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(path, resolve))
  linkSync(path, `${path}.kept`)
  await new Promise((resolve) => server.close(resolve))
  linkSync(`${path}.kept`, path)
  rmSync(`${path}.kept`)
}

operating('listens elsewhere when the path of the ledger is too long for a socket', async () => {
  const dir = join(temporaryRoot(), 'a folder with a long name'.repeat(3), 'another one'.repeat(4))
  mkdirSync(dir, { recursive: true })
  let folder = ''
  await withLedgerIn(dir, async (ledger) => {
    const layout = layoutOf(ledger.dir)
    const service = await serve(ledger, { log: false })
    folder = dirname(service.address)
    ok(Buffer.byteLength(service.address) <= 100, service.address)
    is(readFileSync(layout.socketName, 'utf8').split('\n')[0], service.address)
    is(socketOf(layout), service.address)
    is(lstatSync(folder).mode & 0o777, 0o700)
    is((await ask(service.address, paths.live)).status, 200)
    const copy = layoutOf(join(dir, 'a copy of the ledger'))
    cpSync(layout.home, copy.home, { recursive: true, filter: (path) => !path.endsWith('.sock') })
    is(socketOf(copy), undefined, 'a copy has no service yet')
    await service.close()
    const again = await serve(ledger, { log: false })
    is(again.address, service.address)
    await again.close()
  })
  rmSync(folder, { recursive: true })
})

operating('is waited for by a command while it starts', async () => {
  const dir = temporaryRoot()
  const ledger = await openLedger({ dir, create: true, is_service: true, actor: testActor })
  const givenUp = fromCommand({ dir, openWait: 0 }, 'lock acquire', (found) =>
    found.locks.acquire({ holder: 'h', name: 'x' }),
  )
  await refused(givenUp, 'LEDGER_SERVED')
  const asked = fromCommand({ dir }, 'lock acquire', (found) => found.locks.acquire({ holder: 'h', name: 'x' }))
  asked.catch(() => {})
  // Like the command, this finds the ledger open and no service that answers.
  await refused(openLedger({ dir, actor: testActor }), 'LEDGER_SERVED')
  const service = await serve(ledger, { log: false })
  is((await asked).current, true)
  await service.close()
  await ledger.close()
  await endsWithVerify(dir)
})

operating('refuses TCP on an address that others reach, unless that is wanted', async () => {
  await withLedgerIn(temporaryRoot(), async (ledger) => {
    await refused(serve(ledger, { listen: { host: '0.0.0.0', port: 0 }, log: false }), 'INVALID_INPUT')
    await refused(serve(ledger, { listen: { host: 'no.such.host.invalid', port: 0 }, log: false }), 'INVALID_INPUT')
    const tls = { cert: 'no certificate', key: 'no key' }
    await refused(serve(ledger, { listen: { host: '127.0.0.1', port: 0, tls }, log: false }), 'INVALID_INPUT')
    const service = await serve(ledger, { listen: { host: '0.0.0.0', insecure: true, port: 0 }, log: false })
    match(String(service.url), /^http:\/\/0\.0\.0\.0:\d+$/)
    const { port } = new URL(String(service.url))
    await refused(
      serve(ledger, { listen: { host: '0.0.0.0', insecure: true, port: Number(port) }, log: false }),
      'LEDGER_SERVED',
    )
    await service.close()
  })
})

async function refused(started: Promise<unknown>, code: string): Promise<void> {
  const error = await started.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  ok(error instanceof LockstepError, `${error}`)
  is((error as LockstepError).code, code, (error as LockstepError).message)
}

operating.run()
