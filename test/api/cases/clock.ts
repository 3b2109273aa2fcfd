import { is, ok } from 'uvu/assert'
import { becca, type Cases, refused } from '../stage.ts'

/** So much that the real time, at which a factory may make the ledger, lies before it. */
const aheadMillis = 100 * 365 * 24 * 60 * 60 * 1_000

export const clock: Cases<'clock'> = {
  of: {
    reset: {
      'makes the time of entries follow the wall clock again, for the authority alone': async ({ apart }) => {
        await apart({}, async ({ api, clock }) => {
          const reason = 'the clock of the machine was ahead'
          clock.advance(aheadMillis)
          await api.audit.append({ events: [{ action_type: 'system', outcome: 'success' }] })
          clock.advance(-aheadMillis)
          await refused(api.clock.reset({ reason }), 'CLOCK_RESET_DENIED')
          const { previous_time, seq, time } = await api.clock.reset({ actor: becca, reason })
          ok(Date.parse(previous_time) - Date.parse(time) >= aheadMillis)
          is((await api.log.entry({ seq })).type, 'clock.reset')
          await refused(api.clock.reset({ actor: becca, reason }), 'CLOCK_NOT_AHEAD')
        })
      },
    },
  },
}
