import * as z from 'zod'
import type { Stream } from '../../kernel/aggregate.ts'
import type { Command, Context, Decision, LoadedState } from '../../kernel/decider.ts'
import { refuse } from '../../kernel/decider.ts'
import type { Entry } from '../../kernel/entry.ts'
import { actorSchema, ownMember } from '../../kernel/ids.ts'
import { limits } from '../../kernel/limits.ts'
import { runIdSchema, sha256Schema } from '../../kernel/vocabulary.ts'
import type { Policies } from '../policy/state.ts'
import { caseOf } from '../run/case.ts'
import { turnIdSchema } from '../run/turns.ts'

// A pin keeps the tree of a workspace as a promoted turn left it, under a name. Later promotions do not change it.

/** Small letters, so that two names never mean one folder on a disk that ignores case. */
const pinNameSchema = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9_-])){0,99}$/,
    'must consist of at most 100 small letters, digits and _ -, with single dots between them',
  )

const workspaceName = z.string().regex(/^(?:run|workflow)\/[A-Za-z0-9][A-Za-z0-9._-]*$/)

/** `size` is the number of entries up to and including the promotion. */
const pinned = z.strictObject({
  name: pinNameSchema,
  run_id: runIdSchema,
  size: z.int().min(1),
  state_digest: sha256Schema,
  turn_id: turnIdSchema,
  workspace: workspaceName,
})
const unpinned = z.strictObject({ name: pinNameSchema, run_id: runIdSchema, workspace: workspaceName })
export const pinEventSchemas = { 'turn.pinned': pinned, 'turn.unpinned': unpinned } as const
export type Pinned = z.infer<typeof pinned>

const asked = { actor: actorSchema.optional(), name: pinNameSchema, run_id: runIdSchema }
export const pinSchema = z.strictObject({ ...asked, turn_id: turnIdSchema.optional() })
export const unpinSchema = z.strictObject(asked)

/** A pin, and the seq of the entry that made it. */
export interface Pin extends Pinned {
  seq: number
}

interface OfPin extends Command {
  policies: Policies
}
interface KeepPin extends OfPin, Pinned {
  type: 'pin.keep'
}
interface DropPin extends OfPin, z.infer<typeof unpinned> {
  type: 'pin.drop'
}
export type PinCommand = DropPin | KeepPin

/** The stream of the pins of one workspace. It goes on after its runs have ended. */
export function pinStreamOf(workspace: string): string {
  return `pin/${workspace}`
}

type Pins = Readonly<Record<string, Pin>>

export const pinStream: Pick<Stream<Pins>, 'evolve'> = {
  evolve: (pins = {}, { data, seq, type }: Entry) => {
    const { name } = data as { name: string }
    const others = Object.fromEntries(Object.entries(pins).filter(([other]) => other !== name))
    return type === 'turn.pinned' ? { ...others, [name]: { ...(data as Pinned), seq } } : others
  },
}

/** The pins of a workspace, by name. */
export function pinsIn(row: { state: unknown } | undefined): Pins {
  return (row?.state ?? {}) as Pins
}

/**
 * Refusals, in order: NOT_FOUND, NOT_RUN_ACTOR (recorded on the run); then for `keep` PIN_EXISTS (the name is that of
 * another turn), LIMIT_EXCEEDED, and for `drop` NOT_FOUND. The same pin again is answered with the first entry.
 */
export function decidePin(command: PinCommand, context: Context, rows: LoadedState): Decision {
  const of = caseOf(command, context, rows)
  if ('kind' in of) return of
  const { name, run_id, workspace } = command
  const stream = pinStreamOf(workspace)
  const pins = pinsIn(rows.get(stream))
  const known = ownMember(pins, name)
  if (command.type === 'pin.drop') {
    if (known === undefined) return refuse('NOT_FOUND', `${workspace} has no pin ${name}`, { name, workspace })
    return { kind: 'append', events: [{ type: 'turn.unpinned', stream, data: { name, run_id, workspace } }] }
  }
  const { size, state_digest, turn_id } = command
  if (known?.run_id === run_id && known.turn_id === turn_id) return { kind: 'repeat', seq: known.seq }
  if (known !== undefined) {
    const message = `${name} is the pin of ${known.turn_id} of ${known.run_id}`
    return refuse('PIN_EXISTS', message, { name, run_id: known.run_id, turn_id: known.turn_id })
  }
  if (Object.keys(pins).length >= limits.pinsMax) {
    const message = `${workspace} already has ${limits.pinsMax} pins`
    return refuse('LIMIT_EXCEEDED', message, { pins_max: limits.pinsMax, workspace })
  }
  const data = { name, run_id, size, state_digest, turn_id, workspace }
  return { kind: 'append', events: [{ type: 'turn.pinned', stream, data }] }
}
