import { hash } from 'node:crypto'
import { equal, is } from 'uvu/assert'
import type { Api } from '../../../src/api/api.ts'
import type { ErrorIssueCode } from '../../../src/domain/turn/issue.ts'
import type { Code } from '../../../src/errors.ts'
import { type Cases, newName, refused, type Stage, stranger } from '../stage.ts'

const other = 'ab'.repeat(32)
const stems = (...names: string[]) => names.map((stem) => ({ stem, body: { dto_type: 'note', id: stem } }))
const tombstoneOf = (stem: string, turn_id: string, more: object = {}) => {
  return { deleted_by_turn_id: turn_id, dto_type: 'note', id: stem, kind: 'tombstone', stem, ...more }
}

/** The digest of the body of `stems('one')`. */
const digestOfOne = hash('sha256', '{"dto_type":"note","id":"one"}', 'hex')

/** Three running runs that share a workspace. */
async function ofOneWorkflow(api: Api): Promise<[string, string, string]> {
  const workflow_id = newName('flow')
  const run_ids: [string, string, string] = [newName('run_a'), newName('run_b'), newName('run_c')]
  for (const run_id of run_ids) {
    await api.runs.create({ run_id, run_kind: 'orchestrator', workflow_id })
    await api.runs.start({ run_id })
  }
  return run_ids
}

/** A running run with turns of its own. */
async function running({ api }: Stage, more: object = {}): Promise<string> {
  const run_id = newName('run_turns')
  await api.runs.create({ run_id, run_kind: 'orchestrator' })
  await api.runs.start({ run_id, ...more })
  return run_id
}

interface OfTurn {
  actor?: typeof stranger
  guard?: { name: string; token: number }
  idempotency_key?: string
  run_id: string
  turn_id: string
}
type Call = (input: OfTurn) => Promise<unknown>
type Prepare = (of: { run_id: string; turn_id: string }) => Promise<unknown>

const first = 'turn-0001'

/** The refusals that every command on a turn has. */
async function onAnyTurn(stage: Stage, call: Call, addsWork = true): Promise<void> {
  const { api, clock } = stage
  const run_id = await running(stage, { lease_duration_s: 600 })
  const of = { run_id, turn_id: first }
  await refused(call({ ...of, run_id: 'run_nowhere' }), 'NOT_FOUND')
  await refused(call({ ...of, actor: stranger }), 'NOT_RUN_ACTOR')
  await refused(call({ ...of, turn_id: 'turn-1' }), 'E_PROMOTION_FAILED')
  await refused(call({ ...of, turn_id: 'turn-0003' }), 'E_PROMOTION_OUT_OF_ORDER')
  await api.turns.apply({ ...of, triplets: stems('one') })
  await refused(call(of), 'E_PROMOTION_ALREADY_APPLIED')
  const lock = newName('guard')
  const { lock_id, token } = await api.locks.acquire({ name: lock, holder: 'agent-1', lease_duration_s: 60 })
  const guarded = { run_id, turn_id: 'turn-0002', guard: { name: lock, token } }
  clock.advance(61_000)
  await refused(call(guarded), 'LEASE_EXPIRED')
  await api.locks.release({ lock_id })
  await refused(call(guarded), 'STALE_TOKEN')
  const below = newName('run_below')
  await api.runs.create({ parent_run_id: run_id, run_id: below, run_kind: 'orchestrator' })
  await api.runs.start({ run_id: below })
  clock.advance(600_000)
  await refused(call({ run_id, turn_id: 'turn-0002' }), 'RUN_LEASE_EXPIRED')
  if (addsWork) await refused(call({ run_id: below, turn_id: first }), 'RUN_ANCESTOR_ENDED')
  await refused(call({ run_id, turn_id: 'turn-0002' }), 'RUN_NOT_ACTIVE')
}

/** The same key and content is answered as before; for another run it is refused. */
async function asBefore(stage: Stage, call: Call, prepare: Prepare = async () => {}): Promise<void> {
  const one = { run_id: await running(stage), turn_id: first, idempotency_key: newName('key') }
  const two = { ...one, run_id: await running(stage) }
  for (const { run_id, turn_id } of [one, two]) await prepare({ run_id, turn_id })
  const answer = (await call(one)) as { event_id: string }
  equal(((await call(one)) as { event_id: string }).event_id, answer.event_id)
  await refused(call(two), 'IDEMPOTENCY_MISMATCH')
}

