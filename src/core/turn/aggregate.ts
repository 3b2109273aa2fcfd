import { invariant } from '../../errors.ts'
import { decide, reads } from './decide.ts'

/** Its events stand in the stream of their run, whose row evolves by them: no stream is a turn's own. */
export const turnAggregate = {
  reads,
  decide,
  evolve: (): void => invariant(false, 'no stream is of turns'),
}
