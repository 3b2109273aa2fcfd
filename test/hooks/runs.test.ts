import { cpSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, ok } from 'uvu/assert'
import { root } from '../runner.ts'
import { type Hooked, reasonIn, withHooks } from './hooked.ts'

const runs = suite('hooks whose calls are runs')

const options = { config: { hooks: { runs: true } } }

/** Runs work under the policy for coding agents that Lockstep brings. */
function governed(work: (hooked: Hooked) => Promise<void>): Promise<void> {
  return withHooks(async (hooked) => {
    cpSync(join(root, 'contract/v1/policy'), join(hooked.dir, '.lockstep/policy'), { recursive: true })
    await hooked.ledger.policy.reload()
    await work(hooked)
  }, options)
}

const main = 'claude:5f3c1d2e-8a44-4c0b-9a52-1d0c0f6b7e11'

const allOf = async ({ ledger }: Hooked) => {
  const { runs: found } = await ledger.runs.list({})
  return found.map(({ actor, parent_run_id, run_id, run_kind, status }) => {
    return { actor_id: actor?.actor_id, lane_id: actor?.lane_id, parent_run_id, run_id, run_kind, status }
  })
}
const typesSince = async ({ ledger }: Hooked, from: number) => {
  const types: string[] = []
  for await (const { type } of ledger.log.read({ from })) types.push(type)
  return types
}

runs('make a session a run, and each call a run below it, decided in one append', () =>
  governed(async (hooked) => {
    const { call, ledger } = hooked
    is(await call('claude', 'before-shell'), undefined)
    const [session, child] = (await allOf(hooked)).sort((one) => (one.run_kind === 'agent' ? -1 : 1))
    equal([session?.run_kind, session?.status, session?.actor_id], ['agent', 'running', main])
    equal([child?.run_kind, child?.status, child?.lane_id], ['tool_gateway', 'running', 'shell'])
    is(child?.parent_run_id, session?.run_id)
    const { size } = await ledger.head.get()
    const batches = (await ledger.figures()).batches
    is(await call('claude', 'before-edit', { tool_use_id: 'second' }), undefined)
    equal(await typesSince(hooked, size), ['run.created', 'run.decided', 'run.started', 'run.decided', 'lock.acquired'])
    is((await ledger.figures()).batches - batches, 2)
    await call('claude', 'after-shell')
    await call('claude', 'after-shell')
    const done = (await allOf(hooked)).find(({ run_id }) => run_id === child?.run_id)
    is(done?.status, 'completed')
    const acted = (await ledger.audit.list({ run_id: child?.run_id ?? '', type: 'run.acted' })).events
    is(acted.length, 1)
    is(acted[0]?.target?.name, 'Bash')
    is((await ledger.audit.list({ type: 'audit.recorded' })).events.length, 0)
    await call('claude', 'session-end')
    const ended = await allOf(hooked)
    is(ended.find(({ run_kind }) => run_kind === 'agent')?.status, 'completed')
    equal(
      ended.filter(({ status }) => status === 'running'),
      [],
    )
  }),
)

runs('deny a call that the policy does not permit, by rule, and end that run alone', () =>
  governed(async (hooked) => {
    const { call } = hooked
    const unknown = { tool_name: 'LaunchMissiles', tool_use_id: 'x' }
    const reason = reasonIn(await call('claude', 'before-read', unknown))
    match(
      reason,
      /Lockstep denies this call of "LaunchMissiles": the policy does not permit it \(not_permitted: lane:edit\/tools/,
    )
    const all = await allOf(hooked)
    equal(all.map(({ run_kind, status }) => `${run_kind} ${status}`).sort(), ['agent running', 'tool_gateway denied'])
    is(await call('claude', 'before-read', { tool_use_id: 'y' }), undefined)
    is(await call('claude', 'before-read', { tool_name: 'mcp__github__search', tool_use_id: 'z' }), undefined)
  }),
)

runs('end the run of a call that a lock stops', () =>
  governed(async (hooked) => {
    const { call, ledger } = hooked
    await ledger.locks.acquire({ actor: { actor_id: 'x', actor_type: 'agent' }, holder: 'x', paths: ['src/a.js'] })
    match(reasonIn(await call('claude', 'before-edit')), /is locked by another agent/)
    const child = (await allOf(hooked)).find(({ run_kind }) => run_kind === 'tool_gateway')
    is(child?.status, 'failed')
    const record = await ledger.runs.get({ run_id: child?.run_id ?? '' })
    is(record.error?.error_code, 'LOCK_CONTENTION')
  }),
)

runs('give an agent within the session runs of its own below the session’s', () =>
  governed(async (hooked) => {
    is(await hooked.call('claude', 'before-edit-by-subagent'), undefined)
    const child = (await allOf(hooked)).find(({ run_kind }) => run_kind === 'tool_gateway')
    is(child?.actor_id, `${main}/a7f3c09d1`)
    is(child?.status, 'running')
  }),
)

runs('deny everything without a policy', () =>
  withHooks(async (hooked) => {
    match(reasonIn(await hooked.call('claude', 'before-read')), /the policy does not permit it/)
    ok((await allOf(hooked)).every(({ status }) => status === 'denied'))
  }, options),
)

runs.run()
