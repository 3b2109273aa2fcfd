import * as z from 'zod'
import { approvalIdSchema, recordedAskedSchema, recordedExportSchema } from '../src/domain/approval/exported.ts'
import { actionsOfRuns, auditEventSchema, auditTargetSchema } from '../src/domain/audit/audit-event.ts'
import { auditRecordedSchema } from '../src/domain/audit/events.ts'
import { eventSchemas } from '../src/domain/event-schemas.ts'
import { lockContentionSchema } from '../src/domain/lock/contention-schema.ts'
import { lockEventSchemas } from '../src/domain/lock/events.ts'
import { evidenceSchema } from '../src/domain/lock/liveness.ts'
import { lockFileSchema } from '../src/domain/lock/lock-file.ts'
import { runLockSchema } from '../src/domain/lock/run-lock-file.ts'
import { runTagSchema } from '../src/domain/run/run-record.ts'
import { factsSchema, issuesSchema } from '../src/domain/turn/events.ts'
import { issueSchema } from '../src/domain/turn/issue.ts'
import { stemSchema } from '../src/domain/turn/triplet.ts'
import { artifactRefSchema, locatorSchema, unsafeLocator } from '../src/kernel/artifact-ref.ts'
import { leaseClockSchema } from '../src/kernel/clock.ts'
import { actorSchema, lockRefSchema, reasonSchema } from '../src/kernel/ids.ts'
import { limits } from '../src/kernel/limits.ts'
import * as vocabulary from '../src/kernel/vocabulary.ts'

/**
 * What JSON Schema needs in addition to the zod schemas: names of the shapes under `$defs`, and rules that zod
 * states as functions. zod silently leaves those out of JSON Schema, so the generator refuses a function without an
 * annotation here. Rules that JSON Schema cannot state, such as bytes of UTF-8, are in the description.
 */
export const annotations = z.registry<Record<string, unknown>>()

const surrogates = '\\ud800-\\udfff'
const controls = `\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029${surrogates}`
const controlsButBreaks = `\\u0000-\\u0008\\u000b\\u000c\\u000e-\\u001f\\u007f-\\u009f${surrogates}`

/** `lineOf` of core/ids.ts without look-around, which regular expression engines of other languages may lack. */
const line = (bytesMax: number) => ({
  description: `One line of text, at most ${bytesMax} bytes of UTF-8.`,
  maxLength: bytesMax,
  pattern: `^[^\\s${controls}](?:[^${controls}]*[^\\s${controls}])?$`,
})
const target = auditRecordedSchema.shape.target.unwrap().shape
annotations
  .add(actorSchema.shape.actor_id, line(120))
  .add(actorSchema.shape.on_behalf_of.unwrap(), line(120))
  .add(actorSchema.shape.role_id.unwrap(), line(120))
  .add(auditRecordedSchema.shape.corrects.unwrap(), line(120))
  .add(target.name, line(200))
  .add(target.operation.unwrap(), line(80))

annotations.add(reasonSchema, {
  id: 'reason',
  description: 'Free text, not blank; line breaks are allowed.',
  pattern: `^[^\\S${controlsButBreaks}]*[^\\s${controlsButBreaks}][^${controlsButBreaks}]*$`,
})

// Shapes that run records, audit events, artifacts and bundles share.
annotations
  .add(vocabulary.shortLine, { id: 'line_80', ...line(80) })
  .add(vocabulary.line, { id: 'line_120', ...line(120) })
  .add(vocabulary.longLine, { id: 'line_200', ...line(200) })
  .add(vocabulary.runIdSchema, { id: 'run_id' })
  .add(vocabulary.caseIdSchema, { id: 'case_id' })
  .add(vocabulary.eventIdSchema, { id: 'event_id' })
  .add(vocabulary.noteSchema, { id: 'note' })
  .add(vocabulary.sha256Schema, { id: 'sha256', description: 'Accepted in either case; stored in lower case.' })
  .add(vocabulary.policyVersionsSchema, { id: 'policy_versions' })
  .add(vocabulary.taxonomyVersionsSchema, { id: 'taxonomy_versions' })
  .add(vocabulary.pairsSchema, { id: 'pairs' })
  .add(vocabulary.classificationSchema, { id: 'classification' })
  .add(runTagSchema, line(60))
  .add(auditTargetSchema.shape.name, line(limits.lockNameBytes))
  .add(locatorSchema, {
    id: 'locator',
    ...line(600),
    description:
      'A path or URI, at most 600 bytes of UTF-8, without data: URI, user before the host, or secret parameter.',
    not: { pattern: unsafeLocator.source },
  })
  .add(artifactRefSchema, {
    id: 'artifact_ref',
    if: { required: ['scope'], properties: { scope: { const: 'case' } } },
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
    then: { required: ['case_id'], properties: { case_id: { type: 'string' } } },
  })
  .add(auditEventSchema, {
    if: { properties: { action_type: { enum: actionsOfRuns } } },
    // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
    then: { required: ['run_id'], properties: { run_id: { type: 'string' } } },
  })

/** Text that comes from a file and may be repeated in an entry: anything that UTF-8 can encode. */
const text = { id: 'text', pattern: `^[^${surrogates}]*$` }
annotations.add(lockFileSchema.shape.holder, text).add(runLockSchema.options[0].shape.target_name, text)

annotations.add(stemSchema, {
  id: 'stem',
  description: 'The name of one unit of state, at most 512 bytes of UTF-8.',
  maxLength: limits.stemBytes,
  pattern: `^[^\\u0000-\\u001f\\u007f-\\u009f${surrogates}\\\\]+$`,
  not: {
    pattern: '^/|/$|//|(?:^|/)\\.\\.?(?:/|$)|^_index(?:/|$)|\\.(?:body|links|manifest|tombstone)\\.json(?:/|$)',
  },
})
annotations
  .add(approvalIdSchema, { id: 'approval_id' })
  .add(recordedExportSchema, { id: 'export' })
  .add(recordedAskedSchema, { id: 'asked_export' })
  .add(issueSchema, { id: 'issue' })
  .add(issuesSchema, { id: 'issues_of_turn' })
  .add(factsSchema, { id: 'facts_of_turn' })

annotations.add(lockContentionSchema, {
  if: { properties: { name: { pattern: '^deliverable:' } } },
  // biome-ignore lint/suspicious/noThenProperty: the keyword of JSON Schema
  then: { required: ['deliverable_id'] },
})

const { holder, name } = lockEventSchemas['lock.acquired'].shape
annotations
  .add(evidenceSchema, { id: 'evidence' })
  .add(leaseClockSchema, { id: 'lease_clock' })
  .add(lockRefSchema, { id: 'lock_ref' })
  .add(name, { id: 'lock_name' })
  .add(holder, { id: 'holder' })
  .add(lockEventSchemas['lock.renewed'].shape.token, { id: 'token' })
for (const [type, data] of Object.entries(eventSchemas)) annotations.add(data, { id: type })
