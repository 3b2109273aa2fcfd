import type { ErasedWrite } from '../erased.ts'
import type { StatementBuilder } from './statement.ts'

type ErasedTextWrite = Extract<ErasedWrite, { view: 'texts' }>

/**
 * Adds the parts of a statement that erase free texts of earlier entries. The server makes the new lines from what is
 * stored then, so an append that is sent before the answer to another one brings nothing back.
 */
export function eraseTexts(to: StatementBuilder, writes: readonly ErasedTextWrite[]): void {
  if (writes.length === 0) return
  const seqs = to.value(
    writes.map(({ key }) => key),
    'bigint[]',
  )
  const patterns = to.value(
    writes.map(({ value }) => patternOf(value)),
    'text[]',
  )
  to.part('w', `SELECT * FROM unnest(${seqs}, ${patterns}) AS u (seq, pattern)`)
  to.part(
    'e',
    `UPDATE lockstep.text t SET texts = n.texts FROM h, (
       SELECT o.seq, string_agg(CASE WHEN w.seq IS NULL THEN l.line
                ELSE regexp_replace(l.line, w.pattern, '{"path":"\\1"}', 'g') END, chr(10) ORDER BY l.at) AS texts
         FROM lockstep.text o
        CROSS JOIN LATERAL unnest(string_to_array(o.texts, chr(10))) WITH ORDINALITY AS l (line, at)
         LEFT JOIN w ON w.seq = o.seq + l.at - 1
        WHERE o.ledger_id = $1
          AND o.seq IN (SELECT (SELECT max(b.seq) FROM lockstep.batch b WHERE b.ledger_id = $1 AND b.seq <= w.seq) FROM w)
        GROUP BY o.seq) AS n
      WHERE t.ledger_id = $1 AND t.seq = n.seq`,
  )
}

/**
 * Matches the held texts at some paths in a line of JSON. Inside a text a quote is escaped, so no text looks like one.
 * PostgreSQL cannot take such a line apart as JSON, because a text may have the character U+0000.
 */
function patternOf(paths: readonly string[]): string {
  return `\\{"path":"(${paths.join('|')})","salt":"[0-9a-f]{64}","text":"(?:[^"\\\\]|\\\\.)*"\\}`
}
