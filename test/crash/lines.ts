import type { Answer, Ask, Line } from '../../fixtures/crash/asks.ts'
import type { Entry } from '../../src/kernel/entry.ts'
import { lockRefOf } from '../../src/writer/core.ts'

/** A question that was put, and what came of it as far as anybody was told. */
export interface Asked {
  ask: Ask
  answer?: Answer
  refused?: { code: string; outcome?: string }
}

/** The questions of a writer in the order they were put. */
export function askedIn(lines: readonly Line[]): Asked[] {
  const asked = new Map<number, Asked>()
  for (const line of lines) {
    if (!('n' in line)) continue
    if ('ask' in line) asked.set(line.n, { ask: line.ask })
    else Object.assign(asked.get(line.n) ?? {}, line)
  }
  return [...asked.values()]
}

/** Why the log does not hold what this answer says, or undefined where it does. */
export function missingFrom(entries: readonly Entry[], { ask, answer }: Asked): string | undefined {
  if (answer === undefined) return undefined
  const isThere = entriesOf(ask, answer, entries).every((entry) => entry !== undefined && isAnswer(entry, ask, answer))
  return isThere ? undefined : `acknowledged, but not in the log: ${JSON.stringify({ ask, answer })}`
}

function entriesOf(
  ask: Ask,
  { name, renewals, seqs, token }: Answer,
  entries: readonly Entry[],
): (Entry | undefined)[] {
  if (seqs !== undefined) return seqs.map((seq) => entries[seq])
  if (ask.do === 'acquire') return [entries[token ?? -1]]
  const type = { renew: 'lock.renewed', release: 'lock.released', retire: 'lock.retired' }[String(ask.do)]
  const found = entries.find(
    ({ data, stream, type: found }) =>
      found === type &&
      stream === `lock/${name}` &&
      (token === undefined || data.token === token) &&
      (renewals === undefined || data.renewals === renewals),
  )
  return [found]
}

function isAnswer({ data, request, type }: Entry, ask: Ask, { name }: Answer): boolean {
  switch (ask.do) {
    case 'acquire': {
      const isOwn = 'run_id' in ask ? data.run_id === ask.run_id : data.lock_ref === lockRefOf(ask.lock_id)
      return type === 'lock.acquired' && data.name === name && isOwn
    }
    case 'audit':
      return type === 'audit.recorded' && request?.key === ask.key && data.notes === `noted under ${ask.key}`
    case 'recover':
      return type === 'lock.recovered' && data.name === name
    case 'break':
      return type === ('folder' in ask ? 'lock.file_set_aside' : 'lock.broken') && data.name === name
    default:
      return true
  }
}

/** A grant that the log says is current, folded here anew so that the views are not asked about themselves. */
export interface CurrentGrant {
  name: string
  token: number
  lock_ref: string
  folder: string | undefined
  run_id: string | undefined
  pids: number[]
}

const ends = new Set(['lock.broken', 'lock.lost', 'lock.recovered', 'lock.released'])

/** The current grants of a log by their names, and what is wrong with the order of its grants. */
export function grantsIn(entries: readonly Entry[]): { grants: Map<string, CurrentGrant>; findings: string[] } {
  const grants = new Map<string, CurrentGrant>()
  const findings: string[] = []
  for (const [at, { data, seq, type }] of entries.entries()) {
    if (seq !== at) findings.push(`entry ${seq} stands at ${at}`)
    const name = String(data.name)
    const grant = grants.get(name)
    if (type === 'lock.acquired') {
      if (grant !== undefined) findings.push(`${name} was granted at ${seq} while ${grant.token} was current`)
      grants.set(name, {
        name,
        token: seq,
        lock_ref: String(data.lock_ref),
        folder: data.folder as string | undefined,
        run_id: data.run_id as string | undefined,
        pids: (data.evidence as { pid: number }[]).map(({ pid }) => pid),
      })
    } else if (ends.has(type) && grant !== undefined && (data.token ?? data.previous_token) === grant.token) {
      grants.delete(name)
    }
  }
  return { grants, findings }
}
