import * as z from 'zod'
import { selectionSchema } from '../domain/approval/exported.ts'
import { auditEventSchema } from '../domain/audit/audit-event.ts'
import { exportBundleSchema } from '../domain/export/bundle.ts'
import { actionSchema } from '../domain/policy/action.ts'
import { runErrorSchema, runRecordSchema } from '../domain/run/run-record.ts'
import { issueSchema } from '../domain/turn/issue.ts'
import { tripletSchema } from '../domain/turn/triplet.ts'
import { artifactRefSchema } from '../kernel/artifact-ref.ts'
import { entrySchema } from '../kernel/entry.ts'
import { actorSchema } from '../kernel/ids.ts'
import { hintOf, membersOf, unwrapped } from './hints.ts'
import { grant, status } from './shapes/locks.ts'
import { tree } from './shapes/runs.ts'

export type JsonSchema = { [keyword: string]: unknown }

/** Documents of Contract v1. Their members are described in `contract/v1/schemas` and not here. */
export const documents: Readonly<Record<string, z.ZodType>> = {
  artifact_ref: artifactRefSchema,
  audit_event: auditEventSchema,
  entry: entrySchema,
  export_bundle: exportBundleSchema,
  issue: issueSchema,
  run_record: runRecordSchema,
  triplet: tripletSchema,
}
/** Shapes of inputs that are written once, under their own name in `$defs`. */
export const inputShapes: Readonly<Record<string, z.ZodType>> = {
  action: actionSchema,
  actor: actorSchema,
  error: runErrorSchema,
  selection: selectionSchema,
}
/** The same for shapes of answers. */
export const answerShapes: Readonly<Record<string, z.ZodType>> = { grant, lock_state: status, run_tree: tree }
const named = z.registry<{ id: string }>()
for (const [id, schema] of Object.entries({ ...documents, ...inputShapes, ...answerShapes })) named.add(schema, { id })
const areDocuments = new Set(Object.values(documents))

/** A schema as JSON Schema 2020-12, its members described by the hints. Rules that are functions are left out. */
export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const json = z.toJSONSchema(schema, { io, metadata: named }) as JsonSchema
  describe({ defs: (json.$defs ?? {}) as Record<string, JsonSchema>, done: new Set(), io }, schema, json)
  return json
}

interface Walk {
  defs: Record<string, JsonSchema>
  done: Set<JsonSchema>
  io: 'input' | 'output'
}

/** Walks a schema and its JSON Schema side by side and puts the description of each member into place. */
function describe(walk: Walk, schema: z.ZodType, json: JsonSchema | undefined): void {
  const inner = unwrapped(schema, walk.io)
  if (areDocuments.has(inner)) return
  const place = json && placeOf(walk, json)
  if (place === undefined || walk.done.has(place)) return
  walk.done.add(place)
  const branches = place.anyOf as JsonSchema[] | undefined
  if (inner instanceof z.ZodUnion) {
    for (const [index, option] of inner.options.entries()) describe(walk, option as z.ZodType, branches?.[index])
  } else if (branches !== undefined) {
    // A nullable value is an alternative of its type and null.
    describe(walk, inner, branches[0])
  } else if (inner instanceof z.ZodArray) {
    describe(walk, inner.element as z.ZodType, place.items as JsonSchema | undefined)
  }
  const properties = (place.properties ?? {}) as Record<string, JsonSchema>
  for (const [name, member] of membersOf(inner)) {
    const about = hintOf(inner, name)?.about
    const property = properties[name]
    if (property === undefined) continue
    if (about !== undefined && about !== '') properties[name] = { description: about, ...property }
    describe(walk, member, properties[name])
  }
}

/** The object with a schema's keywords: the schema itself, or the schema that it refers to. */
function placeOf({ defs }: Walk, json: JsonSchema): JsonSchema | undefined {
  const { $ref } = json
  return typeof $ref === 'string' ? defs[$ref.slice('#/$defs/'.length)] : json
}
