import type { Ledger } from '../ledger/ledger.ts'
import type { Globals } from './globals.ts'
import { durationText, say } from './output.ts'

/**
 * Tells whoever recorded something that the time of entries stands still far ahead of the wall clock; once. What was
 * recorded was answered, so that a ledger that cannot be read now is no error of it.
 */
export function sayClockAhead(globals: Globals, ledger: Ledger): void {
  const aheadSeconds = secondsAhead(ledger)
  if (aheadSeconds !== undefined && globals.clockAheadSeconds === undefined) {
    say(`warning: ${clockAheadText(aheadSeconds)}`)
  }
  globals.clockAheadSeconds = aheadSeconds
}

function secondsAhead({ clock }: Ledger): number | undefined {
  try {
    return clock.aheadSeconds
  } catch {
    return undefined
  }
}

/** What is wrong where the time of entries is ahead, and what to do. */
export function clockAheadText(aheadSeconds: number): string {
  const text = `the time of entries is ${durationText(aheadSeconds)} ahead of the wall clock`
  return `${text}; once the clock is right, an operator runs "lockstep clock reset --reason TEXT"`
}
