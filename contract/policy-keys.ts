import * as z from 'zod'
import { lanesFileSchema, rolesFileSchema } from '../src/domain/policy/policy.ts'
import { tableSchema } from '../src/nouns/policy/policy-test.ts'
import { table } from './pages.ts'
import type { JsonSchema } from './schemas.ts'

/** A key of a file: what it means, and an example of its value in YAML. */
type Row = readonly [about: string, example: string]

interface PolicyFileFacts {
  about: string
  keys: Readonly<Record<string, Row>>
  schema: z.ZodType
}

const version: Row = ['The contract that the file is for. Only v1 is known.', 'v1']
const lane = 'lanes[]'
const allowed = 'lanes[].allowed_actions'
const test = 'cases[]'

/** Every key of the policy files and of the tables that test them. The page and the schemas are made from it. */
export const policyFileFacts: Readonly<Record<'lanes' | 'roles' | 'tests', PolicyFileFacts>> = {
  lanes: {
    about: 'The lanes: what may happen.',
    schema: lanesFileSchema,
    keys: {
      contract_version: version,
      lanes: [
        'The lanes. The order decides only in which lane a session’s tool call is decided.',
        '[{ lane_id: shell, … }]',
      ],
      [`${lane}.lane_id`]: ['The name of the lane. Rule ids begin with it.', 'shell'],
      [`${lane}.purpose`]: ['What the lane is for, for people.', 'Run commands in a workspace.'],
      [`${lane}.allowed_callers`]: ['Who may call in the lane.', '{ roles: [agent] }'],
      [`${lane}.allowed_callers.roles`]: [
        'The roles that may use the lane. Each must also name the lane in roles.yaml.',
        '[agent, operator]',
      ],
      [allowed]: ['What the lane allows. What is not listed is denied.', '{ tools: [Bash] }'],
      [`${allowed}.commands`]: [
        'Binds tools to programs: such a tool runs one of these and nothing else.',
        "[{ tool: npm.test, program: npm, args: [test, '**'] }]",
      ],
      [`${allowed}.commands[].tool`]: [
        'The tool that is bound. The lane must list it too. It may end in `*`.',
        'npm.test',
      ],
      [`${allowed}.commands[].program`]: [
        'A program in a folder of the system by its name, or any program by its absolute path. It may end in `*`.',
        '/opt/node/bin/npm',
      ],
      [`${allowed}.commands[].args`]: [
        'All arguments in order. Each may end in `*`; `**` at the end stands for any further ones.',
        "[test, '--filter=*', '**']",
      ],
      [`${allowed}.partial_outputs`]: ['Whether a failed action may have outputs. By default it may not.', 'true'],
      [`${allowed}.raw_text`]: [
        'Whether contents may be recorded, such as the words of a command. By default only digests are. A lane that takes no raw text records none, whatever stands here.',
        'true',
      ],
      [`${allowed}.reads`]: ['The tables that may be read, by their exact names.', '[agent_notes]'],
      [`${allowed}.tools`]: [
        'The tools that may be called. A name may end in `*`. Exports are the tools that begin with `export_bundle.`.',
        "[Edit, 'mcp__*']",
      ],
      [`${allowed}.writes`]: [
        'The tables that may be written, each with the mode.',
        '[{ table: agent_notes, mode: append }]',
      ],
      [`${allowed}.writes[].table`]: [
        'The table. It may end in `*`, which reaches no shared table unless the name before it is the beginning of one.',
        "'cache_*'",
      ],
      [`${allowed}.writes[].mode`]: ['The one kind of write that is allowed.', 'append'],
      [`${lane}.scope`]: [
        'What an action must state, and what it must not do.',
        '{ requires: [run_id], prohibits: [] }',
      ],
      [`${lane}.scope.requires`]: [
        'Facts that every action in the lane states in its scope. `promotion_ticket_id` makes the lane a promotion lane.',
        '[run_id, case_id]',
      ],
      [`${lane}.scope.prohibits`]: [
        'Effects that deny an action, declared or derived.',
        '[external_export, raw_case_text]',
      ],
      [`${lane}.scope.allows`]: [
        'The effects, of those that every lane denies by default, that this lane allows.',
        '[shared_knowledge_write]',
      ],
      [`${lane}.audit`]: [
        'How actions are audited. The ledger records every action in any case.',
        '{ required: true, level: full }',
      ],
      [`${lane}.audit.required`]: ['Must be true. A lane that says otherwise denies every action.', 'true'],
      [`${lane}.audit.level`]: ['A word for people. The ledger always records in full.', 'full'],
      [`${lane}.turns`]: ['Rules about turns of runs in the lane.', '{ require_decision: true }'],
      [`${lane}.turns.require_decision`]: [
        'Whether each promotion of a turn needs the decision_id of an allow in its run.',
        'true',
      ],
    },
  },
  roles: {
    about: 'The roles: who may do it.',
    schema: rolesFileSchema,
    keys: {
      contract_version: version,
      roles: ['The roles.', '[{ role_id: agent, … }]'],
      'roles[].role_id': ['The name of the role. Callers claim it.', 'agent'],
      'roles[].description': ['What the role is, for people.', 'A coding agent.'],
      'roles[].class': [
        'Who may have the role: `system`, `agent` or `human`. A role of class human is only for a caller of the type human.',
        'human',
      ],
      'roles[].privileges': ['What the role may use.', '{ lanes: [edit, shell] }'],
      'roles[].privileges.lanes': [
        'The lanes that the role may use. Each must also name the role in lanes.yaml.',
        '[edit, shell]',
      ],
    },
  },
  tests: {
    about: 'A table of expected decisions, for `lockstep policy test`.',
    schema: tableSchema,
    keys: {
      policy: [
        'The folder of lanes.yaml and roles.yaml, from the folder of the table. By default that folder itself.',
        '../policy',
      ],
      cases: ['The expected decisions.', '[{ name: …, role_id: agent, target: Edit, decision: allow }]'],
      [`${test}.name`]: ['What the case shows. It is printed with a difference.', 'a reviewer edits nothing'],
      [`${test}.role_id`]: ['The role of the run.', 'reviewer'],
      [`${test}.lane_id`]: [
        'The lane of the run. By default the first lane in the file that is open to the role and lists the tool, otherwise the first that is open to it.',
        'edit',
      ],
      [`${test}.action_type`]: ['The type of the action. By default `tool_call`.', 'db_write'],
      [`${test}.actor_type`]: ['The type of the caller. By default `agent`.', 'human'],
      [`${test}.artifacts`]: [
        'The artifacts that the action reads or passes on.',
        '[{ artifact_id: art-1, artifact_kind: report, hash_sha256: … }]',
      ],
      [`${test}.case_id`]: ['The case of the run. It also becomes case_id in the scope.', 'CASE-17'],
      [`${test}.command`]: [
        'What the tool call runs.',
        '{ argv: [npm, test], program: { found: /usr/bin/npm, real: /usr/bin/npm } }',
      ],
      [`${test}.decision`]: ['The expected decision.', 'deny'],
      [`${test}.effects`]: ['The effects that the caller declares.', '[external_export]'],
      [`${test}.mode`]: ['The mode of a write.', 'append'],
      [`${test}.rule_ids`]: [
        'All expected rules in order. Without them only the decision is compared.',
        "['lane:shell/tools']",
      ],
      [`${test}.run_kind`]: ['The kind of the run. By default the one that may do the action.', 'agent'],
      [`${test}.scope`]: ['The scope. It also has the run_id of the run.', '{ export_reason: asked for }'],
      [`${test}.target`]: ['The tool or the table.', 'Edit'],
    },
  },
}

