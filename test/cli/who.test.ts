import { userInfo } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { openLedger } from '../../src/open.ts'
import { serve } from '../../src/service/serve.ts'
import { root as project } from '../runner.ts'
import { caseWork } from '../support/case-work.ts'
import { type CommandOptions, type Ended, lockstep } from '../support/command.ts'
import { endsWithVerify, temporaryRoot } from '../support/ledger.ts'

const who = suite('who did it')

const main = join(process.env.LOCKSTEP_TEST_DIST ?? join(project, 'dist'), 'cli/main.js')
const user = userInfo().username
const known = `os:${user}`
type Actor = { actor_id: string; actor_type: string; authn?: string; on_behalf_of?: string }
type Listed = { actor: Actor; data: Record<string, unknown>; run_id?: string; type: string }

interface Stage {
  dir: string
  /** Runs a command in the root and expects it to end with 0. */
  run: (words: readonly string[], options?: CommandOptions) => Promise<Ended>
  entries: () => Promise<Listed[]>
}

async function inLedger(work: (stage: Stage) => Promise<void>): Promise<void> {
  const dir = caseWork(temporaryRoot())
  const run: Stage['run'] = async (words, options) => {
    const ended = await lockstep(words, { cwd: dir, ...options })
    is(ended.status, 0, `${words.join(' ')}: ${ended.stdout}${ended.stderr}`)
    return ended
  }
  const entries = async () => (await run(['audit', 'list', '--entries', '--limit', '500'])).json.entries as Listed[]
  await run(['init'])
  await work({ dir, run, entries })
  await endsWithVerify(dir)
}

/** Serves the ledger from this process for the time of the work. */
async function whileServed(dir: string, work: () => Promise<void>): Promise<void> {
  const ledger = await openLedger({ authn: 'os', dir, is_service: true })
  const service = await serve(ledger, { log: false })
  await work().finally(async () => {
    await service.close()
    await ledger.close()
  })
}

/** The words that run `lockstep` with node, without asking PATH. */
const own = [process.execPath, main]

who('is on every entry of a command: the claimed actor, and the user of the system', () =>
  inLedger(async ({ dir, run, entries }) => {
    await run(['--actor', 'agent-7', 'lock', 'acquire', 'reports'])
    const before = await entries()
    for (const { actor, type } of before) is(actor.authn, known, type)
    equal(before.at(-1)?.actor, { actor_id: 'agent-7', actor_type: 'agent', authn: known })
    await whileServed(dir, async () => {
      await run(['--actor', 'agent-8', 'lock', 'acquire', 'others'])
      equal((await entries()).at(-1)?.actor, { actor_id: 'agent-8', actor_type: 'agent', authn: known })
    })
  }),
)

who('is the same for a command under "lock run": its child acts as the actor, and its own renew and release work', () =>
  inLedger(async ({ run, entries }) => {
    const script = `"$0" "$1" lock renew "$LOCKSTEP_LOCK_NAME" && "$0" "$1" audit append --outcome success && printf %s "$LOCKSTEP_ACTOR"`
    const { stdout } = await run(['--actor', 'agent-7', 'lock', 'run', 'reports', '--', 'sh', '-c', script, ...own], {
      isForPeople: true,
    })
    match(stdout, /agent:agent-7$/)
    const found = await entries()
    const types = ['lock.acquired', 'lock.renewed', 'audit.recorded', 'lock.released']
    equal(
      found.slice(-4).map(({ actor, type }) => [type, actor.actor_id, actor.authn]),
      types.map((type) => [type, 'agent-7', known]),
    )
  }),
)

who('is asked once: --holder and --actor default to each other', () =>
  inLedger(async ({ run, entries }) => {
    const printActor = ['--', 'sh', '-c', 'printf %s "$LOCKSTEP_ACTOR"']
    const held = await run(['lock', 'run', 'a', '--holder', 'agent-7', ...printActor], { isForPeople: true })
    is(held.stdout, 'agent:agent-7')
    const acted = await run(['--actor', 'human:ana', 'lock', 'run', 'b', ...printActor], { isForPeople: true })
    is(acted.stdout, 'human:ana')
    const { json } = await run(['--actor', 'agent-9', 'lock', 'acquire', 'c'])
    is(json.holder, 'agent-9')
    const grants = (await entries()).filter(({ type }) => type === 'lock.acquired')
    equal(
      grants.map(({ actor, data }) => [actor.actor_id, data.holder]),
      [
        ['agent-7', 'agent-7'],
        ['ana', 'ana'],
        ['agent-9', 'agent-9'],
      ],
    )
  }),
)

