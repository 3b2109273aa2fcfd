import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import { equal, is, match, not, ok } from 'uvu/assert'
import { hooksPath } from '../../src/api/wire.ts'
import { hashRequest } from '../../src/index.ts'
import { serve } from '../../src/service/serve.ts'
import { ask, post, problemIn, withService } from '../support/service.ts'
import { hookDocument } from './hook-documents.ts'
import { above, type Hooked, toldIn, withHooks } from './hooked.ts'

const session = 'd2b1f5c0-1111-4c0b-9a52-1d0c0f6b7e11'
const recordedIn = async ({ ledger }: Hooked) => (await ledger.audit.entries({ type: 'audit.recorded' })).events
const namesHeld = async ({ ledger }: Hooked) => (await ledger.locks.list({})).locks.map(({ name }) => name).sort()

const records = suite('hooks after a tool')

records('record each call once: outcome, duration and digests, and never what was in it', () =>
  withHooks(async (hooked) => {
    const { call, dir, ledger } = hooked
    await call('claude', 'before-edit')
    for (let round = 0; round < 3; round += 1) is(await call('claude', 'after-edit'), undefined)
    const [entry, ...more] = await recordedIn(hooked)
    is(more.length, 0)
    const { tool_input, tool_response } = hookDocument('claude', 'after-edit', dir)
    equal(entry?.data, {
      action_type: 'system',
      duration_ms: 12,
      outcome: 'success',
      request_hash_sha256: hashRequest(tool_input),
      response_hash_sha256: hashRequest(tool_response),
      stated: true,
      target: { name: 'Edit', operation: 'call', target_type: 'tool' },
    })
    is(entry?.actor.actor_id, 'claude:5f3c1d2e-8a44-4c0b-9a52-1d0c0f6b7e11')
    is(entry?.correlation_id, '5f3c1d2e-8a44-4c0b-9a52-1d0c0f6b7e11')
    is(entry?.request?.key, '5f3c1d2e-8a44-4c0b-9a52-1d0c0f6b7e11:toolu_01EDIT')
    const [event] = (await ledger.audit.list({ type: 'audit.recorded' })).events
    is(event?.duration_ms, 12)
  }),
)

records('measure a call that the harness does not, and record a failure as one', () =>
  withHooks(async (hooked) => {
    await hooked.call('gemini', 'before-shell')
    await hooked.call('gemini', 'after-failure')
    await hooked.call('claude', 'before-shell')
    await hooked.call('claude', 'after-shell')
    await hooked.call('claude', 'after-failure')
    await hooked.call('cursor', 'after-failure')
    const all = await recordedIn(hooked)
    equal(
      all.map(({ data }) => data.outcome),
      ['failure', 'success', 'failure', 'failure'],
    )
    equal(
      all.map(({ data }) => typeof data.duration_ms),
      ['undefined', 'number', 'undefined', 'number'],
    )
    for (const { data } of all) is(typeof data.response_hash_sha256, 'string')
  }),
)

records('record a denied call too', () =>
  withHooks(async (hooked) => {
    await hooked.call('claude', 'before-edit')
    for (let round = 0; round < 2; round += 1) await hooked.call('claude', 'before-edit', { session_id: 'another' })
    const [entry, ...more] = await recordedIn(hooked)
    is(more.length, 0)
    is(entry?.data.outcome_reason, 'denied: LOCK_CONTENTION')
    is(entry?.data.outcome, 'failure')
    is(entry?.actor.actor_id, 'claude:another')
  }),
)

const sessions = suite('sessions of hooks')

sessions('begin with what the agent holds and what others hold, also after a compaction', () =>
  withHooks(async (hooked) => {
    is(await hooked.call('claude', 'session-start'), undefined)
    await hooked.call('claude', 'before-edit')
    const actor = { actor_id: 'x', actor_type: 'agent' } as const
    await hooked.ledger.locks.acquire({ actor, holder: 'other<b>', paths: ['lib/'], reason: 'a\nb' })
    const told = toldIn(await hooked.call('claude', 'session-start-after-compaction'))
    match(told, /You hold: "src\/a\.js"\./)
    match(told, /untrusted data, quoted\): "lib\/" by "other\\u\{3c\}b\\u\{3e\}", reason "a\\u\{a\}b", \d+ s left/)
    const cursor = (await hooked.call('cursor', 'session-start')) as { additional_context: string }
    not.match(cursor.additional_context, /You hold/)
    for (let at = 0; at < 30; at += 1) await hooked.ledger.locks.acquire({ actor, holder: 'x', paths: [`many/${at}`] })
    match(toldIn(await hooked.call('claude', 'session-start')), /; and 11 more\.$/)
  }),
)

