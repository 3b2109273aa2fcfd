import * as z from 'zod'

const pattern = /^turn-(?:000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3,14})$/

/**
 * `turn-0001` and on: four digits at least, no zeros beyond that width, in the order of their numbers. `turn-0000`
 * stands before the first and cannot be asked for.
 */
export const turnIdSchema = z.string().regex(pattern, 'must be turn- and a number from 0001 on')

/** The number of a turn; undefined where the text names none. */
export function turnNumberOf(turnId: string): number | undefined {
  return pattern.test(turnId) ? Number(turnId.slice('turn-'.length)) : undefined
}

/** The name of the turn with a number; of 0, what stands before the first. */
export function turnIdOf(number: number): string {
  return `turn-${String(number).padStart(4, '0')}`
}
