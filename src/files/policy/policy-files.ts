import type { Layout } from '../../disk/layout.ts'
import type { LoadPolicy } from '../../domain/policy/commands.ts'
import { contentOf } from '../../domain/policy/content.ts'
import { type PolicyProblem, problemText } from '../../domain/policy/document.ts'
import type { LoadedFile } from '../../domain/policy/events.ts'
import type { Policy } from '../../domain/policy/policy.ts'
import { LockstepError } from '../../errors.ts'
import { limits } from '../../kernel/limits.ts'
import { pinOfFile } from './git-pin.ts'
import { type PolicyFile, readPolicy } from './policy-file.ts'
import { keepPolicyText, type PolicyPlace, policyBytes, policyFolder } from './policy-folder.ts'

/** Both policy files as they are on disk; `place` as for `policyFolder`. Errors: POLICY_INVALID, FILE_DENIED. */
export function policyFiles(layout: Layout, place?: PolicyPlace): { lanes: PolicyFile; roles: PolicyFile } {
  const { lanes, roles } = policyFolder(layout, place)
  return { lanes: policyBytes(layout, lanes), roles: policyBytes(layout, roles) }
}

/**
 * Reads the policy files and builds the command that puts them in force. Texts too long for an entry are written durably
 * first, so the policy in force can always be read. `place` as for `policyFolder`. Texts other than `sha256` names are
 * refused.
 * Errors: POLICY_INVALID with file and line, FILE_DENIED, DISK_FULL.
 */
export async function policyToLoad(
  layout: Layout,
  promotionRoles: readonly string[],
  { place, sha256: wanted = {} }: { place?: PolicyPlace | undefined; sha256?: Partial<Policy['sha256']> } = {},
): Promise<{ command: LoadPolicy; policy: Policy }> {
  const files = policyFiles(layout, place)
  const read = readPolicy(files, promotionRoles)
  if ('problems' in read) throw invalidPolicy(read.problems)
  const { policy } = read
  const problems = (['lanes', 'roles'] as const).flatMap((name) =>
    unchecked(files[name], policy.sha256[name], wanted[name]),
  )
  if (problems.length > 0) throw invalidPolicy(problems)
  const folder = policyFolder(layout, place)
  const texts = { lanes: textOf(files.lanes), roles: textOf(files.roles) }
  const isShort = Buffer.byteLength(JSON.stringify(texts)) <= limits.policyInlineBytes
  const loaded = async (name: 'lanes' | 'roles'): Promise<LoadedFile> => {
    const { bytes, file } = files[name]
    const sha256 = policy.sha256[name]
    if (!isShort) await keepPolicyText(layout, sha256, texts[name])
    const { pin, source } = pinOfFile(folder[name], bytes)
    return { file, pin, sha256, source, ...(isShort ? { text: texts[name] } : {}) }
  }
  return { command: { type: 'policy.load', lanes: await loaded('lanes'), roles: await loaded('roles') }, policy }
}

/** The problem of a text that is not the one that was checked. */
function unchecked({ file }: PolicyFile, sha256: string, wanted: string | undefined): PolicyProblem[] {
  if (wanted === undefined || wanted === sha256) return []
  return [{ file, line: 1, message: `has the SHA-256 ${sha256}, not ${wanted}: it changed after it was checked` }]
}

/** The text of a file as it is stored and compared. */
export function textOf({ bytes }: PolicyFile): string {
  const content = contentOf(bytes)
  return content.ok ? content.text : ''
}

/** POLICY_INVALID with the first problem as its message, and at most 100 in its details. */
export function invalidPolicy(problems: readonly PolicyProblem[]): LockstepError {
  const [first] = problems
  const message = first === undefined ? 'the policy cannot be used' : problemText(first)
  return new LockstepError('POLICY_INVALID', message, { details: { problems: problems.slice(0, 100) } })
}
