import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import type { LocalLedger } from '../../src/ledger.ts'
import { openLedger } from '../../src/open.ts'
import { type Service, serve } from '../../src/service/serve.ts'
import { until } from '../ledger/stage.ts'
import { copyLedger, temporaryRoot, testActor, withLedger } from '../support/ledger.ts'
import { ask } from '../support/service.ts'
import { killWitnesses, startWitness } from '../support/witness-process.ts'
import { hostileWitness } from './hostile-witness.ts'

const test = suite('checkpoints outside of the ledger')
test.after(() => killWitnesses())

type Figures = Record<string, number | boolean | null>
const readiness = async ({ address }: Service) => JSON.parse((await ask(address, '/readyz')).text) as Figures
const acquire = (ledger: LocalLedger, name: string) => ledger.locks.acquire({ holder: 'h', name })

async function served(ledger: LocalLedger, work: (service: Service) => Promise<void>): Promise<void> {
  const service = await serve(ledger, { log: false })
  try {
    await work(service)
  } finally {
    await service.close()
  }
}

test('the service has its newest checkpoint cosigned, and tells how old the last quorum is', () =>
  withLedger(
    async (ledger, root) => {
      const witness = await startWitness({ logs: [(await ledger.head.signed()).vkey] })
      await served(ledger, async (service) => {
        // The policy does not exist yet, which is an alarm.
        await until('the round fails', async () => (await readiness(service)).witnesses_failing === 1)
        writeFileSync(join(root, 'witnesses.txt'), `${witness.policyLine}\nquorum witness.example/w1\n`)
        await acquire(ledger, 'a')
        const { size } = await ledger.head.get()
        await until('a quorum cosigns', async () => (await readiness(service)).witness_quorum_size === size)
        const { ready, witness_quorum_age_s, witnesses_failing } = await readiness(service)
        equal([ready, witnesses_failing], [true, 0])
        ok(Number(witness_quorum_age_s) >= 0 && Number(witness_quorum_age_s) < 60)
        match((await ask(service.address, '/metrics')).text, new RegExp(`^lockstep_witness_quorum_size ${size}$`, 'm'))
        is(readdirSync(join(root, '.lockstep/cosigned')).length, 1)
        await witness.kill('SIGKILL')
        await acquire(ledger, 'b')
        await until('the witness is missed', async () => (await readiness(service)).witnesses_failing === 1)
        const later = await readiness(service)
        equal([later.ready, later.witness_quorum_size], [true, size])
        await acquire(ledger, 'c')
      })
    },
    { config: { witness: { every_s: 1, policy: 'witnesses.txt' } } },
  ))

test('without witnesses, no figure claims a quorum', () =>
  withLedger((ledger) =>
    served(ledger, async (service) => {
      const { witness_quorum_age_s, witness_quorum_size } = await readiness(service)
      equal([witness_quorum_age_s, witness_quorum_size], [null, null])
      match((await ask(service.address, '/metrics')).text, /^lockstep_witness_quorum_age_s -1$/m)
    }),
  ))

test('the newest signed checkpoint is sent to a file and to a URL, and a failure is an alarm', async () => {
  let status = 204
  const put: string[] = []
  const server = await hostileWitness((body, { method }, outgoing) => {
    put.push(`${method} ${body}`)
    outgoing.writeHead(status).end()
  })
  const config = { anchor_every_s: 1, anchors: ['second/place/checkpoint.txt', `${server.url}/fleet`] }
  await withLedger(
    (ledger, root) =>
      served(ledger, async (service) => {
        await acquire(ledger, 'a')
        const { checkpoint } = await ledger.head.signed()
        const file = join(root, 'second/place/checkpoint.txt')
        await until(
          'both have it',
          () => existsSync(file) && readFileSync(file, 'utf8') === checkpoint && put.includes(`PUT ${checkpoint}`),
        )
        await until('nothing fails', async () => (await readiness(service)).anchors_failing === 0)
        status = 507
        await until('the URL fails', async () => (await readiness(service)).anchors_failing === 1)
        // A file that is not ours is left as it is.
        writeFileSync(file, 'notes of somebody\n')
        await acquire(ledger, 'b')
        await until('both fail', async () => (await readiness(service)).anchors_failing === 2)
        is(readFileSync(file, 'utf8'), 'notes of somebody\n')
        is((await readiness(service)).ready, true)
      }),
    { config },
  )
  await server.close()
})

test('a checkpoint in the second place that the ledger does not extend stops it', async () => {
  const [place, root, early] = [join(temporaryRoot(), 'kept.txt'), temporaryRoot(), temporaryRoot()]
  const config = { anchor_every_s: 1, anchors: [place] }
  const ledger = await openLedger({ actor: testActor, config, create: true, dir: root, policy: false })
  await acquire(ledger, 'a')
  await ledger.close()
  copyLedger(join(root, '.lockstep'), join(early, '.lockstep'))
  const later = await openLedger({ actor: testActor, dir: root })
  await acquire(later, 'b')
  const { checkpoint } = await later.head.signed()
  await served(later, () => until('it is kept', () => existsSync(place) && readFileSync(place, 'utf8') === checkpoint))
  await later.close()
  const setBack = await openLedger({ actor: testActor, dir: early })
  await served(setBack, async (service) => {
    await until('the ledger stops', async () => (await readiness(service)).is_forked === true)
    is((await readiness(service)).ready, false)
    is(readFileSync(place, 'utf8'), checkpoint)
    match(String(await acquire(setBack, 'c').catch((error: unknown) => error)), /two histories/)
  })
  await setBack.close()
})

test('the home folder is no second place', () =>
  withLedger(
    (ledger, root) =>
      served(ledger, async (service) => {
        await until('it fails', async () => (await readiness(service)).anchors_failing === 1)
        is(existsSync(join(root, '.lockstep/anchor')), false)
      }),
    { config: { anchor_every_s: 1, anchors: ['.lockstep/anchor'] } },
  ))

test.run()