who('is the actor of a run for the command under "run exec", with the id of the run', () =>
  inLedger(async ({ run, entries }) => {
    const of = ['--lane', 'TOOL_INTERVIEW_CAPTURE', '--tool', 'transcription.run', '--role', 'INTERVIEW_AGENT']
    const scope = ['--case', 'CASE-17', '--scope', 'client_session_id=s-1']
    const script = 'printf "%s %s" "$LOCKSTEP_ACTOR" "$LOCKSTEP_RUN_ID"'
    const words = ['--actor', 'agent-7', 'run', 'exec', ...of, ...scope, '--', 'sh', '-c', script]
    const { stdout } = await run(words, { isForPeople: true })
    const run_id = (await entries()).find(({ type }) => type === 'run.started')?.run_id
    is(stdout, `agent:agent-7 ${run_id}`)
  }),
)

who('stands beside how it is known in every listing', () =>
  inLedger(async ({ run }) => {
    await run(['--actor', 'agent-7', 'lock', 'acquire', 'reports'])
    await run(['--actor', 'agent-7', 'run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top1'])
    await run(['run', 'create', '--kind', 'orchestrator', '--run-id', 'run_top2', '--for', 'agent-7'])
    for (const words of [
      ['audit', 'list'],
      ['audit', 'list', '--entries'],
      ['lock', 'history', 'reports'],
      ['lock', 'status', 'reports'],
      ['run', 'list'],
      ['run', 'show', 'run_top1'],
      ['run', 'tree', 'run_top1'],
    ]) {
      const { stdout } = await run(words, { isForPeople: true })
      ok(stdout.includes(`agent-7 [${known}]`), `${words.join(' ')}\n${stdout}`)
    }
    const { stdout } = await run(['run', 'show', 'run_top2'], { isForPeople: true })
    match(stdout, 'agent-7 [-]', 'another actor named the actor of this run')
  }),
)

who('says for whom: --on-behalf-of reaches the entries, the commands below, and the actor of a token', () =>
  inLedger(async ({ dir, run, entries }) => {
    const party = ['--on-behalf-of', 'ACME']
    const script = `"$0" "$1" audit append --outcome success`
    await run([...party, '--actor', 'agent-7', 'lock', 'run', 'a', '--', 'sh', '-c', script, ...own], {
      isForPeople: true,
    })
    const forAcme = (await entries()).filter(({ actor }) => actor.on_behalf_of === 'ACME')
    equal(
      forAcme.map(({ type }) => type),
      ['lock.acquired', 'audit.recorded', 'lock.released'],
    )
    const made = await run(['token', 'create', '--actor', 'agent-9', '--type', 'agent', '--grant', 'agent'])
    const { secret, token_id } = made.json as { secret: string; token_id: string }
    await whileServed(dir, async () => {
      const env = { LOCKSTEP_BEARER_TOKEN: secret, LOCKSTEP_ON_BEHALF_OF: 'ACME' }
      await run(['audit', 'append', '--outcome', 'success'], { env })
    })
    const { actor } = (await entries()).at(-1) as Listed
    equal(actor, { actor_id: 'agent-9', actor_type: 'agent', authn: `token:${token_id}`, on_behalf_of: 'ACME' })
  }),
)

who('cannot be forged by a name or a scope that looks like a listing', () =>
  inLedger(async ({ run }) => {
    await run(['--actor', `agent:ana [os:ana] for ACME`, 'audit', 'append', '--outcome', 'success'])
    const { stdout } = await run(['audit', 'list', '--limit', '500'], { isForPeople: true })
    match(stdout, `"ana [os:ana] for ACME" [${known}]`)
    not.match(stdout, / {2}ana \[os:ana\]/)
  }),
)

who.run()
