import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { auditEventSchema } from '../src/domain/audit/audit-event.ts'
import { type EventType, eventSchemas } from '../src/domain/event-schemas.ts'
import { exportBundleSchema } from '../src/domain/export/bundle.ts'
import { lockContentionSchema } from '../src/domain/lock/contention-schema.ts'
import { lockFileSchema } from '../src/domain/lock/lock-file.ts'
import { runLockSchema } from '../src/domain/lock/run-lock-file.ts'
import { runRecordSchema } from '../src/domain/run/run-record.ts'
import { issueSchema } from '../src/domain/turn/issue.ts'
import { promotionResultSchema, tombstoneSchema, tripletSchema } from '../src/domain/turn/triplet.ts'
import { artifactRefSchema } from '../src/kernel/artifact-ref.ts'
import { entrySchema } from '../src/kernel/entry.ts'
import { annotations } from './annotations.ts'

export type JsonSchema = { [keyword: string]: unknown }

/** The schemas of Contract v1 by name, as JSON Schema 2020-12. */
export function schemas(): Record<string, JsonSchema> {
  return {
    artifact_ref: headed('artifact_ref', {
      title: 'Artifact reference',
      description:
        'The kind and hash of an artifact, never its content. Absent and null mean the same. Source: Run Lifecycle, Contract v1, sections 1.3 and 8.',
      body: bodyOf(artifactRefSchema),
    }),
    audit_event: headed('audit_event', {
      title: 'Audit event',
      description:
        'One fact of the audit ledger. Every entry can be rendered as one. Absent and null mean the same. Source: Run Lifecycle, Contract v1, sections 1.2 and 6.',
      body: bodyOf(auditEventSchema),
    }),
    entry: headed('entry', {
      title: 'Entry',
      description:
        'One recorded event at its place in the ledger, with the data of its type. Its canonical form (RFC 8785) has at most 32 KiB. Its leaf hash is the SHA-256 of a zero byte and that form. Source: Run Lifecycle, Contract v1, section 1.2.',
      body: entryBody(),
    }),
    export_bundle: headed('export_bundle', {
      title: 'Export bundle',
      description:
        'What was exported from the ledger, why, and the hashes to check it by. Absent and null mean the same. Source: Run Lifecycle, Contract v1, section 10.2.',
      body: bodyOf(exportBundleSchema),
    }),
    lock_contention: headed('lock_contention', {
      title: 'LOCK_CONTENTION report',
      description:
        'The report about a lock that another holder has. Source: Deliverable Lock Specification (DEL-08-05), REQ-LOCK-007.',
      body: bodyOf(lockContentionSchema),
    }),
    lock_file: headed('lock_file', {
      title: 'Deliverable lock file (.lock)',
      description:
        'The lock file of a deliverable folder. Unknown members are ignored. A file with another major schema_version than 1 counts as held and is never touched. Source: Deliverable Lock Specification (DEL-08-05), REQ-LOCK-002.',
      body: bodyOf(lockFileSchema),
    }),
    run_lock: headed('run_lock', {
      title: 'RUN_LOCK.json',
      description:
        'The run lock of a project: seven members while LOCKED, the same seven and three more when RELEASED. Source: RUN_LOCK.json Template v1.0.0, Schema (ENFORCED) and Release Protocol.',
      body: bodyOf(runLockSchema),
    }),
    run_record: headed('run_record', {
      title: 'Run record',
      description:
        'The manifest of one run: its state, pins, inputs and outputs. Absent and null mean the same. Source: Run Lifecycle, Contract v1, sections 1.2, 3, 4, 7, 8 and 9.',
      body: bodyOf(runRecordSchema),
    }),
    issue: headed('issue', {
      title: 'Issue',
      description:
        'One error of a turn, or a notice about it. Source: Run Lifecycle Contract (v1) of 2026-02-22, Required Error Codes.',
      body: bodyOf(issueSchema),
    }),
    promotion_result: headed('promotion_result', {
      title: 'Promotion result',
      description:
        'What the promotion of a turn changed. Source: Run Lifecycle Contract (v1) of 2026-02-22, Definitions and Law 2.',
      body: bodyOf(promotionResultSchema),
    }),
    tombstone: headed('tombstone', {
      title: 'Tombstone',
      description:
        'The record by which a turn deletes a stem, with exactly these five members. Source: Run Lifecycle Contract (v1) of 2026-02-22, Law 6.',
      body: bodyOf(tombstoneSchema),
    }),
    triplet: headed('triplet', {
      title: 'Triplet record',
      description:
        'A promoted stem in a workspace: the digests of its three objects, the identity in its body, and the run and turn that promoted it. Source: Run Lifecycle Contract (v1) of 2026-02-22, Definitions.',
      body: bodyOf(tripletSchema),
    }),
  }
}

function headed(name: string, { title, description, body }: { title: string; description: string; body: JsonSchema }) {
  const { $schema, $defs, ...rest } = body
  return {
    $schema,
    $id: `urn:lockstep:contract:v1:${name}`,
    title,
    description,
    ...rest,
    ...($defs === undefined ? {} : { $defs }),
  }
}

/**
 * The entry, with one condition per type: `type` decides the schema of `data`. So one validation checks both, and an
 * error is about the intended type only.
 */
function entryBody(): JsonSchema {
  const types = Object.keys(eventSchemas) as EventType[]
  const [first, ...others] = Object.values(eventSchemas)
  const data = z.union([first as z.ZodType, ...others])
  const body = bodyOf(entrySchema.extend({ data, type: z.enum(types) }))
  const allOf = types.map((type) => ({
    if: { properties: { type: { const: type } } },
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
    then: { properties: { data: { $ref: `#/$defs/${type}` } } },
  }))
  return { ...body, properties: { ...(body.properties as JsonSchema), data: { type: 'object' } }, allOf }
}

/** The body of a schema. Throws if zod states a rule as a function and no annotation states it. */
function bodyOf(schema: z.ZodType): JsonSchema {
  const coded = new Set<string>()
  const stated = new Set<string>()
  const body = z.toJSONSchema(schema, {
    metadata: annotations,
    override: ({ zodSchema, path }) => {
      // Every link of a chain of methods is visited under the same path. The last one has the annotation.
      const place = path.join('.')
      if (zodSchema._zod.def.checks?.some(({ _zod }) => _zod.def.check === 'custom')) coded.add(place)
      if (annotations.get(zodSchema) !== undefined) stated.add(place)
    },
  })
  const unstated = [...coded].filter((place) => !stated.has(place))
  if (unstated.length > 0)
    throw new Error(`contract/annotations.ts has no annotation for the rules of ${unstated.join(', ')}`)
  return withNamedTimes(body)
}

/** Patterns of times are long and frequent, so each is written once, under `$defs`. */
function withNamedTimes(schema: JsonSchema): JsonSchema {
  const times: Record<string, unknown> = {}
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk)
    if (value === null || typeof value !== 'object') return value
    const node = value as JsonSchema
    if (node.format !== 'date-time') return Object.fromEntries(Object.entries(node).map(([key, at]) => [key, walk(at)]))
    const name = String(node.pattern).includes('\\.\\d{3}') ? 'utc_milliseconds' : 'date_time'
    if (times[name] !== undefined && !isDeepStrictEqual(times[name], node))
      throw new Error(`two shapes have the name ${name}`)
    times[name] = node
    return { $ref: `#/$defs/${name}` }
  }
  const walked = walk(schema) as JsonSchema
  return { ...walked, $defs: { ...(walked.$defs as JsonSchema | undefined), ...times } }
}
