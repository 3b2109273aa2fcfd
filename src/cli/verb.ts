import { Argument, Command, Option } from 'commander'
import type { Api, LedgerHere } from '../api/api.ts'
import type { OperationName } from '../api/call-facts.ts'
import { sharedErrors } from '../api/operation.ts'
import { type Code, LockstepError } from '../errors.ts'
import { choiceSentence } from '../kernel/sentences.ts'
import { askLedger, examples, folderOf, globalsOf, withLedger } from './context.ts'
import { type AnswerOf, type CallFacts, factsOf, type InputOf } from './facts.ts'
import { type Flag, type FlagOptions, flagsOf } from './flags.ts'
import type { Globals } from './globals.ts'
import { exitText, formsText, helpOf } from './help.ts'
import { inWordsOfCommand } from './hints.ts'
import { checkInput, named, nested, refuseStrays, type Values, valuesOf } from './input.ts'
import { print, writeOut } from './output.ts'
import { isServed } from './service.ts'
import { wholeNumber } from './values.ts'

/** An option or argument that serves the command alone. Arguments have no dashes: `[file]`. */
export interface Own<T> {
  about: string
  /** The closed list of values; others are refused. */
  choices?: readonly string[]
  fallback?: T
  /** As in the help: `--count <n>`. */
  flag: string
  read?: (text: string) => T
  isRequired?: boolean
}
type Owns = Readonly<Record<string, Own<unknown>>>
export type Given<O> = { readonly [Name in keyof O]: O[Name] extends Own<infer T> ? T | undefined : never }

export const toggle = (flag: string, about: string): Own<boolean> => ({ about, flag })
export const text = (flag: string, about: string): Own<string> => ({ about, flag })
export const texts = (flag: string, about: string): Own<string[]> => ({ about, flag })
export const count = (flag: string, about: string, fallback?: number): Own<number> => ({
  about,
  flag,
  read: wholeNumber,
  ...(fallback === undefined ? {} : { fallback }),
})

/** What a verb was asked. */
export interface Asked<Input, O> {
  /** Such as `lock acquire`; the ledger's owner record has it. */
  command: string
  given: Given<O>
  globals: Globals
  input: Input
}

interface Common<Shown, A> {
  /** Codes that the command adds to those of its operation, or of every command. */
  errors?: readonly Code[]
  /** The document of --json, if it is not the answer itself. */
  document?: (shown: Shown) => unknown
  examples: readonly [string, string, ...string[]]
  /** The exit code that an answer means; 0 by default. */
  exit?: (shown: Shown, asked: A) => number
  /** The items of a list. With them the verb has --jsonl. */
  items?: (shown: Shown) => readonly unknown[]
  /** The answer for people, one string a line. */
  lines?: (shown: Shown, asked: A) => string | string[] | Promise<string | string[]>
  /** Further sentences for the help. */
  more?: string
  own?: Owns
}

interface Spec<Input, Shown, O extends Owns> extends Common<Shown, Asked<Input, O>>, FlagOptions {
  /** What the verb does, if that is not what the operation does. */
  about?: string
  /** Makes the call, and others beside it. By default it is the operation alone. */
  call?: (api: LedgerHere, input: Input, asked: Asked<Input, O>) => Promise<Shown>
  /** Completes the input from what the command alone knows. It is checked afterwards. */
  input?: (values: Values, given: Given<O>, globals: Globals) => object
  /** Whether the query can take long: the ledger is then released between slices. */
  isLong?: boolean
  own?: O
  /** Does more than one call. */
  run?: (asked: Asked<Input, O>) => Promise<Shown>
}

/**
 * A verb of the command, from the table of its operation: options, arguments and their checks, help, the call, and the
 * output. Refusals of the input name options, not members.
 */
export function verb<Call extends OperationName, Shown = AnswerOf<Call>, O extends Owns = Record<never, never>>(
  name: string,
  call: Call,
  spec: Spec<InputOf<Call>, Shown, O>,
): Command {
  const facts = factsOf(call)
  const flags = flagsOf(facts, spec)
  const command = withOwn(withFlags(new Command(name).description(spec.about ?? facts.summary), flags, facts), spec)
  if (Object.keys(facts.forms).length > 1) command.addHelpText('after', formsText(facts, flags))
  command.addHelpText('after', () => exitText([...facts.errors, ...(spec.errors ?? [])], spec))
  return finished(command, spec, flags, async (globals, self) => {
    const given = givenOf<O>(self, spec)
    const values = valuesOf(self, flags)
    refuseStrays(facts, flags, values)
    const input = (spec.input?.(nested(values), given, globals) ?? nested(values)) as InputOf<Call>
    // A service checks it for itself, and the schemas take time to load.
    if (!(await isServed(folderOf(globals)))) await checkInput(call, input)
    const asked = { command: pathOf(self), given, globals, input }
    if (spec.run !== undefined) return { asked, shown: await spec.run(asked) }
    const open = spec.isLong ? askLedger : withLedger
    const make = spec.call ?? ((api: LedgerHere) => operationIn(api, call)(input) as Promise<Shown>)
    const shown = await open(globals, asked.command, (ledger) => make(ledger, input, asked), facts.kind)
    return { asked, shown }
  })
}

function operationIn(api: Api, call: OperationName): (input: object) => unknown {
  const [noun = '', verb = ''] = call.split('.')
  const methods = api as unknown as Record<string, Record<string, (input: object) => unknown>>
  return methods[noun]?.[verb] as (input: object) => unknown
}

