import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok, throws } from 'uvu/assert'
import { LockstepError } from '../../src/errors.ts'
import { type LocalLedger, openLedger } from '../../src/index.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import type { Actor } from '../../src/kernel/ids.ts'
import { EntryVerification } from '../../src/verify/verify-entries.ts'
import { dictation } from '../core/run/world.ts'
import { openWithCaseWork } from '../support/case-work.ts'
import { lastOf, typesAppended } from '../support/entries.ts'
import { endsWithVerify, temporaryRoot, testActor } from '../support/ledger.ts'
import { asPlainError, editConfig } from '../support/scene.ts'

const configuration = suite('the configuration in force')
const becca: Actor = { actor_id: 'BECCA', actor_type: 'human' }
const agent: Actor = { actor_id: 'agent-9', actor_type: 'agent' }
const fileIn = (root: string) => join(root, '.lockstep/config.json')

interface Stage {
  ledger: LocalLedger
  root: string
  /** Closes the ledger and opens it again, as the next process does. */
  reopen: () => Promise<LocalLedger>
}

/** A new ledger, closed and verified at the end. */
function at(title: string, work: (stage: Stage) => Promise<void>, config: Record<string, unknown> = {}): void {
  configuration(title, async () => {
    const root = temporaryRoot()
    const options = { actor: testActor, config, dir: root, self_check: true }
    const open = (create: boolean) => (create ? openWithCaseWork(options) : openLedger(options))
    const stage: Stage = {
      ledger: await open(true),
      root,
      reopen: async () => {
        await stage.ledger.close()
        stage.ledger = await open(false)
        return stage.ledger
      },
    }
    try {
      await work(stage).catch(asPlainError)
    } finally {
      await stage.ledger.close()
      await endsWithVerify(root).catch(asPlainError)
    }
  })
}

async function codeOf(call: Promise<unknown>): Promise<string> {
  const error = await call.then(
    () => 'none',
    (thrown: unknown) => thrown,
  )
  return error instanceof LockstepError ? error.code : String(error)
}

/** What only an operator may do, and a release authority. */
const privileges = (ledger: LocalLedger): Promise<string>[] => [
  codeOf(ledger.config.reload({ actor: agent })),
  codeOf(ledger.tokens.create({ actor: agent, grants: ['operator'], token_actor: agent })),
  codeOf(ledger.clock.reset({ actor: agent, reason: 'test' })),
  codeOf(ledger.locks.break({ actor: agent, name: 'work', reason: 'test' })),
]
const denied = ['CONFIG_DENIED', 'TOKEN_DENIED', 'CLOCK_RESET_DENIED', 'RELEASE_DENIED']

at('a file that an agent edited to become an operator does not help it, in any process', async (stage) => {
  const { root } = stage
  await stage.ledger.locks.acquire({ holder: 'agent-1', lock_id: 'lck_abcdefghijklmnop', name: 'work' })
  for (const members of [{ operators: [agent.actor_id] }, { release_authority: agent.actor_id }]) {
    editConfig(root, members)
    equal(await Promise.all(privileges(stage.ledger)), denied)
    await stage.reopen()
    equal(await Promise.all(privileges(stage.ledger)), denied)
  }
  is((await stage.ledger.config.show()).on_disk, 'changed')
  const refused = await lastOf(stage.ledger, 'config.refused')
  equal([refused.actor.actor_id, refused.data.code], ['agent-9', 'CONFIG_DENIED'])
  await stage.ledger.config.reload({ actor: becca })
  is(await codeOf(stage.ledger.config.reload({ actor: becca })), 'none', 'the same file is in force already')
  editConfig(root, { operators: [] })
  is(await codeOf(stage.ledger.config.reload({ actor: becca })), 'CONFIG_DENIED', 'BECCA made agent-9 the authority')
})

/** What can befall the file, and what a reload says. */
const losses: [title: string, lose: (file: string) => void, says: RegExp][] = [
  ['is missing', (file) => rmSync(file), /config\.json:1: the file is missing/],
  ['is empty', (file) => writeFileSync(file, ''), /:1: the file is empty/],
  ['has a typo', (file) => writeFileSync(file, '{\n  "operators": ["ann",],\n}'), /:2: .* it is not JSON/],
  ['is cut short', (file) => writeFileSync(file, '{\n  "operators": ["an'), /:2: .* it is not JSON/],
  ['is not an object', (file) => writeFileSync(file, '[]'), /:1: the file: /],
  [
    'has an unknown setting',
    (file) => writeFileSync(file, '{\n\n"operator": []}'),
    /:3: operator: is not a known setting/,
  ],
  [
    'has an unknown member in a setting',
    (file) => writeFileSync(file, '{\n"exports":\n{"approvals": []}}'),
    /:3: exports\.approvals: is not a known setting/,
  ],
  ['has a wrong value', (file) => writeFileSync(file, '{\n"operators": [\n"ann",\n7]}'), /:4: operators\.1: /],
  [
    'has a member twice',
    (file) => writeFileSync(file, '{\n"operators": [],\n"operators": ["agent-9"]}'),
    /:3: operators: a member occurs twice/,
  ],
  [
    'has a conflict of Git',
    (file) => writeFileSync(file, '{\n<<<<<<< HEAD\n"pins": "any"\n=======\n"pins": "commit"\n>>>>>>> other\n}'),
    /:2: .*conflict marker of Git/,
  ],
  ['is not UTF-8', (file) => writeFileSync(file, Buffer.from('{"operators": ["\xe9"]}', 'latin1')), /is not UTF-8/],
  [
    'is a folder',
    (file) => {
      rmSync(file)
      mkdirSync(file)
    },
    /the file is a folder/,
  ],
  [
    'is a link',
    (file) => {
      renameSync(file, `${file}.old`)
      symlinkSync('config.json.old', file)
    },
    /the file is a symbolic link/,
  ],
  ['is too large', (file) => writeFileSync(file, `{}${' '.repeat(1024 * 1024)}`), /at most 1048576 are allowed/],
]

