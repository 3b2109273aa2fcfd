import type { Entry } from '../../src/kernel/entry.ts'
import { lockRefOf } from '../../src/writer/core.ts'
import type { Operation } from './history.ts'

/**
 * Acknowledged commands that are not in the log exactly once, under the seq that was answered; and commands of any kind
 * that are in it more than once.
 */
export function notOnce(operations: readonly Operation[], entries: readonly Entry[]): string[] {
  const found = new Map<string, Entry[]>()
  for (const entry of entries) {
    const key = keyOf(entry)
    if (key !== undefined) found.set(key, [...(found.get(key) ?? []), entry])
  }
  const findings = [...found].flatMap(([key, all]) => (all.length > 1 ? [`${key}: ${all.length} entries`] : []))
  for (const operation of operations) {
    const { answer, input } = operation
    if (answer === undefined || answer.code !== undefined) continue
    const key = input.do === 'append' ? `append ${input.key}` : keyOfLock(input.do, { ...answer, lock: input.lock })
    const seqs = (found.get(key) ?? []).map(({ seq }) => seq)
    const seq = input.do === 'append' ? answer.seq : input.do === 'acquire' ? answer.token : seqs[0]
    if (seqs.length !== 1 || seqs[0] !== seq) findings.push(`${key}: at ${seqs}; ${JSON.stringify(operation)}`)
  }
  return findings
}

function keyOf({ data, request, type }: Entry): string | undefined {
  if (type === 'lock.acquired') return `acquire ${data.lock_ref}`
  if (type === 'lock.renewed') return `renew ${data.token} ${data.renewals}`
  if (type === 'lock.released') return `release ${data.token}`
  return type === 'audit.recorded' && request !== undefined ? `append ${request.key}` : undefined
}

function keyOfLock(
  what: 'acquire' | 'release' | 'renew',
  { lock, renewals, token }: { lock: string; renewals?: number; token?: number },
): string {
  if (what === 'acquire') return `acquire ${lockRefOf(lock)}`
  return what === 'renew' ? `renew ${token} ${renewals}` : `release ${token}`
}
