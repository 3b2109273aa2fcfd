import { join } from 'node:path'
import { type PolicyProblem, problemText } from '../domain/policy/document.ts'
import type { Policy } from '../domain/policy/policy.ts'
import { LockstepError } from '../errors.ts'
import { readPolicy } from '../files/policy/policy-file.ts'
import { limits } from '../kernel/limits.ts'
import { readInput } from './input-file.ts'
import { type Own, texts } from './verb.ts'

/** The option for a ledger whose configuration names other roles for promotion. */
export const promotionRole: Own<string[]> = texts(
  '--promotion-role <role_id...>',
  'the roles that a promotion lane may be open to, if the configuration names others',
)

/** The policy in the two files of a folder. Errors: NOT_FOUND, POLICY_INVALID, FILE_DENIED. */
export function policyIn(folder: string, promotionRoles: readonly string[] | undefined): Policy {
  const of = (name: string) => {
    const file = join(folder, name)
    return { file, bytes: readInput(file, limits.policyFileBytes) }
  }
  const read = readPolicy({ lanes: of('lanes.yaml'), roles: of('roles.yaml') }, promotionRoles)
  if ('problems' in read) throw invalid(read.problems)
  return read.policy
}

/** POLICY_INVALID with all problems of a file. */
export function invalid(problems: readonly PolicyProblem[]): LockstepError {
  const [first] = problems
  const message = first === undefined ? 'the policy cannot be used' : problemText(first)
  return new LockstepError('POLICY_INVALID', message, { details: { problems: problems.slice(0, 100) } })
}
