import { invariant } from '../../errors.ts'
import { decide, reads } from './decide.ts'

/** Events of turns are in the stream of their run and change the row of the run. Turns have no stream of their own. */
export const turnAggregate = {
  reads,
  decide,
  evolve: (): void => invariant(false, 'turns have no stream of their own'),
}
