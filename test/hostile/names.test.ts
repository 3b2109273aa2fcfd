import { suite } from 'uvu'
import { equal, is, ok } from 'uvu/assert'
import * as z from 'zod'
import type { Api } from '../../src/api/api.ts'
import { formOf, formsOf } from '../../src/api/operation.ts'
import { everyOperation, type Operation } from '../../src/api/operations.ts'
import { LockstepError } from '../../src/errors.ts'
import { hostileStrings, replaced, stringsIn } from '../api/hostile.ts'
import { inProcessFactory } from '../api/in-process-factory.ts'
import type { Observed } from '../api/observed.ts'
import { all, openStage, readable } from '../api/stage.ts'
import { fullInputs } from './full-inputs.ts'

const names = suite('names from hostile hands')

/** Roles are bound to actors, so that every actor of a call is looked up. */
const config = { actors: { 'agent-1': ['INTERVIEW_AGENT'], BECCA: ['ATTORNEY_ADMIN'] }, operators: ['op'] }

names(
  'every string of every input: a success or a refusal of the table, the writer lives, and the ledger verifies',
  readable(async () => {
    const stage = await openStage(inProcessFactory, new Map<string, Observed>(), config)
    const { api } = stage
    await api.policy.reload({ actor: { actor_id: 'BECCA', actor_type: 'human' } })
    await api.locks.acquire({ holder: 'agent-1', name: 'guard' })
    for (const run_id of ['run_main_1', 'run_done_1']) {
      await api.runs.create({ case_id: 'CASE-17', run_id, run_kind: 'orchestrator' })
      await api.runs.start({ run_id })
    }
    await api.runs.complete({ outcome_reason: 'done', run_id: 'run_done_1' })
    let calls = 0
    let succeeded = 0
    for (const operation of everyOperation()) {
      for (const make of fullInputs[operation.name] ?? []) {
        calls += 1
        const sample = await make(`${calls}`, stage)
        for (const path of stringsIn(sample)) {
          // The other paths are only read, or are checked before anything below them is written.
          if (['exports.create', 'log.backup'].includes(operation.name) && path[0] === 'file') continue
          const made = hostileStrings.map(async (text) => {
            calls += 1
            const input = replaced(await make(`${calls}`, stage), path, text) as object
            if (await succeeds(api, operation, input)) succeeded += 1
          })
          await Promise.all(made)
        }
      }
      // Only a living writer answers this.
      const { events } = await api.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
      is(events.length, 1, operation.name)
    }
    // Most strings are refused as such. Where they are free text, the calls must have got through.
    ok(calls > 5_000 && succeeded > 1_000, `${succeeded} of ${calls} calls succeeded`)
    await api.log.verify()
    await stage.close()
  }),
)

names('the inputs have every string that the schemas accept', async () => {
  const stage = await openStage(inProcessFactory, new Map<string, Observed>(), config)
  await stage.api.policy.reload({ actor: { actor_id: 'BECCA', actor_type: 'human' } })
  await stage.api.runs.create({ run_id: 'run_main_1', run_kind: 'orchestrator' })
  await stage.api.runs.start({ run_id: 'run_main_1' })
  for (const operation of everyOperation()) {
    const inputs = await Promise.all(
      (fullInputs[operation.name] ?? []).map((make, at) => make(`${operation.verb}${at}`, stage)),
    )
    for (const [form, schema] of formsOf(operation.facts)) {
      const ofForm = inputs.filter((input) => formOf(operation.facts, input) === schema)
      const stated = new Set(ofForm.flatMap((input) => [...stringsIn(input)].map(placeOf)))
      const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
      const missing = [...placesIn(json)].filter((place) => !stated.has(place))
      equal(missing, [], `${operation.name} ${form}`)
    }
  }
  await stage.api.log.verify()
  await stage.close()
})

names.run()

interface JsonSchema {
  type?: string
  enum?: unknown[]
  const?: unknown
  properties?: Record<string, JsonSchema>
  items?: JsonSchema
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  allOf?: JsonSchema[]
}

/** The places of strings in a schema: the members on the way, with `*` for any item of a list. */
function* placesIn(schema: JsonSchema, place: readonly string[] = []): Generator<string> {
  if (schema.type === 'string') yield place.join('.')
  for (const [name, member] of Object.entries(schema.properties ?? {})) yield* placesIn(member, [...place, name])
  if (schema.items !== undefined) yield* placesIn(schema.items, [...place, '*'])
  for (const option of [...(schema.anyOf ?? []), ...(schema.oneOf ?? []), ...(schema.allOf ?? [])]) {
    yield* placesIn(option, place)
  }
}

const placeOf = (path: readonly string[]) => path.map((step) => (/^\d+$/.test(step) ? '*' : step)).join('.')

/** Whether a call succeeds; otherwise it rejects with a code. The stage checks that the operation's table lists it. */
async function succeeds(api: Api, { facts, name, noun, verb }: Operation, input: object): Promise<boolean> {
  type Method = (input: object) => Promise<unknown> | AsyncIterable<unknown>
  const method = (api as unknown as Record<string, Record<string, Method>>)[noun]?.[verb] as Method
  try {
    const answer = method(input)
    await (facts.kind === 'stream' ? all(answer as AsyncIterable<unknown>) : answer)
    return true
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    ok(error.code !== 'INVARIANT_VIOLATED', `${name}: ${error.message} ${JSON.stringify(input)}`)
    return false
  }
}
