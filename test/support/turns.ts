import * as assert from 'uvu/assert'
import type { Rule, Step } from '../../fixtures/turn/rules.ts'
import { LockstepError } from '../../src/errors.ts'
import type { Ledger } from '../../src/ledger.ts'

/** A ledger's policy in force, and runs that are running: of one workflow where it is named. */
export async function startRuns(ledger: Ledger, run_ids: readonly string[], workflow_id?: string): Promise<void> {
  await ledger.policy.reload()
  for (const run_id of run_ids) {
    await ledger.runs.create({ run_id, run_kind: 'orchestrator', ...(workflow_id && { workflow_id }) })
    await ledger.runs.start({ run_id })
  }
}

/** Plays the steps of a rule; each comes to what it says. */
export async function play(ledger: Ledger, { steps, then }: Rule): Promise<void> {
  for (const [index, step] of steps.entries()) {
    const { seen, notices } = await outcomeOf(ledger, step)
    assert.equal(seen, step.then ?? 'PASS', `step ${index}: ${JSON.stringify(step)}`)
    if (step.notices !== undefined) assert.equal(notices, step.notices, `step ${index}`)
  }
  const run_id = 'run_one_1'
  if (then.last !== undefined) assert.is((await ledger.runs.get(run_id)).last_promoted_turn_id, then.last)
  if (then.stems !== undefined) {
    const stems: string[] = []
    for await (const { stem } of ledger.workspaces.triplets({ run_id })) stems.push(stem)
    assert.equal(stems, then.stems)
  }
  if (then.refs !== undefined) {
    const refs: Record<string, string[]> = {}
    for await (const { id, sources, type } of ledger.workspaces.refs({ run_id })) {
      refs[`${type}:${id}`] = sources.map(({ stem }) => stem)
    }
    assert.equal(refs, then.refs)
  }
}

async function outcomeOf(ledger: Ledger, step: Step): Promise<{ seen: unknown; notices: string[] }> {
  try {
    const answer = (await callOf(ledger, step)) as { outcome?: string; issues?: { code: string; level: string }[] }
    const { issues = [], outcome } = answer
    const codes = [...new Set(issues.filter(({ level }) => level === 'error').map(({ code }) => code))]
    const notices = issues.filter(({ level }) => level === 'info').map(({ code }) => code)
    return { seen: outcome === 'FAIL' ? { FAIL: codes } : 'PASS', notices }
  } catch (error) {
    if (!(error instanceof LockstepError)) throw error
    return { seen: error.code, notices: [] }
  }
}

async function callOf(ledger: Ledger, step: Step): Promise<unknown> {
  const run_id = step.run ?? 'run_one_1'
  if ('stage' in step) return ledger.turns.stage(await staging(ledger, run_id, step.stage, step.what))
  if ('apply' in step) return ledger.turns.apply(await staging(ledger, run_id, step.apply, step.what))
  if ('validate' in step) return ledger.turns.validate({ run_id, turn_id: step.validate })
  if ('reject' in step) return ledger.turns.reject({ run_id, turn_id: step.reject, reason: 'not_wanted' })
  if ('complete' in step) {
    return ledger.runs.complete({
      run_id,
      outcome_reason: 'done',
      ...(step.complete === 'discard' && { discard_turn: true }),
    })
  }
  const { promote: turn_id, require_staged = false } = step
  return ledger.turns.promote({ run_id, turn_id, require_staged })
}

type What = Extract<Step, { stage: string }>['what']

async function staging(ledger: Ledger, run_id: string, turn_id: string, what: What) {
  const { base = {}, delete_stem = [], put = {}, tombstones = {} } = what
  const digests = new Map<string, string>()
  for await (const { body_digest, stem } of ledger.workspaces.triplets({ run_id })) digests.set(stem, body_digest)
  const baseOf = (stem: string) => {
    const wanted = base[stem]
    if (wanted === undefined) return {}
    return {
      base_digest: wanted === 'none' ? null : wanted === 'other' ? 'ab'.repeat(32) : (digests.get(stem) ?? null),
    }
  }
  return {
    run_id,
    turn_id,
    triplets: Object.entries(put).map(([stem, content]) => {
      const [body, links] = Array.isArray(content) ? content : [content, {}]
      return { stem, body, links, ...baseOf(stem) }
    }),
    tombstones: Object.entries(tombstones).map(([stem, identity]) => {
      const [dto_type, id] = identity.split(':')
      return { kind: 'tombstone', stem, dto_type, id, deleted_by_turn_id: turn_id, ...baseOf(stem) }
    }),
    delete_stem,
  }
}