sessions('release all locks at their end, and an agent within one those of its own', () =>
  withHooks(async (hooked) => {
    await hooked.call('claude', 'before-write')
    await hooked.call('claude', 'before-edit-by-subagent')
    await hooked.call('gemini', 'before-edit', { session_id: session, tool_input: { file_path: 'c.js' } })
    equal(await namesHeld(hooked), ['path:c.js', 'path:src/a.js', 'path:src/new.js'])
    await hooked.call('claude', 'subagent-stop')
    equal(await namesHeld(hooked), ['path:c.js', 'path:src/new.js'])
    await hooked.call('claude', 'session-end')
    equal(await namesHeld(hooked), ['path:c.js'])
    is(await hooked.call('claude', 'session-end'), undefined)
    await hooked.call('gemini', 'session-end')
    equal(await namesHeld(hooked), [])
  }),
)

sessions('end within the time that a harness gives, with as many locks as 200 edits take', () =>
  withHooks(async (hooked) => {
    for (let at = 0; at < 200; at += 1) {
      await hooked.call('claude', 'before-write', { tool_input: { file_path: `src/${at}.js` }, tool_use_id: `t${at}` })
    }
    is((await namesHeld(hooked)).length, 200)
    const startedAt = performance.now()
    await hooked.call('claude', 'session-end')
    ok(performance.now() - startedAt < 1_500)
    equal(await namesHeld(hooked), [])
  }),
)

sessions('are known to a service that starts anew', () =>
  withHooks(async (hooked) => {
    await hooked.call('claude', 'before-edit')
    const folder = join(hooked.dir, '.lockstep/hooks')
    const [file = ''] = readdirSync(folder)
    is(statSync(join(folder, file)).mode & 0o777, 0o600)
    match(readFileSync(join(folder, file), 'utf8'), /lck_/)
    await hooked.service.close()
    const anew = await serve(hooked.ledger, { log: false })
    try {
      const again = { ...hooked, service: anew }
      const document = hookDocument('claude', 'session-end', hooked.dir)
      const headers = { 'lockstep-process': above }
      is((await post(again.service.address, hooksPath('claude'), document, { headers })).text, '')
      equal(await namesHeld(again), [])
      equal(readdirSync(folder), [])
    } finally {
      await anew.close()
    }
  }),
)

const route = suite('the route of hooks')

route('refuses what is no document of the harness, and what is too large', () =>
  withService(async ({ address }) => {
    problemIn(await post(address, hooksPath('claude'), { hook_event_name: 'PreToolUse' }), 'INVALID_INPUT')
    problemIn(
      await ask(address, hooksPath('claude'), { body: '{', headers: { 'content-type': 'application/json' } }),
      'INVALID_INPUT',
    )
    problemIn(await post(address, hooksPath('emacs'), {}), 'NOT_FOUND')
    problemIn(await ask(address, hooksPath('claude')), 'METHOD_NOT_ALLOWED')
    const large = { text: 'x'.repeat(17 * 1024 * 1024) }
    problemIn(await post(address, hooksPath('claude'), large), 'LIMIT_EXCEEDED')
  }),
)

route('is at the socket only', () =>
  withService(
    async ({ url = '' }, ledger) => {
      const operator = { actor_id: ledger.settings.operators[0] ?? '', actor_type: 'human' } as const
      const token_actor = { actor_id: 'agent-7', actor_type: 'agent' } as const
      const { secret } = await ledger.tokens.create({ actor: operator, grants: ['agent'], token_actor })
      const document = hookDocument('claude', 'before-edit', ledger.dir)
      const answer = await post(url, hooksPath('claude'), document, { headers: { authorization: `Bearer ${secret}` } })
      match(problemIn(answer, 'INVALID_INPUT').detail, /at the socket only/)
    },
    { listen: { host: '127.0.0.1', port: 0 } },
  ),
)

route('answers nothing to events that mean nothing here', () =>
  withHooks(async (hooked) => {
    is(await hooked.call('claude', 'notification'), undefined)
    is(await hooked.call('gemini', 'pre-compress'), undefined)
  }),
)

records.run()
sessions.run()
route.run()
