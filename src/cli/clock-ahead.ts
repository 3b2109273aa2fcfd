import type { Ledger } from '../ledger.ts'
import type { Globals } from './globals.ts'
import { durationText, say } from './output.ts'

/**
 * Warns once, after something was recorded, that the time of entries is far ahead of the wall clock. The request was
 * already answered, so a ledger that cannot be read now is not an error.
 */
export async function sayClockAhead(globals: Globals, ledger: Ledger): Promise<void> {
  const aheadSeconds = await ledger.clock.aheadSeconds().catch(() => undefined)
  if (aheadSeconds !== undefined && globals.clockAheadSeconds === undefined) {
    say(`warning: ${clockAheadText(aheadSeconds)}`)
  }
  globals.clockAheadSeconds = aheadSeconds
}

/** The warning about entry times ahead of the wall clock, with the remedy. */
export function clockAheadText(aheadSeconds: number): string {
  const text = `the time of entries is ${durationText(aheadSeconds)} ahead of the wall clock`
  return `${text}; when the clock is right, an operator must run "lockstep clock reset --reason TEXT"`
}
