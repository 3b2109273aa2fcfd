import { readFileSync } from 'node:fs'
import type { Policy } from '../../src/domain/policy/policy.ts'
import { readPolicy } from '../../src/files/policy/policy-file.ts'

/** A lane as the rulings’ table has it: a row of runs.md, written down a second time on purpose. */
export interface LaneRow {
  lane: string
  roles: string[]
  tools: string[]
  writes: [table: string, mode: string][]
  requires: string[]
  prohibits: string[]
}

const words = (text: string) => text.split(' ').filter((word) => word !== '')
const row = (lane: string, roles: string, tools: string, writes: string, requires: string, prohibits: string) => ({
  lane,
  roles: words(roles),
  tools: words(tools),
  writes: words(writes).map((write) => write.split(':') as [string, string]),
  requires: words(requires),
  prohibits: words(prohibits),
})

export const laneTable: LaneRow[] = [
  row(
    'TOOL_INTERVIEW_CAPTURE',
    'INTERVIEW_AGENT',
    'dictation.start dictation.stop transcription.run transcription.status interview.prompt.next',
    '',
    'case_id client_session_id run_id',
    'cross_case_lookup external_export',
  ),
  row(
    'WRITE_INTAKE_ARTIFACTS',
    'INTERVIEW_AGENT INTAKE_AGENT',
    '',
    'transcripts:append interview_notes:append entities:upsert',
    'case_id run_id',
    'shared_knowledge_write',
  ),
  row(
    'WRITE_MAPPING_OUTPUTS',
    'MAPPING_AGENT',
    '',
    'facts:append evidence_map:append coa_map:append',
    'case_id run_id coa_version',
    'shared_knowledge_write',
  ),
  row(
    'PROMOTE_SHARED_KNOWLEDGE',
    'GOVERNANCE_AGENT ATTORNEY_ADMIN',
    '',
    'shared_playbooks:append shared_heuristics:append',
    'promotion_ticket_id run_id attorney_signoff',
    'raw_case_text client_identity privileged_notes',
  ),
  row(
    'EXPORT_CASE_DATA',
    'ATTORNEY_ADMIN',
    'export_bundle.create export_bundle.validate export_bundle.signoff export_bundle.download',
    'export_bundles:append audit_ledger:append',
    'case_id run_id export_reason',
    'raw_external_destination unaudited_delivery',
  ),
  row(
    'SYSTEM_OVERRIDE',
    'ATTORNEY_ADMIN',
    'override.enable override.disable rerun.force taxonomy.unlock run.state.override',
    'override_events:append audit_ledger:append',
    'override_ticket_id run_id override_reason',
    'silent_changes bypass_audit',
  ),
]

export const roleTable = {
  SYSTEM: 'system',
  GOVERNANCE_AGENT: 'system',
  INTERVIEW_AGENT: 'agent',
  INTAKE_AGENT: 'agent',
  MAPPING_AGENT: 'agent',
  ATTORNEY_ADMIN: 'human',
} as const

export const caseWorkFiles = {
  lanes: 'examples/policy/case-work/lanes.yaml',
  roles: 'examples/policy/case-work/roles.yaml',
}

/** The policy that two texts state. Throws with what is wrong with them. */
export function policyOfTexts(lanes: string, roles: string): Policy {
  const bytesOf = (text: string) => new TextEncoder().encode(text)
  const read = readPolicy({
    lanes: { file: 'lanes.yaml', bytes: bytesOf(lanes) },
    roles: { file: 'roles.yaml', bytes: bytesOf(roles) },
  })
  if ('problems' in read) throw new Error(JSON.stringify(read.problems))
  return read.policy
}

/** The case-work policy, from below the working directory. */
export function caseWorkPolicy(): Policy {
  return policyOfTexts(readFileSync(caseWorkFiles.lanes, 'utf8'), readFileSync(caseWorkFiles.roles, 'utf8'))
}
