import * as z from 'zod'

const pattern = /^turn-(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3,14})$/

/**
 * Turn ids start at `turn-0001`: at least four digits, without further leading zeros, ordered by number. `turn-0000`
 * stands for the state before the first turn and is not a valid input.
 */
export const turnIdSchema = z.string().regex(pattern, 'must be turn- and a number from 0001 on')

/** The number of a turn; undefined if the text is not a turn_id. */
export function turnNumberOf(turnId: string): number | undefined {
  return pattern.test(turnId) ? Number(turnId.slice('turn-'.length)) : undefined
}

/** The turn_id of a number. 0 gives `turn-0000`, the state before the first turn. */
export function turnIdOf(number: number): string {
  return `turn-${String(number).padStart(4, '0')}`
}