/**
 * A verb that is no single operation: it works on files, or on several ledgers.
 */
export function local<Shown, O extends Owns>(
  name: string,
  about: string,
  spec: Common<Shown, Asked<undefined, O>> & {
    own?: O
    run: (asked: Asked<undefined, O>) => Promise<Shown>
  },
): Command {
  const command = withOwn(new Command(name).description(about), spec)
  command.addHelpText('after', () => exitText([...(spec.errors ?? []), ...sharedErrors.command], spec))
  return finished(command, spec, [], async (globals, self) => {
    const asked = { command: pathOf(self), given: givenOf<O>(self, spec), globals, input: undefined }
    return { asked, shown: await spec.run(asked) }
  })
}

/** The verbs of a noun, by their names. */
export type Verbs = Readonly<Record<string, () => Command>>

/** A noun with the one verb that was asked for, or with all of them for the help. */
export function noun(name: string, verbs: Verbs, asked: string | undefined, lines: readonly [string, string]): Command {
  const command = new Command(name)
  const one = asked !== undefined && Object.hasOwn(verbs, asked) ? verbs[asked] : undefined
  for (const make of one === undefined ? Object.values(verbs) : [one]) command.addCommand(make())
  return examples(command, ...lines)
}

function finished<Shown, A extends { globals: Globals }>(
  command: Command,
  spec: Common<Shown, A>,
  flags: readonly Flag[],
  run: (globals: Globals, self: Command) => Promise<{ asked: A; shown: Shown }>,
): Command {
  if (spec.items !== undefined) command.option('--jsonl', 'print one JSON line per item')
  command.action(async (...words: unknown[]) => {
    const self = words.at(-1) as Command
    const globals = globalsOf(self)
    try {
      const { asked, shown: answer } = await run(globals, self)
      if (self.getOptionValue('jsonl')) {
        for (const item of spec.items?.(answer) ?? []) writeOut(`${JSON.stringify(item)}\n`)
      } else if (answer !== undefined) {
        const lines = globals.json ? [] : await spec.lines?.(answer, asked)
        print(globals, spec.document?.(answer) ?? answer, () => lines ?? [])
      }
      const exit = spec.exit?.(answer, asked)
      if (exit !== undefined && exit !== 0) process.exitCode = exit
    } catch (error) {
      throw inWordsOfCommand(error, flags)
    }
  })
  if (spec.more !== undefined) command.description(`${command.description()} ${spec.more}`)
  return examples(command, ...spec.examples)
}

function withFlags(command: Command, flags: readonly Flag[], facts: CallFacts): Command {
  const formCount = Object.keys(facts.forms).length
  for (const flag of flags) {
    const { fallback, isArgument, isList, name, placeholder, requiredIn } = flag
    const isRequired = requiredIn.length === formCount && fallback === undefined
    const about = helpOf(flag, flags, formCount)
    if (isArgument) {
      command.addArgument(withChoices(new Argument(isRequired ? `<${name}>` : `[${name}]`, about), flag))
      continue
    }
    const words = placeholder === undefined ? `--${name}` : `--${name} <${placeholder}>`
    const option = withChoices(new Option(words, about), flag)
    if (isList) option.argParser((value: string, before: string[] = []) => [...before, value])
    command.addOption(option.makeOptionMandatory(isRequired))
  }
  return command
}

function withOwn(command: Command, { own = {} }: { own?: Owns }): Command {
  for (const one of Object.values(own)) {
    const { about, fallback, flag, isRequired = false } = one
    if (!flag.startsWith('-')) command.addArgument(withChoices(new Argument(flag, about), one))
    else {
      const option = new Option(flag, fallback === undefined ? about : `${about} (default: ${fallback})`)
      command.addOption(withChoices(option.makeOptionMandatory(isRequired), one))
    }
  }
  return command
}

const choices = new WeakMap<Argument | Option, readonly string[]>()

/** Commander's own list of choices would be in the help a second time, and has its own refusals. */
function withChoices<Place extends Argument | Option>(place: Place, of: { choices?: readonly string[] | undefined }) {
  if (of.choices !== undefined) choices.set(place, of.choices)
  return place
}

/** The closed list of values of an option or argument; empty if any value is allowed. */
export function choicesOf(place: Argument | Option): readonly string[] {
  return choices.get(place) ?? place.argChoices ?? []
}

/** The values of the verb's own options, by their names in the specification. */
function givenOf<O extends Owns>(self: Command, { own }: { own?: Owns }): Given<O> {
  const entries = Object.entries(own ?? {}).map(([name, { choices, fallback, flag, read }]) => {
    const raw = flag.startsWith('-')
      ? self.getOptionValue(new Option(flag).attributeName())
      : self.processedArgs[self.registeredArguments.findIndex((one) => flag.includes(one.name()))]
    if (raw === undefined) return [name, fallback]
    if (choices !== undefined && !choices.includes(raw))
      throw new LockstepError('INVALID_INPUT', `${flag.replace(/[<>[\]]/g, '')} ${choiceSentence(choices, raw)}`)
    return [name, read === undefined ? raw : named(flag.split(' ')[0] ?? flag, () => read(String(raw)))]
  })
  return Object.fromEntries(entries) as Given<O>
}

/** The words of a command, such as `lock acquire`. */
function pathOf(self: Command): string {
  const words: string[] = []
  for (let at: Command | null = self; at?.parent; at = at.parent) words.unshift(at.name())
  return words.join(' ')
}