const stagedBy =
  ({ api }: Stage): Prepare =>
  (of) =>
    api.turns.stage({ ...of, triplets: stems('one') })

const validatedBy =
  (stage: Stage): Prepare =>
  async (of) => {
    await stagedBy(stage)(of)
    await stage.api.turns.validate(of)
  }

/** A verb that takes proposals refuses each that is wrong, with the code of its first issue. */
async function onProposals(stage: Stage, verb: 'apply' | 'stage'): Promise<void> {
  const of = { run_id: await running(stage), turn_id: first }
  const issue = (code: ErrorIssueCode) => {
    return { code, details: {}, level: 'error' as const, location: '', message: code, stage: 'stage' as const }
  }
  const proposals: [Code, object][] = [
    ['E_STEM_INVALID', { triplets: stems('../up') }],
    ['E_STEM_COLLISION', { triplets: stems('one', 'ONE') }],
    ['E_JSON_INVALID', { triplets: [{ stem: 'one', body: [] }] }],
    ['E_TRIPLET_INCOMPLETE', { triplets: [{ stem: 'one' }] }],
    ['E_DTO_LINKS_WRONG_CONTAINER_SHAPE', { triplets: [{ stem: 'one', body: {}, links: { to: 'two' } }] }],
    ['E_TOMBSTONE_INVALID', { tombstones: [{ stem: 'one' }] }],
    ['LIMIT_EXCEEDED', { triplets: [{ stem: 'one', body: { text: 'x'.repeat(1_100_000) } }] }],
  ]
  const brought: ErrorIssueCode[] = [
    'E_STAGING_FILE_INVALID',
    'E_TOMBSTONE_STEM_MISMATCH',
    'E_DELETE_MISSING_TOMBSTONE',
    'E_PROMOTION_CONFLICT',
    'E_LSI_DUPLICATE_IDENTITY',
    'E_LSI_ORPHAN_TARGET',
  ]
  for (const code of brought) proposals.push([code, { issues: [issue(code)] }])
  for (const [code, proposal] of proposals) {
    const { details } = await refused(stage.api.turns[verb]({ ...of, ...proposal }), code)
    is((details.issues as { code: string }[])[0]?.code, code)
  }
}