/** The keys that members of an action and of an artifact have are described with the operations. */
const described = [`${test}.artifacts[]`, `${test}.command.`]

/** The JSON Schemas of the files, as editors read them, by their path from the project's root. */
export function policySchemas(): Map<string, string> {
  return new Map(
    Object.entries(policyFileFacts).map(([name, { about, keys, schema }]) => {
      const left = new Set(Object.keys(keys))
      const body = z.toJSONSchema(schema, { io: 'input', target: 'draft-7', unrepresentable: 'any' }) as JsonSchema
      describe(body, '', keys, left)
      if (left.size > 0)
        throw new Error(`contract/policy-keys.ts has keys that ${name}.yaml does not know: ${[...left].join()}`)
      const headed = { ...body, title: `${name}.yaml`, description: about }
      return [`contract/v1/policy/${name}.schema.json`, `${JSON.stringify(headed, null, 2)}\n`]
    }),
  )
}

/** Adds the meaning of each key and an example. Throws for a key that has none. */
function describe(node: JsonSchema, path: string, keys: PolicyFileFacts['keys'], left: Set<string>): void {
  if (node.items !== undefined) describe(node.items as JsonSchema, `${path}[]`, keys, left)
  for (const [name, member] of Object.entries((node.properties ?? {}) as Record<string, JsonSchema>)) {
    const place = path === '' ? name : `${path}.${name}`
    if (described.some((start) => place.startsWith(start))) continue
    const row = keys[place]
    if (row === undefined) throw new Error(`contract/policy-keys.ts has no row for ${place}`)
    member.description = row[0].replaceAll('`', '')
    left.delete(place)
    describe(member, place, keys, left)
  }
}

/** The sections of docs/reference/policy.md about the files. */
export function policyFileSections(): string {
  return Object.entries(policyFileFacts)
    .map(([name, { about, keys }]) => {
      const rows = Object.entries(keys).map(
        ([key, [meaning, example]]) => `| \`${key}\` | ${meaning} | \`${example}\` |`,
      )
      const schema = `[${name}.schema.json](../../contract/v1/policy/${name}.schema.json)`
      return `## ${name}.yaml\n\n${about} The schema for editors is ${schema}. Unknown keys are errors.\n\n${table(['key', 'meaning', 'example'], rows)}`
    })
    .join('\n\n')
}
