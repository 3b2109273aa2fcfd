import type { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import type { Api } from '../../src/api/api.ts'
import type { CallOptions } from '../../src/api/operation.ts'
import { everyOperation, type Operation } from '../../src/api/operations.ts'
import { LockstepError } from '../../src/errors.ts'
import { audit } from './cases/audit.ts'
import { clock } from './cases/clock.ts'
import { config } from './cases/config.ts'
import { erasures } from './cases/erasures.ts'
import { exports } from './cases/exports.ts'
import { keys } from './cases/keys.ts'
import { locks } from './cases/locks.ts'
import { head, log } from './cases/log.ts'
import { policy } from './cases/policy.ts'
import { retention } from './cases/retention.ts'
import { runs } from './cases/runs.ts'
import { staging } from './cases/staging.ts'
import { tokens } from './cases/tokens.ts'
import { turns } from './cases/turns.ts'
import { workspaces } from './cases/workspaces.ts'
import { hostileInputs, hostileStrings } from './hostile.ts'
import type { Observed } from './observed.ts'
import { type ApiFactory, all, type Cases, openStage, readable, type Stage, type Work } from './stage.ts'
import { unreached } from './unreached.ts'

const cases: { readonly [Noun in keyof Api]: Cases<Noun> } = {
  audit,
  clock,
  config,
  erasures,
  exports,
  head,
  keys,
  locks,
  log,
  policy,
  retention,
  runs,
  staging,
  tokens,
  turns,
  workspaces,
}

type Suite = ReturnType<typeof suite>

/**
 * Adds every case to a suite, against the ledgers of a factory: one ledger for the cases of a noun. Whatever serves the
 * operations has to pass these tests: a ledger in this process, in memory, or behind a service.
 */
export function addApiCases(test: Suite, factory: ApiFactory): void {
  const seen = new Map<string, Observed>()
  for (const noun of Object.keys(cases) as (keyof Api)[]) {
    casesOf(test, { cases: cases[noun], factory, noun, seen })
  }
  test('every operation has succeeded, and has rejected with every code that a case can reach', () => {
    for (const { facts, name } of everyOperation()) {
      const { codes, input } = seen.get(name) ?? { codes: new Set() }
      ok(input !== undefined, `${name} has no case that succeeds`)
      const excused = Object.keys(unreached[name] ?? {})
      equal(
        facts.errors.filter((code) => !codes.has(code)).sort(),
        excused.sort(),
        `${name}: codes that no case reaches`,
      )
    }
  })
}

interface NounCases {
  cases: { begin?: Work; of: Record<string, Record<string, Work>> }
  factory: ApiFactory
  noun: string
  seen: Map<string, Observed>
}

function casesOf(test: Suite, { cases, factory, noun, seen }: NounCases): void {
  let opened: Promise<Stage & { close: () => Promise<void> }> | undefined
  const stage = () => {
    opened ??= openStage(factory, seen).then(async (open) => {
      await cases.begin?.(open)
      return open
    })
    return opened
  }
  for (const [verb, works] of Object.entries(cases.of)) {
    for (const [what, work] of Object.entries(works)) {
      test(
        `${noun}.${verb} ${what}`,
        readable(async () => work(await stage())),
      )
    }
  }
  const own = everyOperation().filter((operation) => operation.noun === noun)
  const isKnown = ({ name }: Operation) => seen.get(name)?.input !== undefined
  test(
    `${noun}: every input is checked, and a call whose signal has aborted changes nothing`,
    readable(async () => {
      const { api } = await stage()
      const before = await api.head.get()
      const aborted = { signal: AbortSignal.abort() }
      for (const operation of own.filter(isKnown)) {
        const input = seen.get(operation.name)?.input
        is(await codeOf(api, operation, { ...input, 'no member': 1 }), 'INVALID_INPUT', operation.name)
        if (operation.facts.kind !== 'stream')
          is(await codeOf(api, operation, input, aborted), 'ABORTED', operation.name)
      }
      equal(await api.head.get(), before)
    }),
  )
  test(
    `${noun}: whatever a string of an input is, the call succeeds or is refused with a code, and the writer lives`,
    readable(async () => {
      const { api } = await stage()
      for (const operation of own.filter(isKnown)) {
        const { wait_s: _, ...input } = (seen.get(operation.name)?.input ?? {}) as { wait_s?: number }
        // These calls do not count as cases.
        const { codes } = seen.get(operation.name) as Observed
        const reached = [...codes]
        for (const hostile of hostileInputs(operation, input, chosen)) await codeOf(api, operation, hostile)
        codes.clear()
        for (const code of reached) codes.add(code)
      }
      const { events } = await api.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
      is(events.length, 1)
    }),
  )
  test(
    `${noun}: the ledger verifies; once it is closed, every call is LEDGER_CLOSED`,
    readable(async () => {
      const { api, close } = await stage()
      await api.log.verify()
      const { size } = await api.head.get()
      await close()
      for (const operation of own.filter(isKnown)) {
        const code = await codeOf(api, operation, seen.get(operation.name)?.input)
        is(code, 'LEDGER_CLOSED', `${operation.name} at size ${size}`)
      }
    }),
  )
}

/** `LOCKSTEP_ROUNDS=20` puts every hostile string at every position. */
const rounds = Number(process.env.LOCKSTEP_ROUNDS ?? 1)

/** Some of the hostile strings for one position of an input: by default two, and others for the next position. */
function chosen(position: number): readonly string[] {
  const count = Math.min(hostileStrings.length, 2 * rounds)
  return Array.from({ length: count }, (_, at) => hostileStrings[(position * 2 + at) % hostileStrings.length] ?? '')
}

/** The code that a call is refused with; `none` for an answer. */
async function codeOf(api: Api, { facts, noun, verb }: Operation, input: unknown, options?: CallOptions) {
  type Method = (input: unknown, options?: CallOptions) => Promise<unknown> | AsyncIterable<unknown>
  const method = (api as unknown as Record<string, Record<string, Method>>)[noun]?.[verb] as Method
  try {
    const answer = method(input, options)
    await (facts.kind === 'stream' ? all(answer as AsyncIterable<unknown>) : answer)
    return 'none'
  } catch (error) {
    if (error instanceof LockstepError) return error.code
    throw error
  }
}