for (const [title, lose, says] of losses) {
  at(
    `while the file ${title}, the last good one stays in force, and work goes on`,
    async (stage) => {
      const { root } = stage
      const before = await stage.ledger.config.show()
      await stage.ledger.runs.create({ run_id: 'run_going_on', run_kind: 'orchestrator' })
      await stage.ledger.runs.start({ lease_duration_s: 600, run_id: 'run_going_on' })
      lose(fileIn(root))
      for (const process of ['this', 'next']) {
        const ledger = process === 'this' ? stage.ledger : await stage.reopen()
        await ledger.runs.heartbeat({ run_id: 'run_going_on' }).catch(asPlainError)
        const types = await typesAppended(ledger, async () => {
          const refused = await ledger.config.reload({ actor: becca }).catch((error: unknown) => error)
          ok(refused instanceof LockstepError)
          is(refused.code, 'CONFIG_INVALID')
          match(refused.message, says)
        })
        equal(types, [])
        const { loadable, problems } = await ledger.config.check()
        ok(!loadable && problems.length > 0)
        const { on_disk, ...shown } = await ledger.config.show()
        equal({ ...shown, on_disk: 'same' }, before)
        ok(['invalid', 'missing'].includes(on_disk))
      }
      rmSync(fileIn(root), { force: true, recursive: true })
    },
    { operators: ['ann'] },
  )
}

at('a change is an entry with the old and the new hash, and its text stays in the ledger', async (stage) => {
  const { ledger, root } = stage
  const created = await ledger.log.entry({ seq: 0 })
  const before = await ledger.config.show()
  equal([before.seq, before.sha256], [0, created.data.config_sha256])
  editConfig(root, { actors: { ann: ['INTAKE_AGENT'] }, record_contention: true })
  const text = readFileSync(fileIn(root), 'utf8')
  const { sha256 } = await ledger.config.reload({ actor: becca })
  const loaded = await lastOf(ledger, 'config.loaded')
  equal(loaded.data, { changed: ['actors', 'record_contention'], previous: before.sha256, sha256 })
  is(loaded.actor.actor_id, 'BECCA')
  const { events } = await ledger.audit.list({ type: 'config.loaded' })
  equal(
    events.map(({ action_type, target }) => [action_type, target?.name]),
    [['policy_change', 'configuration']],
  )
  writeFileSync(fileIn(root), '')
  equal((await (await stage.reopen()).config.show()).settings.actors, { ann: ['INTAKE_AGENT'] })
  writeFileSync(fileIn(root), text)
  is((await stage.ledger.config.show()).on_disk, 'same')
})

at('a decision names the configuration that it was made under', async ({ ledger, root }) => {
  const first = (await ledger.config.show()).sha256
  const run = {
    case_id: 'CASE-17',
    lane_id: dictation.lane_id,
    role_id: 'INTERVIEW_AGENT',
    run_kind: 'tool_gateway',
  } as const
  await ledger.runs.create({ ...run, run_id: 'run_tool1' })
  await ledger.runs.start({ run_id: 'run_tool1' })
  is((await lastOf(ledger, 'run.decided')).data.config_sha256, first)
  editConfig(root, { actors: {} })
  is((await ledger.runs.authorize({ action: dictation, run_id: 'run_tool1' })).decision, 'allow', 'an edit alone')
  is((await lastOf(ledger, 'run.decided')).data.config_sha256, first)
  const { sha256 } = await ledger.config.reload({ actor: becca })
  ok(sha256 !== first)
  is((await ledger.runs.authorize({ action: dictation, run_id: 'run_tool1' })).decision, 'deny', 'no actor has a role')
  const { data } = await lastOf(ledger, 'run.decided')
  equal([data.config_sha256, data.rule_ids], [sha256, ['role:INTERVIEW_AGENT/actors']])
})

