import * as z from 'zod'

/**
 * `turn-0001` and on: four digits at least, no zeros beyond that width, in the order of their numbers. `turn-0000`
 * stands before the first and cannot be asked for.
 */
export const turnIdSchema = z
  .string()
  .refine((text) => turnNumberOf(text) !== undefined, 'must be turn- and a number from 0001 on')

/** The number of a turn; undefined where the text names none. */
export function turnNumberOf(turnId: string): number | undefined {
  const digits = /^turn-(\d{4}|[1-9]\d{4,14})$/.exec(turnId)?.[1]
  const number = Number(digits ?? 0)
  return number === 0 ? undefined : number
}

/** The name of the turn with a number; of 0, what stands before the first. */
export function turnIdOf(number: number): string {
  return `turn-${String(number).padStart(4, '0')}`
}

/** What `last_promoted_turn_id` starts with. */
export const noTurnYet = turnIdOf(0)
