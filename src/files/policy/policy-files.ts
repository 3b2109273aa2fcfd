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
import { keepPolicyText, policyBytes, policyFolder } from './policy-folder.ts'

/** Both policy files as they are on disk; `inForce` as for `policyFolder`. Errors: POLICY_INVALID, FILE_DENIED. */
export function policyFiles(layout: Layout, inForce?: string): { lanes: PolicyFile; roles: PolicyFile } {
  const { lanes, roles } = policyFolder(layout, inForce)
  return { lanes: policyBytes(layout, lanes), roles: policyBytes(layout, roles) }
}

/**
 * Reads the policy files and builds the command that puts them in force. Texts too long for an entry are written durably
 * first, so the policy in force can always be read. `inForce` as for `policyFolder`.
 * Errors: POLICY_INVALID with file and line, FILE_DENIED, DISK_FULL.
 */
export async function policyToLoad(
  layout: Layout,
  promotionRoles: readonly string[],
  inForce?: string,
): Promise<{ command: LoadPolicy; policy: Policy }> {
  const files = policyFiles(layout, inForce)
  const read = readPolicy(files, promotionRoles)
  if ('problems' in read) throw invalid(read.problems)
  const { policy } = read
  const folder = policyFolder(layout, inForce)
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

/** The text of a file as it is stored and compared. */
export function textOf({ bytes }: PolicyFile): string {
  const content = contentOf(bytes)
  return content.ok ? content.text : ''
}

function invalid(problems: readonly PolicyProblem[]): LockstepError {
  const [first] = problems
  const message = first === undefined ? 'the policy cannot be used' : problemText(first)
  return new LockstepError('POLICY_INVALID', message, { details: { problems: problems.slice(0, 100) } })
}