at('verify finds an entry that names a configuration that was not in force', async ({ ledger, root }) => {
  await ledger.runs.create({ run_id: 'run_main_1', run_kind: 'orchestrator' })
  await ledger.runs.start({ run_id: 'run_main_1' })
  editConfig(root, { record_contention: true })
  await ledger.config.reload({ actor: becca })
  const entries: Entry[] = []
  for await (const entry of ledger.log.read({ from: 0 })) entries.push(entry)
  const { data } = await ledger.log.entry({ seq: 0 })
  const { ledger_id, origin } = data as { ledger_id: string; origin: string }
  for (const [type, member] of [
    ['run.decided', 'config_sha256'],
    ['config.loaded', 'previous'],
  ] as const) {
    const check = new EntryVerification({ format: 1, ledger_id, origin })
    const verify = (to: string) => {
      for (const entry of entries) {
        check.entry(entry.type === type ? { ...entry, data: { ...entry.data, [member]: to } } : entry)
      }
    }
    throws(() => verify('ab'.repeat(32)), /names the configuration abab/)
  }
  const whole = new EntryVerification({ format: 1, ledger_id, origin })
  for (const entry of entries) whole.entry(entry)
})

at('a reload and the commands after it in one batch are decided in their order', async ({ ledger, root }) => {
  editConfig(root, { operators: ['agent-9'] })
  const outcomes = await Promise.all([
    codeOf(ledger.tokens.create({ actor: agent, grants: ['agent'], token_actor: agent })),
    ledger.config.reload({ actor: becca }).then(() => 'none'),
    new Promise(setImmediate).then(() =>
      codeOf(ledger.tokens.create({ actor: agent, grants: ['agent'], token_actor: agent })),
    ),
  ])
  equal(outcomes.slice(0, 2), ['TOKEN_DENIED', 'none'])
  let isOperator = false
  for await (const { actor, type } of ledger.log.read({ from: 0 })) {
    if (type === 'config.loaded') isOperator = true
    if (actor.actor_id === 'agent-9') is(type, isOperator ? 'token.created' : 'token.refused')
  }
})

at('who may not change it is denied, on record, whatever is wrong with the file', async ({ ledger, root }) => {
  const file = join(root, '.lockstep/config.json')
  const faults = { broken: () => writeFileSync(file, '{'), missing: () => rmSync(file) }
  for (const [actor_id, spoil] of Object.entries(faults)) {
    spoil()
    is(await codeOf(ledger.config.reload({ actor: { actor_id, actor_type: 'agent' } })), 'CONFIG_DENIED')
    is((await lastOf(ledger, 'config.refused')).actor.actor_id, actor_id)
    is(await codeOf(ledger.config.reload({ actor: becca })), 'CONFIG_INVALID')
  }
  const sha256 = '0'.repeat(64)
  is(await codeOf(ledger.config.reload({ actor: agent, sha256 })), 'CONFIG_DENIED', 'another file than it states')
})

at('a reload of only the file that was checked: an edit in between is refused', async ({ ledger, root }) => {
  editConfig(root, { record_contention: true })
  const { changes, sha256 } = await ledger.config.check()
  equal(changes, [{ after: true, before: false, setting: 'record_contention' }])
  editConfig(root, { operators: ['agent-9'] })
  is(await codeOf(ledger.config.reload({ actor: becca, sha256: String(sha256) })), 'CONFIG_INVALID')
  equal((await ledger.config.show()).settings.record_contention, false)
})

at('promotion_roles that the policy in force does not keep to are refused', async ({ ledger, root }) => {
  editConfig(root, { promotion_roles: ['GOVERNANCE_AGENT'] })
  const refused = await ledger.config.reload({ actor: becca }).catch((error: LockstepError) => error)
  ok(refused instanceof LockstepError)
  match(refused.message, /lanes\.yaml:\d+: .*ATTORNEY_ADMIN may not promote/)
  is((await ledger.config.check()).loadable, false)
})

at('a caller that waits for a lock is judged by the configuration in force when its turn comes', async (stage) => {
  const { ledger, root } = stage
  const folder = join(root, 'DEL-08-05_Lock')
  mkdirSync(folder)
  const first = await ledger.locks.acquire({ folder, holder: 'agent-1', pids: [process.pid] })
  const waiting = codeOf(
    ledger.locks.acquire({ actor: agent, folder, holder: 'agent-9', pids: [process.pid], wait_s: 60 }),
  )
  while ((await ledger.figures()).waiting === 0) await new Promise(setImmediate)
  editConfig(root, { write_scopes: { 'agent-9': 'tool-root-only' } })
  await ledger.config.reload({ actor: becca })
  await ledger.locks.release({ lock_id: first.lock_id })
  is(await waiting, 'WRITE_SCOPE_DENIED')
  is((await ledger.locks.status({ name: first.name })).state, 'free')
})

at('settings that locate files follow a reload, in the process that is open', async ({ ledger, root }) => {
  editConfig(root, { deliverable_lease_s: { max: 120, min: 1 }, runs_dir: 'work/runs', target_prefix: 'FLEET' })
  await ledger.config.reload({ actor: becca })
  const run_id = 'run_ACME_shop_2026-02-02_001'
  await ledger.locks.acquire({ run_id, target_name: 'FLEET | ACME | SITE | shop | NEO' })
  ok(readFileSync(join(root, 'work/runs', run_id, 'RUN_LOCK.json'), 'utf8').includes(run_id))
})

configuration.run()
