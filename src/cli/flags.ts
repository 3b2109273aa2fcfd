import * as z from 'zod'
import { hintOf, membersOf, unwrapped } from '../api/hints.ts'
import { type AnyFacts, formsOf } from '../api/operation.ts'
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

/** The options and arguments that follow from the schemas of an operation's input. */
export function flagsOf(facts: AnyFacts, options: FlagOptions = {}): Flag[] {
  const forms = formsOf(facts)
  const found = new Map<string, Flag>()
  for (const [form, schema] of forms) {
    for (const flag of membersIn(unwrapped(schema, 'input'), '', options)) {
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
  const flags = [...found.values()].map((flag) => (flag.forms.length === forms.size ? { ...flag, forms: [] } : flag))
  return [
    ...order.flatMap((member) => flags.filter((flag) => flag.member === member)),
    ...flags.filter(({ member }) => !order.includes(member)),
  ]
}

/** The flags of an object's members. The caller of the command is `--actor`, for every verb. */
function membersIn(object: z.ZodType, prefix: string, options: FlagOptions): Flag[] {
  return membersOf(object).flatMap(([name, schema]) => {
    const member = `${prefix}${name}`
    const override = options.flags?.[member]
    if (member === 'actor' || override === false) return []
    const inner = unwrapped(schema, 'input')
    if (options.expand?.includes(member)) {
      const [of, place] =
        inner instanceof z.ZodArray
          ? [unwrapped(inner.element as z.ZodType, 'input'), `${member}.0.`]
          : [inner, `${member}.`]
      const isOptional = mayBeAbsent(schema)
      return membersIn(of, place, options).map((flag) => (isOptional ? { ...flag, requiredIn: [] } : flag))
    }
    const shape =
      override?.read || override?.readAll ? plainText(name) : shapeOf(name, inner, hintOf(object, name)?.unit)
    if (shape === undefined) return []
    const hint = hintOf(object, name)
    const notes = [...(shape.notes ?? []), ...defaultOf(schema, hint?.unit)]
    const flag: Flag = {
      about: hint?.about ?? '',
      forms: [],
      isList: false,
      member,
      name: options.arguments?.includes(member) ? name : (hint?.flag ?? name.replaceAll('_', '-')),
      read: hint?.path ? fromHere : (text) => text,
      requiredIn: override?.isOptional || mayBeAbsent(schema) ? [] : [''],
      ...shape,
      isArgument: options.arguments?.includes(member) ?? false,
      notes,
      ...override,
    }
    return [override?.readAll === undefined ? flag : { ...flag, isList: true }]
  })
}

const mayBeAbsent = (schema: z.ZodType) => schema._zod.optin !== undefined

type Shape = Partial<Flag> & Pick<Flag, 'placeholder'>

/** How a value of a type is written on the command line; undefined if it cannot be. */
function shapeOf(name: string, schema: z.ZodType, unit: string | undefined): Shape | undefined {
  const special = Object.hasOwn(written, name) ? written[name] : undefined
  if (special !== undefined) return special
  const choices = choicesOf(schema)
  if (choices !== undefined) return { choices, placeholder: placeholderOf(name) }
  if (schema instanceof z.ZodBoolean) return { placeholder: undefined }
  if (schema instanceof z.ZodNumber) {
    const notes = rangeOf(schema, unit)
    return unit === 's'
      ? { notes, placeholder: 'duration', read: seconds }
      : { notes, placeholder: 'n', read: wholeNumber }
  }
  if (schema instanceof z.ZodArray) {
    const element = shapeOf(name.replace(/s$/, ''), unwrapped(schema.element as z.ZodType, 'input'), unit)
    return element && { ...element, isList: true, notes: [...(element.notes ?? []), 'repeatable'] }
  }
  return schema instanceof z.ZodString ? plainText(name) : undefined
}

const plainText = (name: string): Shape => ({ placeholder: placeholderOf(name) })
const placeholderOf = (name: string) => (name === 'folder' || name === 'under' ? 'dir' : name)

const file: Shape = { notes: ['a JSON file, or - for stdin'], placeholder: 'file', read: jsonIn }

/** Members whose value is no plain text but has one usual form on the command line. */
const written: Readonly<Record<string, Shape>> = {
  artifact_refs: file,
  artifacts: file,
  guard: { placeholder: 'name@token', read: grantIn },
  output_artifacts: file,
  redaction: file,
  run_actor: { placeholder: 'actor', read: actorIn },
  scope: {
    isList: true,
    notes: ['repeatable; true and false are booleans'],
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

/** The closed list of values of a schema: an enumeration, or a union of enumerations and single values. */
function choicesOf(schema: z.ZodType): readonly string[] | undefined {
  if (schema instanceof z.ZodEnum) return schema.options.map(String)
  if (schema instanceof z.ZodLiteral) return [...schema.values].map(String)
  if (!(schema instanceof z.ZodUnion)) return undefined
  const lists = schema.options.map((option) => choicesOf(unwrapped(option as z.ZodType, 'input')))
  return lists.includes(undefined) ? undefined : lists.flatMap((list) => list ?? [])
}

function rangeOf({ maxValue, minValue }: z.ZodNumber, unit: string | undefined): string[] {
  const hasMin = minValue !== null && minValue > Number.MIN_SAFE_INTEGER
  const hasMax = maxValue !== null && maxValue < Number.MAX_SAFE_INTEGER
  const text = (value: number | null) => (unit === 's' ? durationText(value ?? 0) : String(value))
  if (hasMin && hasMax) return [`${text(minValue)} to ${text(maxValue)}`]
  if (hasMax) return [`at most ${text(maxValue)}`]
  return hasMin && minValue !== 0 ? [`at least ${text(minValue)}`] : []
}

/** The default of the table, unless it means what absence means. */
function defaultOf(schema: z.ZodType, unit: string | undefined): string[] {
  if (!(schema instanceof z.ZodDefault)) return []
  const value = schema.def.defaultValue
  if (value === false || typeof value === 'object' || value === Number.MAX_SAFE_INTEGER) return []
  return [`default: ${unit === 's' ? durationText(Number(value)) : value}`]
}
