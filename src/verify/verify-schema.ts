import { recordedEntrySchema } from '../domain/event-schemas.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Check } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'

/**
 * Checks that each entry has a known type and matches the schema of that type, so that the checks after this one may
 * rely on it. Errors: VERIFY_FAILED (`schema`).
 */
export class SchemaVerification implements Check {
  entry(entry: Entry): void {
    const { error } = recordedEntrySchema.safeParse(entry)
    if (error === undefined) return
    const { seq, type } = entry
    const [issue] = error.issues
    const what = issue?.code === 'invalid_union' ? 'its type is unknown' : `${issue?.path.join('.')}: ${issue?.message}`
    throw differs('schema', `entry ${seq} (${String(type).slice(0, 60)}) does not match its schema: ${what}`, { seq })
  }
}
