import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { serviceAt } from '../../src/cli/service.ts'
import { layoutOf } from '../../src/disk/layout.ts'
import { socketOf, socketToListenAt } from '../../src/disk/service-socket.ts'
import { LockstepError } from '../../src/errors.ts'
import { limits } from '../../src/kernel/limits.ts'
import { createLedger } from '../../src/nouns/create.ts'
import { withServiceProcess } from '../client/service-process.ts'
import { until } from '../ledger/stage.ts'
import { root as project } from '../runner.ts'
import { type Ended, lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'

const served = suite('a command over a service')

const lockId = 'lck_V1StGXR8_Z5jdHi6B-myT'
const run = ['--case', 'CASE-17', '--lane', 'TOOL_INTERVIEW_CAPTURE', '--role', 'INTERVIEW_AGENT']

/** Commands in an order in which each does something; `EVENT` stands for a file with an audit event. */
const script: (readonly string[])[] = [
  ['lock', 'acquire', 'a', '--holder', 'h', '--lock-id', lockId],
  ['lock', 'acquire', 'a', '--holder', 'h', '--lock-id', lockId],
  ['lock', 'acquire', 'a', '--holder', 'other', '--lock-id', 'lck_other_other_other_1'],
  ['lock', 'acquire', 'a', '--holder', 'h', '--lease', '48h'],
  ['lock', 'acquire', 'a'],
  ['lock', 'renew', lockId],
  ['lock', 'status', 'a'],
  ['lock', 'status', 'nobody'],
  ['lock', 'list'],
  ['lock', 'history', 'a', '--limit', '2'],
  ['lock', 'release', lockId, '--outcome', 'failure'],
  ['lock', 'release', lockId],
  ['audit', 'append', 'EVENT'],
  ['audit', 'list', '--limit', '3'],
  ['run', 'create', '--run-id', 'run_draft1', '--kind', 'orchestrator'],
  ['run', 'start', 'run_draft1'],
  ['run', 'create', '--run-id', 'run_tool1', '--kind', 'tool_gateway', '--parent', 'run_draft1', ...run],
  ['run', 'list', '--status', 'running'],
  ['run', 'tree', 'run_draft1'],
  ['run', 'why', 'run_tool1'],
  ['turn', 'list', 'run_draft1'],
  ['run', 'complete', 'run_draft1', '--reason', 'done'],
  ['policy', 'show'],
  ['head'],
  ['prove', '1'],
  ['consistency', '1'],
  ['stem', 'list', '--run', 'run_draft1'],
  ['export', 'show', 'run_draft1'],
  ['verify'],
]

/** What an answer says, without what differs between two ledgers: times, keys and hashes. */
function told({ json, status }: Ended): unknown {
  const plain = JSON.stringify(json, (member, value: unknown) => {
    if (typeof value === 'number') return /_ms$|_s$|^time/.test(member) || value > 1_000 ? 'number' : value
    if (typeof value !== 'string') return value
    return value
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'time')
      .replace(/lockstep\.local\/\w+/g, 'origin')
      .replace(/[0-9a-f]{16,}|lck_[\w-]{20,}|evt_\w+|\+[0-9a-f]{8}\+[\w+/=]+/g, 'id')
      .replace(/— \S+ \S+/g, 'signature')
      .replace(/\n[\w+/=]{43,}\n/g, '\nroot\n')
      .replace(/\/\S*\.lockstep/g, 'home')
      .replace(/with \d+ s left/g, 'with time left')
  })
  return { status, json: JSON.parse(plain) }
}

async function playedIn(dir: string): Promise<unknown[]> {
  const event = join(dir, 'event.json')
  writeFileSync(event, '{"action_type":"system","outcome":"success"}')
  const answers: unknown[] = []
  for (const words of script) {
    const argv = words.map((word) => (word === 'EVENT' ? event : word))
    const ended = await lockstep(['--dir', dir, '--actor', 'agent-7', ...argv])
    answers.push([words.join(' '), told(ended)])
  }
  return answers
}

served(
  'answers as a command that opens the ledger itself',
  withServiceProcess(async ({ root, start }) => {
    const other = temporaryRoot()
    await createLedger({ actor: testActor, dir: other, policy: false })
    await start()
    const [over, alone] = [await playedIn(root), await playedIn(other)]
    for (const [at, answer] of over.entries()) equal(answer, alone[at])
    await endsWithVerify(other)
  }),
)

