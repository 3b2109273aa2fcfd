import * as z from 'zod'
import { isOperator } from '../../kernel/config.ts'
import { type Command, type Context, type Decision, type Refusal, type Row, refuse } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { freeText } from '../../kernel/free-text.ts'
import { ledgerStream } from './stream.ts'

/**
 * The name of a place that a ledger can be in: its engine, and 32 random hex digits. It says nothing about where the place
 * is or how it is reached.
 */
export const placeSchema = z.string().regex(/^[a-z]{1,20}:[0-9a-f]{32}$/, 'must be ENGINE: and 32 hex digits')

/** The last entry of one place. The ledger goes on in the place `to`, which has this entry too (ADR 0076). */
const sealed = z.strictObject({ to: placeSchema })
const refused = z.strictObject({
  code: z.string(),
  command: z.string(),
  message: freeText(z.string()),
})

/** The events of a move, by type. */
export const sealEvents = { 'ledger.sealed': sealed, 'ledger.seal_refused': refused } as const

/** The place that goes on with a ledger, and the entry that says so. */
export interface SealState {
  seq: number
  to: string
}

/** The last seal after an entry. A restored ledger is another ledger, so no seal counts in it. */
export function evolveSeal(seal: SealState | undefined, { data, seq, type }: Entry): SealState | undefined {
  switch (type) {
    case 'ledger.restored':
      return undefined
    case 'ledger.sealed':
      return { seq, to: String(data.to) }
    default:
      return seal
  }
}

/** Ends the ledger in this place. */
export interface SealLedger extends Command {
  type: 'ledger.seal'
  data: z.infer<typeof sealed>
  /** The name of this place, if it has one. */
  place: string | undefined
}

/**
 * Refusals, in order: SEAL_DENIED (neither release authority nor operator), recorded; LEDGER_SEALED (this place does not
 * have the ledger). If it was sealed for the same place, the answer is that entry.
 */
export function decideSeal({ data, place }: SealLedger, { actor, config }: Context, row: Row | undefined): Decision {
  const seal = sealIn(row)
  if (!isOperator(config, actor.actor_id)) {
    const message = `${actor.actor_id} may not seal the ledger: only ${config.release_authority} or an operator may`
    const refusal = { code: 'SEAL_DENIED', command: 'ledger.seal', message }
    const record = { type: 'ledger.seal_refused', stream: ledgerStream, data: refusal }
    // Nothing follows a seal in its place.
    const isOver = refusedAsSealed(row, place) !== undefined
    return refuse('SEAL_DENIED', message, {}, isOver ? undefined : record)
  }
  if (seal?.to === data.to && seal.to !== place) return { kind: 'repeat', seq: seal.seq }
  const refusal = refusedAsSealed(row, place)
  if (refusal !== undefined) return refusal
  return { kind: 'append', events: [{ type: 'ledger.sealed', stream: ledgerStream, data }] }
}

/**
 * The refusal of every command in a place that does not have the ledger; undefined if this place has it. `row` is that of
 * the ledger's own stream. A place without a name has a ledger that was never moved; a named one is the target of a move,
 * and has the ledger once the last seal names it.
 */
export function refusedAsSealed(row: Row | undefined, place: string | undefined): Refusal | undefined {
  const seal = sealIn(row)
  if (seal?.to === place) return undefined
  if (seal === undefined) {
    return refuse('LEDGER_SEALED', 'this place has not received the whole ledger; run "lockstep migrate" again')
  }
  const [engine = '', id = ''] = seal.to.split(':')
  const where = `${placeNames[engine] ?? 'another place'} (${id.slice(0, 8)})`
  return refuse('LEDGER_SEALED', `the ledger goes on in ${where}, so this place takes no more writes`, {
    moved_to: seal.to,
    seq: seal.seq,
  })
}

const placeNames: Readonly<Record<string, string | undefined>> = {
  leveldb: 'a folder',
  memory: 'the memory of a process',
  postgresql: 'a PostgreSQL database',
}

const sealIn = (row: Row | undefined) => (row?.state as { sealed?: SealState } | undefined)?.sealed
