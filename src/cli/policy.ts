import type { Command } from 'commander'
import type { CheckedPolicy, PolicyInForce } from '../api/shapes/policy.ts'
import { problemText } from '../domain/policy/document.ts'
import { codes } from '../errors.ts'
import { timeText } from './output.ts'
import { diffVerb } from './policy-diff.ts'
import { testVerb } from './policy-test.ts'
import { actionFlags, actionMembers, decidedLines, exitOf, withScope } from './run-actions.ts'
import { noun, verb } from './verb.ts'

export function policyCommand(asked?: string): Command {
  const verbs = {
    show: showVerb,
    check: checkVerb,
    explain: explainVerb,
    reload: reloadVerb,
    test: testVerb,
    diff: diffVerb,
  }
  return noun('policy', verbs, asked, ['lockstep policy show', 'lockstep policy check'])
}

function showVerb(): Command {
  return verb('show', 'policy.show', {
    more: 'It names the pins, the lanes, and whether the files have changed since.',
    call: (api) => api.policy.show(),
    lines: shownLines,
    examples: ['lockstep policy show', 'lockstep policy show --json'],
  })
}

function shownLines({ grants, lanes, loaded, roles, seq }: PolicyInForce): string[] {
  const line = ({ file, on_disk, pin, source }: PolicyInForce['lanes']) =>
    `${file}  ${pin} (${source})${on_disk === 'same' ? '' : `, ${on_disk} on disk`}`
  return [
    `loaded ${timeText(loaded)} (entry ${seq})`,
    line(lanes),
    line(roles),
    ...grants.map((grant) => `  ${grant.lane_id}: ${grant.roles.join(', ')}`),
  ]
}

function checkVerb(): Command {
  return verb('check', 'policy.check', {
    more: 'Nothing is changed. The exit code is 2 if they cannot be loaded.',
    lines: checkedLines,
    exit: ({ loadable }) => (loadable ? 0 : codes.POLICY_INVALID.exit),
    examples: ['lockstep policy check', 'lockstep policy check --from contract --json | jq .changes'],
  })
}

function checkedLines(checked: CheckedPolicy): string[] {
  const { changes, files, findings, in_force, loadable, other_files, problems, sha256 } = checked
  const compared = in_force ? 'the files are in force' : 'the files differ from the policy in force'
  return [
    `${files.lanes}  ${sha256?.lanes ?? ''}`.trimEnd(),
    `${files.roles}  ${sha256?.roles ?? ''}`.trimEnd(),
    ...[...problems, ...findings].map(problemText),
    ...(loadable ? [compared] : []),
    ...changes.map(({ change, id, kind }) => `  ${kind} ${id}: ${change}`),
    ...other_files.map((file) => `${file} exists too, but is not read without --from`),
  ]
}

function explainVerb(): Command {
  return verb('explain', 'policy.explain', {
    expand: actionMembers,
    flags: {
      ...actionFlags,
      actor_type: { name: 'type' },
      case_id: { about: 'the case of the run' },
      role_id: { about: 'the role of a run that does not exist yet' },
      run_id: { about: 'the run that would act' },
      run_kind: { about: 'the kind of a run that does not exist yet' },
    },
    input: withScope,
    more: 'Nothing is recorded. The exit code is 0 for allow and 4 for deny.',
    lines: decidedLines,
    exit: exitOf,
    examples: [
      'lockstep policy explain --kind db_write --role agent --action db_write --lane edit --target agent_notes --mode append --scope run_id=run_draft1',
      'lockstep policy explain --run-id run_draft1 --action tool_call --lane shell --target test.unit --scope run_id=run_draft1',
    ],
  })
}

function reloadVerb(): Command {
  return verb('reload', 'policy.reload', {
    more: 'It reads where the policy in force came from, unless --from names the other place. This is an audited event. Runs that are pinned to different content drift and are denied.',
    lines: (shown) => [...(shown.replayed ? ['the policy has not changed'] : []), ...shownLines(shown)],
    examples: ['lockstep policy reload', 'lockstep --actor human:BECCA policy reload --json'],
  })
}
