import { invariant } from '../../errors.ts'
import { canonicalText, type Json } from '../../kernel/canonical.ts'
import { isoTime } from '../../kernel/clock.ts'
import { isOperator } from '../../kernel/config.ts'
import { type Context, type Decision, type LoadedRows, type Refusal, refuse } from '../../kernel/decider.ts'
import { limits } from '../../kernel/limits.ts'
import { loadedConfig } from '../log/configuration.ts'
import { ledgerStream } from '../log/stream.ts'
import type { ErasureCommand, Found, FoundTexts } from './commands.ts'
import { decideDueTexts, decideTexts } from './decide-texts.ts'
import type { ErasureEvent } from './events.ts'
import { brokenRule, denied, holdOn, nothingLeft, otherConfig } from './rules.ts'
import { erasureIn, erasureStream, holdsIn, retentionStream, streamOfErasure, textsStream } from './state.ts'

type Of<Type extends ErasureCommand['type']> = Extract<ErasureCommand, { type: Type }>

export function reads(command: ErasureCommand): readonly string[] {
  const own = 'approval_id' in command ? [streamOfErasure(command.approval_id)] : []
  const changed = rowsIn(command).keys()
  return [...own, ...changed, erasureStream, ledgerStream, retentionStream, textsStream]
}

function rowsIn(command: ErasureCommand): FoundTexts['rows'] {
  const isOfTexts = command.type === 'erasure.erase_texts' || command.type === 'retention.erase_texts'
  return isOfTexts ? command.found.rows : new Map()
}

/**
 * Refusals, in order: ERASURE_DENIED (the actor is neither release authority nor operator), recorded. Then for an
 * approval: ERASURE_DENIED (not a human), recorded; NOT_FOUND, LIMIT_EXCEEDED (no text, or too many); CLOCK_AHEAD. For an erasure: ERASURE_DENIED (a rule about the
 * approval is broken), recorded; NOT_FOUND (no text is left); OBJECT_IN_USE; LEGAL_HOLD. For a hold: LIMIT_EXCEEDED; for
 * its end: NOT_FOUND. An erasure that its approval was used for is answered with the entry that records it.
 */
export function decide(command: ErasureCommand, context: Context, rows: LoadedRows): Decision<ErasureEvent> {
  const { actor, config } = context
  // What is due was asked for by the ledger itself, in the name of the configuration in force.
  const isDue = command.type === 'retention.erase' || command.type === 'retention.erase_texts'
  if (!isDue && !isOperator(config, actor.actor_id)) {
    const may = `only ${config.release_authority} or an operator may`
    return denied(command, 'operator', `${actor.actor_id} may not erase or hold texts: ${may}`)
  }
  switch (command.type) {
    case 'erasure.approve':
      return decideApproval(command, context, rows)
    case 'erasure.erase':
      return decideErasure(command, context, rows)
    case 'erasure.erase_texts':
      return decideTexts(command, context, rows)
    case 'retention.erase':
      return decideDue(command, context, rows)
    case 'retention.erase_texts':
      return decideDueTexts(command, context, rows)
    case 'retention.sweep':
      return { kind: 'append', events: [] }
    case 'retention.hold': {
      const { covers, hold_id, reason } = command
      if (holdsIn(rows.get(retentionStream)).length >= limits.holdsMax)
        return refuse('LIMIT_EXCEEDED', `there are ${limits.holdsMax} legal holds already`)
      const data = { covers, hold_id, reason }
      return { kind: 'append', events: [{ type: 'retention.held', stream: retentionStream, data }] }
    }
    case 'retention.lift': {
      const { hold_id } = command
      if (!holdsIn(rows.get(retentionStream)).some((hold) => hold.hold_id === hold_id))
        return refuse('NOT_FOUND', `there is no legal hold ${hold_id}`, { hold_id })
      return { kind: 'append', events: [{ type: 'retention.lifted', stream: retentionStream, data: { hold_id } }] }
    }
  }
}

function decideApproval(
  command: Of<'erasure.approve'>,
  { actor, now, time }: Context,
  rows: LoadedRows,
): Decision<ErasureEvent> {
  const { approval_id, erasure, expires_in_s, found } = command
  const stream = streamOfErasure(approval_id)
  invariant(erasureIn(rows.get(stream)) === undefined, 'a new approval has a new id')
  if (actor.actor_type !== 'human') return denied(command, 'human', `${actor.actor_id} is not a human`)
  if (found?.count === 0) return nothingLeft()
  if (found?.next !== undefined) {
    const message = `one erasure removes at most ${limits.erasedTextsMax} texts; those before entry ${found.next} are few enough`
    return refuse('LIMIT_EXCEEDED', message, { to: found.next })
  }
  const expires_at = expires_in_s === undefined ? null : isoTime(now.wall_ms + expires_in_s * 1000)
  if (expires_at !== null && expires_at <= time) {
    const message = `the time of entries is ${time}, ahead of the wall clock, so the approval would have expired already`
    return refuse('CLOCK_AHEAD', message, { time })
  }
  const data = { approval_id, erasure, expires_at }
  return { kind: 'append', events: [{ type: 'erasure.approved', stream, data }] }
}

function decideErasure(command: Of<'erasure.erase'>, context: Context, rows: LoadedRows): Decision<ErasureEvent> {
  const { approval_id, erasure, found } = command
  const stream = streamOfErasure(approval_id)
  const approval = erasureIn(rows.get(stream))
  const isBound = approval !== undefined && isSame(approval.erasure, erasure)
  if (isBound && approval.used !== null) return { kind: 'repeat', seq: approval.used }
  const rule = brokenRule(approval, isBound, context)
  if (rule !== undefined)
    return denied(command, rule, `the approval ${approval_id} does not allow this erasure: ${rule}`)
  const obstacle = obstacleTo(found, erasure.digests, rows)
  if (obstacle !== undefined) return obstacle
  const data = { approval_id, class: null, ...erasure }
  return { kind: 'append', events: [{ type: 'object.erased', stream, data }] }
}

function decideDue(command: Of<'retention.erase'>, context: Context, rows: LoadedRows): Decision<ErasureEvent> {
  const { class: name, config_sha256, digests, found } = command
  if (config_sha256 !== context.config_sha256) return otherConfig()
  const obstacle = obstacleTo(found, digests, rows)
  if (obstacle !== undefined) return obstacle
  const data = { approval_id: null, class: name, digests: [...digests], reason: 'retention_expired' as const }
  return { kind: 'append', events: [{ type: 'object.erased', stream: erasureStream, data }] }
}

/** Why objects may not be erased now, by what was found before and by the rows of this moment. */
function obstacleTo(found: Found, digests: readonly string[], rows: LoadedRows): Refusal | undefined {
  const { needed } = found
  if (needed !== null) return inUse(needed.digest, needed.for)
  const inForce = loadedConfig(rows.get(ledgerStream))?.sha256
  if (inForce !== undefined && digests.includes(inForce)) return inUse(inForce, 'in_force')
  return holdOn(found, rows)
}

function inUse(digest: string, use: string): Refusal {
  return refuse('OBJECT_IN_USE', `the ledger still needs the object ${digest}: ${use}`, { digest, for: use })
}

function isSame(one: object, other: object): boolean {
  return canonicalText(one as Json) === canonicalText(other as Json)
}
