import type { Phase } from '../../fixtures/crash/kill-points.ts'
import { below, randomFrom } from '../../fixtures/random.ts'
import { printedSeed } from '../support/seed.ts'

/** Where a script is to be killed. */
export interface Point {
  step: number
  phase: Phase
  text: string
}

/** All points are tried in the long run; by default as many as fit. */
const pointsMax = Number(process.env.LOCKSTEP_ROUNDS ?? 3)

/** Some points of a script whose steps are these, spread over it by a printed seed, in the script's order. */
export function chosenPoints(of: string, steps: readonly string[]): Point[] {
  const random = randomFrom(printedSeed(of))
  const left = pointsOf(steps)
  const some = Array.from({ length: Math.min(pointsMax, left.length) }, () =>
    left.splice(below(left.length, random), 1),
  )
  console.log(`${some.length} points`)
  return some.flat().sort((one, other) => one.step - other.step)
}

/** Before the first step, after each, and in the middle of those that write. */
function pointsOf(steps: readonly string[]): Point[] {
  return steps.flatMap((text, index) => {
    const point = { step: index + 1, text }
    const isWrite = /^(?:batch|writeFile|handle\.write)/.test(text)
    const middle: Phase[] = text === 'batch' ? ['held', 'during'] : isWrite ? ['during'] : []
    return (['before', ...middle, 'after'] as const).map((phase) => ({ ...point, phase }))
  })
}