export const turns: Cases<'turns'> = {
  begin: async ({ api }) => {
    await api.policy.reload()
  },
  of: {
    stage: {
      'holds a proposal, and the next in its place': async (stage) => {
        const of = { run_id: await running(stage), turn_id: first }
        const { counts, manifest_digest } = await stage.api.turns.stage({ ...of, triplets: stems('one', 'two') })
        is(counts.triplets, 2)
        const again = await stage.api.turns.stage({ ...of, triplets: stems('one', 'two') })
        is(again.manifest_digest, manifest_digest)
      },
      'refuses each proposal that is wrong': (stage) => onProposals(stage, 'stage'),
      'has the refusals of every turn': async (stage) => {
        const call: Call = (of) => stage.api.turns.stage({ ...of, triplets: stems('one') })
        await onAnyTurn(stage, call)
        await asBefore(stage, call)
      },
    },
    validate: {
      'passes or fails what is staged': async (stage) => {
        const { stage: hold, validate } = stage.api.turns
        const of = { run_id: await running(stage), turn_id: first }
        await refused(validate(of), 'E_PROMOTION_STAGE_MISSING')
        await hold({ ...of, triplets: stems('one') })
        equal([(await validate(of)).outcome, (await validate(of)).outcome], ['PASS', 'PASS'])
        await refused(validate({ ...of, manifest_digest: other }), 'E_PROMOTION_NOT_VALIDATED')
        const links = { to: [{ type: 'note', id: 'nowhere', relationship: 'cites' }] }
        await hold({ ...of, triplets: [{ stem: 'one', body: { dto_type: 'note', id: 'one' }, links }] })
        const { issues, outcome } = await validate(of)
        equal([outcome, issues[0]?.code], ['FAIL', 'E_LSI_ORPHAN_TARGET'])
      },
      'has the refusals of every turn': async (stage) => {
        await onAnyTurn(stage, stage.api.turns.validate)
        await asBefore(stage, stage.api.turns.validate, stagedBy(stage))
      },
    },
    promote: {
      'makes what is validated sovereign state, once': async (stage) => {
        const { promote, stage: hold, validate } = stage.api.turns
        const of = { run_id: await running(stage), turn_id: first }
        await refused(promote({ ...of, require_staged: true }), 'E_PROMOTION_STAGE_MISSING')
        await hold({ ...of, triplets: stems('one') })
        await refused(promote(of), 'E_PROMOTION_NOT_VALIDATED')
        await validate(of)
        equal((await promote(of)).promoted_stems, ['one'])
      },
      'has the refusals of every turn': async (stage) => {
        await onAnyTurn(stage, stage.api.turns.promote)
        await asBefore(stage, stage.api.turns.promote, validatedBy(stage))
      },
      'names the grant of the lock that the run was started with': async (stage) => {
        const name = newName('lock')
        await stage.api.locks.acquire({ name, holder: 'agent-1' })
        const of = { run_id: await running(stage, { lock: name }), turn_id: first }
        await validatedBy(stage)(of)
        await refused(stage.api.turns.promote(of), 'GUARD_REQUIRED')
        const named = { run_id: await running(stage), turn_id: first, decision_id: 'evt_nowhere_1' }
        await refused(stage.api.turns.promote(named), 'DECISION_NOT_OPEN')
      },
      'needs the base_digest of a stem that another run of the workflow wrote': (stage) =>
        stage.apart({ workflows: { optimistic: true } }, async ({ api }) => {
          await api.policy.reload()
          const [one, two] = await ofOneWorkflow(api)
          await api.turns.apply({ run_id: one, turn_id: first, triplets: stems('one', 'mine') })
          const changes = [
            { triplets: [{ stem: 'one', body: { dto_type: 'note', id: 'one', v: 2 } }] },
            { tombstones: [tombstoneOf('one', first)] },
          ]
          for (const change of changes) {
            const of = { run_id: two, turn_id: first }
            await api.turns.stage({ ...of, ...change })
            const { issues, outcome } = await api.turns.validate(of)
            equal([outcome, issues.map(({ code }) => code)], ['FAIL', ['E_PROMOTION_CONFLICT']])
            equal(issues[0]?.details, { current_digest: digestOfOne, stem: 'one' })
            await refused(api.turns.apply({ ...of, ...change }), 'E_PROMOTION_CONFLICT')
          }
          const [based] = changes[0]?.triplets ?? []
          await api.turns.apply({
            run_id: two,
            turn_id: first,
            triplets: [{ stem: 'one', ...based, base_digest: digestOfOne }, ...stems('new')],
          })
          // A run changes its own stems as before, and no longer the stem that the other run took over.
          await api.turns.apply({ run_id: one, turn_id: 'turn-0002', triplets: stems('mine') })
          const again = { run_id: one, turn_id: 'turn-0003', triplets: stems('one') }
          await refused(api.turns.apply(again), 'E_PROMOTION_CONFLICT')
        }),
      'loses no links and no manifest of another run to a base_digest of the body alone': (stage) =>
        stage.apart({ workflows: { optimistic: true } }, async ({ api }) => {
          await api.policy.reload()
          const [one, two] = await ofOneWorkflow(api)
          const [mine] = stems('one')
          const to = (id: string) => ({ see: { type: 'note', id } })
          const linked = { links: to('two'), manifest: { by: 'one' } }
          await api.turns.apply({
            run_id: one,
            turn_id: first,
            triplets: [...stems('two'), { stem: 'one', ...mine, ...linked }],
          })
          const of = { run_id: two, turn_id: first }
          const seen = { stem: 'one', ...mine, base_digest: digestOfOne }
          const { links, manifest } = linked
          for (const parts of [{}, { links }, { manifest }, { links: to('one'), manifest }]) {
            await refused(api.turns.apply({ ...of, triplets: [{ ...seen, ...parts }] }), 'E_PROMOTION_CONFLICT')
          }
          const gone = { ...tombstoneOf('one', first), base_digest: digestOfOne }
          await refused(api.turns.apply({ ...of, tombstones: [gone] }), 'E_PROMOTION_CONFLICT')
          await api.turns.apply({ ...of, triplets: [{ ...seen, ...linked }] })
          const { triplet_digest } = await api.workspaces.stem({ run_id: one, stem: 'one' })
          const late = { ...seen, base_digest: triplet_digest }
          await api.turns.apply({ run_id: one, turn_id: 'turn-0002', triplets: [late] })
          await refused(api.turns.apply({ ...of, turn_id: 'turn-0002', triplets: [late] }), 'E_PROMOTION_CONFLICT')
        }),
      'finds the stem of another run although it was not there at the validation': (stage) =>
        stage.apart({ workflows: { optimistic: true } }, async ({ api }) => {
          await api.policy.reload()
          const [one, two] = await ofOneWorkflow(api)
          await api.turns.stage({ run_id: one, turn_id: first, triplets: stems('one') })
          is((await api.turns.validate({ run_id: one, turn_id: first })).outcome, 'PASS')
          await api.turns.apply({ run_id: two, turn_id: first, triplets: stems('one') })
          await refused(api.turns.promote({ run_id: one, turn_id: first }), 'E_PROMOTION_CONFLICT')
        }),
      'needs no base_digest where the configuration does not demand it': (stage) =>
        stage.apart({ workflows: {} }, async ({ api }) => {
          await api.policy.reload()
          const [one, two] = await ofOneWorkflow(api)
          await api.turns.apply({ run_id: one, turn_id: first, triplets: stems('one') })
          await api.turns.apply({ run_id: two, turn_id: first, triplets: stems('one') })
        }),
      'is refused where another turn has changed the workspace meanwhile': async (stage) => {
        const cases: [Code, first: object, mine: object, theirs: object][] = [
          [
            'E_PROMOTION_CONFLICT',
            {},
            { triplets: [{ ...stems('one')[0], base_digest: null }] },
            { triplets: stems('one') },
          ],
          ['E_STEM_COLLISION', {}, { triplets: stems('one') }, { triplets: [{ stem: 'ONE', body: {} }] }],
          [
            'E_LSI_DUPLICATE_IDENTITY',
            {},
            { triplets: stems('one') },
            { triplets: [{ stem: 'two', body: { dto_type: 'note', id: 'one' } }] },
          ],
          [
            'E_LSI_ORPHAN_TARGET',
            { triplets: stems('one') },
            {
              triplets: [
                { stem: 'two', body: {}, links: { to: [{ type: 'note', id: 'one', relationship: 'cites' }] } },
              ],
            },
            { tombstones: [{ ...tombstoneOf('one', first), base_digest: digestOfOne }] },
          ],
          [
            'E_TOMBSTONE_INVALID',
            { triplets: stems('one') },
            { tombstones: [{ ...tombstoneOf('one', first), base_digest: digestOfOne }] },
            { triplets: [{ stem: 'one', body: { dto_type: 'note', id: 'other' }, base_digest: digestOfOne }] },
          ],
        ]
        for (const [code, before, mine, theirs] of cases) {
          const [zeroth, one, two] = await ofOneWorkflow(stage.api)
          await stage.api.turns.apply({ run_id: zeroth, turn_id: first, ...before })
          await stage.api.turns.stage({ run_id: one, turn_id: first, ...mine })
          is((await stage.api.turns.validate({ run_id: one, turn_id: first })).outcome, 'PASS', code)
          await stage.api.turns.apply({ run_id: two, turn_id: first, ...theirs })
          await refused(stage.api.turns.promote({ run_id: one, turn_id: first }), code)
        }
      },
    },
    apply: {
      'does all three, once': async (stage) => {
        const of = { run_id: await running(stage), turn_id: first }
        const { promoted_stems } = await stage.api.turns.apply({ ...of, triplets: stems('one') })
        equal(promoted_stems, ['one'])
        const turn = await stage.api.turns.apply({
          ...of,
          turn_id: 'turn-0002',
          tombstones: [tombstoneOf('one', 'turn-0002')],
        })
        equal(turn.deleted_stems, ['one'])
        const empty = { run_id: of.run_id, turn_id: 'turn-0003', require_staged: true }
        await stage.api.turns.apply(empty).catch(({ code }) => is(code, 'E_PROMOTION_STAGE_MISSING'))
      },
      'refuses an upload that is not there, and lists beside one': async (stage) => {
        const of = { proposal_digest: other, run_id: await running(stage), turn_id: first }
        for (const verb of ['apply', 'stage'] as const) {
          is((await refused(stage.api.turns[verb](of), 'NOT_FOUND')).details.proposal_digest, other)
          await refused(stage.api.turns[verb]({ ...of, triplets: stems('one') }), 'INVALID_INPUT')
          await refused(stage.api.turns[verb]({ ...of, proposal_digest: 'x' }), 'INVALID_INPUT')
        }
      },
      'refuses each proposal that is wrong': (stage) => onProposals(stage, 'apply'),
      'has the refusals of every turn': async (stage) => {
        const call: Call = (of) => stage.api.turns.apply({ ...of, triplets: stems('one') })
        await onAnyTurn(stage, call)
        await asBefore(stage, call)
        const name = newName('lock')
        await stage.api.locks.acquire({ name, holder: 'agent-1' })
        const run_id = await running(stage, { lock: name })
        await refused(call({ run_id, turn_id: first }), 'GUARD_REQUIRED')
        const named = { run_id: await running(stage), turn_id: first, decision_id: 'evt_nowhere_1' }
        await refused(stage.api.turns.apply({ ...named, triplets: stems('one') }), 'DECISION_NOT_OPEN')
      },
    },
    reject: {
      'gives up what is staged, so that it can be staged again': async (stage) => {
        const { reject, stage: hold } = stage.api.turns
        const of = { run_id: await running(stage), turn_id: first }
        await refused(reject({ ...of, reason: 'not wanted' }), 'E_PROMOTION_STAGE_MISSING')
        await hold({ ...of, triplets: stems('one') })
        is((await reject({ ...of, reason: 'not wanted' })).status, 'rejected')
        await refused(reject({ ...of, reason: 'not wanted' }), 'E_PROMOTION_STAGE_MISSING')
        await hold({ ...of, triplets: stems('one') })
      },
      'has the refusals of every turn': async (stage) => {
        const call: Call = (of) => stage.api.turns.reject({ ...of, reason: 'x' })
        await onAnyTurn(stage, call, false)
        await asBefore(stage, call, stagedBy(stage))
      },
      'takes one word where the lane prohibits free text': async (stage) => {
        const actor = { actor_id: 'ana', actor_type: 'human' } as const
        const of = { actor, run_id: newName('run_terse'), turn_id: first }
        const lane = { lane_id: 'PROMOTE_SHARED_KNOWLEDGE', role_id: 'ATTORNEY_ADMIN' }
        await stage.api.runs.create({ ...lane, actor, run_id: of.run_id, run_kind: 'agent' })
        await stage.api.runs.start({ actor, run_id: of.run_id })
        await stage.api.turns.stage({ ...of, triplets: stems('one') })
        await refused(stage.api.turns.reject({ ...of, reason: 'two words' }), 'FREE_TEXT_DENIED')
        is((await stage.api.turns.reject({ ...of, reason: 'unwanted' })).status, 'rejected')
      },
    },
    get: {
      'gives the state of a turn': async (stage) => {
        const of = { run_id: await running(stage), turn_id: first }
        await refused(stage.api.turns.get(of), 'NOT_FOUND')
        await stage.api.turns.apply({ ...of, triplets: stems('one') })
        equal((await stage.api.turns.get(of)).promotion?.promoted_stems, ['one'])
        await refused(stage.api.turns.get({ ...of, turn_id: 'turn-1' }), 'INVALID_INPUT')
        await refused(stage.api.turns.get({ ...of, run_id: 'run_nowhere' }), 'NOT_FOUND')
      },
    },
    list: {
      'gives the turns of a run, page by page': async (stage) => {
        const run_id = await running(stage)
        for (const turn_id of [first, 'turn-0002']) await stage.api.turns.apply({ run_id, turn_id })
        await stage.api.turns.stage({ run_id, turn_id: 'turn-0003' })
        const page = await stage.api.turns.list({ run_id, limit: 2 })
        equal(
          page.turns.map(({ status }) => status),
          ['promoted', 'staged'],
        )
        const { next, turns } = await stage.api.turns.list({ run_id, cursor: page.next ?? 0 })
        equal([turns.map(({ turn_id }) => turn_id), next], [[first], null])
        await refused(stage.api.turns.list({ run_id: 'run_nowhere' }), 'NOT_FOUND')
        await refused(stage.api.turns.list({ run_id, cursor: 0 }), 'INVALID_INPUT')
      },
    },
  },
}