served(
  'succeeds for each of many processes at once',
  withServiceProcess(async ({ root, start }) => {
    await start()
    const names = Array.from({ length: 16 }, (_, index) => `name-${index}`)
    const ends = await Promise.all(
      names.map((name) => lockstep(['--dir', root, 'lock', 'acquire', name, '--holder', 'h'])),
    )
    equal(
      ends.map(({ status }) => status),
      names.map(() => 0),
    )
    is(new Set(ends.map(({ json }) => json.token)).size, names.length)
  }),
)

served(
  'waits in the queue of the service, in the order of arrival, and leaves it when it is ended',
  withServiceProcess(async ({ root, start }) => {
    await start()
    const acquire = (holder: string, ...more: string[]) =>
      lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', holder, ...more])
    const first = await acquire('first')
    const waiting = async () => Number((await lockstep(['--dir', root, 'lock', 'status', 'a'])).json.waiting)
    const ends: Promise<Ended>[] = []
    for (const holder of ['second', 'third']) {
      ends.push(acquire(holder, '--wait', '60', '--lock-id', `lck_${holder}_${holder}_${holder}`))
      await until(`${holder} waits`, async () => (await waiting()) === ends.length)
    }
    const status = ['--dir', root, 'lock', 'status', 'a']
    is(Object((await lockstep(status)).json.first_waiting).holder, 'second')
    match((await lockstep(status, { isForPeople: true })).stdout, /^2 waiting; first is second \(\S+ \[\S+\]\)$/m)
    is((await lockstep(['--dir', root, 'lock', 'release', String(first.json.lock_id)])).status, 0)
    const second = await ends[0]
    equal([second?.status, second?.json.holder], [0, 'second'])
    is((await lockstep(['--dir', root, 'lock', 'release', String(second?.json.lock_id)])).status, 0)
    const third = await ends[1]
    ok(Number(third?.json.token) > Number(second?.json.token))
  }),
)

served(
  'runs under a lock that the service keeps',
  withServiceProcess(async ({ root, start }) => {
    await start()
    const main = join(project, 'dist/cli/main.js')
    const inside = `"${process.execPath}" "${main}" --dir "$LOCKSTEP_LOCK_DIR" lock status reports --json`
    const ran = await lockstep(['--dir', root, 'lock', 'run', 'reports', '--lease', '10s', '--', 'sh', '-c', inside])
    is(ran.status, 0, ran.stderr)
    match(ran.stdout, /"state":"held"/)
    is((await lockstep(['--dir', root, 'lock', 'status', 'reports'])).json.state, 'free')
  }),
)

served(
  'opens the ledger itself where a killed service left its socket',
  withServiceProcess(async ({ kill, root, start }) => {
    await start()
    await kill('SIGKILL')
    ok(socketOf(layoutOf(root)))
    const { json, status } = await lockstep(['--dir', root, 'lock', 'acquire', 'a', '--holder', 'h'])
    equal([status, json.name], [0, 'resource:a'], JSON.stringify(json))
  }),
)

served('gives up a call that a stopped service does not answer', async () => {
  const root = temporaryRoot()
  await createLedger({ dir: root, actor: testActor, policy: false })
  const connections = new Set<Socket>()
  const silent = createServer((connection) => connections.add(connection))
  await new Promise<void>((resolve) => silent.listen(socketToListenAt(layoutOf(root)), resolve))
  const { answerMillisMax } = limits
  Object.assign(limits, { answerMillisMax: 50 })
  try {
    const ledger = await serviceAt(root, { actor: testActor, token: undefined })
    const error = await ledger?.locks
      .break({ name: 'a', reason: 'its holder hangs' })
      .catch((thrown: unknown) => thrown)
    ok(error instanceof LockstepError)
    equal([error.code, error.details.outcome], ['LEDGER_UNAVAILABLE', 'unknown'])
    match(error.message, /no answer within 0.05 s/)
  } finally {
    Object.assign(limits, { answerMillisMax })
    for (const connection of connections) connection.destroy()
    silent.close()
  }
  await endsWithVerify(root)
})

served('starts without the schemas, the store and the client of programs', () => {
  const bundle = readFileSync(join(project, 'dist/cli/served.cjs'), 'utf8')
  for (const name of ['zod', 'level', 'msgpackr', 'undici', 'hono']) ok(!bundle.includes(`require("${name}`), name)
  ok(!bundle.includes('ZodType'))
})

served.run()
