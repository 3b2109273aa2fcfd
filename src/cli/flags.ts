import type { CallFacts, Member, Value } from './facts.ts'
import { durationText } from './output.ts'
import { actorIn, fromHere, grantIn, jsonIn, moment, pairsIn, scopeIn, seconds, wholeNumber } from './values.ts'

/** An option or argument of a verb. Its value is one member of the operation's input, or serves the command alone. */
export interface Flag {
  about: string
  /** The closed list of values; others are refused. */
  choices?: readonly string[] | undefined
  /** The default of the command itself. */
  fallback?: unknown
  /** The forms of the input that have the member; empty if the input has one form. */
  forms: readonly string[]
  isArgument: boolean
  isList: boolean
  /** The place of the value in the input, such as `action.target.name`. */
  member: string
  /** The words that describe bounds and defaults in the help. */
  notes: readonly string[]
  /** Without dashes. */
  name: string
  /** What stands for the value in the help; undefined for a switch. */
  placeholder?: string | undefined
  read: (text: string) => unknown
  /** Reads all texts of a repeatable option together. */
  readAll?: ((texts: readonly string[]) => unknown) | undefined
  /** The forms in which it is required; `''` stands for the only form. */
  requiredIn: readonly string[]
}

/** What a verb may say differently from the table. */
export type Override = Partial<
  Pick<Flag, 'about' | 'choices' | 'fallback' | 'name' | 'notes' | 'placeholder' | 'read' | 'readAll'> & {
    /** The verb fills in the member, or another option can take its place. */
    isOptional: boolean
  }
>

export interface FlagOptions {
  /** The members that are arguments, in their order. */
  arguments?: readonly string[] | undefined
  /** Members whose own members become flags, such as `action`, or `events` for the one event of the flags. */
  expand?: readonly string[] | undefined
  /** By the member's path: what is different, or false if the command does not offer it. */
  flags?: Readonly<Record<string, Override | false>> | undefined
}

/** The option or argument of a member, as a person writes it. */
export function shownName(flags: readonly Flag[], member: string): string {
  const flag = flags.find((one) => one.member === member)
  if (flag === undefined) return member
  return flag.isArgument ? flag.name.toUpperCase() : `--${flag.name}`
}

/** The options and arguments that follow from the members of an operation's input. */
export function flagsOf({ forms }: CallFacts, options: FlagOptions = {}): Flag[] {
  const names = Object.keys(forms)
  const found = new Map<string, Flag>()
  for (const form of names) {
    for (const flag of flagsIn(forms[form] ?? [], '', options)) {
      const known = found.get(flag.member) ?? { ...flag, requiredIn: [] }
      const isRequired = flag.requiredIn.length > 0
      found.set(flag.member, {
        ...known,
        forms: form === '' ? [] : [...known.forms, form],
        requiredIn: isRequired ? [...known.requiredIn, form] : known.requiredIn,
      })
    }
  }
  const order = options.arguments ?? []
  const flags = [...found.values()].map((flag) => (flag.forms.length === names.length ? { ...flag, forms: [] } : flag))
  return [
    ...order.flatMap((member) => flags.filter((flag) => flag.member === member)),
    ...flags.filter(({ member }) => !order.includes(member)),
  ]
}

function flagsIn(members: readonly Member[], prefix: string, options: FlagOptions): Flag[] {
  return members.flatMap((of) => {
    const { about, isOptional = false, isPath, name } = of
    const member = `${prefix}${name}`
    const override = options.flags?.[member]
    if (override === false) return []
    if (options.expand?.includes(member)) {
      const [inner, place] = of.type === 'list' ? [of.element, `${member}.0.`] : [of, `${member}.`]
      const flags = flagsIn(inner?.members ?? [], place, options)
      return flags.map((flag) => (isOptional ? { ...flag, requiredIn: [] } : flag))
    }
    const shape = override?.readAll ? plainText(name) : shapeOf(name, of, of.unit, override?.read)
    if (shape === undefined) return []
    const flag: Flag = {
      about,
      forms: [],
      isList: false,
      member,
      name: options.arguments?.includes(member) ? name : (of.flag ?? name.replaceAll('_', '-')),
      read: isPath ? fromHere : (text) => text,
      requiredIn: override?.isOptional || isOptional ? [] : [''],
      ...shape,
      isArgument: options.arguments?.includes(member) ?? false,
      notes: [...(shape.notes ?? []), ...defaultOf(of)],
      ...override,
    }
    return [override?.readAll === undefined ? flag : { ...flag, isList: true }]
  })
}

type Shape = Partial<Flag> & Pick<Flag, 'placeholder'>

/** How a value is written on the command line; undefined if it cannot be. A text can be read by a function of its own. */
function shapeOf(name: string, value: Value, unit: string | undefined, read?: Flag['read']): Shape | undefined {
  if (read !== undefined && value.type !== 'list') return plainText(name)
  const special = Object.hasOwn(written, name) ? written[name] : undefined
  if (special !== undefined) return special
  const { choices, element, type } = value
  // A member that can only be true is given or not.
  if (choices?.join() === 'true') return { placeholder: undefined }
  if (choices !== undefined) return { choices, placeholder: placeholderOf(name) }
  if (type === 'boolean') return { placeholder: undefined }
  if (type === 'number') {
    const notes = rangeOf(value, unit)
    return unit === 's'
      ? { notes, placeholder: 'duration', read: seconds }
      : { notes, placeholder: 'n', read: wholeNumber }
  }
  if (type === 'list') {
    const one = element && shapeOf(name.replace(/s$/, ''), element, unit, read)
    return one && { ...one, isList: true, notes: [...(one.notes ?? []), 'repeatable'] }
  }
  return type === 'text' ? plainText(name) : undefined
}

const plainText = (name: string): Shape => ({ placeholder: placeholderOf(name) })
const placeholderOf = (name: string) => (name === 'folder' || name === 'under' ? 'dir' : name)

const file: Shape = { notes: ['a JSON file, or - for stdin'], placeholder: 'file', read: jsonIn }

/** Members whose value is no plain text but has one usual form on the command line. */
const written: Readonly<Record<string, Shape>> = {
  artifact_refs: file,
  artifacts: file,
  bundle: file,
  guard: { placeholder: 'name@token', read: grantIn },
  input_artifacts: file,
  output_artifacts: file,
  redaction: file,
  run_actor: { placeholder: 'actor', read: actorIn },
  scope: {
    isList: true,
    notes: ['repeatable; attorney_signoff and audit are true or false, everything else is text'],
    placeholder: 'key=value',
    readAll: scopeIn,
  },
  since: { notes: ['1h, a date, or a time'], placeholder: 'time', read: (text) => moment(text) },
  taxonomy_versions: {
    isList: true,
    notes: ['repeatable; coa, tags or entities'],
    placeholder: 'name=version',
    readAll: pairsIn,
  },
  until: { notes: ['1h, a date, or a time'], placeholder: 'time', read: (text) => moment(text) },
}

function rangeOf({ max, min }: Value, unit: string | undefined): string[] {
  const text = (value: number) => (unit === 's' ? durationText(value) : String(value))
  if (max !== undefined) return [min === undefined ? `at most ${text(max)}` : `${text(min)} to ${text(max)}`]
  return min === undefined || min === 0 ? [] : [`at least ${text(min)}`]
}

/** The default of the table, unless it means what absence means. */
function defaultOf({ default: value, unit }: Member): string[] {
  if (value === undefined || value === false || value === Number.MAX_SAFE_INTEGER) return []
  return [`default: ${unit === 's' ? durationText(Number(value)) : value}`]
}
