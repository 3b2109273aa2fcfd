import { recordedEntrySchema } from '../domain/event-schemas.ts'
import { isCanonicalText } from '../kernel/canonical.ts'
import type { Entry } from '../kernel/entry.ts'
import type { Check } from '../log/check.ts'
import { differs } from '../log/corrupt.ts'
import type { StoredEntry } from '../log/free-texts.ts'
import { acceptsOf } from './accepts.ts'

/** Most entries are accepted by this. It is several times faster than the schema, which copies what it reads. */
const accepts = acceptsOf(recordedEntrySchema)

/**
 * Checks that the text of each entry is the only one that states its content, and that the entry has a known type and
 * matches the schema of that type. The checks after this one may rely on it. Errors: VERIFY_FAILED (`canonical`,
 * `schema`).
 */
export class SchemaVerification implements Check {
  entry(entry: Entry, { text, texts }: StoredEntry): void {
    const { seq, type } = entry
    if (!isCanonicalText(text, texts === undefined ? entry : JSON.parse(text))) {
      throw differs('canonical', `the text of entry ${seq} is not the RFC 8785 text of its content`, { seq })
    }
    if (accepts(entry)) return
    const { error } = recordedEntrySchema.safeParse(entry)
    if (error === undefined) return
    const [issue] = error.issues
    const what = issue?.code === 'invalid_union' ? 'its type is unknown' : `${issue?.path.join('.')}: ${issue?.message}`
    throw differs('schema', `entry ${seq} (${String(type).slice(0, 60)}) does not match its schema: ${what}`, { seq })
  }
}
