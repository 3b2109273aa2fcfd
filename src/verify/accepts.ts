import { isDeepStrictEqual } from 'node:util'
import type * as z from 'zod'

/** Whether a value matches a schema and is what the schema makes of it. False also stands for "not known". */
export type Accepts = (value: unknown) => boolean

const no: Accepts = () => false

/**
 * Compiles a schema to a check that makes no copy of the value, for values from JSON. It answers true only if the schema
 * accepts the value and leaves it unchanged. Parts of a schema that are not known here are never accepted, so the caller
 * asks the schema itself whenever the answer is false.
 */
export function acceptsOf(schema: z.core.$ZodType): Accepts {
  const known = compiled.get(schema)
  if (known !== undefined) return known
  // A schema may contain itself.
  let made: Accepts = no
  compiled.set(schema, (value) => made(value))
  made = withChecks(schema, ofType(schema as z.core.$ZodTypes))
  compiled.set(schema, made)
  return made
}

const compiled = new WeakMap<z.core.$ZodType, Accepts>()

function ofType(schema: z.core.$ZodTypes): Accepts {
  const { def } = schema._zod
  switch (def.type) {
    case 'string':
      return (value) => typeof value === 'string'
    case 'number':
      return (value) => Number.isFinite(value)
    case 'boolean':
      return (value) => typeof value === 'boolean'
    case 'null':
      return (value) => value === null
    case 'enum':
      return isIn(new Set<unknown>(Object.values(def.entries)))
    case 'literal':
      return isIn(new Set<unknown>(def.values))
    case 'optional':
      return acceptsOf(def.innerType)
    case 'nullable': {
      const inner = acceptsOf(def.innerType)
      return (value) => value === null || inner(value)
    }
    case 'array': {
      const element = acceptsOf(def.element)
      return (value) => Array.isArray(value) && value.every(element)
    }
    case 'union': {
      if ('discriminator' in def) return ofDiscriminated(def as z.core.$ZodDiscriminatedUnionDef)
      const options = def.options.map(acceptsOf)
      return (value) => options.some((option) => option(value))
    }
    case 'record':
      return ofRecord(acceptsOf(def.keyType), acceptsOf(def.valueType))
    case 'object':
      return def.catchall?._zod.def.type === 'never' ? ofObject(def.shape) : no
    default:
      return no
  }
}

/** Only the option that the discriminator names is tried. */
function ofDiscriminated({ discriminator, options }: z.core.$ZodDiscriminatedUnionDef): Accepts {
  const byName = new Map<unknown, Accepts>()
  for (const option of options) {
    for (const name of option._zod.propValues?.[discriminator] ?? []) byName.set(name, acceptsOf(option))
  }
  return (value) => isObject(value) && (byName.get(value[discriminator]) ?? no)(value)
}

const isIn =
  (values: ReadonlySet<unknown>): Accepts =>
  (value) =>
    values.has(value)

function ofRecord(key: Accepts, member: Accepts): Accepts {
  return (value) =>
    isObject(value) && Object.keys(value).every((name) => name !== '__proto__' && key(name) && member(value[name]))
}

/** An object without other members than these. */
function ofObject(shape: Readonly<Record<string, z.core.$ZodType>>): Accepts {
  const members = Object.entries(shape).map(([name, schema]) => {
    return { accepts: acceptsOf(schema), isOptional: schema._zod.def.type === 'optional', name }
  })
  return (value) => {
    if (!isObject(value)) return false
    let left = Object.keys(value).length
    for (const { accepts, isOptional, name } of members) {
      const member = value[name]
      if (member === undefined) {
        if (!isOptional) return false
      } else {
        if (!accepts(member)) return false
        left -= 1
      }
    }
    return left === 0
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The checks of a schema beside its type. A string or number with a format is one of its own checks. */
function withChecks(schema: z.core.$ZodType, type: Accepts): Accepts {
  const { def } = schema._zod
  const checks = [...('check' in def ? [schema as unknown as z.core.$ZodChecks] : []), ...(def.checks ?? [])].map(
    (check) => ofCheck((check as z.core.$ZodChecks)._zod.def),
  )
  if (checks.length === 0) return type
  return (value) => type(value) && checks.every((check) => check(value))
}

function ofCheck(def: z.core.$ZodChecks['_zod']['def'] | z.core.$ZodCustomDef): Accepts {
  switch (def.check) {
    case 'min_length':
      return (value) => lengthOf(value) >= def.minimum
    case 'max_length':
      return (value) => lengthOf(value) <= def.maximum
    case 'greater_than':
      return (value) => (def.inclusive ? Number(value) >= Number(def.value) : Number(value) > Number(def.value))
    case 'less_than':
      return (value) => (def.inclusive ? Number(value) <= Number(def.value) : Number(value) < Number(def.value))
    case 'number_format':
      return def.format === 'safeint' ? Number.isSafeInteger : no
    case 'string_format': {
      const { format, pattern } = def
      if ((format !== 'regex' && format !== 'datetime') || pattern === undefined || pattern.global) return no
      return (value) => pattern.test(String(value))
    }
    case 'overwrite':
      return (value) => isDeepStrictEqual(def.tx(value as never), value)
    case 'custom':
      return 'fn' in def ? (value) => def.fn(value as never) === true : no
    default:
      return no
  }
}

const lengthOf = (value: unknown) => (value as string | unknown[]).length
