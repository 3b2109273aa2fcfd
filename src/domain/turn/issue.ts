import * as z from 'zod'
import { canonicalText, cut, wellFormed } from '../../kernel/canonical.ts'
import { limits } from '../../kernel/limits.ts'
import { sha256Schema } from '../../kernel/vocabulary.ts'
import { byBytes } from './stem.ts'

/** The stage of a turn at which an issue is found, in the order of the checks. */
const issueStages = ['stage', 'tombstones', 'base', 'lsi', 'promotion'] as const
export type IssueStage = (typeof issueStages)[number]

/** The notices, which do not stop a turn, and their texts. */
export const noticeCodes = {
  I_STAGING_EMPTY: 'Nothing is staged: no triplet, no tombstone, no delete.',
  I_NOOP_PROMOTION: 'The turn changes nothing; it is promoted all the same.',
  I_TOMBSTONE_UNKNOWN_STEM: 'The tombstone names a stem that is not in the workspace.',
  I_LSI_DANGLING_SOURCE: 'Remaining links point to a target that this turn removes.',
  I_REF_MULTISOURCE: 'More than one link points to a target that this turn touches.',
} as const

/** The error codes of a turn. */
export const errorCodes = [
  'E_STEM_INVALID',
  'E_STEM_COLLISION',
  'E_STAGING_FILE_INVALID',
  'E_JSON_INVALID',
  'E_TRIPLET_INCOMPLETE',
  'E_DTO_LINKS_WRONG_CONTAINER_SHAPE',
  'E_TOMBSTONE_STEM_MISMATCH',
  'E_TOMBSTONE_INVALID',
  'LIMIT_EXCEEDED',
  'E_DELETE_MISSING_TOMBSTONE',
  'E_PROMOTION_CONFLICT',
  'E_LSI_DUPLICATE_IDENTITY',
  'E_LSI_ORPHAN_TARGET',
] as const
export type ErrorIssueCode = (typeof errorCodes)[number]
type NoticeCode = keyof typeof noticeCodes

const issueCodes = [...errorCodes, ...Object.keys(noticeCodes)] as (ErrorIssueCode | NoticeCode)[]

/** The facts of an issue, if it has any: its subject, and what conflicts with it. */
const detailsSchema = z.strictObject({
  base_digest: sha256Schema.nullable().optional(),
  bytes_max: z.int().min(0).optional(),
  current_digest: sha256Schema.nullable().optional(),
  dto_type: z.string().optional(),
  id: z.string().optional(),
  /** The kind of object that a staging directory has in place of a regular file. */
  kind: z.string().optional(),
  /** The other stem that conflicts with this stem. */
  other: z.string().optional(),
  pointer: z.string().optional(),
  problem: z.string().optional(),
  promoted_dto_type: z.string().optional(),
  promoted_id: z.string().optional(),
  sources: z.int().min(0).optional(),
  stem: z.string().optional(),
  stems: z.int().min(0).optional(),
  type: z.string().optional(),
})

/**
 * One error of a turn (level `error`), or a notice about it (`info`). `location` is a path in a staging directory or an
 * RFC 6901 pointer.
 */
export const issueSchema = z.strictObject({
  code: z.enum(issueCodes),
  details: detailsSchema,
  level: z.enum(['error', 'info']),
  location: z.string().max(4_096),
  message: z.string().max(1_000),
  stage: z.enum(issueStages),
})
export type Issue = z.infer<typeof issueSchema>

type Facts = Pick<Issue, 'location' | 'message' | 'stage'> & { details?: Issue['details'] }

/** An issue that stops the turn. */
export function errorIssue(code: ErrorIssueCode, { details = {}, location, message, stage }: Facts): Issue {
  return recordable({ code, details, level: 'error', location, message, stage })
}

/** The issue with texts that an entry can hold: limited in length, and with lone surrogates replaced by U+FFFD. */
export function recordable({ code, details, level, location, message, stage }: Issue): Issue {
  const facts = Object.entries(details).map(([key, fact]) => [key, typeof fact === 'string' ? wellFormed(fact) : fact])
  return {
    code,
    details: Object.fromEntries(facts),
    level,
    location: wellFormed(cut(location, 4_096)),
    message: wellFormed(cut(message, 1_000)),
    stage,
  }
}

/** A notice. */
export function notice(code: NoticeCode, stage: IssueStage, details: Issue['details'], location = ''): Issue {
  return { code, details, level: 'info', location, message: noticeCodes[code], stage }
}

export function isError({ level }: Issue): boolean {
  return level === 'error'
}

/**
 * Sorts issues by stage, location, code, details and message, so that the same turn always gives the same list. Returns
 * at most `max` of them.
 */
export function sortedIssues(issues: readonly Issue[], max: number = limits.turnIssuesMax): Issue[] {
  const places = new Map(issueStages.map((stage, index) => [stage, index]))
  return issues
    .toSorted(
      (one, other) =>
        (places.get(one.stage) ?? 0) - (places.get(other.stage) ?? 0) ||
        byBytes(one.location, other.location) ||
        byBytes(one.code, other.code) ||
        byBytes(canonicalText(one.details), canonicalText(other.details)) ||
        byBytes(one.message, other.message),
    )
    .slice(0, max)
}
