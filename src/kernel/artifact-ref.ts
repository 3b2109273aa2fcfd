import * as z from 'zod'
import { freeText } from './free-text.ts'
import { lineOf } from './ids.ts'
import {
  caseIdSchema,
  classificationSchema,
  line,
  longLine,
  runIdSchema,
  sha256Schema,
  shortLine,
  utcSchema,
} from './vocabulary.ts'

/** A pattern for a word in any mixture of cases. It needs no flag, so JSON Schema can use it too. */
function anyCase(word: string): string {
  return word.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)
}

const schemes = '^(?:[A-Za-z][A-Za-z0-9+.-]*:)*'
const secretWords = [
  'token',
  'secret',
  'password',
  'passwd',
  'signature',
  'credential',
  'api[-_]?key',
  'access[-_]?key',
]
const secretNames = ['sig', 'key', 'auth', 'pass', 'pwd']

/**
 * A locator with content or a secret in it: a `data:` URI, a user before the host (which may be just a token), or a
 * parameter with the name of a secret.
 */
export const unsafeLocator = new RegExp(
  [
    `${schemes}${anyCase('data')}:`,
    `${schemes}[\\\\/]{2}[^\\\\/?#]*@`,
    `[?&#;][^=&#;]*(?:${secretWords.map(anyCase).join('|')})[^=&#;]*=`,
    `[?&#;](?:${secretNames.map(anyCase).join('|')})=`,
  ].join('|'),
)

/** The location of an artifact: a path or URI without content and credentials. */
export const locatorSchema = lineOf(600).refine(
  (locator) => !unsafeLocator.test(locator),
  'must not be a data: URI or contain credentials',
)

/** The origin of an artifact: its inputs, the tool, and the run. */
const lineage = z.strictObject({
  derived_from: z.array(line.min(3)).max(100),
  run_id: runIdSchema.nullish(),
  transformation: freeText(longLine.clone()).nullish(),
})

/**
 * A reference to an artifact: its kind and hash, never its content (Run Lifecycle, Contract v1, sections 1.3 and 8).
 */
export const artifactRefSchema = z
  .strictObject({
    artifact_id: line.min(3),
    artifact_kind: shortLine.min(2),
    byte_size: z.int().min(0).nullish(),
    case_id: caseIdSchema.nullish(),
    confidentiality: classificationSchema.nullish(),
    content_type: line.nullish(),
    created_at_utc: utcSchema.nullish(),
    hash_sha256: sha256Schema,
    hash_source: z.enum(['bytes', 'normalized_text', 'normalized_json']).nullish(),
    lineage: lineage.nullish(),
    scope: z.enum(['case', 'shared', 'system']).nullish(),
    storage_locator: locatorSchema.nullish(),
  })
  .refine(({ case_id, scope }) => scope !== 'case' || typeof case_id === 'string', {
    path: ['case_id'],
    message: 'is required for the scope case',
  })
export type ArtifactRef = z.infer<typeof artifactRefSchema>

/** A list of artifacts, limited to the number that one record can name. */
export const artifactRefsSchema = z.array(artifactRefSchema).max(100)
