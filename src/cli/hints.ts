import { words } from '../api/words.ts'
import { LockstepError } from '../errors.ts'
import { type Flag, shownName } from './flags.ts'
import { withOptions } from './input.ts'

/** Options of `openLedger` and the options of the command for them. */
const ofOpen: Readonly<Record<string, string>> = {
  accept_permissions: '--accept-permissions',
  dir: '--dir',
  nested: '--nested',
  open_wait_s: '--open-wait',
}

/** Hints whose library form names methods or options that the command does not have. */
const ofCode: Readonly<Record<string, string>> = {
  FORBIDDEN: 'Add --operator if you operate this ledger, or set LOCKSTEP_BEARER_TOKEN to a token with this grant.',
  LEDGER_SERVED: 'End the service first, or wait until it answers.',
}

/**
 * An error in the words of the command. Messages and hints name the members of an input in backticks, as the library's
 * callers know them; here these become the options of the verb.
 */
export function inWordsOfCommand(error: unknown, flags: readonly Flag[] = []): unknown {
  if (!(error instanceof LockstepError)) return error
  const { code, details, message } = withOptions(error, flags)
  const hint = ofCode[code] ?? error.hint
  const said = (text: string) =>
    text.replace(/`([a-z_.]+)`/g, (quoted, member: string) => {
      if (flags.some((flag) => flag.member === member)) return shownName(flags, member)
      if (Object.hasOwn(ofOpen, member)) return ofOpen[member] ?? quoted
      return Object.hasOwn(words, member) ? `--${words[member]?.flag ?? member.replaceAll('_', '-')}` : quoted
    })
  if (said(message) === error.message && (hint === undefined || said(hint) === error.hint)) return error
  return new LockstepError(code, said(message), {
    details,
    ...(hint === undefined ? {} : { hint: said(hint) }),
    cause: error,
  })
}
