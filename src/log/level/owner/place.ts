import type { Layout } from '../../../disk/layout.ts'
import { demandPlace, recordPlace } from '../../../disk/place.ts'
import { LockstepError } from '../../../errors.ts'
import { failureOf } from '../../failure.ts'

/**
 * The place of a ledger that is about to be opened. `record` is called once it is open. Errors: LEDGER_COPIED,
 * LEDGER_UNAVAILABLE.
 */
export function placeOf(layout: Layout): { record: () => Promise<void> } {
  const isRecorded = isPlaceRecorded(layout)
  return {
    record: async () => {
      // A disk that cannot take the record now takes it at a later open.
      if (!isRecorded) await recordPlace(layout.home).catch(() => {})
    },
  }
}

function isPlaceRecorded(layout: Layout): boolean {
  try {
    return demandPlace(layout)
  } catch (error) {
    const isOfReading = error instanceof LockstepError && error.code === 'FILE_FAILED'
    throw isOfReading ? failureOf(`opening the ledger in ${layout.home}`, error.cause) : error
  }
}
