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

const ofGrants = 'Add --operator if you operate this ledger, or set LOCKSTEP_BEARER_TOKEN to a token with this grant.'
const ofToken = 'Set LOCKSTEP_BEARER_TOKEN to a valid token, or add --operator if you operate this ledger.'
const ofServed = 'End the service first, or wait until it answers.'

/**
 * An error in the words of the command. Messages and hints name the members of an input in backticks, as the library's
 * callers know them; here these become the options of the verb.
 */
export function inWordsOfCommand(error: unknown, flags: readonly Flag[] = []): unknown {
  if (!(error instanceof LockstepError)) return error
  const { code, details, message } = withOptions(error, flags)
  const hint = hintFor(error)
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

/** The service speaks of headers and tokens, and the library of methods. The command has options and a variable. */
function hintFor({ code, details, hint }: LockstepError): string | undefined {
  if (code === 'UNAUTHENTICATED') return ofToken
  if (code === 'LEDGER_SERVED') return ofServed
  return code === 'FORBIDDEN' && Object.hasOwn(details, 'needed') ? ofGrants : hint
}
