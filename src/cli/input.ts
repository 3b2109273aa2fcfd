import type { Command } from 'commander'
import { Option } from 'commander'
import type { OperationName } from '../api/call-facts.ts'
import { LockstepError } from '../errors.ts'
import { choiceSentence } from '../kernel/sentences.ts'
import type { CallFacts } from './facts.ts'
import { type Flag, shownName } from './flags.ts'

/** The members of an input that were given. */
export type Values = Record<string, unknown>

/** The values of the members that were given, by the members' paths. */
export function valuesOf(self: Command, flags: readonly Flag[]): Map<string, unknown> {
  const values = new Map<string, unknown>()
  const order = flags.filter(({ isArgument }) => isArgument)
  for (const flag of flags) {
    const { choices, fallback, isArgument, isList, member, name, read, readAll } = flag
    const raw: unknown = isArgument
      ? self.processedArgs[order.indexOf(flag)]
      : (self.getOptionValue(new Option(`--${name}`).attributeName()) ?? fallback)
    if (raw === undefined) continue
    const shown = shownName(flags, member)
    const one = (given: string) => {
      if (choices !== undefined && !choices.includes(given)) throw invalid(`${shown} ${choiceSentence(choices, given)}`)
      return read(given)
    }
    const value = () => {
      if (typeof raw === 'boolean') return raw
      if (readAll !== undefined) return readAll(raw as string[])
      return isList ? (raw as string[]).map(one) : one(String(raw))
    }
    values.set(member, named(shown, value))
  }
  return values
}

/** Reads a value; a refusal says which option it was. */
export function named<T>(shown: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof LockstepError) || error.code !== 'INVALID_INPUT' || error.message.startsWith(shown))
      throw error
    const message = error.message.startsWith('must ') ? `${shown} ${error.message}` : `${shown}: ${error.message}`
    throw new LockstepError('INVALID_INPUT', message, {
      details: error.details,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
    })
  }
}

/** Refuses options that mean nothing in the form of the input that was chosen. If ignored, they would seem to work. */
export function refuseStrays(facts: CallFacts, flags: readonly Flag[], values: ReadonlyMap<string, unknown>): void {
  const forms = Object.keys(facts.forms).filter((form) => flags.some(({ member }) => member === form))
  if (forms.length < 2) return
  const chosen = forms.filter((form) => values.has(form))
  const [form] = chosen
  const list = forms.map((one) => shownName(flags, one)).join(', ')
  if (form === undefined || chosen.length > 1) throw invalid(`specify exactly one of these: ${list}`)
  const stray = flags.find(({ forms, member }) => values.has(member) && forms.length > 0 && !forms.includes(form))
  if (stray !== undefined)
    throw invalid(`${shownName(flags, stray.member)} cannot be used with ${shownName(flags, form)}`)
}

/** The values as an object, with `action.target.name` at its place. */
export function nested(values: ReadonlyMap<string, unknown>): Values {
  const object: Values = {}
  for (const [path, value] of values) {
    const words = path.split('.')
    const last = words.pop() ?? ''
    let place: Values = object
    words.forEach((word, index) => {
      const isList = (words[index + 1] ?? last) === '0'
      place[word] ??= isList ? [] : {}
      place = place[word] as Values
    })
    place[last] = value
  }
  return object
}

/**
 * Checks the input by the schema of its form, before the ledger is opened. A service checks for itself.
 * Errors: INVALID_INPUT.
 */
export async function checkInput(call: OperationName, input: object): Promise<void> {
  const [{ everyOperation }, { formOf }, { sentenceOf }] = await Promise.all([
    import('../api/operations.ts'),
    import('../api/operation.ts'),
    import('../kernel/sentences.ts'),
  ])
  const operation = everyOperation().find(({ name }) => name === call)
  const parsed = operation && formOf(operation.facts, input)?.safeParse(input, { error: sentenceOf })
  if (parsed === undefined || parsed.success) return
  const issues = parsed.error.issues.slice(0, 20).map(({ message, path }) => ({ path: path.join('.'), message }))
  throw new LockstepError('INVALID_INPUT', `${call}: the input is not valid`, { details: { issues } })
}

/** A refused input in the words of the command: the first issue names the option of its member. */
export function withOptions(error: LockstepError, flags: readonly Flag[]): LockstepError {
  const { issues } = error.details
  if (flags.length === 0 || error.code !== 'INVALID_INPUT' || !Array.isArray(issues) || issues.length === 0)
    return error
  const [{ message, path }] = issues as [{ message: string; path: string }]
  return new LockstepError('INVALID_INPUT', `${flagOf(flags, path)} ${message}`.trim(), {
    details: error.details,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    cause: error,
  })
}

/** The option for a place in the input: that of the place itself, or of what contains it. */
function flagOf(flags: readonly Flag[], path: string): string {
  for (let place = path; place !== ''; place = place.slice(0, Math.max(0, place.lastIndexOf('.')))) {
    if (flags.some(({ member }) => member === place)) {
      const rest = path.slice(place.length + 1)
      return rest === '' || /^\d+$/.test(rest) ? shownName(flags, place) : `${shownName(flags, place)}: ${rest}`
    }
  }
  return path
}

function invalid(message: string): LockstepError {
  return new LockstepError('INVALID_INPUT', message, { hint: 'Add --help to see the options.' })
}
