import { join } from 'node:path'
import type { Policy } from '../domain/policy/policy.ts'
import { readPolicy } from '../files/policy/policy-file.ts'
import { invalidPolicy } from '../files/policy/policy-files.ts'
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
  if ('problems' in read) throw invalidPolicy(read.problems)
  return read.policy
}
