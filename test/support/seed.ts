import { below, randomFrom } from '../../fixtures/random.ts'

/**
 * The seed of a test's random choices: `LOCKSTEP_SEED`, or another at each run. It is printed, so that a failure can
 * be had again.
 */
export function printedSeed(of: string): number {
  const seed = Number(process.env.LOCKSTEP_SEED ?? Date.now() % 2 ** 31)
  console.log(`${of}: LOCKSTEP_SEED=${seed}`)
  return seed
}

/** Random whole numbers from 0 to below a limit, the same for the same seed. */
export type Random = (limit: number) => number

/** Random numbers of a printed seed. */
export function randomBelow(of: string): Random {
  const random = randomFrom(printedSeed(of))
  return (limit) => below(limit, random)
}
